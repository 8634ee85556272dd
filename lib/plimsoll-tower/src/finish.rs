//! How a permit is given back.

/// How a permit is given back.
///
/// ```
/// use plimsoll::{Outcome, breaker::{Breaker, OwnedPermit, Policy, State}};
/// use plimsoll_tower::Finish;
///
/// /// A status of 500 and above says that the service is unwell.
/// struct ByStatus;
///
/// impl<Error> Finish<OwnedPermit, u16, Error> for ByStatus {
///     type Response = u16;
///
///     fn finish(&self, permit: OwnedPermit, result: Result<u16, Error>) -> Result<u16, Error> {
///         permit.finish(if matches!(result, Ok(..500)) { Outcome::Success } else { Outcome::Failure });
///         result
///     }
/// }
/// let bank = Breaker::new(Policy::consecutive(1))?;
/// assert_eq!(ByStatus.finish(bank.try_acquire_owned()?, Ok::<_, ()>(404)), Ok(404));
/// assert_eq!(bank.state(), State::Closed);
/// assert_eq!(ByStatus.finish(bank.try_acquire_owned()?, Ok::<_, ()>(503)), Ok(503));
/// assert_eq!(bank.state(), State::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Finish<P, Response, Error> {
    /// The response as the caller gets it.
    type Response;

    /// Gives it back, or hands it on with the response.
    ///
    /// # Errors
    /// Where the service failed.
    ///
    /// ```
    /// use plimsoll::semaphore::Semaphore;
    /// use plimsoll_tower::{Dropped, Finish};
    /// let uploads = Semaphore::new(1)?;
    /// let permit = uploads.try_acquire()?;
    /// assert_eq!(Dropped.finish(permit, Err::<(), _>("reset")), Err("reset"));
    /// assert_eq!(uploads.available(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn finish(&self, permit: P, result: Result<Response, Error>) -> Result<Self::Response, Error>;
}

/// By dropping it, once the response is there.
///
/// ```
/// use plimsoll::semaphore::Semaphore;
/// use plimsoll_tower::{Dropped, Finish};
/// let uploads = Semaphore::new(1)?;
/// assert_eq!(Dropped.finish(uploads.try_acquire()?, Ok::<_, ()>(200)), Ok(200));
/// assert_eq!(uploads.available(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropped;

impl<P, Response, Error> Finish<P, Response, Error> for Dropped {
    type Response = Response;

    fn finish(&self, permit: P, result: Result<Response, Error>) -> Result<Response, Error> {
        drop(permit);
        result
    }
}

/// By a closure; see [`Admit::on_done`](crate::Admit::on_done).
///
/// ```
/// use plimsoll::{Outcome, Rejected, breaker::{Breaker, OwnedPermit, Policy}};
/// use plimsoll_tower::{Admit, IntoError, Reject, Told};
/// let tell = |permit: OwnedPermit, result: &Result<u16, Rejected>| permit.finish(Outcome::of(result));
/// let layer: Admit<Reject<Breaker>, IntoError, Told<_>> =
///     Admit::rejecting(Breaker::new(Policy::ratio(0.5))?).on_done(tell);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Told<F>(pub(crate) F);

impl<P, Response, Error, F: Fn(P, &Result<Response, Error>)> Finish<P, Response, Error> for Told<F> {
    type Response = Response;

    fn finish(&self, permit: P, result: Result<Response, Error>) -> Result<Response, Error> {
        (self.0)(permit, &result);
        result
    }
}

/// By whoever has the response, into which a closure puts it; see [`Admit::hold`](crate::Admit::hold).
///
/// ```
/// use plimsoll::semaphore::{OwnedPermit, Semaphore};
/// use plimsoll_tower::{Admit, Hold, IntoError, Reject};
/// let both = |response: u16, permit: OwnedPermit| (response, permit);
/// let layer: Admit<Reject<Semaphore>, IntoError, Hold<_>> = Admit::rejecting(Semaphore::new(16)?).hold(both);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hold<F>(pub(crate) F);

impl<P, Response, Error, Held, F: Fn(Response, P) -> Held> Finish<P, Response, Error> for Hold<F> {
    type Response = Held;

    fn finish(&self, permit: P, result: Result<Response, Error>) -> Result<Held, Error> {
        result.map(|response| (self.0)(response, permit))
    }
}
