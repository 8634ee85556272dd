//! Who has how much, and who may take more; pure numbers.
//!
//! # Invariants
//! - `in_use` is the sum over the accounts.
//! - Not oversubscribed, the shares add up to the limit at the most, and nobody is given what would
//!   cut into the unused share of an account that does not lend. So when nobody has more than their
//!   share, every claim within a share can be met.

/// The numbers of all shares.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    limit: u64,
    rule: Rule,
    accounts: Vec<Account>,
    in_use: u64,
}

/// What a share means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// Its owner's, and lent at the most.
    Guaranteed,
    /// No more than an upper limit: the shares add up to more than there is.
    Oversubscribed,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) share: u64,
    pub(super) lending: Lending,
    pub(super) in_use: u64,
}

/// Whether others may use what is unused of a share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lending {
    Kept,
    Lent,
}

/// What somebody asks for; whoever has the smaller number came first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Claim {
    pub(super) permits: u64,
    pub(super) arrival: u64,
}

/// What a claim is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Basis {
    Own,
    Borrowed,
}

impl Ledger {
    pub(super) const fn new(limit: u64, rule: Rule, accounts: Vec<Account>) -> Self {
        Self { limit, rule, accounts, in_use: 0 }
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) const fn rule(&self) -> Rule {
        self.rule
    }

    pub(super) const fn in_use(&self) -> u64 {
        self.in_use
    }

    pub(super) fn account(&self, share: usize) -> Account {
        self.accounts[share]
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(super) const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(super) fn set_share(&mut self, share: usize, permits: u64) {
        self.accounts[share].share = permits;
    }

    /// What the shares add up to.
    pub(super) fn shared_out(&self) -> u64 {
        self.accounts.iter().fold(0, |sum, account| sum.saturating_add(account.share))
    }

    /// The most that a share can ever have out at once.
    pub(super) fn most(&self, share: usize) -> u64 {
        match self.rule {
            Rule::Oversubscribed => self.accounts[share].share.min(self.limit),
            Rule::Guaranteed => {
                let kept = |(other, account): (usize, &Account)| match account.lending {
                    Lending::Kept if other != share => account.share,
                    _ => 0,
                };
                self.limit.saturating_sub(self.accounts.iter().enumerate().map(kept).sum())
            }
        }
    }

    pub(super) fn take(&mut self, share: usize, permits: u64) {
        self.accounts[share].in_use += permits;
        self.in_use += permits;
    }

    pub(super) fn give_back(&mut self, share: usize, permits: u64) {
        self.accounts[share].in_use -= permits;
        self.in_use -= permits;
    }

    /// Whether `claim` on `share` can be met now, `fronts` being who is first in the line of each
    /// share.
    pub(super) fn fits(&self, share: usize, claim: Claim, fronts: &[Option<Claim>]) -> bool {
        let Some(basis) = self.basis(share, claim.permits) else { return false };
        let mut taken = self.in_use.saturating_add(claim.permits);
        for (other, account) in self.accounts.iter().enumerate().filter(|(other, _)| *other != share) {
            let front = fronts[other].and_then(|front| Some((self.basis(other, front.permits)?, front)));
            if basis == Basis::Borrowed
                && matches!(front, Some((Basis::Borrowed, front)) if front.arrival < claim.arrival)
            {
                return false;
            }
            let kept = match (self.rule, account.lending) {
                (Rule::Guaranteed, Lending::Kept) => account.share.saturating_sub(account.in_use),
                _ => 0,
            };
            let awaited = match front {
                Some((Basis::Own, front)) if basis == Basis::Borrowed || front.arrival < claim.arrival => {
                    front.permits
                }
                _ => 0,
            };
            taken = taken.saturating_add(kept.max(awaited));
        }
        taken <= self.limit
    }

    /// Which share's line is served next, if any can be: owners first, then by arrival.
    pub(super) fn next(&self, fronts: &[Option<Claim>]) -> Option<usize> {
        let able = fronts.iter().enumerate().filter_map(|(share, front)| {
            let claim = (*front)?;
            let basis = self.basis(share, claim.permits)?;
            self.fits(share, claim, fronts).then_some((basis, claim.arrival, share))
        });
        able.min().map(|(.., share)| share)
    }

    /// `None` where the share itself has no room, and cannot borrow.
    fn basis(&self, share: usize, permits: u64) -> Option<Basis> {
        let account = &self.accounts[share];
        if account.in_use.saturating_add(permits) <= account.share {
            return Some(Basis::Own);
        }
        match self.rule {
            Rule::Guaranteed => Some(Basis::Borrowed),
            Rule::Oversubscribed => None,
        }
    }
}
