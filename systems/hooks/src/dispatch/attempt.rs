//! From a job to what became of it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use plimsoll::{Outcome, clock, retry};
use plimsoll_store::{AttemptState, Trigger};

use super::job::{Job, Report, Then, Verdict, Work, unix_millis};
use super::metrics::Metrics;
use crate::deliver::{Answer, Client, Failure};

const WEBHOOK: [HeaderName; 3] = [
    HeaderName::from_static("webhook-id"),
    HeaderName::from_static("webhook-timestamp"),
    HeaderName::from_static("webhook-signature"),
];
const SVIX: [HeaderName; 3] = [
    HeaderName::from_static("svix-id"),
    HeaderName::from_static("svix-timestamp"),
    HeaderName::from_static("svix-signature"),
];
/// A receiver may ask to be left alone for this long at the most.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// The endpoint is not there any more, and will not be.
const GONE: u16 = 410;

/// Makes attempts.
pub(crate) struct Attempter {
    pub(crate) client: Client,
    /// The waits between attempts; after the last of them the delivery is dead.
    pub(crate) retries: retry::Policy,
    pub(crate) svix_headers: bool,
    pub(crate) metrics: Arc<Metrics>,
}

impl Attempter {
    /// Delivers once, and says what follows.
    pub(crate) async fn attempt(&self, job: &Job) -> Report {
        let (began, started) = (unix_millis(), clock::now());
        let result = match &job.target.prepared {
            Some(prepared) => {
                let body = job.message.payload.clone();
                let sign = |headers: &mut HeaderMap| self.sign(job, &body, began, headers);
                Some(self.client.post(prepared, sign, body.clone()).await)
            }
            None => None,
        };
        let took = clock::now() - started;
        let report = self.judge(result, job.number(), job.trigger(), began, took);
        self.metrics.attempted(
            &report,
            began - job.message.accepted_at,
            matches!(job.work, Work::First { .. }),
        );
        report
    }

    /// The report of an attempt that failed by a fault of ours.
    pub(crate) fn fault(&self, job: &Job) -> Report {
        let mut report = self.judge(None, job.number(), job.trigger(), unix_millis(), Duration::ZERO);
        report.response = b"internal fault: see the server's log".to_vec();
        if let Then::End(_) = report.then {
            report.then = Then::End(AttemptState::Faulted);
        }
        report
    }

    fn sign(&self, job: &Job, body: &[u8], now: i64, headers: &mut HeaderMap) {
        let id = job.message.id.to_string();
        let timestamp = (now / 1000).to_string();
        let signature = job.target.signer.sign(&id, &timestamp, body, now);
        let visible = |text: String| HeaderValue::try_from(text).expect("letters and digits are visible");
        let values = [visible(id), visible(timestamp), signature];
        if self.svix_headers {
            for (name, value) in SVIX.into_iter().zip(&values) {
                headers.insert(name, value.clone());
            }
        }
        for (name, value) in WEBHOOK.into_iter().zip(values) {
            headers.insert(name, value);
        }
    }

    fn judge(
        &self,
        result: Option<Result<Answer, Failure>>,
        number: u32,
        trigger: Trigger,
        began: i64,
        took: Duration,
    ) -> Report {
        let strain = strain(result.as_ref());
        let (status, response, retry_after, outcome) = match result {
            Some(Ok(answer)) => {
                // An endpoint that refuses a message is unwell only if it says so of itself.
                let unwell = answer.status >= 500 || answer.status == 429 || answer.status == 408;
                let outcome = if unwell { Outcome::Failure } else { Outcome::Success };
                let honoured = matches!(answer.status, 429 | 503);
                let retry_after =
                    answer.retry_after.filter(|_| honoured).map(|after| after.min(RETRY_AFTER_MAX));
                (answer.status, answer.body, retry_after, outcome)
            }
            Some(Err(failure)) => (0, failure.to_string().into_bytes(), None, Outcome::Failure),
            None => (0, b"the endpoint's URL cannot be delivered to".to_vec(), None, Outcome::Ignored),
        };
        let then = match (status, trigger) {
            (200..=299, _) => Then::End(AttemptState::Succeeded),
            (_, Trigger::Manual) | (GONE, _) => Then::End(AttemptState::Failed),
            (_, Trigger::Scheduled) => self.retry(number, retry_after),
        };
        let verdict = match status {
            GONE => Verdict::Gone,
            429 | 502..=504 => Verdict::Slow(retry_after),
            _ => Verdict::Nothing,
        };
        Report { began, took, status, response, then, outcome, strain, verdict }
    }

    fn retry(&self, number: u32, at_least: Option<Duration>) -> Then {
        let wait = self.retries.delay(number, fastrand::f64());
        wait.map_or(Then::End(AttemptState::Exhausted), |wait| {
            Then::RetryIn(wait.max(at_least.unwrap_or_default()))
        })
    }
}

/// Whether the attempt tells that its destination has too much to do: that of one endpoint of many
/// says more of the endpoint, as does what it thinks of the message.
const fn strain(result: Option<&Result<Answer, Failure>>) -> Outcome {
    match result {
        Some(Ok(answer)) => match answer.status {
            502..=504 => Outcome::Failure,
            429 => Outcome::Ignored,
            _ => Outcome::Success,
        },
        Some(Err(Failure::TimedOut { .. } | Failure::Connect { .. } | Failure::Http { .. })) => {
            Outcome::Failure
        }
        Some(Err(Failure::Resolve { .. } | Failure::NotAllowed { .. } | Failure::Tls { .. })) | None => {
            Outcome::Ignored
        }
    }
}
