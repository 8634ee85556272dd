//! The lock and the atomics under our own code that shares them between threads: std's, or loom's
//! when it is model-checked (`--cfg plimsoll_loom`).
//!
//! Only what loom explores comes from here. `Arc` stays std's, since loom has no weak references;
//! and so do counts that are only shown, which no decision reads.

#[cfg(plimsoll_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(plimsoll_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use std::sync::PoisonError;

/// Locks, whatever happened to the last holder: no user code runs under these locks, so that what
/// they guard is whole even after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Std's, behind a flag that loom sees: where it switches threads, and what the setter did before.
#[cfg(plimsoll_loom)]
pub(crate) struct OnceLock<T> {
    cell: std::sync::OnceLock<T>,
    is_set: AtomicU64,
}

#[cfg(plimsoll_loom)]
impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { cell: std::sync::OnceLock::new(), is_set: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) == 0 { None } else { self.cell.get() }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let set = self.cell.set(value);
        self.is_set.store(1, Ordering::Release);
        set
    }
}
