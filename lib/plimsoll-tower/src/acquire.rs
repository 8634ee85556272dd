//! How a request is admitted.

use std::future::{Ready, ready};
use std::pin::Pin;

use plimsoll::Rejected;
use plimsoll::limiter::{Limiter, Waiting};

/// How a request is admitted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::future::{Ready, ready};
/// use plimsoll::{Rejected, semaphore::{OwnedPermit, Semaphore}};
/// use plimsoll_tower::Acquire;
///
/// /// Many permits for what is large.
/// struct BySize(Semaphore);
///
/// impl Acquire<Vec<u8>> for BySize {
///     type Permit = OwnedPermit;
///     type Future = Ready<Result<OwnedPermit, Rejected>>;
///
///     fn acquire(&self, request: &Vec<u8>) -> Self::Future {
///         ready(self.0.try_acquire_many_owned(1 + request.len() as u64 / 1_000))
///     }
/// }
/// let by_size = BySize(Semaphore::new(8)?);
/// assert_eq!(by_size.acquire(&vec![0; 5_000]).await?.permits(), 6);
/// assert!(by_size.acquire(&vec![0; 9_000]).await.is_err());
/// # Ok(()) }
/// ```
pub trait Acquire<Request> {
    /// What is held until the response is there, or [longer](crate::Admit::hold).
    type Permit;
    /// Ready when it is decided.
    type Future: Future<Output = Result<Self::Permit, Rejected>>;

    /// Asks for admission.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::future::{Ready, ready};
    /// use plimsoll::{Rejected, semaphore::{OwnedPermit, Semaphore}};
    /// use plimsoll_tower::Acquire;
    /// struct One(Semaphore);
    /// impl Acquire<&str> for One {
    ///     type Permit = OwnedPermit;
    ///     type Future = Ready<Result<OwnedPermit, Rejected>>;
    ///     fn acquire(&self, _: &&str) -> Self::Future { ready(self.0.try_acquire_owned()) }
    /// }
    /// let one = One(Semaphore::new(1)?);
    /// let permit = one.acquire(&"first").await?;
    /// assert!(one.acquire(&"second").await.is_err());
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    fn acquire(&self, request: &Request) -> Self::Future;
}

/// Admits at once or not; see [`Admit::rejecting`](crate::Admit::rejecting).
///
/// ```
/// use plimsoll::semaphore::Semaphore;
/// use plimsoll_tower::{Admit, Reject};
/// let layer: Admit<Reject<Semaphore>> = Admit::rejecting(Semaphore::new(16)?);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reject<L>(pub(crate) L);

impl<L: Limiter, Request> Acquire<Request> for Reject<L> {
    type Permit = L::Permit;
    type Future = Ready<Result<L::Permit, Rejected>>;

    fn acquire(&self, _: &Request) -> Self::Future {
        ready(self.0.try_acquire_owned())
    }
}

/// Waits; see [`Admit::waiting`](crate::Admit::waiting).
///
/// ```
/// use plimsoll::semaphore::Semaphore;
/// use plimsoll_tower::{Admit, Line};
/// let layer: Admit<Line<Semaphore>> = Admit::waiting(Semaphore::new(16)?);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Line<L>(pub(crate) L);

impl<L: Waiting, Request> Acquire<Request> for Line<L> {
    type Permit = L::Permit;
    // The future of a trait's async method has no name on stable Rust; `waiting_by` needs none.
    type Future = Pin<Box<dyn Future<Output = Result<L::Permit, Rejected>> + Send>>;

    fn acquire(&self, _: &Request) -> Self::Future {
        let limiter = self.0.clone();
        Box::pin(async move { limiter.acquire_owned().await })
    }
}

/// Admits at once or not, by a closure; see [`Admit::rejecting_by`](crate::Admit::rejecting_by).
///
/// ```
/// use plimsoll::semaphore::Semaphore;
/// use plimsoll_tower::{Admit, Now};
/// let uploads = Semaphore::new(16)?;
/// let layer: Admit<Now<_>> = Admit::rejecting_by(move |_: &String| uploads.try_acquire_owned());
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Now<F>(pub(crate) F);

impl<Request, P, F: Fn(&Request) -> Result<P, Rejected>> Acquire<Request> for Now<F> {
    type Permit = P;
    type Future = Ready<Result<P, Rejected>>;

    fn acquire(&self, request: &Request) -> Self::Future {
        ready((self.0)(request))
    }
}

/// Waits for a closure's future; see [`Admit::waiting_by`](crate::Admit::waiting_by).
///
/// ```
/// use plimsoll::Rejected;
/// use plimsoll_tower::{Admit, Begin};
/// let layer: Admit<Begin<_>> = Admit::waiting_by(|_: &String| std::future::ready(Ok::<_, Rejected>(())));
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct Begin<F>(pub(crate) F);

impl<Request, P, Fut, F> Acquire<Request> for Begin<F>
where
    F: Fn(&Request) -> Fut,
    Fut: Future<Output = Result<P, Rejected>>,
{
    type Permit = P;
    type Future = Fut;

    fn acquire(&self, request: &Request) -> Fut {
        (self.0)(request)
    }
}
