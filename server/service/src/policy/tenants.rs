//! What a table says of the requests of organisations.

use plimsoll::rate::Quota;

use super::control::Refused;
use super::table::{Field, Of, Overrides, Table, Who};
use crate::admission::{TenantLimits, TenantTable};
use crate::config::{Kind, Value};

/// What may be said of the requests of an organisation.
pub const TENANT_FIELDS: [Field; 3] = [
    Field {
        name: "requests",
        kind: Kind::Integer { min: 1, max: 1 << 20 },
        of: Of::Organisations,
        help: "How many of its requests run at once; as tenant.requests.",
    },
    Field {
        name: "requests_per_second",
        kind: Kind::Integer { min: 1, max: 1_000_000 },
        of: Of::Organisations,
        help: "How many requests a second it may make; as tenant.requests_per_second.",
    },
    Field {
        name: "burst",
        kind: Kind::Integer { min: 1, max: 1_000_000 },
        of: Of::Organisations,
        help: "How many it may make at once before its rate is felt; as tenant.burst.",
    },
];

/// What holds for every organisation of which nothing is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenantBase {
    /// Requests at once.
    pub requests: u64,
    /// Requests a second, if they are bounded.
    pub per_second: Option<u64>,
    /// How many may be made at once before the rate is felt.
    pub burst: u64,
}

impl TenantBase {
    fn with(self, overrides: Option<&Overrides>) -> Self {
        let number = |name| match overrides.and_then(|overrides| overrides.get(name)) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        };
        Self {
            requests: number("requests").unwrap_or(self.requests),
            per_second: number("requests_per_second").or(self.per_second),
            burst: number("burst").unwrap_or(self.burst),
        }
    }

    fn limits(self) -> TenantLimits {
        let rate = self.per_second.map(|rate| Quota::per_second(rate).burst(self.burst));
        TenantLimits { requests: self.requests, rate }
    }

    /// What each organisation may do, with at most `requests_max` requests at once in all.
    ///
    /// # Errors
    /// When one may make more requests at once than there may be in all.
    pub fn table(self, table: &Table, requests_max: u64) -> Result<TenantTable, Refused> {
        let defaults = self.with(table.of(&Who::Defaults));
        let orgs = table.entries().filter_map(|(who, overrides)| match who {
            Who::Org(org) => Some((org.clone(), defaults.with(Some(overrides)))),
            _ => None,
        });
        let named: Vec<(String, Self)> = orgs.collect();
        let all =
            named.iter().map(|(org, base)| (Who::Org(org.clone()), base)).chain([(Who::Defaults, &defaults)]);
        for (who, Self { requests, .. }) in all {
            if *requests > requests_max {
                let problem = format!(
                    "requests is {requests}, allowed is at most admission.requests, which is {requests_max}"
                );
                return Err(Refused { field: Some((who, "requests")), problem });
            }
        }
        let named = named.into_iter().map(|(org, base)| (org, base.limits())).collect();
        Ok(TenantTable { others: defaults.limits(), named })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::read;

    const BASE: TenantBase = TenantBase { requests: 256, per_second: None, burst: 100 };

    #[test]
    fn an_organisation_stands_on_the_defaults_and_those_on_the_settings() {
        let json =
            br#"{"defaults": {"requests_per_second": 9}, "org": {"org_a": {"requests": 5, "burst": 2}}}"#;
        let table = BASE.table(&read::json(json, &TENANT_FIELDS).unwrap(), 1_000).unwrap();
        let rate = |burst| Some(Quota::per_second(9).burst(burst));
        assert_eq!(table.others, TenantLimits { requests: 256, rate: rate(100) });
        assert_eq!(table.named["org_a"], TenantLimits { requests: 5, rate: rate(2) });
    }

    #[test]
    fn one_may_not_have_more_than_there_is_in_all() {
        let json = br#"{"org": {"org_a": {"requests": 1001}}}"#;
        let refused = BASE.table(&read::json(json, &TENANT_FIELDS).unwrap(), 1_000).unwrap_err();
        assert_eq!(refused.field, Some((Who::Org("org_a".into()), "requests")));
        assert!(refused.problem.contains("at most admission.requests, which is 1000"), "{}", refused.problem);
        let refused = BASE.table(&Table::default(), 255).unwrap_err();
        assert_eq!(refused.field, Some((Who::Defaults, "requests")));
    }
}
