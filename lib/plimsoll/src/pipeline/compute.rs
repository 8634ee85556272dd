//! A stage that computes: its items are worked on by the threads of a CPU pool.

use std::sync::{Arc, Mutex, PoisonError};

use super::Stages;
use super::worker::Fault;
use crate::cpu::{Closure, CpuPool, Error};
use crate::pool::JobError;
use crate::{Reason, Rejected};

impl<T: Send + 'static, E: Send + 'static> Stages<T, E> {
    /// Adds a stage whose work computes rather than waits: a plain function, called on the threads of
    /// a [`CpuPool`], which any number of stages and pipelines, and whatever else computes, share. Its
    /// workers (1 to 10,000) each have one item with the pool at a time; as many as the pool has threads
    /// keep all of them busy.
    ///
    /// While the pool's queue is full the workers wait, and with them the stages before, so that the pool
    /// is one that [waits](crate::pool::OnFull::Wait), which is the default: one that rejects ends the
    /// pipeline with [`Error::Rejected`](super::Error::Rejected), and so does one that is drained. A
    /// worker is busy from when it hands an item to the pool until it has the answer: where the pool is
    /// the bottleneck, so are the stages that use it, and more threads help rather than more workers.
    ///
    /// When the pipeline ends early, an item that waits for a thread is dropped at once; a function that
    /// runs cannot be stopped, runs to its end, and its result is dropped.
    ///
    /// ```
    /// use std::num::ParseIntError;
    /// use plimsoll::cpu::CpuPool;
    /// use plimsoll::pipeline::Pipeline;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let cpu = CpuPool::closures("cpu").threads(2).queue(64).build()?;
    /// let squares = Pipeline::builder("pipeline-doc-cpu")
    ///     .ordered()
    ///     .items(["3", "4", "5"])
    ///     .stage("parse", 4, |text| async move { text.parse::<u64>() })
    ///     .cpu_stage("square", &cpu, 2, |n| Ok(n * n))
    ///     .build()?;
    /// assert_eq!(squares.collect().await?, [9, 16, 25]);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn cpu_stage<U, F>(
        self,
        name: &str,
        pool: &CpuPool<Closure, ()>,
        workers: usize,
        compute: F,
    ) -> Stages<U, E>
    where
        U: Send + 'static,
        F: Fn(T) -> Result<U, E> + Send + Sync + 'static,
    {
        let (pool, compute) = (pool.clone(), Arc::new(compute));
        self.add(name, workers, move |item| {
            let (pool, compute) = (pool.clone(), Arc::clone(&compute));
            async move { hand_over(&pool, compute, item).await.map(|done| done.map(Some)) }
        })
    }
}

/// An item that is with the pool, and dropped with this unless a thread has begun with it.
struct Handed<T>(Arc<Mutex<Option<T>>>);

