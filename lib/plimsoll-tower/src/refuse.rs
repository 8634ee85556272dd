//! What a refusal becomes: an error, or a response.

/// What becomes of a request that a layer refuses.
///
/// ```
/// use plimsoll::{Name, Reason, Rejected};
/// use plimsoll_tower::Refuse;
///
/// /// A status, whatever the service's error is.
/// struct Status;
///
/// impl<Error> Refuse<Rejected, u16, Error> for Status {
///     fn refuse(&self, why: Rejected) -> Result<u16, Error> {
///         Ok(if why.reason() == Reason::RateExceeded { 429 } else { 503 })
///     }
/// }
/// let refused: Result<u16, ()> = Status.refuse(Rejected::new(Name::UNNAMED, Reason::Full));
/// assert_eq!(refused, Ok(503));
/// ```
pub trait Refuse<Why, Response, Error> {
    /// What the caller gets.
    ///
    /// # Errors
    /// Where a refusal is an error.
    ///
    /// ```
    /// use plimsoll::{Name, Reason, Rejected};
    /// use plimsoll_tower::{IntoError, Refuse};
    /// let full = Rejected::new(Name::UNNAMED, Reason::Full);
    /// let refused: Result<(), Rejected> = IntoError.refuse(full.clone());
    /// assert_eq!(refused, Err(full));
    /// ```
    fn refuse(&self, why: Why) -> Result<Response, Error>;
}

/// A refusal becomes the service's error, by its [`From`].
///
/// ```
/// use std::error::Error;
/// use plimsoll::{Name, Reason, Rejected};
/// use plimsoll_tower::{IntoError, Refuse};
/// let full = Rejected::new(Name::UNNAMED, Reason::Full).with_use(2, 2, 0);
/// let refused: Result<(), Box<dyn Error + Send + Sync>> = IntoError.refuse(full);
/// assert_eq!(refused.unwrap_err().to_string(), "unnamed: 2 of 2 in use, 0 waiting");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct IntoError;

impl<Why, Response, Error: From<Why>> Refuse<Why, Response, Error> for IntoError {
    fn refuse(&self, why: Why) -> Result<Response, Error> {
        Err(why.into())
    }
}

/// A refusal becomes a response, by a closure.
///
/// ```
/// use plimsoll::semaphore::Semaphore;
/// use plimsoll_tower::{Admit, Answer, Reject};
/// let layer: Admit<Reject<Semaphore>, Answer<_>> = Admit::rejecting(Semaphore::new(16)?).on_rejected(|_| 503);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Answer<F>(pub(crate) F);

impl<Why, Response, Error, F: Fn(Why) -> Response> Refuse<Why, Response, Error> for Answer<F> {
    fn refuse(&self, why: Why) -> Result<Response, Error> {
        Ok((self.0)(why))
    }
}
