//! Which pools the running work is a job of.
//!
//! It travels with the scope, so that a pool recognises its own jobs also when they submit from a
//! task they started, or through another pool.

use std::any::Any;
use std::sync::Arc;

/// One pool that the running work is a job of, and the pools around it. As long as there are
/// pools, at the most: a pool is entered once.
pub(crate) struct Inside {
    pool: usize,
    handle: Arc<dyn Any + Send + Sync>,
    outer: Option<Arc<Inside>>,
}

impl Inside {
    /// Inside pool number `pool`, which left `handle` for its own use, and inside `outer`.
    pub(crate) fn new(
        pool: usize,
        handle: Arc<dyn Any + Send + Sync>,
        outer: Option<Arc<Self>>,
    ) -> Arc<Self> {
        Arc::new(Self { pool, handle, outer })
    }

    /// What pool number `pool` left, if the work is inside it.
    pub(crate) fn find(&self, pool: usize) -> Option<&Arc<dyn Any + Send + Sync>> {
        let mut at = Some(self);
        while let Some(inside) = at {
            if inside.pool == pool {
                return Some(&inside.handle);
            }
            at = inside.outer.as_deref();
        }
        None
    }
}
