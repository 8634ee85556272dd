//! What became of each job, as those saw it who sent it and those who did it.

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;

use crate::bench::load::empty;
use crate::receiver::Bits;

/// The book: jobs are numbers below a bound, and times are in microseconds of one clock.
pub(super) struct Book {
    accepted: Bits,
    claimed: Bits,
    done: Bits,
    counts: Counts,
    // When each was accepted that nobody has claimed: as many as wait, no more than were accepted.
    unclaimed: FxHashMap<u64, u64>,
    counted_from: u64,
    latencies: Histogram<u64>,
}

/// What was counted so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    /// Jobs answered with 202.
    pub(super) accepted: u64,
    /// Jobs whose ack was taken.
    pub(super) finished: u64,
    /// Claims of jobs that were claimed before.
    pub(super) run_twice: u64,
    /// Jobs that came to a worker and that nobody had sent.
    pub(super) strangers: u64,
    /// Acks that were refused, though their worker was never silent for long.
    pub(super) leases_lost: u64,
    /// When the last ack was taken.
    pub(super) last_at: u64,
}

impl Book {
    /// An empty one, for jobs below this number.
    pub(super) fn new(jobs_max: usize) -> Self {
        Self {
            accepted: Bits::new(jobs_max),
            claimed: Bits::new(jobs_max),
            done: Bits::new(jobs_max),
            counts: Counts::default(),
            unclaimed: FxHashMap::default(),
            counted_from: 0,
            latencies: empty(),
        }
    }

    /// Its submitter has read its 202.
    pub(super) fn accept(&mut self, job: u64, at: u64) {
        if self.accepted.insert(job as usize) != Some(true) {
            return;
        }
        self.counts.accepted += 1;
        if self.claimed.contains(job as usize) {
            // A worker had it before the submitter had its answer.
            self.took(at, at);
        } else {
            self.unclaimed.insert(job, at);
        }
    }

    /// A worker has it.
    pub(super) fn claim(&mut self, job: u64, at: u64) {
        match self.claimed.insert(job as usize) {
            None => self.counts.strangers += 1,
            Some(false) => self.counts.run_twice += 1,
            Some(true) => {
                if let Some(accepted_at) = self.unclaimed.remove(&job) {
                    self.took(accepted_at, at);
                }
            }
        }
    }

    /// Its worker's ack was taken.
    pub(super) fn finish(&mut self, job: u64, at: u64) {
        if self.done.insert(job as usize) == Some(true) {
            self.counts.finished += 1;
            self.counts.last_at = self.counts.last_at.max(at);
        }
    }

    /// An ack was refused: somebody else has the job, or nobody.
    pub(super) fn lose_lease(&mut self) {
        self.counts.leases_lost += 1;
    }

    /// Forgets the latencies so far, and counts those of jobs that are accepted from then on.
    pub(super) fn count_from(&mut self, at: u64) {
        self.counted_from = at;
        self.latencies.reset();
    }

    /// What was counted so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Accepted jobs that are not done.
    pub(super) fn left(&self) -> u64 {
        self.counts.accepted - self.accepted.count_common(&self.done)
    }

    /// From accepted to claimed, in microseconds.
    pub(super) fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    fn took(&mut self, accepted_at: u64, claimed_at: u64) {
        if accepted_at >= self.counted_from {
            self.latencies.saturating_record(claimed_at.saturating_sub(accepted_at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_accepted_and_not_done_is_left() {
        let mut book = Book::new(4);
        for job in 0..3 {
            book.accept(job, 10);
            book.claim(job, 20);
        }
        book.finish(0, 30);
        book.finish(2, 25);
        // Done and never answered: it was not promised, and makes up for nothing.
        book.finish(3, 27);
        assert_eq!(book.left(), 1);
        let Counts { accepted, finished, last_at, .. } = book.counts();
        assert_eq!((accepted, finished, last_at), (3, 3, 30));
        book.finish(1, 40);
        assert_eq!((book.left(), book.counts().last_at), (0, 40));
    }

    #[test]
    fn each_claim_but_the_first_is_a_run_too_many_and_a_strange_number_is_a_stranger() {
        let mut book = Book::new(2);
        for job in [0, 1, 1, 1, 2] {
            book.claim(job, 5);
        }
        book.lose_lease();
        let Counts { run_twice, strangers, leases_lost, .. } = book.counts();
        assert_eq!((run_twice, strangers, leases_lost), (2, 1, 1));
    }

    #[test]
    fn an_answer_or_an_ack_that_is_heard_twice_counts_once() {
        let mut book = Book::new(1);
        for at in [1, 2] {
            book.accept(0, at);
            book.finish(0, at);
        }
        let Counts { accepted, finished, last_at, .. } = book.counts();
        assert_eq!((accepted, finished, last_at, book.left()), (1, 1, 1, 0));
    }

    #[test]
    fn latencies_are_of_first_claims_of_jobs_accepted_since() {
        let mut book = Book::new(10);
        book.accept(0, 100);
        book.count_from(200);
        book.claim(0, 900);
        book.accept(1, 250);
        book.claim(1, 260);
        book.claim(1, 990);
        book.accept(2, 300);
        // The worker was faster than the answer to the submitter.
        book.claim(3, 310);
        book.accept(3, 320);
        assert_eq!((book.latencies().len(), book.latencies().min(), book.latencies().max()), (2, 0, 10));
        assert_eq!(book.unclaimed.len(), 1, "only the one that waits is remembered");
    }
}
