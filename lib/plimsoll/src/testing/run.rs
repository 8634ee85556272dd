//! Drives a limiter through a load, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, timeout};

use super::load::Load;
use super::report::Report;
use super::service::Service;
use crate::limiter::{Limiter, Waiting};
use crate::{Outcome, Rejected};

/// How fine tokio's timers are.
const TICK: Duration = Duration::from_millis(1);
/// After the last call, and with nothing left in flight, waiting callers are given so long.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// Runs the load against the limiter, with callers that are refused at once. Permits are dropped when
/// their call ends.
///
/// # Panics
/// When the time of the runtime is not paused, or the load is too large.
///
/// # Cancel safety
/// Dropping the future gives every permit back; what was counted is lost.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use plimsoll::{rate::{Quota, RateLimiter}, testing::{self, Load, Service}};
/// let mails = RateLimiter::new(Quota::per_minute(60).burst(5))?;
/// let load = Load::burst(100).then(Load::steady(2.0, Duration::from_secs(60)));
/// let report = testing::run(&mails, &load, Service::constant(Duration::from_millis(20))).await;
/// assert_eq!(report.seconds()[0].admitted, 5); // the burst
/// assert!((62..=66).contains(&report.admitted()), "{}", report.admitted());
/// # Ok(()) }
/// ```
pub async fn run<L: Limiter>(limiter: &L, load: &Load, service: Service) -> Report {
    run_learning(limiter, load, service, |permit, _| drop(permit)).await
}

/// As [`run`], and tells the permit of each call how it ended.
///
/// # Panics
/// As [`run`].
///
/// # Cancel safety
/// As [`run`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), plimsoll::Invalid> {
/// use std::time::Duration;
/// use plimsoll::adaptive::Adaptive;
/// use plimsoll::testing::{self, Load, Service};
///
/// // Fifty at once, 20 ms each: 2,500 a second. What comes above waits there.
/// let service = Service::places(50, Duration::from_millis(20)).varying(7);
/// let load = Load::steady(5_000.0, Duration::from_secs(20)).poisson(7);
/// let search = Adaptive::builder("search").initial(10).build()?;
/// let report = testing::run_learning(&search, &load, service, |permit, how| permit.finish(how)).await;
///
/// assert!((40..90).contains(&search.limit()), "{}", search.limit());
/// let last = report.seconds()[19];
/// assert!(last.ended > 2_000, "{last:?}");
/// # Ok(()) }
/// ```
pub async fn run_learning<L: Limiter>(
    limiter: &L,
    load: &Load,
    service: Service,
    finish: impl Fn(L::Permit, Outcome),
) -> Report {
    let mut run = Run::new(service, finish);
    for due in load.times() {
        run.go_to(due).await;
        run.report.offer(due);
        match limiter.try_acquire_owned() {
            Ok(permit) => run.admit(due, permit),
            Err(rejected) => run.report.reject(due, &rejected),
        }
    }
    run.end_all().await;
    run.report.finished()
}

/// Runs the load against the limiter, with callers that wait for their turn, and tells the permit of
/// each call how it ended (`|permit, _| drop(permit)` where that means nothing).
///
/// # Panics
/// As [`run`]. A limiter that panics in a waiting caller makes this panic.
///
/// # Cancel safety
/// As [`run`]; those who wait leave the line.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), plimsoll::Invalid> {
/// use std::time::Duration;
/// use plimsoll::semaphore::Semaphore;
/// use plimsoll::testing::{self, Load, Service};
///
/// let uploads = Semaphore::new(10)?;
/// let service = Service::constant(Duration::from_millis(100));
/// let report = testing::run_waiting(&uploads, &Load::burst(30), service, |permit, _| drop(permit)).await;
///
/// assert_eq!((report.admitted(), report.in_flight_max()), (30, 10));
/// assert_eq!(report.wait(1.0), Some(Duration::from_millis(200)));
/// # Ok(()) }
/// ```
pub async fn run_waiting<L: Waiting>(
    limiter: &L,
    load: &Load,
    service: Service,
    finish: impl Fn(L::Permit, Outcome),
) -> Report {
    let mut run = Run::new(service, finish);
    let mut callers = JoinSet::new();
    let mut times = load.times().into_iter().peekable();
    loop {
        run.let_in(&mut callers).await;
        let next = [times.peek().copied(), run.next_end()].into_iter().flatten().min();
        let Some(next) = next else {
            match timeout(PATIENCE, callers.join_next()).await {
                Ok(Some(answer)) => run.answer(answer),
                Ok(None) | Err(_) => {
                    callers.shutdown().await;
                    return run.report.finished();
                }
            }
            continue;
        };
        let ahead = next.saturating_sub(run.now());
        if !callers.is_empty() && ahead > 2 * TICK {
            // A timer of the limiter's own may let somebody in before.
            if let Ok(Some(answer)) = timeout(ahead - 2 * TICK, callers.join_next()).await {
                run.answer(answer);
            }
            continue;
        }
        let step = if callers.is_empty() { ahead } else { ahead.min(TICK) };
        run.go_to(run.now() + step).await;
        while times.next_if(|due| *due <= run.now()).is_some() {
            let (limiter, came) = (limiter.clone(), run.now());
            run.report.offer(came);
            callers.spawn(async move { (came, limiter.acquire_owned().await) });
            // In the order in which they came.
            run.let_in(&mut callers).await;
        }
    }
}

