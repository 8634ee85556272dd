//! Putting a pipeline together.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;

use super::DeadLetter;
use super::link::{Link, Order, Producer, Queued};
use super::meter::{Clock, Gauge, Meter};
use super::run::{Pipeline, Shared, Starter};
use super::worker::{Fault, feed, gather, work};
use crate::{Invalid, Name, registry};

/// What the two ends are called in a report.
const SOURCE: &str = "source";
const OUTPUT: &str = "output";
const WORKERS_MAX: usize = 10_000;
const QUEUE_MAX: usize = 65_536;
const BATCH_MAX: usize = 1 << 20;
const AGE_MIN: Duration = Duration::from_millis(1);
const AGE_MAX: Duration = Duration::from_secs(86_400);

/// Begins a [`Pipeline`]: what holds for all of it; made by [`Pipeline::builder`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
/// use plimsoll::pipeline::Pipeline;
/// let begin = |queue| Pipeline::builder("ordered-doc").ordered().queue(queue).items([3, 1, 2]);
/// let same = begin(8).stage("same", 3, |n| async move { Ok::<_, Infallible>(n) }).build()?;
/// assert_eq!(same.collect().await?, [3, 1, 2]);
/// let refused = begin(0).stage("same", 3, |n| async move { Ok::<_, Infallible>(n) }).build().unwrap_err();
/// assert_eq!(refused.field(), "queue");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: String,
    order: Order,
    queue: usize,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), order: Order::AsTheyCome, queue: 16 }
    }

    /// Has items leave every stage in the order in which the source gave them. By default they leave
    /// as they are done.
    ///
    /// An item that is done before an earlier one waits for it in the queue behind its stage; when
    /// that has no room, its worker waits. So a queue is as long as the stage before it has workers,
    /// at least.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let first_is_slow = |n: u32| async move {
    ///     for _ in 0..10 / n { tokio::task::yield_now().await }
    ///     Ok::<_, Infallible>(n)
    /// };
    /// let ordered = Pipeline::builder("in-order").ordered().items(1..=4).stage("work", 4, first_is_slow);
    /// assert_eq!(ordered.build()?.collect().await?, [1, 2, 3, 4]);
    /// # Ok(()) }
    /// ```
    pub const fn ordered(mut self) -> Self {
        self.order = Order::ByNumber;
        self
    }

    /// How many items can wait between two stages: 1 to 65,536. Default 16.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let of = |queue| Pipeline::builder("of-queue")
    ///     .queue(queue).items(1..=4).stage("same", 1, |n| async move { Ok::<_, Infallible>(n) }).build();
    /// assert!(of(64).is_ok());
    /// assert_eq!(of(65_537).unwrap_err().field(), "queue");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn queue(mut self, items: usize) -> Self {
        self.queue = items;
        self
    }

    /// Begins with a stream: the next item is asked for when there is room for it, and not before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use futures_util::stream;
    /// use plimsoll::pipeline::Pipeline;
    /// let numbers = stream::iter([1, 2, 3]);
    /// let twice = Pipeline::builder("of-stream")
    ///     .ordered().source(numbers).stage("twice", 2, |n| async move { Ok::<_, Infallible>(n * 2) });
    /// assert_eq!(twice.build()?.collect().await?, [2, 4, 6]);
    /// # Ok(()) }
    /// ```
    pub fn source<S, E>(self, source: S) -> Stages<S::Item, E>
    where
        S: Stream + Send + 'static,
        S::Item: Send + 'static,
        E: Send + 'static,
    {
        self.begin(source, Ok)
    }

    /// Begins with a stream of results; an error of the source is treated as one of a stage.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use plimsoll::pipeline::Pipeline;
    /// let lines = stream::iter([Ok(1), Err("the file is cut off"), Ok(3)]);
    /// let twice = Pipeline::builder("of-results").try_source(lines).stage("twice", 2, |n| async move { Ok(n * 2) });
    /// assert_eq!(twice.build()?.collect().await.unwrap_err().into_failure(), Some("the file is cut off"));
    /// # Ok(()) }
    /// ```
    pub fn try_source<S, T, E>(self, source: S) -> Stages<T, E>
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.begin(source, |result| result)
    }

    /// Begins with an iterator, which should not block: it runs on the runtime's threads.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let twice = Pipeline::builder("of-items")
    ///     .ordered().items([1, 2, 3]).stage("twice", 2, |n| async move { Ok::<_, Infallible>(n * 2) });
    /// assert_eq!(twice.build()?.collect().await?, [2, 4, 6]);
    /// # Ok(()) }
    /// ```
    pub fn items<I, E>(self, items: I) -> Stages<I::Item, E>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        E: Send + 'static,
    {
        self.source(Items(items.into_iter()))
    }

    fn begin<S, T, E>(
        self,
        source: S,
        into_result: impl Fn(S::Item) -> Result<T, E> + Send + 'static,
    ) -> Stages<T, E>
    where
        S: Stream<Item: Send> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let Self { name, order, queue } = self;
        let mut plan = Plan {
            name: Name::UNNAMED,
            order,
            queue,
            invalid: None,
            gauge: Arc::default(),
            meters: Vec::new(),
            links: Vec::new(),
        };
        plan.name = plan.intern(&name);
        if !(1..=QUEUE_MAX).contains(&queue) {
            plan.refuse(Invalid::new(plan.name, "queue", queue, "1 to 65,536"));
            plan.queue = 1;
        }
        let meter = plan.add(SOURCE, 1);
        let output = plan.link(Order::AsTheyCome, 1);
        let to = Arc::clone(&output);
        let starter: Starter<E> = Box::new(move |start| {
            let dead = start.dead.clone();
            start.spawn(feed(source, into_result, Clock::new(meter, 0), Producer::new(to), dead));
        });
        Stages { plan, starters: vec![starter], output, dead: None }
    }
}

