//! The future of a layer that either refuses at once or lets the request through.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;

use crate::error::ApiError;

pin_project! {
    /// The answer of a layer: its own refusal, or that of the service within, with `H` (a permit)
    /// held until it is there. No box: the layers of a request are one future.
    #[project = AnswerProjection]
    pub enum Answer<F, H> {
        #[doc(hidden)]
        Refused { error: Option<ApiError> },
        #[doc(hidden)]
        Inner { #[pin] future: F, held: Option<H> },
    }
}

impl<F, H> Answer<F, H> {
    pub(crate) const fn refused(error: ApiError) -> Self {
        Self::Refused { error: Some(error) }
    }

    pub(crate) const fn inner(future: F, held: H) -> Self {
        Self::Inner { future, held: Some(held) }
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
