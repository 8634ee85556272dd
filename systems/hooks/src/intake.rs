//! Accepts messages, many in one commit.
//!
//! # Invariants
//! - A message is announced to the dispatcher before its commit and handed to it after, by this
//!   task and not by the request: a client that goes away half-way leaves nothing half-done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use plimsoll_store::{Accepted, Claim, Error, NewMessage, Store};
use tokio::sync::{mpsc, oneshot};

use crate::dispatch::{Arrival, Dispatch, Envelope};
use crate::routing::Routing;

/// Messages that wait for the commit before theirs; admission bounds them further in bytes.
const WAITING: usize = 4_096;
/// Messages and payload bytes in one commit at the most.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 16 << 20;

type Answer = oneshot::Sender<Result<Accepted, Error>>;

/// A message on its way, with who waits for it.
struct Waiting {
    message: NewMessage,
    answer: Answer,
}

/// Where requests hand their messages in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Intake {
    tx: mpsc::Sender<Waiting>,
    clerk: Clerk,
}

/// What the intake's task works with.
pub(crate) struct Desk {
    rx: mpsc::Receiver<Waiting>,
    clerk: Clerk,
}

/// Commits messages and hands them to the dispatcher; cheap to clone.
#[derive(Clone)]
pub(crate) struct Clerk {
    store: Store,
    claim: Claim,
    routing: Arc<Routing>,
    dispatch: Dispatch,
}

impl Intake {
    pub(crate) fn new(store: Store, claim: Claim, routing: Arc<Routing>, dispatch: Dispatch) -> (Self, Desk) {
        let (tx, rx) = mpsc::channel(WAITING);
        let clerk = Clerk { store, claim, routing, dispatch };
        (Self { tx, clerk: clerk.clone() }, Desk { rx, clerk })
    }

    /// Who commits what is a batch already.
    pub(crate) fn clerk(&self) -> Clerk {
        self.clerk.clone()
    }

    /// Durable when this returns `Stored`.
    pub(crate) async fn accept(&self, message: NewMessage) -> Result<Accepted, Error> {
        let (answer, answered) = oneshot::channel();
        self.tx.send(Waiting { message, answer }).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

impl Desk {
    /// Runs until every [`Intake`] is dropped.
    pub(crate) async fn run(mut self) {
        let mut carried = None;
        loop {
            let mut batch = Vec::new();
            let mut bytes = 0;
            if let Some(waiting) = carried.take() {
                push(&mut batch, &mut bytes, waiting);
            } else {
                let Some(waiting) = self.rx.recv().await else { return };
                push(&mut batch, &mut bytes, waiting);
            }
            while batch.len() < BATCH
                && let Ok(waiting) = self.rx.try_recv()
            {
                if bytes + payload_bytes(&waiting) > BATCH_BYTES {
                    carried = Some(waiting);
                    break;
                }
                push(&mut batch, &mut bytes, waiting);
            }
            self.commit(batch).await;
        }
    }

    async fn commit(&self, batch: Vec<Waiting>) {
        let (messages, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.message, waiting.answer)).unzip();
        let results = self.clerk.accept(messages).await;
        for (answer, result) in answers.into_iter().zip(results) {
            // Nobody waits any more: the client went away, its message stays accepted.
            let _ = answer.send(result);
        }
    }
}

impl Clerk {
    /// Accepts messages in one commit; one answer each, in order. To be run to its end.
    pub(crate) async fn accept(&self, messages: Vec<NewMessage>) -> Vec<Result<Accepted, Error>> {
        let routes: Vec<_> = messages
            .iter()
            .filter(|new| new.ceiling > 0)
            .filter_map(|new| Some((self.routing.app(new.message.app)?, new.message.id)))
            .collect();
        self.dispatch.expect(routes.iter().map(|(route, message)| (route, *message)));
        // The store takes the messages with it; what is delivered from memory is a copy.
        let envelopes: Vec<_> =
            messages.iter().map(|new| (new.ceiling, Envelope::from(new.message.clone()))).collect();
        let results = match self.store.accept(self.claim, messages).await {
            Ok(results) => results.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); envelopes.len()],
        };
        let stored = results.iter().filter(|result| matches!(result, Ok(Accepted::Stored))).count();
        self.dispatch.metrics().accepted.fetch_add(stored as u64, Ordering::Relaxed);
        let arrivals = envelopes.into_iter().zip(&results).filter(|((ceiling, _), _)| *ceiling > 0);
        self.dispatch.arrived(arrivals.map(|((ceiling, envelope), result)| match result {
            Ok(Accepted::Stored) => Arrival::Durable(envelope, ceiling),
            _ => Arrival::Refused(envelope.app, envelope.id),
        }));
        results
    }
}

fn payload_bytes(waiting: &Waiting) -> usize {
    waiting.message.message.payload.as_ref().map_or(0, Vec::len)
}

fn push(batch: &mut Vec<Waiting>, bytes: &mut usize, waiting: Waiting) {
    *bytes += payload_bytes(&waiting);
    batch.push(waiting);
}
