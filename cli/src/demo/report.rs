//! What it comes to: for people, and as one JSON object.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::audit::Proof;
use super::load::Sent;
use super::shape::{SLOW_MS, Shape};
use crate::receiver::{Behaviour, Latency, Stats};
use crate::stage::number::{grouped, hundredths, mebibytes, millis, per_second};

/// Everything that was found.
pub(super) struct Report {
    /// Who was there.
    pub(super) shape: Shape,
    /// The senders' side.
    pub(super) sent: Sent,
    /// From the first event to the last 202.
    pub(super) sending: Duration,
    /// From the first event until all that could be delivered was.
    pub(super) delivering: Duration,
    /// The whole demo.
    pub(super) whole: Duration,
    /// The kill.
    pub(super) kill: Kill,
    /// Both sides' books compared.
    pub(super) proof: Proof,
    /// The receivers' counters.
    pub(super) fleet: Stats,
    /// Latencies of healthy endpoints, those of events sent while the server was away inside.
    pub(super) latency: Latency,
    /// Failed attempts that were to be tried again.
    pub(super) retried: u64,
    /// The most memory that the server had.
    pub(super) rss_peak_bytes: u64,
    /// What went wrong with the server's end, if anything did.
    pub(super) stop_failure: Option<String>,
}

/// The `kill -9`.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Kill {
    /// When, since the first event.
    pub(super) at: Duration,
    /// How many events had been accepted.
    pub(super) accepted: u64,
    /// How many deliveries of these had not arrived.
    pub(super) backlog: u64,
    /// From the kill until the server listened again.
    pub(super) away: Duration,
    /// Of that, from its start until it listened.
    pub(super) start: Duration,
}

/// The object that `--json` prints.
#[derive(Serialize)]
struct Json {
    events_accepted: u64,
    deliveries_due: u64,
    delivered: u64,
    retried: u64,
    dead: u64,
    pending: u64,
    duplicates: u64,
    lost: u64,
    bad_signatures: u64,
    accepted_per_second: f64,
    delivered_per_second: f64,
    healthy_p50_ms: f64,
    healthy_p99_ms: f64,
    rss_peak_bytes: u64,
    seconds: f64,
}

impl Report {
    /// Whether the promise was kept.
    pub(super) fn is_good(&self) -> bool {
        self.broken_promises().is_empty()
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        let steady = &self.latency.outside;
        let json = Json {
            events_accepted: self.sent.accepted,
            deliveries_due: self.proof.due,
            delivered: self.proof.delivered,
            retried: self.retried,
            dead: self.proof.dead,
            pending: self.proof.pending,
            duplicates: self.fleet.duplicates,
            lost: self.proof.lost,
            bad_signatures: self.fleet.bad_signatures,
            accepted_per_second: hundredths(self.accepted_per_second()),
            delivered_per_second: hundredths(self.delivered_per_second()),
            healthy_p50_ms: hundredths(steady.p50_ms),
            healthy_p99_ms: hundredths(steady.p99_ms),
            rss_peak_bytes: self.rss_peak_bytes,
            seconds: hundredths(self.whole.as_secs_f64()),
        };
        serde_json::to_string(&json).expect("plain numbers are always JSON")
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("writing to a string does not fail");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        self.write_story(out)?;
        self.write_proof(out)?;
        let steady = &self.latency.outside;
        let through = &self.latency.inside;
        writeln!(out, "\nHealthy endpoints, from sending an event to its arrival")?;
        writeln!(
            out,
            "  steady            p50 {}, p99 {}, slowest {}",
            millis(steady.p50_ms),
            millis(steady.p99_ms),
            millis(steady.max_ms)
        )?;
        writeln!(
            out,
            "  through the kill  p50 {}, p99 {}, slowest {} ({} deliveries)",
            millis(through.p50_ms),
            millis(through.p99_ms),
            millis(through.max_ms),
            grouped(through.count)
        )?;
        writeln!(out, "The server's memory at its peak: {}", mebibytes(self.rss_peak_bytes))?;
        self.write_verdict(out)?;
        writeln!(out, "\nTry next")?;
        writeln!(out, "  plimsoll demo --slow-ratio 0.4 --dead-ratio 0.4   # do the healthy ones notice?")?;
        writeln!(out, "  plimsoll demo --events 20000 --slow-ratio 0       # where is its load line?")?;
        writeln!(
            out,
            "  plimsoll serve --allow-private 127.0.0.0/8        # your own: it prints a curl that works"
        )
    }

    fn write_story(&self, out: &mut String) -> std::fmt::Result {
        let shape = &self.shape;
        let count = |like: fn(Behaviour) -> bool| shape.count(like);
        writeln!(out, "What happened")?;
        writeln!(out, "  {} tenants with {} endpoints:", shape.tenants, shape.behaviours.len())?;
        writeln!(out, "    {:>5} healthy", count(|one| one == Behaviour::Healthy))?;
        writeln!(
            out,
            "    {:>5} slow: each answer takes {SLOW_MS} ms",
            count(|one| matches!(one, Behaviour::Slow { .. }))
        )?;
        writeln!(out, "    {:>5} dead: answer 500, refuse, or never answer", count(|one| !one.is_alive()))?;
        writeln!(
            out,
            "  {} events over HTTP in {:.1} s, each on disk before its 202:",
            grouped(self.sent.accepted),
            self.sending.as_secs_f64(),
        )?;
        writeln!(
            out,
            "    {:.0} accepted and {:.0} delivered a second",
            self.accepted_per_second(),
            self.delivered_per_second()
        )?;
        writeln!(
            out,
            "  kill -9 at {:.1} s, with {} events accepted and {} deliveries still to make:",
            self.kill.at.as_secs_f64(),
            grouped(self.kill.accepted),
            grouped(self.kill.backlog),
        )?;
        writeln!(
            out,
            "    back on the same data {} later, {} after it was started",
            millis(self.kill.away.as_secs_f64() * 1_000.0),
            millis(self.kill.start.as_secs_f64() * 1_000.0),
        )?;
        writeln!(
            out,
            "    {} tries to send were refused, {} left without an answer, {} asked to wait;",
            grouped(self.sent.refused),
            grouped(self.sent.unknown),
            grouped(self.sent.not_admitted),
        )?;
        writeln!(out, "    each was repeated with its idempotency key until its 202")
    }

