mod delayed;
mod drops;
mod elastic;
mod execute;
mod failures;
mod lanes;
mod pool;

use std::sync::Arc;

use crate::pool::Pool;
use crate::registry::{self, Snapshot};

/// Lets workers that were woken take what is queued.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn seen<J: Send + 'static, T: Send + 'static>(pool: &Pool<J, T>) -> Snapshot {
    registry::snapshot().into_iter().find(|bound| bound.name == pool.name()).expect("it is registered")
}

/// A number that only this kind of bound shows.
fn detail<J: Send + 'static, T: Send + 'static>(pool: &Pool<J, T>, name: &str) -> u64 {
    let details = seen(pool).details;
    details.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no {name} in {details:?}")).1
}

/// A job that is counted: as long as one is somewhere, so is its reference.
type Counted = Arc<u32>;
