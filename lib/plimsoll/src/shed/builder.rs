//! Making one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::delay::Times;
use super::handle::Shed;
use super::priority::{LEVELS, Priority};
use super::queue::Settings;
use super::state::State;
use crate::{Invalid, Name, registry};

const CONCURRENCY_MAX: u64 = 1_000_000;
const QUEUE_MAX: usize = 1_000_000;

/// Builds a [`Shed`]; made by [`Shed::builder`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::shed::Shed;
/// let inverted = Shed::builder("shed-doc").concurrency(8).target(Duration::from_secs(1)).build();
/// assert_eq!(inverted.unwrap_err().field(), "interval"); // 100 ms, unless said otherwise
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    /// `None` for what is not in the registry.
    name: Option<String>,
    settings: Settings,
}

impl Builder {
    pub(super) fn new(name: Option<&str>) -> Self {
        let settings = Settings {
            concurrency: 0,
            queue: 1_024,
            times: Times { target: Duration::from_millis(5), interval: Duration::from_millis(100) },
            thresholds: [1.0; LEVELS],
        };
        Self { name: name.map(Into::into), settings }
    }

    /// How many run at once: 1 to 1,000,000. There is no default.
    ///
    /// ```
    /// use plimsoll::shed::Shed;
    /// let refused = Shed::builder("api").build().unwrap_err();
    /// assert_eq!(refused.to_string(), "api: concurrency is 0, allowed is 1 to 1,000,000");
    /// assert_eq!(Shed::builder("api").concurrency(64).build()?.limit(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn concurrency(mut self, concurrency: u64) -> Self {
        self.settings.concurrency = concurrency;
        self
    }

    /// How many wait, of all priorities together: 1 to 1,000,000. Default 1,024. It protects memory: how
    /// long they wait is bounded by the times below.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::{Reason, shed::{Priority, Shed}};
    /// let api = Shed::builder("shed-queue").concurrency(1).queue(1).build()?;
    /// let held = api.try_acquire(Priority::CRITICAL)?;
    /// let (_, refused) = tokio::join!(api.acquire(Priority::CRITICAL), api.acquire(Priority::CRITICAL));
    /// assert_eq!(refused.unwrap_err().reason(), Reason::QueueFull);
    /// # drop(held);
    /// # Ok(()) }
    /// ```
    pub const fn queue(mut self, queue: usize) -> Self {
        self.settings.queue = queue;
        self
    }

    /// How long anybody waits while the queue stands: 1 ms to an hour. Default 5 ms.
    ///
    /// It stretches with a service that is slow: nobody is shed sooner than two places are expected to be
    /// given back, by the smoothed time that one is held. The interval stretches likewise.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::shed::Shed;
    /// let api = |target| Shed::builder("shed-target").concurrency(64).target(target).build();
    /// assert!(api(Duration::from_millis(20)).is_ok());
    /// assert_eq!(api(Duration::ZERO).unwrap_err().field(), "target");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn target(mut self, target: Duration) -> Self {
        self.settings.times.target = target;
        self
    }

    /// How long anybody waits at all, and how long the target must be exceeded for the queue to stand:
    /// from the target to an hour. Default 100 ms.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::{Reason, clock, shed::{Priority, Shed}};
    /// let api = Shed::builder("shed-interval").concurrency(1).interval(Duration::from_millis(200)).build()?;
    /// let (held, began) = (api.try_acquire(Priority::CRITICAL)?, clock::now());
    /// assert_eq!(api.acquire(Priority::CRITICAL).await.unwrap_err().reason(), Reason::Shed);
    /// assert!((200..210).contains(&(clock::now() - began).as_millis())); // as long as anybody waits
    /// # drop(held);
    /// # Ok(()) }
    /// ```
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.settings.times.interval = interval;
        self
    }

    /// Work of this priority, and of all that are less important, begins only while less than this share
    /// of the concurrency is in use: above 0, at most 1, and never more than for what is more important.
    /// One place at the least. Default 1.
    ///
    /// ```
    /// use plimsoll::shed::{Priority, Shed};
    /// let shed = Shed::builder("api").concurrency(10)
    ///     .threshold(Priority::SHEDDABLE_PLUS, 0.8)
    ///     .threshold(Priority::SHEDDABLE, 0.5)
    ///     .build()?;
    /// let five: Vec<_> = (0..5).map(|_| shed.try_acquire(Priority::SHEDDABLE).unwrap()).collect();
    /// assert!(shed.try_acquire(Priority::SHEDDABLE).is_err());
    /// assert!(shed.try_acquire(Priority::SHEDDABLE_PLUS).is_ok());
    /// # drop(five);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn threshold(mut self, priority: Priority, ratio: f64) -> Self {
        let mut level = priority.index();
        while level < LEVELS {
            self.settings.thresholds[level] = ratio;
            level += 1;
        }
        self
    }

    /// Makes it, and puts it into the [registry](crate::registry) if it has a name.
    ///
    /// # Errors
    /// When the name is not one that [`Name::new`] takes, or a setting is out of its range.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{registry, shed::Shed};
    /// let api = Shed::builder("shed-built").concurrency(64).build()?;
    /// assert!(registry::snapshot().iter().any(|seen| seen.name == api.name()));
    /// let interval = Duration::from_millis(1); // below the target of 5 ms
    /// assert_eq!(Shed::builder("shed-built").concurrency(64).interval(interval).build().unwrap_err().field(), "interval");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Shed, Invalid> {
        let Some(name) = &self.name else {
            check(Name::UNNAMED, &self.settings)?;
            return Ok(Shed(Arc::new(State::new(Name::UNNAMED, self.settings, None))));
        };
        let name = Name::new(name)?;
        check(name, &self.settings)?;
        Ok(Shed(Arc::new_cyclic(|state: &Weak<State>| {
            State::new(name, self.settings, Some(registry::register(state.clone())))
        })))
    }
}

pub(super) fn check_concurrency(name: Name, concurrency: u64) -> Result<(), Invalid> {
    if (1..=CONCURRENCY_MAX).contains(&concurrency) {
        return Ok(());
    }
    Err(Invalid::new(name, "concurrency", concurrency, "1 to 1,000,000"))
}

fn check(name: Name, settings: &Settings) -> Result<(), Invalid> {
    let Settings { concurrency, queue, times: Times { target, interval }, thresholds } = settings;
    check_concurrency(name, *concurrency)?;
    if !(1..=QUEUE_MAX).contains(queue) {
        return Err(Invalid::new(name, "queue", queue, "1 to 1,000,000"));
    }
    let hour = Duration::from_secs(3_600);
    if !(Duration::from_millis(1)..=hour).contains(target) {
        return Err(Invalid::new(name, "target", format_args!("{target:?}"), "1 ms to an hour"));
    }
    if !(*target..=hour).contains(interval) {
        return Err(Invalid::new(name, "interval", format_args!("{interval:?}"), "the target to an hour"));
    }
    let mut more_important = 1.0;
    for ratio in *thresholds {
        if ratio.is_nan() || ratio <= 0.0 || ratio > more_important {
            let allowed = "above 0, at most 1, and not above that of a more important priority";
            return Err(Invalid::new(name, "threshold", ratio, allowed));
        }
        more_important = ratio;
    }
    Ok(())
}
