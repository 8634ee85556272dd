use crate::origin::Origin;

/// A call of a function of the same crate, as far as it tells something about its arguments.
#[derive(Clone, Debug)]
pub(crate) struct CallFacts {
    /// The function that is called, without what stands before its name.
    pub(crate) name: String,
    /// Whether the caller is in a test.
    pub(crate) in_test: bool,
    /// Where each argument comes from.
    pub(crate) arguments: Vec<Origin>,
    /// What the loop around the call goes over, if there is one.
    pub(crate) each: Option<Origin>,
}