/// A pipeline in the making, whose last stage gives `T`; `E` is the error of every stage. Made by
/// [`Builder::source`], [`Builder::try_source`] and [`Builder::items`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::convert::Infallible;
/// use plimsoll::pipeline::{Pipeline, Stages};
/// let stages: Stages<u32, Infallible> = Pipeline::builder("stages-doc").items(1..=3);
/// let twice = |n: u32| async move { Ok(n * 2) };
/// let none = Pipeline::builder("stages-doc").items(1..=3).stage("twice", 0, twice).build();
/// assert!(none.is_err(), "a stage of no workers");
/// let sum: u32 = stages.stage("twice", 2, twice).build()?.collect().await?.iter().sum();
/// assert_eq!(sum, 12);
/// # Ok(()) }
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Stages<T, E> {
    plan: Plan,
    starters: Vec<Starter<E>>,
    /// Where the last stage so far puts its items.
    output: Arc<Link<T>>,
    dead: Option<mpsc::Sender<DeadLetter<E>>>,
}

struct Plan {
    name: Name,
    order: Order,
    queue: usize,
    /// The first thing that was refused.
    invalid: Option<Invalid>,
    gauge: Arc<Gauge>,
    meters: Vec<Arc<Meter>>,
    links: Vec<Weak<dyn Queued>>,
}