type Answer<P> = Result<(Duration, Result<P, Rejected>), tokio::task::JoinError>;

struct Run<P, F> {
    began: Instant,
    service: Service,
    finish: F,
    report: Report,
    ends: BinaryHeap<Reverse<(Duration, u64)>>,
    calls: BTreeMap<u64, Call<P>>,
    admitted: u64,
}

struct Call<P> {
    permit: P,
    began: Duration,
    outcome: Outcome,
}

impl<P: Send + 'static, F: Fn(P, Outcome)> Run<P, F> {
    fn new(service: Service, finish: F) -> Self {
        check_paused();
        Self {
            began: Instant::now(),
            service,
            finish,
            report: Report::default(),
            ends: BinaryHeap::new(),
            calls: BTreeMap::new(),
            admitted: 0,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn next_end(&self) -> Option<Duration> {
        self.ends.peek().map(|Reverse((end, _))| *end)
    }

    fn admit(&mut self, came: Duration, permit: P) {
        let now = self.now();
        let (end, outcome) = self.service.call(now);
        self.report.admit(now, now.saturating_sub(came));
        self.admitted += 1;
        self.ends.push(Reverse((end, self.admitted)));
        self.calls.insert(self.admitted, Call { permit, began: now, outcome });
    }

    /// Lets in whoever has got a permit.
    async fn let_in(&mut self, callers: &mut JoinSet<(Duration, Result<P, Rejected>)>) {
        // A caller that was woken is polled in the next turn of the runtime.
        tokio::task::yield_now().await;
        while let Some(answer) = callers.try_join_next() {
            self.answer(answer);
        }
    }

    fn answer(&mut self, answer: Answer<P>) {
        match answer {
            Ok((came, Ok(permit))) => self.admit(came, permit),
            Ok((_, Err(rejected))) => self.report.reject(self.now(), &rejected),
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => {}
        }
    }

    /// Moves time on to `due`, and ends on the way what ends until then.
    async fn go_to(&mut self, due: Duration) {
        while let Some(end) = self.next_end().filter(|end| *end <= due) {
            self.advance_to(end).await;
            self.end_due(end);
        }
        self.advance_to(due).await;
    }

    async fn end_all(&mut self) {
        while let Some(end) = self.next_end() {
            self.go_to(end).await;
        }
    }

    async fn advance_to(&self, due: Duration) {
        let ahead = due.saturating_sub(self.now());
        if !ahead.is_zero() {
            advance(ahead).await;
        }
    }

    fn end_due(&mut self, now: Duration) {
        while let Some(Reverse((end, id))) = self.ends.peek().copied()
            && end <= now
        {
            self.ends.pop();
            let Some(call) = self.calls.remove(&id) else { continue };
            self.report.end(now, now.saturating_sub(call.began), call.outcome);
            (self.finish)(call.permit, call.outcome);
        }
    }
}

/// Panics with the remedy when time runs by itself.
fn check_paused() {
    // The runtime tells whether its time stands still only by refusing to advance it.
    let asked = catch_unwind(AssertUnwindSafe(|| {
        let mut nothing = pin!(advance(Duration::ZERO));
        let answer: Poll<()> = nothing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        answer
    }));
    assert!(
        asked.is_ok(),
        "plimsoll::testing runs in virtual time: pause it with #[tokio::test(start_paused = true)]"
    );
}
