//! Closures as jobs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Builder, CpuPool, Error};

/// A closure that is a job; made by [`CpuPool::run`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use plimsoll::cpu::{Closure, CpuPool};
/// let cpu: CpuPool<Closure, ()> = CpuPool::closures("closures").threads(1).queue(8).build()?;
/// assert_eq!(cpu.run(|| "seven".len()).await?, 5);
/// assert_eq!(cpu.run(|| 7_u64.pow(2)).await?, 49);
/// # Ok(()) }
/// ```
pub struct Closure(Box<dyn FnOnce() + Send>);

impl Closure {
    fn call(self) {
        (self.0)();
    }
}

impl CpuPool<Closure, ()> {
    /// Begins a pool that runs closures, each with a result of its own type.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::cpu::CpuPool;
    /// let cpu = CpuPool::closures("closures-doc").threads(2).queue(256).build()?;
    /// assert_eq!((cpu.name().as_str(), cpu.threads()), ("closures-doc", 2));
    /// # Ok(()) }
    /// ```
    pub fn closures(name: &str) -> Builder<Closure, fn(Closure)> {
        Builder::<Closure, fn(Closure)>::new(name, Closure::call)
    }

    /// Runs a closure on a thread of the pool, in the current [scope](crate::scope), and waits for
    /// its result without blocking a thread of the runtime.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it was not admitted; [`Error::Job`] when it panicked, or was not
    /// started because its scope or the pool ended first.
    ///
    /// # Cancel safety
    /// Dropped before it is admitted, the closure is not run; after that it is, unless its scope ends
    /// before its turn comes. The result is lost.
    ///
    /// ```
    /// use plimsoll::cpu::CpuPool;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let cpu = CpuPool::closures("cpu").queue(256).build()?;
    /// let numbers: Vec<u64> = (1..=1_000).collect();
    /// let sum = cpu.run(move || numbers.iter().sum::<u64>()).await.expect("there is room");
    /// assert_eq!(sum, 500_500);
    /// # Ok::<(), plimsoll::Invalid>(()) }).unwrap();
    /// ```
    pub async fn run<R, F>(&self, compute: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        let closure = Closure(Box::new(move || {
            let computed = compute();
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(computed);
        }));
        let ticket = self.submit(closure).await.map_err(|refused| Error::Rejected(refused.rejected))?;
        ticket.await.map_err(Error::Job)?;
        let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match result {
            Some(result) => Ok(result),
            None => unreachable!("a closure that has returned has left its result"),
        }
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closure").finish_non_exhaustive()
    }
}
