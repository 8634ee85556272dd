//! Our own: the limit at which more in flight brings more latency than throughput.

use std::time::Duration;

use super::algorithm::{Algorithm, Sample};
use super::queue::{Level, Queue};
use super::window::Window;
use crate::Outcome;
use crate::clock::Instant;

/// A window holds at least this many samples, and so many more where latencies vary.
const SAMPLES_MIN: (f64, f64) = (10.0, 30.0);
/// So many windows make the first base.
const EARLY_WINDOWS: f64 = 8.0;
/// A window holds at most this many times the number in flight.
const ROUNDS_MAX: f64 = 16.0;
/// How long a change of the limit takes to be felt, in latencies; and how long the first calls take.
const SETTLING: (f64, f64) = (1.2, 3.0);
/// By how much each step of growth is larger than the last: at first, and once there was too much.
const PACE: (f64, f64) = (2.0, 1.5);
/// A share of failures that is taken for the other side's own.
const FAILURES_TOLERATED: f64 = 0.05;
/// Windows for which a limit that brought failures is not tried again: at first, at most.
const CEILING_WINDOWS: (u32, u32) = (8, 128);
/// How deep a trial goes in a step, and at most.
const TRIAL_STEP: (f64, f64) = (0.8, 0.5);
/// A trial whose step was deeper than this, as a logarithm, is a deep one.
const TRIAL_DEEP: f64 = 0.4;
/// The latency falls by this share of what it should, when the rise was a queue of ours: less than all
/// of it, since others may send to the same service. After a shallow trial, and after a deep one.
const QUEUE_SHOWS: (f64, f64) = (0.4, 0.6);
/// A queue that shrank by so many times what was kept out was none of ours: a pause of the other side,
/// which is over.
const TRANSIENT: f64 = 2.0;
/// How far a shallow trial is believed.
const SHALLOW_TRUST: f64 = 0.75;
/// A trial begins anew so often.
const RESTARTS_MAX: u32 = 4;
/// Routine trials may take this share of the time.
const TRIAL_SHARE: f64 = 1.0 / 25.0;
/// The time from an unclear trial to the next, in how long it took.
const UNCLEAR: f64 = 5.0;

/// Finds the knee: the limit above which more in flight brings more latency than throughput. The
/// default, and our own.
///
/// # How it works
/// - It averages over windows that are as long as the noise wants, of the *logarithms* of the latencies:
///   so it knows the error of the average, and a few calls that take a hundred times as long as the
///   rest do not decide. Where the base of that average lies, the latency without a queue, is the
///   lowest seen, give or take the error, not the luckiest sample.
/// - What is queued is `in flight × (1 − base / latency)`, as in TCP Vegas (Brakmo and Peterson 1995).
///   It lets queue about the square root of what is served (Halfin and Whitt 1981); below that it
///   grows, faster the longer nothing stands against it, and only while its callers reach the limit.
/// - When the latency rises for certain, it lets less in for a moment, as a *trial*. If the latency
///   follows, the rise was a queue, and the limit goes to what was served. If not, the service itself
///   takes longer, and less concurrency would only be less throughput: the new latency is the base,
///   and the limit is as before. It goes on down for as long as more in flight brings more latency than
///   throughput, which is where Kleinrock's power, throughput by latency, is greatest (1979).
/// - Where the latency holds the limit for long, such a trial is made now and then (at most a 25th of
///   the time), to four fifths of what is in flight; never while callers do not reach the limit: there
///   is no probe that refuses healthy traffic.
/// - When more than one in twenty fail, for certain, it goes to what succeeded, by Little's law, at most to half, and
///   does not come back to where it failed for a while that doubles.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::adaptive::{Algorithm, Knee, Sample};
/// use plimsoll::clock::Instant;
///
/// // A service of 50 places at 10 ms each: what is above waits.
/// let (mut knee, mut limit, mut now) = (Knee::new(), 20.0, Instant::default());
/// for _ in 0..100_000 {
///     let in_flight = f64::floor(limit);
///     let latency = Duration::from_secs_f64(0.01 * f64::max(1.0, in_flight / 50.0));
///     now = now + latency.div_f64(in_flight);
///     limit = knee.update(limit, &Sample::new(now, latency, in_flight as u64)).max(1.0);
/// }
/// assert!((45.0..=65.0).contains(&limit), "{limit}");
/// ```
#[derive(Clone, Debug)]
pub struct Knee {
    window: Window,
    /// What was seen since the limit was about where it is, while latency held it there.
    held: Window,
    /// The logarithm of the latency without a queue, in seconds.
    base: Option<f64>,
    early: Option<Early>,
    /// The average latency without a queue, in seconds.
    base_mean: f64,
    /// How much the logarithms of the latencies vary, smoothed.
    variance: f64,
    /// By how much the limit grows next.
    step: f64,
    /// By which factor it does so from step to step: less, once there was too much.
    pace: f64,
    /// How many samples to wait for before looking again.
    next_check: f64,
    /// When the limit was last changed, until that is felt.
    settling: Option<Instant>,
    /// The average of the last few latencies, in seconds.
    recent: f64,
    /// Small cuts since it last grew.
    cuts: u32,
    trial: Option<Trial>,
    trial_after: Instant,
    ceiling: Option<Ceiling>,
}

