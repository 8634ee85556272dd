//! One call of a service, from its readiness to its response.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// Waits until a service is ready, calls it, and is its response.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::downstream::Downstream;
    /// use plimsoll_tower::DownstreamExt;
    /// use tower::{Layer, ServiceExt, service_fn};
    /// // Behind each of these layers a request is a `Call` of a clone of the service.
    /// let stock = service_fn(async |sku: u32| Ok::<_, ()>(sku + 1));
    /// let layer = Downstream::unnamed().concurrency(2).build()?.layer();
    /// assert!(matches!(layer.layer(stock).oneshot(6).await, Ok(7)));
    /// # Ok(()) }
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct Call<S, Request>
    where
        S: Service<Request>,
    {
        waiting: Option<(S, Request)>,
        #[pin]
        called: Option<S::Future>,
    }
}

impl<S: Service<Request>, Request> Call<S, Request> {
    pub(crate) const fn new(service: S, request: Request) -> Self {
        Self { waiting: Some((service, request)), called: None }
    }
}

impl<S: Service<Request>, Request> Future for Call<S, Request> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some((service, _)) = this.waiting {
            // Asking one that is ready again changes nothing: it is ready until it is called.
            let ready = ready!(service.poll_ready(cx));
            if let Some((mut service, request)) = this.waiting.take() {
                match ready {
                    Ok(()) => this.called.set(Some(service.call(request))),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }
        match this.called.as_pin_mut() {
            Some(called) => called.poll(cx),
            None => panic!("polled after it was done"),
        }
    }
}

/// The service that was found ready, for which a clone that is not yet is left behind.
pub(crate) fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    mem::replace(service, clone)
}
