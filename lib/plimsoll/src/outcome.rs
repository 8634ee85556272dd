//! How admitted work went.

/// How admitted work went, for the limiters that learn from it.
///
/// A permit that is dropped without [`finish`](crate::breaker::Permit::finish) counts as
/// [`Ignored`](Outcome::Ignored): a caller that went away says nothing about the service it called.
///
/// ```
/// use plimsoll::{Outcome, breaker::{Breaker, Policy, State}};
/// let bank = Breaker::new(Policy::consecutive(2))?;
/// for outcome in [Outcome::Failure, Outcome::Ignored, Outcome::Failure] {
///     assert_eq!(bank.state(), State::Closed);
///     bank.try_acquire()?.finish(outcome);
/// }
/// assert_eq!(bank.state(), State::Open, "what is ignored does not end the row");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The work did what it should.
    Success,
    /// The work failed in a way that says the dependency is unwell.
    Failure,
    /// It says nothing: cancelled, the caller's own fault, or never begun.
    Ignored,
}

impl Outcome {
    /// [`Success`](Outcome::Success) for `Ok`, [`Failure`](Outcome::Failure) for `Err`.
    ///
    /// ```
    /// use plimsoll::Outcome;
    /// assert_eq!(Outcome::of(&"7".parse::<u8>()), Outcome::Success);
    /// assert_eq!(Outcome::of(&"x".parse::<u8>()), Outcome::Failure);
    /// ```
    pub const fn of<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Success,
            Err(_) => Self::Failure,
        }
    }
}
