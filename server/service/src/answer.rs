//! Large answers: memory that its client may leave waiting, and what is held for it meanwhile.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;

/// Smaller answers are about what a connection needs anyway: nothing is held for them.
pub(crate) const LARGE_BYTES: u64 = 64 << 10;

/// Whether its memory matters.
pub(crate) fn is_large(response: &Response) -> bool {
    response.body().size_hint().lower() > LARGE_BYTES
}

/// The response; where it is large, `held` is dropped when the last byte of it is sent, or nobody
/// waits for it any more.
pub(crate) fn hold<H: Send + 'static>(response: Response, held: H) -> Response {
    if !is_large(&response) {
        return response;
    }
    response.map(|body| Body::new(Held { body, held: Some(held) }))
}

pin_project! {
    /// A large body, with what is held for it. It goes with the first piece, and answers are one piece.
    struct Held<H> {
        #[pin]
        body: Body,
        held: Option<H>,
    }
}

impl<H: Send + 'static> HttpBody for Held<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        let hold = |data| match this.held.take() {
            Some(held) => Bytes::from_owner(Piece { data, _held: held }),
            None => data,
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that hold something until the last of them is sent.
struct Piece<H> {
    data: Bytes,
    _held: H,
}

impl<H> AsRef<[u8]> for Piece<H> {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}
