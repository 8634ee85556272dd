//! A layer that asks before the service within is called: refuses at once, or lets the request
//! through and holds something (a permit) until it is answered.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::{IntoResponse, Response};
use http::Request;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::error::ApiError;

/// Who decides which requests pass; all clones share one state.
pub trait Gate: Clone {
    /// What is held of a request that passed, until it is answered.
    type Held;

    /// Lets the request pass, now or not at all; may note in it what was learnt.
    ///
    /// # Errors
    /// What the request is answered with instead.
    fn pass<B>(&self, request: &mut Request<B>) -> Result<Self::Held, ApiError>;
}

/// The layer of a gate.
#[derive(Clone, Debug)]
pub struct GateLayer<G>(pub(crate) G);

impl<G: Clone, S> Layer<S> for GateLayer<G> {
    type Service = Gated<G, S>;

    fn layer(&self, inner: S) -> Gated<G, S> {
        Gated { gate: self.0.clone(), inner }
    }
}

/// A service behind a gate.
#[derive(Clone, Debug)]
pub struct Gated<G, S> {
    gate: G,
    inner: S,
}

impl<G, S, B> Service<Request<B>> for Gated<G, S>
where
    G: Gate,
    S: Service<Request<B>>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answer<S::Future, G::Held>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.gate.pass(&mut request) {
            Ok(held) => Answer::Inner { future: self.inner.call(request), held: Some(held) },
            Err(error) => Answer::Refused { error: Some(error) },
        }
    }
}

pin_project! {
    /// The answer of a gate: its own refusal, or that of the service within, with `H` (a permit)
    /// held until it is there. No box: the layers of a request are one future.
    #[project = AnswerProjection]
    pub enum Answer<F, H> {
        #[doc(hidden)]
        Refused { error: Option<ApiError> },
        #[doc(hidden)]
        Inner { #[pin] future: F, held: Option<H> },
    }
}

impl<F, H, R, E> Future for Answer<F, H>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnswerProjection::Refused { error } => {
                let error = error.take().expect("a future is not polled after it is ready");
                Poll::Ready(Ok(error.into_response()))
            }
            AnswerProjection::Inner { future, held } => {
                let result = ready!(future.poll(cx));
                *held = None;
                Poll::Ready(result.map(IntoResponse::into_response))
            }
        }
    }
}
