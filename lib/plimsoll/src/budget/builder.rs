//! Making a budget.

use std::sync::{Arc, Weak};

use super::handle::Budget;
use super::ledger::{Account, Ledger, Lending, Rule};
use super::state::{Label, State, check};
use crate::counters::Counters;
use crate::{Invalid, Name, registry};

/// The most shares that a budget has.
pub(super) const SHARES_MAX: usize = 32;

/// Builds a [`Budget`]; made by [`Budget::builder`].
///
/// ```
/// use plimsoll::budget::Budget;
/// let too_much = Budget::builder("budget-doc").limit(100).share("reads", 80).share("writes", 30).build();
/// assert_eq!(too_much.unwrap_err().value(), "110 in all");
/// let on_purpose =
///     Budget::builder("budget-doc").limit(100).share("reads", 80).share("writes", 30).oversubscribed().build()?;
/// assert_eq!(on_purpose.limit(), 100);
/// # Ok::<(), plimsoll::Invalid>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    limit: u64,
    shares: Vec<(String, u64)>,
    lenders: Vec<String>,
    all_lend: bool,
    rule: Rule,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            limit: 0,
            shares: Vec::new(),
            lenders: Vec::new(),
            all_lend: false,
            rule: Rule::Guaranteed,
        }
    }

    /// How much there is for all shares together: 1 to 4,398,046,511,104. There is no default.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// assert_eq!(Budget::builder("limit-of").limit(100).share("reads", 60).build()?.limit(), 100);
    /// assert_eq!(Budget::builder("limit-of").share("reads", 60).build().unwrap_err().field(), "limit"); // not set
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Gives `permits` of it, 1 to the limit, to a share of that name; up to 32 shares, one at least.
    ///
    /// What is given to no share is lent to all.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let database = Budget::builder("share-of").limit(10).share("reads", 6).build()?;
    /// let reads = database.share("reads")?;
    /// assert_eq!(reads.limit(), 6);
    /// assert!(reads.try_acquire_many(10).is_ok()); // 4 belong to nobody
    /// assert!(Budget::builder("share-of").limit(10).share("reads", 11).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn share(mut self, share: &str, permits: u64) -> Self {
        self.shares.push((share.into(), permits));
        self
    }

    /// Lets the others use what this share does not: what it lends comes back to it as it is released.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let lends = Budget::builder("lends").limit(10).share("reads", 6).share("writes", 4).lends("reads").build()?;
    /// assert!(lends.share("writes")?.try_acquire_many(10).is_ok());
    /// assert!(lends.share("reads")?.try_acquire_many(7).is_err(), "writes keep theirs");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lends(mut self, share: &str) -> Self {
        self.lenders.push(share.into());
        self
    }

    /// Every share lends. Default: none does.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let lending = Budget::builder("lending").limit(10).share("reads", 6).share("writes", 4).lending().build()?;
    /// assert!(lending.share("writes")?.try_acquire_many(10).is_ok());
    /// assert!(lending.share("reads")?.try_acquire_many(10).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn lending(mut self) -> Self {
        self.all_lend = true;
        self
    }

    /// The shares may add up to more than the limit: each is an upper limit, none is guaranteed.
    /// Default: they may not.
    ///
    /// ```
    /// use plimsoll::budget::Budget;
    /// let twice = || Budget::builder("twice").limit(10).share("reads", 10).share("writes", 10);
    /// assert!(twice().build().is_err());
    /// let sold_twice = twice().oversubscribed().build()?;
    /// let reads = sold_twice.share("reads")?.try_acquire_many(10)?;
    /// assert!(sold_twice.share("writes")?.try_acquire().is_err()); // its share is no guarantee
    /// # drop(reads);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn oversubscribed(mut self) -> Self {
        self.rule = Rule::Oversubscribed;
        self
    }

    /// Makes the budget and puts it into the [registry](crate::registry).
    ///
    /// # Errors
    /// When a name is not one that [`Name::new`] takes, or given twice; the limit or a share is zero,
    /// not set, or too large; the shares add up to more than the limit and it is not
    /// [oversubscribed](Self::oversubscribed), or it is and a share lends.
    ///
    /// ```
    /// use plimsoll::{budget::Budget, registry};
    /// let database = Budget::builder("budget-built").limit(10).share("reads", 6).share("writes", 4).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == database.name()));
    /// let refused = Budget::builder("budget-built").limit(10).share("reads", 6).share("writes", 5).build();
    /// assert!(refused.is_err()); // 11 of 10
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Budget, Invalid> {
        let name = Name::new(&self.name)?;
        let labels = self.labels(name)?;
        let lends = |share: &str| self.all_lend || self.lenders.iter().any(|lender| lender == share);
        let account = |(share, permits): &(String, u64)| Account {
            share: *permits,
            lending: if lends(share) { Lending::Lent } else { Lending::Kept },
            in_use: 0,
        };
        let ledger = Ledger::new(self.limit, self.rule, self.shares.iter().map(account).collect());
        check(name, &ledger)?;
        Ok(Budget(Arc::new_cyclic(|state: &Weak<State>| {
            State::new(name, labels, ledger, Some(registry::register(state.clone())))
        })))
    }

    fn labels(&self, name: Name) -> Result<Box<[Label]>, Invalid> {
        let refuse = |field, value: &dyn std::fmt::Debug, allowed| {
            Err(Invalid::new(name, field, format_args!("{value:?}"), allowed))
        };
        if !(1..=SHARES_MAX).contains(&self.shares.len()) {
            return refuse("shares", &self.shares.len(), "1 to 32 shares");
        }
        if let Some(unknown) =
            self.lenders.iter().find(|lender| !self.shares.iter().any(|(share, _)| share == *lender))
        {
            return refuse("lends", unknown, "the name of a share");
        }
        if self.rule == Rule::Oversubscribed && (self.all_lend || !self.lenders.is_empty()) {
            return refuse(
                "lending",
                &"oversubscribed",
                "one of the two: what is not guaranteed cannot be lent",
            );
        }
        let mut labels = Vec::with_capacity(self.shares.len());
        for (index, (share, _)) in self.shares.iter().enumerate() {
            if self.shares[..index].iter().any(|(earlier, _)| earlier == share) {
                return refuse("share", share, "each name once");
            }
            let full = Name::new(&format!("{name}/{share}"))?;
            labels.push(Label { share: Name::new(share)?, full, counters: Counters::new() });
        }
        Ok(labels.into())
    }
}