/// Less is let in for a while, to see whether the latency follows.
#[derive(Clone, Debug)]
struct Trial {
    began: Instant,
    /// The limit before its first step.
    limit: f64,
    /// What was seen before its first step.
    first: Level,
    /// What was seen before its last step.
    before: Level,
    kind: Kind,
    restarts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The latency has risen, and nothing was measured since.
    Alarm,
    /// The latency has risen.
    Risen,
    /// The latency holds the limit.
    Routine,
}

/// The first windows, none of which is to be trusted alone.
#[derive(Clone, Copy, Debug)]
struct Early {
    windows: f64,
    /// In the first of them.
    in_flight: f64,
}

impl Early {
    fn counts(&self, level: Level) -> bool {
        self.windows < EARLY_WINDOWS && level.in_flight < 1.3 * self.in_flight
    }
}

/// A limit at which the other side began to fail.
#[derive(Clone, Copy, Debug)]
struct Ceiling {
    limit: f64,
    windows: u32,
    windows_left: u32,
}

impl Knee {
    /// It has no settings: what it needs to know it finds.
    ///
    /// ```
    /// use plimsoll::adaptive::{Algorithm, Knee};
    /// assert_eq!(Knee::new().latency_base(), None); // before the first samples it knows nothing
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: Window::EMPTY,
            held: Window::EMPTY,
            base: None,
            early: None,
            base_mean: 0.0,
            variance: 1.0,
            step: 0.0,
            pace: PACE.0,
            next_check: 0.0,
            settling: None,
            recent: 0.0,
            cuts: 0,
            trial: None,
            trial_after: Instant::from_nanos(0),
            ceiling: None,
        }
    }

    /// Looks at the window, if it is time to.
    fn next(&mut self, limit: f64, now: Instant) -> f64 {
        let count = self.window.count() as f64;
        if count < self.next_check {
            return limit;
        }
        self.next_check = 0.0;
        let least = self.samples_min().max(self.window.in_flight());
        if let Some(trial) = self.trial.take() {
            if count < least {
                self.trial = Some(trial);
                return limit;
            }
            let next = self.look(limit, trial, now);
            self.next_check = self.window.count() as f64 * 1.25;
            return next;
        }
        if count >= self.samples_wanted() || count >= least && (self.is_far_off() || self.has_room(limit)) {
            return self.decide(limit, now);
        }
        self.next_check = count * 1.1;
        limit
    }

    fn samples_min(&self) -> f64 {
        SAMPLES_MIN.0 + SAMPLES_MIN.1 * self.variance.min(1.0)
    }

    /// How many samples make a window, for the error of its average to be a part of what is let
    /// queue: half the root of the number in flight.
    fn samples_wanted(&self) -> f64 {
        if self.base.is_none() {
            return 4.0 * self.samples_min();
        }
        let in_flight = self.window.in_flight();
        (4.0 * self.variance * in_flight).clamp(in_flight, ROUNDS_MAX * in_flight).max(self.samples_min())
    }

    /// So much is wrong that there is no need to wait for the rest of the window.
    fn is_far_off(&self) -> bool {
        let Some(base) = self.base else { return false };
        let level = Level::of(&self.window, self.variance);
        let queue = self.queue(Level { error: 2.0 * level.error, ..level }, base);
        queue.at_least > 4.0 * queue.allowed || self.window.failure_ratio() > 0.5
    }

    /// There was never too much yet, and even at the upper end of what it may be the queue is no reason
    /// not to grow: no need to wait for the rest either. Later such haste would favour what is short by
    /// chance.
    fn has_room(&self, limit: f64) -> bool {
        let Some(base) = self.base else { return false };
        if self.pace < PACE.0 || (self.window.peak() as f64) < limit.floor() {
            return false;
        }
        let level = Level::of(&self.window, self.variance);
        let highest = Level { log_mean: level.log_mean + level.error, ..level };
        let queue = self.queue(level, base);
        queue.is_short() && self.queue(highest, base).is_fair()
    }

    /// What a whole window says.
    fn decide(&mut self, limit: f64, now: Instant) -> f64 {
        let seen = std::mem::take(&mut self.window);
        if seen.fails_more_than(FAILURES_TOLERATED) {
            return self.retreat(limit, &seen);
        }
        self.variance += (seen.variance() - self.variance) / 4.0;
        let level = Level::of(&seen, self.variance);
        let base = self.learn(level);
        let queue = self.queue(level, base);
        if queue.is_short() {
            let weight = if self.base_mean > 0.0 { 0.125 } else { 1.0 };
            self.base_mean += (seen.latency_mean() - self.base_mean) * weight;
            self.base = Some(base + (level.log_mean - base).max(0.0) * 0.1);
        }
        let touched = seen.peak() as f64 >= limit.floor();
        let saturated = touched && level.in_flight >= 0.85 * limit.floor();
        if queue.is_long() {
            (self.step, self.pace) = (0.0, PACE.1);
            if saturated {
                return self.back_off(limit, level, queue, now);
            }
            // Callers that wait for one another make a queue below the limit: close in on them, and
            // refuse nobody yet.
            return limit.min(queue.target.max(seen.peak() as f64));
        }
        if touched && queue.is_short() {
            return self.grow(limit, queue.allowed);
        }
        self.step = 0.0;
        if !saturated {
            return limit;
        }
        if (self.held.in_flight() - level.in_flight).abs() > 0.15 * level.in_flight {
            self.held = Window::EMPTY;
        }
        self.held.append(&seen);
        self.consider_trial(limit, base, now)
    }

    /// The base, with what a window says of it: at first their average, then the lowest.
    fn learn(&mut self, level: Level) -> f64 {
        let base = match (self.base, self.early) {
            (None, _) => {
                self.early = Some(Early { windows: 1.0, in_flight: level.in_flight });
                level.log_mean
            }
            (Some(base), Some(early)) if early.counts(level) => {
                let windows = early.windows + 1.0;
                self.early = Some(Early { windows, ..early });
                base + (level.log_mean - base) / windows
            }
            (Some(base), _) => {
                self.early = None;
                level.lowest(base)
            }
        };
        self.base = Some(base);
        base
    }

    fn queue(&self, level: Level, base: f64) -> Queue {
        Queue::estimate(level, base, self.base_mean)
    }

    fn grow(&mut self, limit: f64, least: f64) -> f64 {
        self.cuts = 0;
        let step = self.step.max(0.5 * least).min(limit);
        self.step = step * self.pace;
        let Some(ceiling) = &mut self.ceiling else { return limit + step };
        if limit + step < ceiling.limit {
            return limit + step;
        }
        if limit > 1.1 * ceiling.limit + 2.0 {
            self.ceiling = None;
            return limit + step;
        }
        // One step from where it failed: stay, for a time that grows with every such failure.
        self.step = 0.0;
        ceiling.windows_left = ceiling.windows_left.saturating_sub(1);
        if ceiling.windows_left == 0 { limit + 1.0 } else { limit.max(ceiling.limit - 1.0) }
    }

    /// The other side fails: go back to what it served.
    fn retreat(&mut self, limit: f64, seen: &Window) -> f64 {
        self.trial = None;
        self.step = 0.0;
        self.held = Window::EMPTY;
        let served = seen.served().min(limit * 0.98);
        let next = served.max(limit * 0.5);
        if served < limit * 0.5 {
            // It serves hardly anything: where it fails says nothing of where it would not.
            (self.ceiling, self.pace) = (None, PACE.0);
            return next;
        }
        let windows = self.ceiling.filter(|old| (old.limit - limit).abs() < 0.1 * limit + 2.0);
        let windows = windows.map_or(CEILING_WINDOWS.0, |old| (old.windows * 2).min(CEILING_WINDOWS.1));
        self.ceiling = Some(Ceiling { limit, windows, windows_left: windows });
        next
    }

    /// Too much is queued.
    fn back_off(&mut self, limit: f64, level: Level, queue: Queue, now: Instant) -> f64 {
        if queue.target >= TRIAL_STEP.0 * level.in_flight && self.cuts < 2 {
            self.cuts += 1;
            return limit.min(queue.target);
        }
        self.cuts = 0;
        self.trial =
            Some(Trial { began: now, limit, first: level, before: level, kind: Kind::Alarm, restarts: 0 });
        limit.min(TRIAL_STEP.0 * level.in_flight)
    }

    /// The limit has not moved for long: see whether the latency that holds it is a queue.
    fn consider_trial(&mut self, limit: f64, base: f64, now: Instant) -> f64 {
        let level = Level::of(&self.held, self.variance);
        let inflation = (level.log_mean - base).clamp(0.02, 0.25);
        if now < self.trial_after || level.error > inflation / 5.0 && self.held.span() < 60.0 {
            return limit;
        }
        if level.in_flight <= 1.5 {
            return limit;
        }
        self.trial =
            Some(Trial { began: now, limit, first: level, before: level, kind: Kind::Routine, restarts: 0 });
        self.held = Window::EMPTY;
        TRIAL_STEP.0 * level.in_flight
    }

    /// Looks at a trial, when enough was seen to tell.
    fn look(&mut self, limit: f64, trial: Trial, now: Instant) -> f64 {
        let level = Level::of(&self.window, self.variance);
        if self.window.fails_more_than(FAILURES_TOLERATED) {
            return self.decide(limit, now);
        }
        let base = self.base.unwrap_or(level.log_mean);
        if trial.kind == Kind::Alarm {
            return self.measure(limit, trial, level, base, now);
        }
        let possible = (trial.before.in_flight / level.in_flight).ln().max(0.01);
        let expected = possible.min((trial.before.log_mean - base).max(0.02));
        let fallen = trial.before.log_mean - level.log_mean;
        let error = level.error.hypot(trial.before.error);
        let decisive = (fallen - expected * QUEUE_SHOWS.0).abs() > 2.5 * error;
        let count = self.window.count() as f64;
        let enough = count >= (60.0 * level.in_flight).max(600.0)
            || count >= 2.0 * self.samples_min() && level.error < 0.4 * trial.before.error;
        if !decisive && !enough {
            self.trial = Some(trial);
            return limit;
        }
        self.window = Window::EMPTY;
        if level.in_flight > 0.97 * trial.before.in_flight && trial.kind == Kind::Risen {
            // Nobody was kept out: it says nothing.
            return trial.limit.max(limit);
        }
        if fallen < -3.0 * error && trial.restarts < RESTARTS_MAX {
            // It has risen, though less is in flight: things are not yet as they will be. Anew.
            let first = Level { log_mean: level.log_mean, mean: level.mean, ..trial.first };
            self.trial = Some(Trial { first, before: level, restarts: trial.restarts + 1, ..trial });
            return limit.min(TRIAL_STEP.0 * level.in_flight);
        }
        let shows = if possible > TRIAL_DEEP { QUEUE_SHOWS.1 } else { QUEUE_SHOWS.0 };
        let doubt = (1.0 - fallen / (shows * expected.max(0.01))).clamp(0.0, 1.0);
        let is_queue = doubt <= 0.0;
        if is_queue && fallen > possible / 2.0 && level.in_flight > 1.5 {
            // More in flight brought more latency than throughput: on.
            let deeper = if trial.kind == Kind::Routine {
                TRIAL_STEP.0 * level.in_flight
            } else {
                let queue = self.queue(level, base);
                if queue.is_fair() {
                    return self.conclude(&trial, level.lowest(base), now);
                }
                queue.target.max(TRIAL_STEP.1 * level.in_flight)
            };
            self.trial = Some(Trial { before: level, ..trial });
            return deeper.min(limit);
        }
        let trust = if possible > TRIAL_DEEP { 1.0 } else { SHALLOW_TRUST };
        let base = if is_queue { level.lowest(base) } else { base + (level.log_mean - base) * doubt * trust };
        let next = self.conclude(&trial, base, now);
        if doubt > 0.0 && doubt < 1.0 && trial.kind == Kind::Routine {
            // It was not clear: the next one is due sooner.
            self.trial_after = now + now.since(trial.began).mul_f64(UNCLEAR);
        }
        if doubt > 0.5 { trial.limit } else { next }
    }

    /// What raised the alarm was picked for being high: measures again, at the first step, what the
    /// next is compared with.
    fn measure(&mut self, limit: f64, trial: Trial, level: Level, base: f64, now: Instant) -> f64 {
        if level.error > 0.1 && self.window.count() < 300 {
            self.trial = Some(trial);
            return limit;
        }
        self.window = Window::EMPTY;
        let queue = self.queue(level, base);
        if queue.is_fair() {
            let kept_out = (trial.first.in_flight - level.in_flight).max(1.0);
            if self.queue(trial.first, base).at_least - queue.likely > TRANSIENT * kept_out {
                (self.pace, self.held) = (PACE.0, Window::EMPTY);
                return trial.limit;
            }
            return self.conclude(&trial, level.lowest(base), now);
        }
        let first = Level { log_mean: level.log_mean, mean: level.mean, ..trial.first };
        self.trial = Some(Trial { first, before: level, kind: Kind::Risen, ..trial });
        queue.target.clamp(TRIAL_STEP.1 * level.in_flight, TRIAL_STEP.0 * level.in_flight).min(limit)
    }

    fn conclude(&mut self, trial: &Trial, base: f64, now: Instant) -> f64 {
        if let Some(old) = self.base
            && base > old
        {
            self.base_mean *= (base - old).exp();
        }
        self.base = Some(base);
        self.held = Window::EMPTY;
        let took = now.since(trial.began).as_secs_f64();
        if trial.kind == Kind::Routine {
            self.trial_after = now + Duration::from_secs_f64((took / TRIAL_SHARE).clamp(1.0, 3_600.0));
        }
        let queue = self.queue(trial.first, base);
        queue.target.min(trial.limit)
    }

    /// True while what ends was admitted under another limit.
    fn is_settling(&mut self, now: Instant) -> bool {
        let Some(from) = self.settling else { return false };
        let time = if self.base.is_none() { SETTLING.1 } else { SETTLING.0 };
        if now.since(from).as_secs_f64() < time * self.recent {
            return true;
        }
        self.settling = None;
        false
    }
}

impl Algorithm for Knee {
    fn update(&mut self, limit: f64, sample: &Sample) -> f64 {
        if sample.outcome == Outcome::Ignored {
            return limit;
        }
        if sample.outcome == Outcome::Success {
            let first = self.recent == 0.0;
            if first {
                // What ends first is what is short: wait until the rest had the time to.
                self.settling = Some(sample.now);
            }
            let weight = if first { 1.0 } else { 1.0 / 16.0 };
            self.recent += (sample.seconds() - self.recent) * weight;
        }
        if self.is_settling(sample.now) {
            return limit;
        }
        self.window.add(sample);
        let next = self.next(limit, sample.now);
        if next != limit {
            self.settling = Some(sample.now);
        }
        next
    }

    fn latency_base(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.base?.exp()).ok()
    }
}

impl Default for Knee {
    fn default() -> Self {
        Self::new()
    }
}