    fn write_proof(&self, out: &mut String) -> std::fmt::Result {
        let proof = &self.proof;
        let rows = [
            ("events accepted (202)", self.sent.accepted, ""),
            ("deliveries due", proof.due, "each event to each endpoint of its tenant"),
            ("delivered", proof.delivered, "in the receivers' books, signatures verified"),
            ("dead", proof.dead, "given up after the last retry, kept, can be resent"),
            ("pending", proof.pending, "on disk, waiting for another attempt"),
            ("lost", proof.lost, "due, and neither delivered, dead nor pending"),
            ("duplicates", self.fleet.duplicates, "the kill cut the answer off; same webhook-id"),
            ("retried", self.retried, "attempts that failed and were not the last"),
            ("bad signatures", self.fleet.bad_signatures, ""),
        ];
        writeln!(out, "\nProof")?;
        for (name, number, note) in rows {
            let line = format!("  {name:<22}{:>12}   {note}", grouped(number));
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn write_verdict(&self, out: &mut String) -> std::fmt::Result {
        let broken = self.broken_promises();
        if broken.is_empty() {
            writeln!(out, "\nNothing was lost.")?;
        }
        for promise in broken {
            writeln!(out, "\nBROKEN: {promise}")?;
        }
        const SHOWN: usize = 10;
        let disagreements = &self.proof.disagreements;
        if !disagreements.is_empty() {
            writeln!(out, "\nThe two sides do not agree:")?;
        }
        for line in disagreements.iter().take(SHOWN) {
            writeln!(out, "  {line}")?;
        }
        if disagreements.len() > SHOWN {
            writeln!(out, "  and {} more", disagreements.len() - SHOWN)?;
        }
        Ok(())
    }

    fn broken_promises(&self) -> Vec<String> {
        let counted = [
            (self.proof.lost, "deliveries of accepted events were lost"),
            (self.fleet.bad_signatures, "requests were not signed well"),
            (self.fleet.accepted_twice, "arrivals were of an event that was accepted twice"),
            (self.fleet.strangers, "requests arrived where they do not belong"),
            (self.sent.given_up, "events were never answered with 202"),
        ];
        let counted = counted.iter().filter(|(count, _)| *count > 0);
        let mut broken: Vec<String> =
            counted.map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
        broken.extend(self.stop_failure.clone());
        broken
    }

    fn accepted_per_second(&self) -> f64 {
        per_second(self.sent.accepted, self.sending.as_secs_f64())
    }

    fn delivered_per_second(&self) -> f64 {
        per_second(self.proof.delivered, self.delivering.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            shape: Shape { tenants: 1, events: 10, seconds: 1, behaviours: vec![Behaviour::Healthy] },
            sent: Sent { accepted: 10, ..Sent::default() },
            sending: Duration::from_secs(2),
            delivering: Duration::from_secs(4),
            whole: Duration::from_secs(5),
            kill: Kill::default(),
            proof: Proof { due: 10, delivered: 10, ..Proof::default() },
            fleet: Stats { duplicates: 1, ..Stats::default() },
            latency: Latency::default(),
            retried: 3,
            rss_peak_bytes: 1 << 20,
            stop_failure: None,
        }
    }

    #[test]
    fn the_object_has_exactly_the_promised_keys_in_their_order() {
        let json = report().json();
        let keys = json.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(", ");
        assert_eq!(
            keys,
            "events_accepted, deliveries_due, delivered, retried, dead, pending, duplicates, lost, \
             bad_signatures, accepted_per_second, delivered_per_second, healthy_p50_ms, healthy_p99_ms, \
             rss_peak_bytes, seconds"
        );
        assert!(json.contains(r#""accepted_per_second":5.0,"delivered_per_second":2.5"#), "{json}");
    }

    #[test]
    fn it_is_good_only_if_every_promise_was_kept() {
        let good = report();
        assert!(good.is_good() && good.text().contains("Nothing was lost."), "{}", good.text());
        let bad = [
            Report { proof: Proof { lost: 1, ..Proof::default() }, ..report() },
            Report { fleet: Stats { bad_signatures: 1, ..Stats::default() }, ..report() },
            Report { fleet: Stats { accepted_twice: 1, ..Stats::default() }, ..report() },
            Report { fleet: Stats { strangers: 1, ..Stats::default() }, ..report() },
            Report { sent: Sent { given_up: 1, ..Sent::default() }, ..report() },
            Report { stop_failure: Some("the server had to be killed".to_owned()), ..report() },
        ];
        for report in bad {
            assert!(!report.is_good());
            let text = report.text();
            assert!(text.contains("BROKEN: ") && !text.contains("Nothing was lost"), "{text}");
        }
    }
}