impl<T: Send + 'static, E: Send + 'static> Stages<T, E> {
    /// Adds a stage of so many workers, 1 to 10,000, each of which works on one item at a time. No
    /// two stages have the same name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::num::ParseIntError;
    /// use plimsoll::pipeline::Pipeline;
    /// let rows = Pipeline::builder("two-stages").ordered().items(["1", "2"])
    ///     .stage("parse", 4, |text: &str| { let parsed = text.parse::<u32>(); async move { parsed } })
    ///     .stage("square", 2, |n| async move { Ok::<_, ParseIntError>(n * n) });
    /// assert_eq!(rows.build()?.collect().await?, [1, 4]);
    /// # Ok(()) }
    /// ```
    pub fn stage<U, F, Fut>(self, name: &str, workers: usize, run: F) -> Stages<U, E>
    where
        U: Send + 'static,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        self.filter_stage(name, workers, move |item| {
            let done = run(item);
            async move { done.await.map(Some) }
        })
    }

    /// Adds a stage, as [`stage`](Self::stage), that leaves out the items for which it returns `None`.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let odd = Pipeline::builder("pipeline-doc-filter")
    ///     .ordered()
    ///     .items(1..=6)
    ///     .filter_stage("odd", 3, |n| async move { Ok::<_, Infallible>((n % 2 == 1).then_some(n * 10)) })
    ///     .build()?;
    /// assert_eq!(odd.collect().await?, [10, 30, 50]);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn filter_stage<U, F, Fut>(self, name: &str, workers: usize, run: F) -> Stages<U, E>
    where
        U: Send + 'static,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<U>, E>> + Send + 'static,
    {
        self.add(name, workers, move |item| {
            let done = run(item);
            async move { Ok(done.await) }
        })
    }

    /// Adds a stage whose work may also end the pipeline by itself.
    pub(super) fn add<U, F, Fut>(mut self, name: &str, workers: usize, run: F) -> Stages<U, E>
    where
        U: Send + 'static,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Result<Option<U>, E>, Fault<E>>> + Send + 'static,
    {
        let meter = self.plan.add(name, workers);
        let workers = meter.workers();
        let input = self.output;
        let output = self.plan.link(self.plan.order, workers);
        let to = Arc::clone(&output);
        self.starters.push(Box::new(move |start| {
            let run = Arc::new(run);
            for worker in 0..workers {
                let (run, dead) = (Arc::clone(&run), start.dead.clone());
                let clock = Clock::new(Arc::clone(&meter), worker);
                let (input, output) = (Arc::clone(&input), Producer::new(Arc::clone(&to)));
                start.spawn(work(move |item| run(item), clock, input, output, dead));
            }
        }));
        Stages { plan: self.plan, starters: self.starters, output, dead: self.dead }
    }

    /// Gathers items into batches of at most `count` (1 to 1,048,576), each given as soon as it has so
    /// many, or when its first item has been in it for `age` (1 ms to a day), whichever comes first.
    /// The last is given when the source has ended. It is a stage of one worker, named `batch`, then
    /// `batch-2` and so on.
    ///
    /// A batch that is due waits, like any item, while the next stage is full.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{convert::Infallible, time::Duration};
    /// use plimsoll::pipeline::Pipeline;
    /// let batches = Pipeline::builder("batches").ordered().items(1..=5)
    ///     .stage("same", 1, |n| async move { Ok::<_, Infallible>(n) })
    ///     .batch(2, Duration::from_secs(1));
    /// assert_eq!(batches.build()?.collect().await?, [vec![1, 2], vec![3, 4], vec![5]]);
    /// # Ok(()) }
    /// ```
    pub fn batch(mut self, count: usize, age: Duration) -> Stages<Vec<T>, E> {
        let batches =
            self.plan.meters.iter().filter(|meter| meter.name.as_str().starts_with("batch")).count();
        let meter = match batches {
            0 => self.plan.add("batch", 1),
            more => self.plan.add(&format!("batch-{}", more + 1), 1),
        };
        let name = self.plan.name;
        if !(1..=BATCH_MAX).contains(&count) {
            self.plan.refuse(Invalid::new(name, "batch count", count, "1 to 1,048,576"));
        }
        if !(AGE_MIN..=AGE_MAX).contains(&age) {
            self.plan.refuse(Invalid::new(name, "batch age", format_args!("{age:?}"), "1 ms to a day"));
        }
        let input = self.output;
        let output = self.plan.link(Order::AsTheyCome, 1);
        let to = Arc::clone(&output);
        self.starters.push(Box::new(move |start| {
            start.spawn(gather(count, age, Clock::new(meter, 0), input, Producer::new(to)));
        }));
        Stages { plan: self.plan, starters: self.starters, output, dead: self.dead }
    }

    /// Goes on without the items that fail, in any stage, and sends their errors here. When that is
    /// full, the worker waits. When nobody receives any more, an error stops the pipeline, as it does
    /// by default.
    ///
    /// ```
    /// use plimsoll::pipeline::Pipeline;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let (dead, mut letters) = tokio::sync::mpsc::channel(16);
    /// let numbers = Pipeline::builder("pipeline-doc-dead")
    ///     .items(["1", "two", "3"])
    ///     .stage("parse", 2, |text| async move { text.parse::<u8>() })
    ///     .dead_letters(dead)
    ///     .build()?;
    /// assert_eq!(numbers.collect().await?.len(), 2);
    /// let letter = letters.recv().await.expect("one item failed");
    /// assert_eq!(letter.stage.as_str(), "parse");
    /// assert_eq!(letter.error.to_string(), "invalid digit found in string");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn dead_letters(mut self, letters: mpsc::Sender<DeadLetter<E>>) -> Self {
        self.dead = Some(letters);
        self
    }

    /// Makes the pipeline and puts it into the [registry](crate::registry). It starts when it is
    /// [run](Pipeline::run), [collected](Pipeline::collect) or [started](Pipeline::start).
    ///
    /// # Errors
    /// The first thing that was refused: a name that [`Name::new`] does not take or that two stages
    /// share, a number that is out of its range.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use plimsoll::pipeline::Pipeline;
    /// let same = |n: u32| async move { Ok::<_, Infallible>(n) };
    /// assert!(Pipeline::builder("pipeline-built").items(1..=4).stage("same", 2, same).build().is_ok());
    /// assert!(Pipeline::builder("pipeline-built").items(1..=4).stage("same", 2, same).stage("same", 2, same).build().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(mut self) -> Result<Pipeline<T, E>, Invalid> {
        let output = self.plan.add(OUTPUT, 1);
        let Plan { name, invalid, gauge, meters, links, .. } = self.plan;
        if let Some(invalid) = invalid {
            return Err(invalid);
        }
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| {
            Shared::new(name, gauge, meters, links, registry::register(shared.clone()))
        });
        Ok(Pipeline::new(shared, self.starters, self.output, output, self.dead))
    }
}

