//! Our pool against workers behind a bounded channel: 64 workers, jobs that do nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll::pool::Pool;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::pair::{Bench, Pair};
use crate::runtime::two_threads;

const WORKERS: usize = 64;
const LONG: usize = 1_024;
const SHORT: usize = 64;

/// A channel answers nothing, and nor does a job that is executed; where answers are awaited both
/// sides have one for each job. The usual idiom is gated, and asyncband; flume and async-channel can lose a message when a receiver is
/// cancelled (their issues 104 and 87), which a pool must not.
pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        op: "pool_answered",
        peer: "tokio",
        goal: 1.0,
        gated: true,
        ours: answered,
        theirs: idiom_answered,
    },
    Pair {
        op: "pool_queue_1024",
        peer: "tokio",
        goal: 1.0,
        gated: true,
        ours: || ours(LONG),
        theirs: || idiom(LONG),
    },
    Pair {
        op: "pool_queue_64",
        peer: "tokio",
        goal: 1.0,
        gated: true,
        ours: || ours(SHORT),
        theirs: || idiom(SHORT),
    },
    Pair {
        op: "pool_queue_1024",
        peer: "asyncband",
        goal: 2.0,
        gated: true,
        ours: || ours(LONG),
        theirs: || asyncband(LONG),
    },
    Pair {
        op: "pool_queue_64",
        peer: "asyncband",
        goal: 2.0,
        gated: true,
        ours: || ours(SHORT),
        theirs: || asyncband(SHORT),
    },
    Pair {
        op: "pool_queue_1024",
        peer: "flume",
        goal: 1.0,
        gated: false,
        ours: || ours(LONG),
        theirs: || flume(LONG),
    },
    Pair {
        op: "pool_queue_64",
        peer: "flume",
        goal: 1.0,
        gated: false,
        ours: || ours(SHORT),
        theirs: || flume(SHORT),
    },
    Pair {
        op: "pool_queue_1024",
        peer: "async-channel",
        goal: 1.0,
        gated: false,
        ours: || ours(LONG),
        theirs: || async_channel(LONG),
    },
    Pair {
        op: "pool_queue_64",
        peer: "async-channel",
        goal: 1.0,
        gated: false,
        ours: || ours(SHORT),
        theirs: || async_channel(SHORT),
    },
];

/// How many jobs were done, and how many are wanted.
#[derive(Default)]
struct Tally {
    done: AtomicU64,
    wanted: AtomicU64,
    all_done: Notify,
}

impl Tally {
    /// What every job does, ours and theirs.
    fn job(&self) {
        if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.wanted.load(Ordering::Acquire) {
            self.all_done.notify_one();
        }
    }
}

fn ours(queue: usize) -> Bench {
    let (runtime, tally) = (two_threads(), Arc::<Tally>::default());
    let counted = Arc::clone(&tally);
    let work = move |_: u64| {
        counted.job();
        std::future::ready(())
    };
    let pool =
        runtime.block_on(async { Pool::builder("versus", work).workers(WORKERS).queue(queue).build() });
    let pool = pool.expect("a pool of this size is valid");
    fed(runtime, tally, JoinSet::new(), move |jobs| {
        let pool = pool.clone();
        async move {
            for job in 0..jobs {
                pool.execute(job).await.expect("a pool that waits for room refuses nothing");
            }
        }
    })
}

/// Jobs under way at once, in the rows whose submitter waits for answers.
const BATCH: u64 = 64;

fn answered() -> Bench {
    let runtime = two_threads();
    let pool = Pool::builder("versus", |job: u64| std::future::ready(black_box(job)));
    let pool = runtime.block_on(async { pool.workers(WORKERS).queue(LONG).build() });
    let pool = pool.expect("a pool of this size is valid");
    Box::new(move |operations| {
        let pool = pool.clone();
        on_a_worker(&runtime, async move {
            let mut left = operations;
            let mut tickets = Vec::with_capacity(BATCH as usize);
            while left > 0 {
                for job in 0..left.min(BATCH) {
                    tickets.push(pool.submit(job).await.expect("a pool that waits for room refuses nothing"));
                }
                left -= tickets.len() as u64;
                for ticket in tickets.drain(..) {
                    black_box(ticket.await.expect("it does not fail"));
                }
            }
        });
    })
}

