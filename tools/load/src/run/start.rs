//! Starts the workers of a run, collects what they see, and ends them.

use std::panic::resume_unwind;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use plimsoll::clock::{self, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::collect::Collected;
use super::descriptors::make_room;
use super::result::{Run, Snapshot};
use super::worker::{Orders, Ready, Told, work};
use crate::Error;
use crate::plan::Plan;
use crate::target::Located;

/// How many seconds a worker may have told that nobody has looked at.
const SECONDS_AHEAD: usize = 8;
/// From the last worker's being ready to the first request: time for all of them to wake up.
const LEAD: Duration = Duration::from_millis(5);

/// The threads of a run; they end with it.
struct Threads {
    handles: Vec<JoinHandle<()>>,
    cancellation: CancellationToken,
}

/// How a run is ended before its time.
#[derive(Clone, Default, Debug)]
pub struct Stop {
    /// Cancelled when enough was seen: nothing falls due any more, and what is out comes to its end, at
    /// its deadline at the latest.
    pub arrivals: CancellationToken,
    /// Cancelled when nothing is to be waited for: what is out is left undone, and counts as that.
    pub all: CancellationToken,
}

/// Carries a plan out as [`run_until`] does, with no other way to end it than at once.
///
/// # Errors
/// As [`run_until`].
///
/// # Panics
/// If a worker panics.
///
/// # Cancel safety
/// As [`run_until`].
pub async fn run(
    plan: &Plan,
    cancellation: &CancellationToken,
    observer: &watch::Sender<Snapshot>,
) -> Result<Run, Error> {
    let stop = Stop { arrivals: CancellationToken::new(), all: cancellation.clone() };
    run_until(plan, &stop, observer).await
}

/// Carries a plan out, and tells once a second how it stands.
///
/// The workers are threads of their own, each with a share of the arrivals and of the connections.
/// The run is over when all that is due was sent and answered, or has passed its deadline.
///
/// # Errors
/// What is wrong with the plan, a target that nobody answers at, or threads that the machine does
/// not give.
///
/// # Panics
/// If a worker panics.
///
/// # Cancel safety
/// Dropped midway, the workers end, and what they have seen is lost. A run that is cancelled by its
/// token ends at once too, and returns what was seen until then.
pub async fn run_until(plan: &Plan, stop: &Stop, observer: &watch::Sender<Snapshot>) -> Result<Run, Error> {
    plan.check()?;
    make_room(plan)?;
    let target = plan.target.locate().await?;
    let workers = plan.workers();
    // Before the channels, and so dropped after them: a worker that waits for one of them is told that
    // nobody is there any more, and its thread can be joined.
    let own = stop.all.child_token();
    let mut threads = Threads { handles: Vec::with_capacity(workers), cancellation: own.clone() };
    let (tell, mut told) = mpsc::channel(workers * SECONDS_AHEAD);
    let (begin, began) = watch::channel(None);
    for worker in 0..workers {
        threads.start(Orders {
            plan: plan.clone(),
            target: target.clone(),
            worker,
            workers,
            tell: tell.clone(),
            begin: began.clone(),
            cancellation: own.child_token(),
            enough: stop.arrivals.clone(),
        })?;
    }
    drop((tell, began));
    let ready = ready(&mut told, workers, &target).await?;
    if ready.is_none() && !stop.all.is_cancelled() {
        drop((begin, told));
        threads.join();
        return Err(Error::Machine { what: "workers", why: "one ended before it began".to_owned() });
    }
    let at: Instant = clock::now() + LEAD;
    begin.send_replace(Some(at));
    let mut collected = Collected::new(plan.profile.clone(), plan.tenants.clone(), workers);
    collected.leave_out(ready.map(|ready| ready.deaf).unwrap_or_default());
    while let Some(told) = told.recv().await {
        match told {
            Told::Failed(error) => return Err(error),
            Told::Ready(_) => {}
            Told::Saw(batch) => {
                if collected.take(*batch) {
                    observer.send_replace(collected.snapshot());
                }
            }
        }
    }
    let took = clock::now() - at;
    // Each has told its last: there is nothing to wait for.
    threads.join();
    let run = collected.finish(took, stop.all.is_cancelled());
    Ok(run)
}

/// Waits until all workers have opened their connections; `None` when one ended before that.
async fn ready(
    told: &mut mpsc::Receiver<Told>,
    workers: usize,
    target: &Located,
) -> Result<Option<Ready>, Error> {
    let mut all = Ready::default();
    for _ in 0..workers {
        match told.recv().await {
            None => return Ok(None),
            Some(Told::Failed(error)) => return Err(error),
            Some(Told::Saw(_)) => {}
            Some(Told::Ready(ready)) => {
                all.opened += ready.opened;
                all.first_failure = all.first_failure.or(ready.first_failure);
                all.first_denial = all.first_denial.or(ready.first_denial);
                all.deaf.extend(ready.deaf);
            }
        }
    }
    if all.opened > 0 {
        return Ok(Some(all));
    }
    if let Some(why) = all.first_denial {
        return Err(Error::Machine { what: "a connection", why });
    }
    match all.first_failure {
        Some(why) => Err(Error::Target { origin: target.origin.clone(), why }),
        None => Ok(Some(all)),
    }
}

impl Threads {
    fn start(&mut self, orders: Orders) -> Result<(), Error> {
        let refused = |why: std::io::Error| Error::Machine { what: "a thread", why: why.to_string() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let name = format!("load-{}", orders.worker);
        let handle = Builder::new().name(name).spawn(move || runtime.block_on(work(orders)));
        self.handles.push(handle.map_err(refused)?);
        Ok(())
    }

    fn join(&mut self) {
        for handle in self.handles.drain(..) {
            if let Err(panic) = handle.join() {
                resume_unwind(panic);
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.cancellation.cancel();
        for handle in self.handles.drain(..) {
            // A panic of theirs is told by `join`; here another may be on its way.
            let _ = handle.join();
        }
    }
}
