//! A router as hyper calls it: counted, and safe from panics.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use http::Request;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service;

use super::counts::Counts;
use super::taking::Taking;
use crate::answer;
use crate::error::ApiError;

/// A router for one connection.
#[derive(Clone)]
pub(super) struct Guarded {
    pub(super) router: Router,
    pub(super) counts: Counts,
    pub(super) taking: Taking,
}

impl hyper::service::Service<Request<Incoming>> for Guarded {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let request = request.map(Body::new);
        // A router is always ready. Its state is shared as it is whoever panicked: the locks that
        // guard it say themselves when they are poisoned.
        let called = catch_unwind(AssertUnwindSafe(|| self.router.clone().call(request)));
        let future = called.inspect_err(|panic| report(&self.counts, panic.as_ref())).ok();
        Answer { future, counts: self.counts.clone(), taking: self.taking.clone() }
    }
}

pin_project! {
    /// The answer of the router, or 500 where it panicked.
    pub(super) struct Answer {
        #[pin]
        future: Option<RouteFuture<Infallible>>,
        counts: Counts,
        taking: Taking,
    }
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = match this.future.as_mut().as_pin_mut() {
            Some(future) => catch_unwind(AssertUnwindSafe(|| future.poll(cx))),
            None => Ok(Poll::Ready(Ok(failed()))),
        };
        let response = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(response))) => response,
            Err(panic) => {
                // What is left of the handler goes here and now, with its permits.
                this.future.set(None);
                report(this.counts, panic.as_ref());
                failed()
            }
        };
        this.counts.response(response.status());
        if answer::is_large(&response) {
            let taken = this.taking.begin();
            return Poll::Ready(Ok(answer::hold(response, taken)));
        }
        Poll::Ready(Ok(response))
    }
}

fn failed() -> Response {
    ApiError::internal("The server failed to answer this request").into_response()
}

fn report(counts: &Counts, panic: &(dyn Any + Send)) {
    counts.panic();
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of no text");
    tracing::error!(panic = message, "a handler panicked, its request is answered with 500");
}