impl Plan {
    fn intern(&mut self, name: &str) -> Name {
        Name::new(name).unwrap_or_else(|invalid| {
            self.refuse(invalid);
            Name::UNNAMED
        })
    }

    fn refuse(&mut self, invalid: Invalid) {
        self.invalid.get_or_insert(invalid);
    }

    fn add(&mut self, stage: &str, workers: usize) -> Arc<Meter> {
        let name = self.intern(stage);
        if self.meters.iter().any(|meter| meter.name == name) {
            const ALLOWED: &str = "a name that no other stage has, and not `source` or `output`";
            self.refuse(Invalid::new(self.name, "stage", stage, ALLOWED));
        }
        if !(1..=WORKERS_MAX).contains(&workers) {
            self.refuse(Invalid::new(self.name, "workers", workers, "1 to 10,000"));
        }
        let gauge = (![SOURCE, OUTPUT].contains(&stage)).then(|| Arc::clone(&self.gauge));
        let meter = Arc::new(Meter::new(name, workers.clamp(1, WORKERS_MAX), gauge));
        self.meters.push(Arc::clone(&meter));
        meter
    }

    /// The queue behind a stage.
    fn link<T: Send + 'static>(&mut self, order: Order, producers: usize) -> Arc<Link<T>> {
        let capacity = match order {
            Order::AsTheyCome => self.queue,
            Order::ByNumber => self.queue.max(producers),
        };
        let link = Arc::new(Link::new(capacity, order, producers));
        let queued: Arc<dyn Queued> = link.clone();
        self.links.push(Arc::downgrade(&queued));
        link
    }
}

impl<T, E> fmt::Debug for Stages<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<_> = self.plan.meters.iter().map(|meter| meter.name).collect();
        f.debug_struct("Stages")
            .field("name", &self.plan.name)
            .field("stages", &stages)
            .finish_non_exhaustive()
    }
}

/// An iterator as a stream.
struct Items<I>(I);

// The iterator is asked, never pinned.
impl<I> Unpin for Items<I> {}

impl<I: Iterator> Stream for Items<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}
