//! The requests of submitters and workers, and what a claim is answered with.

use std::io::Write as _;
use std::net::SocketAddr;

use serde::Deserialize;

use crate::bench::message::{BLANK, Message, NOTE, Post};

/// How many tenants the jobs are of, in turns: what one tenant may have at work at once by default
/// would hold the workers up, not the server.
pub(super) const TENANTS: usize = 8;
/// How many jobs a worker takes at once.
pub(super) const TAKES: usize = 8;
/// How long a worker waits for jobs before it asks again.
const WAIT_SECONDS: u32 = 1;

/// Where the API is, and what opens it.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// Where it listens.
    pub(super) to: SocketAddr,
    /// The bearer token.
    pub(super) token: String,
}

/// What a claim is answered with.
#[derive(Deserialize, Debug)]
pub(super) struct Claims<'a> {
    /// The jobs; none where there were none in time.
    #[serde(borrow)]
    pub(super) data: Vec<Claimed<'a>>,
}

/// A job in the hands of a worker.
#[derive(Deserialize, Debug)]
pub(super) struct Claimed<'a> {
    id: &'a str,
    lease: &'a str,
    payload: Payload,
}

#[derive(Deserialize, Debug)]
struct Payload {
    event: u64,
}

impl Claimed<'_> {
    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.payload.event
    }
}

impl Door {
    /// The requests that submit a job, one for each tenant.
    pub(super) fn submissions(&self) -> Vec<Message> {
        let submission = |tenant| {
            let body = format!(
                r#"{{"tenant":"tenant-{tenant}","kind":"bench","payload":{{"event":{BLANK},"sent_at":{BLANK},"note":"{NOTE}"}}}}"#
            );
            Message::of(&Post { to: self.to, token: &self.token, path: "/v1/jobs", body: &body })
        };
        (0..TENANTS).map(submission).collect()
    }

    /// The request with which a worker waits for jobs.
    pub(super) fn claim(&self, worker: usize) -> Vec<u8> {
        let body = format!(
            r#"{{"kinds":["bench"],"max":{TAKES},"waitSeconds":{WAIT_SECONDS},"worker":"worker-{worker}"}}"#
        );
        let mut request = Vec::new();
        self.write("claim", &body, &mut request);
        request
    }

    /// Writes the request that says that a job is done.
    pub(super) fn ack(&self, job: &Claimed<'_>, request: &mut Vec<u8>) {
        let Claimed { id, lease, .. } = job;
        self.write(&format!("{id}/ack"), &format!(r#"{{"lease":"{lease}"}}"#), request);
    }

    fn write(&self, path: &str, body: &str, request: &mut Vec<u8>) {
        let Self { to, token } = self;
        request.clear();
        // Into memory: it does not fail.
        let _ = write!(
            request,
            "POST /v1/jobs/{path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {token}\r\n\
             user-agent: plimsoll-bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn door() -> Door {
        Door { to: "127.0.0.1:80".parse().unwrap(), token: "secret".to_owned() }
    }

    /// The first line and the body, where the length of the body is what the head says.
    fn parts(request: &[u8]) -> (String, Value) {
        let (head, body) = std::str::from_utf8(request).unwrap().split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.contains("\r\nauthorization: Bearer secret\r\n"), "{head}");
        (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
    }

    #[test]
    fn a_claim_is_read_and_its_jobs_are_acked_under_their_leases() {
        let answer = br#"{"data": [{"id": "job_1", "lease": "7", "tenant": "t", "run": 1,
            "payload": {"event":               42, "sent_at": 5, "note": "x"}}]}"#;
        let claims: Claims<'_> = serde_json::from_slice(answer).unwrap();
        assert_eq!(claims.data[0].number(), 42);
        let mut request = b"what was there before".to_vec();
        door().ack(&claims.data[0], &mut request);
        assert_eq!(parts(&request), ("POST /v1/jobs/job_1/ack HTTP/1.1".to_owned(), json!({"lease": "7"})));
        assert!(serde_json::from_str::<Claims<'_>>(r#"{"data": [{"id": 1}]}"#).is_err());
    }

    #[test]
    fn a_worker_asks_under_its_name_for_no_more_than_it_takes() {
        let (line, body) = parts(&door().claim(3));
        assert_eq!(line, "POST /v1/jobs/claim HTTP/1.1");
        assert_eq!((&body["worker"], &body["max"]), (&json!("worker-3"), &json!(TAKES)));
    }

    #[test]
    fn each_tenant_has_a_submission_and_it_carries_the_number_of_the_job() {
        let submissions = door().submissions();
        assert_eq!(submissions.len(), TENANTS);
        for (tenant, mut submission) in submissions.into_iter().enumerate() {
            submission.set(1_234, 5, 0);
            let (line, body) = parts(submission.bytes());
            assert_eq!(line, "POST /v1/jobs HTTP/1.1");
            assert_eq!(
                (&body["tenant"], &body["kind"]),
                (&json!(format!("tenant-{tenant}")), &json!("bench"))
            );
            assert_eq!(body["payload"]["event"], 1_234);
        }
    }
}
