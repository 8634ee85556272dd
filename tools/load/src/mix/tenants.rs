//! For whom requests are sent.

use http::HeaderName;

use crate::Error;

/// The most tenants of a plan.
const TENANTS_MAX: usize = 10_000;
/// How many tenants have results of their own: those of the largest weights.
const SEEN_MAX: usize = 32;
/// The longest name of a tenant, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// One of those for whom requests are sent.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Tenant {
    /// What it is called: the header's value, and what `{{tenant}}` stands for.
    pub name: String,
    /// Its part of the requests, as a share of the sum of all weights.
    pub weight: f64,
}

/// Tenants, each with its part of the requests.
///
/// Results are kept for each of the 32 tenants of the largest weights; the others' are summed.
#[derive(Clone, PartialEq, Debug)]
pub struct Tenants {
    header: Option<HeaderName>,
    list: Vec<Tenant>,
    seen: Vec<String>,
    // Which place in the results each tenant of the list has.
    places: Vec<usize>,
}

impl Tenants {
    /// These tenants, told by this header where one is given, and by `{{tenant}}` in requests.
    ///
    /// ```
    /// use plimsoll_load::mix::{Tenant, Tenants};
    /// let tenant = |name: &str, weight| Tenant { name: name.into(), weight };
    /// let tenants = Tenants::new(vec![tenant("quiet", 1.0), tenant("loud", 99.0)], Some("x-tenant"))?;
    /// assert_eq!(tenants.names(), ["loud", "quiet"]);
    /// assert!(Tenants::new(vec![tenant("a\nb", 1.0)], None).is_err());
    /// # Ok::<(), plimsoll_load::Error>(())
    /// ```
    ///
    /// # Errors
    /// None or more than 10,000 of them, a name twice or one that cannot stand in a header, a weight
    /// that is not more than 0, a header's name that is none.
    pub fn new(list: Vec<Tenant>, header: Option<&str>) -> Result<Self, Error> {
        if list.is_empty() || list.len() > TENANTS_MAX {
            return Err(Error::invalid("tenants", list.len(), "1 to 10,000"));
        }
        for tenant in &list {
            let Tenant { name, weight } = tenant;
            if name.is_empty()
                || name.len() > NAME_BYTES_MAX
                || !name.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            {
                let allowed = "1 to 256 printable characters of ASCII";
                return Err(Error::invalid("name of a tenant", format!("{name:?}"), allowed));
            }
            if !(*weight > 0.0 && weight.is_finite()) {
                return Err(Error::invalid(format!("weight of tenant {name}"), weight, "more than 0"));
            }
        }
        let header = header.map(|header| {
            let name = HeaderName::from_bytes(header.as_bytes());
            name.map_err(|_| Error::invalid("tenant header", header, "a header's name, such as x-tenant"))
        });
        let mut order: Vec<usize> = (0..list.len()).collect();
        order.sort_by(|a, b| list[*b].weight.total_cmp(&list[*a].weight));
        let mut places = vec![SEEN_MAX.min(list.len()); list.len()];
        for (place, tenant) in order.iter().take(SEEN_MAX).enumerate() {
            places[*tenant] = place;
        }
        let seen = order.iter().take(SEEN_MAX).map(|tenant| list[*tenant].name.clone()).collect();
        let mut names: Vec<&str> = list.iter().map(|tenant| tenant.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid("tenants", format!("{} twice", twice[0]), "each name once"));
        }
        Ok(Self { header: header.transpose()?, list, seen, places })
    }

    /// The header that tells the tenant.
    #[must_use]
    pub fn header(&self) -> Option<&HeaderName> {
        self.header.as_ref()
    }

    /// All tenants, as they were given.
    #[must_use]
    pub fn list(&self) -> &[Tenant] {
        &self.list
    }

    /// The names of those whose results are kept apart, the largest weights first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.seen
    }

    /// How many tenants' results are summed.
    #[must_use]
    pub fn others(&self) -> usize {
        self.list.len() - self.seen.len()
    }

    /// Where the results of a tenant of the list go; behind the names, the sum of the others.
    pub(crate) fn place(&self, tenant: usize) -> usize {
        self.places[tenant]
    }
}
