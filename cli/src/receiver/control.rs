//! The control port: takes the plan, shows the counters and the books.
//!
//! | request | answer |
//! | --- | --- |
//! | `PUT /plan` | 204; then deliveries are taken, in new books |
//! | `GET /stats` | [`Stats`](super::Stats) |
//! | `GET /latency?from=…&to=…` | [`Latency`]: those sent in the window, and the others |
//! | `GET /arrived?endpoint=n` | the set of events as bytes, see [`Bits`](super::Bits) |
//! | `GET /trace?endpoint=n` | when each arrived, where that is kept |
//! | `GET /first` | the first delivery as it came |
//! | `PUT /accepted?tenant=n` | takes a set of events, answers [`Compared`](super::Compared) |

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::book::Book;
use super::serve::{Fleet, text};
use super::{Bits, Plan, Summary};

/// The most of a plan that is read: 10,000 endpoints take about 1 MiB.
const PLAN_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// Latencies of healthy endpoints.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Of events sent in the window asked for.
    pub(crate) inside: Summary,
    /// Of all other events.
    pub(crate) outside: Summary,
}

/// Answers one request of the control port.
pub(super) async fn control(fleet: Fleet, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if (request.method(), request.uri().path()) == (&Method::PUT, "/plan") {
        return take_plan(&fleet, request.into_body()).await;
    }
    let Some(book) = fleet.book() else {
        return text(StatusCode::CONFLICT, "no plan yet");
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let number = |name: &str| -> Option<u64> {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1.parse().ok()
    };
    let index = |name: &str| number(name).and_then(|number| usize::try_from(number).ok());
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/stats") => json(&book.stats()),
        (&Method::GET, "/latency") => {
            let (from, to) = (number("from").unwrap_or(1), number("to").unwrap_or(0));
            let (inside, outside) = book.latencies().split(from, to);
            json(&Latency { inside, outside })
        }
        (&Method::GET, "/arrived") => match index("endpoint").and_then(|endpoint| book.arrived(endpoint)) {
            Some(bits) => Response::new(Full::new(bits.to_bytes().into())),
            None => text(StatusCode::NOT_FOUND, "no such endpoint"),
        },
        (&Method::GET, "/trace") => match index("endpoint").and_then(|endpoint| book.trace(endpoint)) {
            Some(trace) => json(&trace),
            None => text(StatusCode::NOT_FOUND, "no such endpoint, or it is not traced"),
        },
        (&Method::GET, "/first") => match book.first() {
            Some(request) => Response::new(Full::new(Bytes::copy_from_slice(request))),
            None => text(StatusCode::NOT_FOUND, "nothing came yet"),
        },
        (&Method::PUT, "/accepted") => compare(&book, index("tenant"), request.into_body()).await,
        _ => text(StatusCode::NOT_FOUND, "no such control"),
    }
}

async fn compare(book: &Book, tenant: Option<usize>, body: Incoming) -> Response<Full<Bytes>> {
    let Ok(body) = Limited::new(body, PLAN_BYTES_MAX).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "too large or cut off");
    };
    match (tenant, Bits::from_bytes(book.events_of_tenant(), &body.to_bytes())) {
        (Some(tenant), Some(accepted)) => json(&book.compare(tenant, &accepted)),
        _ => text(StatusCode::UNPROCESSABLE_ENTITY, "no tenant, or no set of its events"),
    }
}

async fn take_plan(fleet: &Fleet, body: Incoming) -> Response<Full<Bytes>> {
    let Ok(body) = Limited::new(body, PLAN_BYTES_MAX).collect().await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "too large or cut off");
    };
    let book = serde_json::from_slice(&body.to_bytes())
        .map_err(|error| error.to_string())
        .and_then(|plan: Plan| Book::new(&plan));
    match book {
        Err(why) => text(StatusCode::UNPROCESSABLE_ENTITY, &why),
        Ok(book) => {
            fleet.open(book);
            text(StatusCode::NO_CONTENT, "")
        }
    }
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).expect("plain numbers are always JSON");
    Response::new(Full::new(body.into()))
}
