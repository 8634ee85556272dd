//! The measuring: jobs as fast as they are taken and done, and latencies at half of that.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::report::{Latency, Report};
use super::yard::{Moment, Yard};
use crate::bench::args::Jobs;
use crate::bench::core::warm_up;
use crate::bench::load::{Load, Pace};
use crate::bench::rates::{median, per_second, quantile_ms};
use crate::bench::say;
use crate::receiver::machine_micros;
use crate::stage::Bare;
use crate::stage::number::grouped;

/// What one pass has shown.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Pass {
    /// Jobs accepted a second, while they were sent.
    pub(super) accepted_per_second: f64,
    /// Jobs finished a second, from the first that was sent to the last that was done.
    pub(super) finished_per_second: f64,
    /// Accepted jobs that were not done when the sending ended.
    pub(super) backlog: u64,
    /// What the server used by job, from before it was accepted until it was done.
    pub(super) cpu_micros: f64,
    /// What the server wrote by job, likewise.
    pub(super) written_bytes: f64,
}

impl Pass {
    /// Jobs a second that were both accepted and finished: the lower rate.
    pub(super) fn both_per_second(&self) -> f64 {
        self.accepted_per_second.min(self.finished_per_second)
    }
}

/// What latencies at half load came to.
struct HalfLoad {
    per_second: f64,
    accept: Latency,
    claim: Latency,
}

/// Measures.
///
/// # Errors
/// The server failed, or gave an answer that is none of its.
pub(in crate::bench) async fn measure(ground: &mut Bare, args: &Jobs) -> Result<Report, String> {
    let span = Duration::from_secs(args.seconds.into());
    // Besides the rounds: one to warm up with, and one at half load.
    let mut yard = Yard::open(ground, u64::from(args.rounds) + 2, span + warm_up(span)).await?;
    let _warm = full(&mut yard, warm_up(span)).await?;
    let mut passes = Vec::with_capacity(args.rounds as usize);
    for _ in 0..args.rounds {
        let pass = full(&mut yard, span).await?;
        say(&format!(
            "full load       {:>9}/s accepted, {}/s finished, {} left at the end; {:.1} us of processor time each",
            grouped(pass.accepted_per_second as u64),
            grouped(pass.finished_per_second as u64),
            grouped(pass.backlog),
            pass.cpu_micros,
        ));
        passes.push(pass);
    }
    let both: Vec<f64> = passes.iter().map(Pass::both_per_second).collect();
    let half = half_load(&mut yard, median(&both) / 2.0, span).await?;
    let (lost, end) = yard.close().await?;
    if end.counts.run_twice > 0 {
        let times = grouped(end.counts.run_twice);
        say(&format!("RUN TWICE: {times} times a worker was given a job that one had had before"));
    }
    Ok(Report {
        seconds: args.seconds,
        passes,
        half_load_per_second: half.per_second,
        accept: half.accept,
        claim: half.claim,
        rss_peak_bytes: end.usage.rss_peak_bytes,
        lost,
        counts: end.counts,
    })
}

/// As fast as the submitters are answered, for that long, until all is done.
async fn full(yard: &mut Yard<'_>, span: Duration) -> Result<Pass, String> {
    let from = yard.moment();
    let mut load = yard.send(Pace::AsAnswered).await?;
    yard.watch(span, &load).await?;
    let sent = yard.moment();
    settle(yard, &mut load).await?;
    Ok(pass(from, sent, yard.moment()))
}

/// At this rate by a clock.
async fn half_load(yard: &mut Yard<'_>, rate: f64, span: Duration) -> Result<HalfLoad, String> {
    let per_second = rate.max(1.0);
    let mut load = yard.send(Pace::PerSecond(per_second)).await?;
    yard.watch(warm_up(span), &load).await?;
    load.forget_latencies();
    yard.with_book(|book| book.count_from(machine_micros()));
    yard.watch(span, &load).await?;
    settle(yard, &mut load).await?;
    let accept = Latency::of(&load.latencies());
    let claim = yard.with_book(|book| Latency::of(book.latencies()));
    say(&format!(
        "half load       {:>9}/s: accepted in {:.2} ms, claimed {:.2} ms later (medians)",
        grouped(per_second as u64),
        accept.p50_ms,
        claim.p50_ms,
    ));
    Ok(HalfLoad { per_second, accept, claim })
}

async fn settle(yard: &mut Yard<'_>, load: &mut Load) -> Result<(), String> {
    let left = yard.settle(load).await?;
    if left > 0 {
        say(&format!("LOST: {} accepted jobs are not done, and no more are", grouped(left)));
    }
    Ok(())
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Self {
        Self { p50_ms: quantile_ms(latencies, 0.5), p99_ms: quantile_ms(latencies, 0.99) }
    }
}

/// What happened from before anything was sent, over the end of the sending, until all was done.
fn pass(from: Moment, sent: Moment, done: Moment) -> Pass {
    let finished = done.counts.finished - from.counts.finished;
    let each = |amount: u64| if finished > 0 { amount as f64 / finished as f64 } else { 0.0 };
    let last_at = done.counts.last_at.max(sent.at);
    Pass {
        accepted_per_second: per_second(sent.counts.accepted - from.counts.accepted, from.at, sent.at),
        finished_per_second: per_second(finished, from.at, last_at),
        backlog: sent.counts.accepted.saturating_sub(sent.counts.finished),
        cpu_micros: each(done.usage.cpu_micros.saturating_sub(from.usage.cpu_micros)),
        written_bytes: each(done.usage.written_bytes.saturating_sub(from.usage.written_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::Counts;
    use super::*;
    use crate::stage::Usage;

    fn moment(at: u64, accepted: u64, finished: u64, cpu_micros: u64) -> Moment {
        let counts = Counts { accepted, finished, last_at: at - 500_000, ..Counts::default() };
        let usage = Usage { cpu_micros, written_bytes: cpu_micros * 2, ..Usage::default() };
        Moment { at, counts, usage }
    }

    #[test]
    fn what_is_accepted_in_a_pass_counts_while_it_is_sent_and_what_is_finished_until_the_last() {
        let begin = moment(1_000_000, 10, 10, 100);
        let pass = pass(begin, moment(3_000_000, 210, 150, 9_999), moment(5_500_000, 210, 210, 500));
        assert_eq!((pass.accepted_per_second, pass.finished_per_second), (100.0, 50.0));
        assert_eq!((pass.cpu_micros, pass.written_bytes, pass.backlog), (2.0, 4.0, 60));
        assert_eq!(pass.both_per_second(), 50.0);
    }

    #[test]
    fn work_that_keeps_up_is_no_faster_than_what_is_sent() {
        let pass =
            pass(moment(1_000_000, 0, 0, 0), moment(3_000_000, 200, 200, 0), moment(3_100_000, 200, 200, 0));
        assert_eq!((pass.finished_per_second, pass.backlog), (100.0, 0));
    }

    #[test]
    fn nothing_finished_cost_nothing_each() {
        let pass = pass(moment(500_000, 0, 0, 0), moment(600_000, 5, 0, 0), moment(700_000, 5, 0, 500));
        assert_eq!((pass.cpu_micros, pass.finished_per_second), (0.0, 0.0));
    }
}
