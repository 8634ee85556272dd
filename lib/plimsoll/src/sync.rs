//! The lock and the atomics under our own lock-free code: std's, or loom's when it is model-checked
//! (`--cfg plimsoll_loom`).
//!
//! Only what loom explores comes from here ([`semaphore`](crate::semaphore),
//! [`rate`](crate::rate), [`breaker`](crate::breaker) and its window, [`fair`](crate::fair) and
//! [`merge`](crate::merge)), and the lock of [`pipeline`](crate::pipeline); `Arc` stays std's, since
//! loom has no weak references.

#[cfg(plimsoll_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(plimsoll_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use std::sync::PoisonError;

/// Locks, whatever happened to the last holder: no user code runs under these locks, so that what
/// they guard is whole even after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