/// The usual idiom, with a oneshot for each job.
fn idiom_answered() -> Bench {
    let runtime = two_threads();
    let (sender, receiver) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(LONG);
    let receiver = Arc::new(Mutex::new(receiver));
    let workers = workers(&runtime, || {
        let receiver = Arc::clone(&receiver);
        async move {
            loop {
                let job = receiver.lock().await.recv().await;
                let Some((job, answer)) = job else { break };
                let _ = answer.send(black_box(job));
            }
        }
    });
    Box::new(move |operations| {
        let sender = sender.clone();
        on_a_worker(&runtime, async move {
            let mut left = operations;
            let mut answers = Vec::with_capacity(BATCH as usize);
            while left > 0 {
                for job in 0..left.min(BATCH) {
                    let (tx, rx) = oneshot::channel();
                    sender.send((job, tx)).await.expect(WORKING);
                    answers.push(rx);
                }
                left -= answers.len() as u64;
                for answer in answers.drain(..) {
                    black_box(answer.await.expect(WORKING));
                }
            }
        });
        assert_eq!(workers.len(), WORKERS, "a worker is gone");
    })
}

fn on_a_worker(runtime: &Runtime, work: impl Future<Output = ()> + Send + 'static) {
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        tasks.join_all().await;
    });
}

/// A channel of tokio whose receiver the workers take turns at, behind a mutex.
fn idiom(queue: usize) -> Bench {
    let (runtime, tally) = (two_threads(), Arc::<Tally>::default());
    let (sender, receiver) = mpsc::channel::<u64>(queue);
    let receiver = Arc::new(Mutex::new(receiver));
    let workers = workers(&runtime, || {
        let (receiver, tally) = (Arc::clone(&receiver), Arc::clone(&tally));
        async move {
            loop {
                let job = receiver.lock().await.recv().await;
                if job.is_none() {
                    break;
                }
                tally.job();
            }
        }
    });
    fed(runtime, tally, workers, move |jobs| {
        let sender = sender.clone();
        async move {
            for job in 0..jobs {
                sender.send(job).await.expect(WORKING);
            }
        }
    })
}

/// A bounded channel of many receivers, which loses nothing when one is cancelled.
fn asyncband(queue: usize) -> Bench {
    let (runtime, tally) = (two_threads(), Arc::<Tally>::default());
    let (sender, receiver) = asyncband::mpmc::bounded::<u64>(queue);
    let workers = workers(&runtime, || {
        let (receiver, tally) = (receiver.clone(), Arc::clone(&tally));
        async move {
            while receiver.recv().await.is_ok() {
                tally.job();
            }
        }
    });
    fed(runtime, tally, workers, move |jobs| {
        let sender = sender.clone();
        async move {
            for job in 0..jobs {
                sender.send(job).await.expect(WORKING);
            }
        }
    })
}

fn flume(queue: usize) -> Bench {
    let (runtime, tally) = (two_threads(), Arc::<Tally>::default());
    let (sender, receiver) = flume::bounded::<u64>(queue);
    let workers = workers(&runtime, || {
        let (receiver, tally) = (receiver.clone(), Arc::clone(&tally));
        async move {
            while receiver.recv_async().await.is_ok() {
                tally.job();
            }
        }
    });
    fed(runtime, tally, workers, move |jobs| {
        let sender = sender.clone();
        async move {
            for job in 0..jobs {
                sender.send_async(job).await.expect(WORKING);
            }
        }
    })
}

fn async_channel(queue: usize) -> Bench {
    let (runtime, tally) = (two_threads(), Arc::<Tally>::default());
    let (sender, receiver) = async_channel::bounded::<u64>(queue);
    let workers = workers(&runtime, || {
        let (receiver, tally) = (receiver.clone(), Arc::clone(&tally));
        async move {
            while receiver.recv().await.is_ok() {
                tally.job();
            }
        }
    });
    fed(runtime, tally, workers, move |jobs| {
        let sender = sender.clone();
        async move {
            for job in 0..jobs {
                sender.send(job).await.expect(WORKING);
            }
        }
    })
}

const WORKING: &str = "the workers hold the other end";

fn workers<W>(runtime: &Runtime, work: impl Fn() -> W) -> JoinSet<()>
where
    W: Future<Output = ()> + Send + 'static,
{
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn_on(work(), runtime.handle());
    }
    workers
}

/// One task submits the jobs; a pass ends when the last one is done.
fn fed<P, F>(runtime: Runtime, tally: Arc<Tally>, workers: JoinSet<()>, producer: P) -> Bench
where
    P: Fn(u64) -> F + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Box::new(move |operations| {
        let before = tally.wanted.fetch_add(operations, Ordering::AcqRel);
        assert_eq!(before, tally.done.load(Ordering::Acquire), "a pass left jobs behind");
        runtime.block_on(async {
            let mut producers = JoinSet::new();
            producers.spawn(producer(operations));
            producers.join_all().await;
            tally.all_done.notified().await;
        });
        assert_eq!(tally.done.load(Ordering::Acquire), before + operations);
        assert!(workers.is_empty() || workers.len() == WORKERS, "a worker is gone");
    })
}
