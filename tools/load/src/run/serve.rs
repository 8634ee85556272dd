//! What a connection does from its opening to its end.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use plimsoll::clock;

use super::desk::Desk;
use super::job::Job;
use super::seat::{Counted, Seat};
use crate::mix::{Data, Values};
use crate::plan::Slow;
use crate::tally::Class;
use crate::wire::{
    Connector, Exchange, Fate, Keeps, Multiplexed, Outgoing, Sender, Spoken, Stream, Throttled, Wire,
    is_denied,
};

/// How long one request of a slow client may take.
const SLOW_DEADLINE: Duration = Duration::from_secs(600);
/// Until a slow client comes back that could not connect.
const SLOW_PAUSE: Duration = Duration::from_secs(1);

/// What the connections of a worker share.
pub(super) struct Line {
    pub(super) desk: Rc<Desk>,
    pub(super) connector: Connector,
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) data: Option<Data>,
    pub(super) deadline: Duration,
    pub(super) body_bytes_max: u64,
}

impl Line {
    fn values<'a>(&'a self, job: &Job) -> Values<'a> {
        Values {
            row: self.data.as_ref().map(|data| data.row(job.row as usize)),
            tenant: self.desk.tenant(job),
        }
    }
}

/// A connection, from its opening to its end.
pub(super) async fn serve(line: Rc<Line>, mut counted: Counted) {
    let opened = tokio::time::timeout(line.deadline, line.connector.connect()).await;
    match opened {
        Err(_) => line.desk.not_connected(&format!("no connection within {:?}", line.deadline)),
        Ok(Err(error)) if is_denied(&error) => line.desk.denied(&error.to_string()),
        Ok(Err(error)) => line.desk.not_connected(&error.to_string()),
        Ok(Ok(Spoken::One(stream))) => {
            counted.opened(1);
            serve_one(&line, stream).await;
        }
        Ok(Ok(Spoken::Many(connection))) => {
            counted.opened(connection.streams);
            serve_many(&line, connection).await;
        }
    }
}

async fn serve_one(line: &Line, stream: Stream) {
    let mut seat = Seat::new(&line.desk);
    let mut wire = Wire::new(stream);
    let mut room = Vec::new();
    while let Some(job) = seat.next(|cx| wire.poll_ended(cx)).await {
        let outgoing = &line.outgoing[usize::from(job.kind)];
        let request = outgoing.bytes(line.values(&job), &mut room);
        let exchange = Exchange { request, asked: outgoing.asked(), body_bytes_max: line.body_bytes_max };
        let fate = seat.carry_out(job, wire.exchange(exchange)).await;
        if fate.keeps == Keeps::Closed {
            return;
        }
    }
}

async fn serve_many(line: &Line, connection: Multiplexed) {
    let Multiplexed { sender, mut driver, streams } = connection;
    let ended = Cell::new(false);
    let mut seats: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + '_>>> = FuturesUnordered::new();
    for _ in 0..streams {
        seats.push(Box::pin(serve_stream(line, sender.clone(), Seat::new(&line.desk), &ended)));
    }
    drop(sender);
    // The streams first: what they send, the connection then moves in the same wake-up. At its end
    // those under way are told by it, and those that are free look at the mark.
    let mut driven = false;
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(())) = seats.poll_next_unpin(cx) {}
            if seats.is_empty() {
                return Poll::Ready(());
            }
            if driven || driver.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            driven = true;
            ended.set(true);
            line.desk.wake_free();
        }
    })
    .await;
}

async fn serve_stream(line: &Line, mut sender: Sender, mut seat: Seat, ended: &Cell<bool>) {
    loop {
        // A server that is going away is left before a request is lost on it.
        let is_over = |_: &mut Context<'_>| {
            if ended.get() || sender.is_over() { Poll::Ready(()) } else { Poll::Pending }
        };
        let Some(job) = seat.next(is_over).await else { break };
        let outgoing = &line.outgoing[usize::from(job.kind)];
        let Ok((request, body)) = outgoing.request(line.values(&job)) else {
            let never_sent = async { Fate { class: Class::Malformed, bytes: 0, keeps: Keeps::Open } };
            seat.carry_out(job, never_sent).await;
            continue;
        };
        let exchange = sender.exchange(request, body, line.body_bytes_max);
        let fate = seat.carry_out(job, exchange).await;
        // A request that took too long is reset; the connection goes on without it.
        if fate.keeps == Keeps::Closed && fate.class != Class::TimedOut {
            break;
        }
    }
    if !ended.replace(true) {
        line.desk.wake_free();
    }
}

/// A slow client: one request after the other, until the run is over.
pub(super) async fn serve_slow(line: Rc<Line>, slow: Slow) {
    loop {
        let began = clock::now();
        let opened = tokio::time::timeout(line.deadline, line.connector.connect_slow(&slow)).await;
        let Ok(Ok(stream)) = opened else {
            line.desk.record_slow(Fate::ended(Class::NotConnected, 0), clock::now() - began);
            tokio::time::sleep(SLOW_PAUSE).await;
            continue;
        };
        let mut wire = Wire::new(Throttled::new(stream, &slow));
        let mut room = Vec::new();
        loop {
            let job = line.desk.extra();
            let outgoing = &line.outgoing[usize::from(job.kind)];
            let request = outgoing.bytes(line.values(&job), &mut room);
            let exchange = Exchange { request, asked: outgoing.asked(), body_bytes_max: line.body_bytes_max };
            let began = clock::now();
            let fate = tokio::time::timeout(SLOW_DEADLINE, wire.exchange(exchange)).await;
            let fate = fate.unwrap_or(Fate::ended(Class::TimedOut, 0));
            line.desk.record_slow(fate, clock::now() - began);
            if fate.keeps == Keeps::Closed {
                break;
            }
        }
        // A server that hangs up at once must not be asked in a busy loop.
        tokio::time::sleep(SLOW_PAUSE).await;
    }
}