impl<T> Drop for Handed<T> {
    fn drop(&mut self) {
        let item = take(&self.0);
        drop(item);
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Has the item worked on by a thread of the pool; a panic goes on here.
async fn hand_over<T, U, E, F>(
    pool: &CpuPool<Closure, ()>,
    compute: Arc<F>,
    item: T,
) -> Result<Result<U, E>, Fault<E>>
where
    T: Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
    F: Fn(T) -> Result<U, E> + Send + Sync + 'static,
{
    let handed = Handed(Arc::new(Mutex::new(Some(item))));
    let place = Arc::clone(&handed.0);
    let computed = pool.run(move || take(&place).map(|item| compute(item))).await;
    let rejected = |reason| Fault::Rejected(Rejected::new(pool.name(), reason));
    match computed {
        Ok(Some(done)) => Ok(done),
        Ok(None) => unreachable!("an item that is waited for is taken by its thread alone"),
        Err(Error::Rejected(rejected)) => Err(Fault::Rejected(rejected)),
        Err(Error::Job(JobError::Panicked(panic))) => panic.resume(),
        Err(Error::Job(JobError::ScopeEnded(ended))) => Err(Fault::ScopeEnded(ended)),
        Err(Error::Job(JobError::Dropped)) => Err(rejected(Reason::QueueFull)),
        Err(Error::Job(JobError::TimedOut { .. } | JobError::TooDeep { .. })) => Err(rejected(Reason::Full)),
        Err(Error::Job(JobError::Cancelled)) => Err(rejected(Reason::Draining)),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{SyncSender, sync_channel};
    use std::thread;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::runtime::Handle;
    use tokio::sync::mpsc;
    use tokio::task::yield_now;

    use super::super::{Error, Pipeline};
    use super::*;
    use crate::pool::OnFull;
    use crate::scope::{self, Ended, Scope};

    type Text = &'static str;
    type Cpu = CpuPool<Closure, ()>;

    fn cpu(name: &str, threads: usize) -> Cpu {
        CpuPool::closures(name).threads(threads).queue(64).build().unwrap()
    }

    async fn settle() {
        for _ in 0..100 {
            yield_now().await;
        }
    }

    /// Keeps the only thread of a pool from whatever comes, until what is returned is dropped.
    async fn hold_up(pool: &Cpu) -> SyncSender<()> {
        let (begin, begun) = sync_channel(1);
        let (open, opened) = sync_channel::<()>(1);
        let holding = pool.clone();
        Handle::current().spawn(async move {
            let held = holding.run(move || {
                begin.send(()).unwrap();
                opened.recv().unwrap_err();
            });
            held.await.unwrap();
        });
        while begun.try_recv().is_err() {
            yield_now().await;
        }
        open
    }

    #[tokio::test]
    async fn items_are_computed_on_the_threads_of_the_pool_and_come_out_in_order() {
        let pool = cpu("pipeline-cpu-order", 3);
        let square = |n: u64| {
            let spins = n * 7 % 5 * 1_000;
            let spun = (0..spins).fold(0, |sum: u64, turn| std::hint::black_box(sum + turn % 2));
            let name = thread::current().name().unwrap().to_owned();
            Ok::<_, Text>((n * n, spun == spins / 2, name))
        };
        let squares = Pipeline::builder("pipeline-cpu-order").ordered().queue(4).items(0..200);
        let out = squares.cpu_stage("square", &pool, 5, square).build().unwrap().collect().await.unwrap();
        assert!(out.iter().map(|(square, ..)| *square).eq((0..200).map(|n| n * n)));
        assert!(out.iter().all(|(_, spun, name)| *spun && name.starts_with("pipeline-cpu-order-")));
    }

    #[tokio::test]
    async fn stages_share_a_pool_and_compute_no_more_at_once_than_it_has_threads() {
        let pool = cpu("pipeline-cpu-shared", 2);
        let inside = Arc::new([const { AtomicUsize::new(0) }; 2]);
        let compute = || {
            let inside = Arc::clone(&inside);
            move |n: u32| {
                let now = inside[0].fetch_add(1, Ordering::SeqCst) + 1;
                inside[1].fetch_max(now, Ordering::SeqCst);
                thread::yield_now();
                inside[0].fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Text>(n + 1)
            }
        };
        let stages = Pipeline::builder("pipeline-cpu-shared").items(0..100);
        let stages = stages.cpu_stage("one", &pool, 8, compute()).cpu_stage("two", &pool, 8, compute());
        let mut out = stages.build().unwrap().collect().await.unwrap();
        out.sort_unstable();
        assert!(out.into_iter().eq(2..102));
        assert!((1..=2).contains(&inside[1].load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn the_first_error_ends_the_pipeline_or_goes_to_the_dead_letters() {
        let pool = cpu("pipeline-cpu-error", 2);
        let stages = || {
            let items = Pipeline::builder("pipeline-cpu-error").items(0..10);
            items.cpu_stage("odd", &pool, 2, |n: u32| if n.is_multiple_of(4) { Err(n) } else { Ok(n) })
        };
        let error = stages().build().unwrap().run().await.unwrap_err();
        assert!(matches!(error, Error::Failed { stage, .. } if stage.as_str() == "odd"), "{error}");
        let (dead, mut letters) = mpsc::channel(10);
        assert_eq!(stages().dead_letters(dead).build().unwrap().collect().await.unwrap().len(), 7);
        let mut errors = Vec::new();
        while let Some(letter) = letters.recv().await {
            errors.push(letter.error);
        }
        errors.sort_unstable();
        assert_eq!(errors, [0, 4, 8]);
    }

    #[tokio::test]
    async fn a_panic_on_a_thread_is_resumed_where_the_pipeline_is_run_and_the_pool_goes_on() {
        let pool = cpu("pipeline-cpu-panic", 2);
        let before = Handle::current().metrics().num_alive_tasks();
        let compute = |n: u32| {
            assert!(n != 40, "row {n} is broken");
            Ok::<_, Text>(n)
        };
        let stages = Pipeline::builder("pipeline-cpu-panic").items(0..).cpu_stage("work", &pool, 3, compute);
        let payload = AssertUnwindSafe(stages.build().unwrap().run()).catch_unwind().await.unwrap_err();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "row 40 is broken");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn while_the_pool_is_busy_the_source_waits_and_the_workers_count_as_busy() {
        let pool = cpu("pipeline-cpu-pressure", 1);
        let open = hold_up(&pool).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&asked);
        let items = (0..20u32).inspect(move |_| {
            counting.fetch_add(1, Ordering::Relaxed);
        });
        let stages = Pipeline::builder("pipeline-cpu-pressure").queue(3).items(items);
        let pipeline = stages.cpu_stage("work", &pool, 2, Ok::<_, Text>).build().unwrap();
        let monitor = pipeline.monitor();
        let mut run = pipeline.collect().boxed();
        assert!((&mut run).now_or_never().is_none());
        settle().await;
        // Three before the stage, two with the pool.
        assert_eq!((asked.load(Ordering::Relaxed), monitor.snapshot().in_use, pool.len()), (5, 2, 2));
        drop(open);
        assert_eq!(run.await.unwrap().len(), 20);
    }

    #[tokio::test]
    async fn dropping_the_run_drops_what_waits_for_a_thread_at_once_and_computes_none_of_it() {
        let pool = cpu("pipeline-cpu-drop", 1);
        let computed = Arc::new(AtomicUsize::new(0));
        let item = Arc::new(());
        for polls in 0..12 {
            let open = hold_up(&pool).await;
            let before = Handle::current().metrics().num_alive_tasks();
            let (counting, given) = (Arc::clone(&computed), Arc::clone(&item));
            let compute = move |item| {
                counting.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Text>(item)
            };
            let items = std::iter::repeat_n(given, 30);
            let stages = Pipeline::builder("pipeline-cpu-drop").items(items);
            let mut run = stages.cpu_stage("work", &pool, 3, compute).build().unwrap().collect().boxed();
            for _ in 0..polls {
                assert!((&mut run).now_or_never().is_none());
                yield_now().await;
            }
            drop(run);
            settle().await;
            assert_eq!(Arc::strong_count(&item), 1, "after {polls} polls");
            assert_eq!(Handle::current().metrics().num_alive_tasks(), before, "after {polls} polls");
            drop(open);
            pool.run(|| ()).await.unwrap();
            assert_eq!(computed.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test]
    async fn a_pool_that_refuses_ends_the_pipeline_with_its_reason() {
        let build = |pool: &Cpu| {
            let items = Pipeline::builder("pipeline-cpu-refused").items(0..100);
            items.cpu_stage("work", pool, 4, Ok::<u32, Text>).build().unwrap()
        };
        for on_full in [OnFull::Reject, OnFull::DropOldest, OnFull::DropNewest] {
            let pool = CpuPool::closures("pipeline-cpu-refuses").threads(1).queue(1).on_full(on_full);
            let pool = pool.build().unwrap();
            let open = hold_up(&pool).await;
            let error = build(&pool).run().await.unwrap_err();
            let Error::Rejected(rejected) = error else { panic!("{error}") };
            assert_eq!((rejected.reason(), rejected.limiter()), (Reason::QueueFull, pool.name()));
            drop(open);
        }
        let pool = cpu("pipeline-cpu-drained", 1);
        assert!(pool.drain(Duration::from_secs(1)).await.not_started.is_empty());
        let error = build(&pool).collect().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "a stage was not admitted by pipeline-cpu-drained: draining, nothing new is admitted"
        );
    }

    #[tokio::test]
    async fn the_scope_is_seen_on_the_threads_and_when_it_ends_so_does_the_pipeline() {
        let pool = cpu("pipeline-cpu-scope", 1);
        let stages = || {
            let label = |_: u32| Ok::<_, Text>(scope::current().label_value("tenant").map(str::to_owned));
            let items = Pipeline::builder("pipeline-cpu-scope").items(0..3);
            items.cpu_stage("label", &pool, 1, label).build().unwrap()
        };
        let scope = Scope::new().label("tenant", "acme");
        let labels = scope.clone().run(stages().collect()).await.unwrap().unwrap();
        assert_eq!(labels, vec![Some("acme".to_owned()); 3]);
        let open = hold_up(&pool).await;
        let mut running = scope.clone().run(async { stages().start() }).await.unwrap();
        assert!(running.next().now_or_never().is_none());
        settle().await;
        scope.cancel();
        assert_eq!(running.next().await, Some(Err(Error::ScopeEnded(Ended::Cancelled))));
        drop(open);
    }
}
