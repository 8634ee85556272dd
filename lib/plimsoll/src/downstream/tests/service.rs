//! What a layer over a service needs: that `call` is enough to write one.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;

use crate::downstream::{Downstream, Error};
use crate::{hedge, retry};

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// As tower's: a service is polled until it is ready, and then called once.
trait Service<Request> {
    type Response;
    type Error;
    type Future: Future<Output = Result<Self::Response, Self::Error>> + Send;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;
    fn call(&mut self, request: Request) -> Self::Future;
}

/// A service within the bounds of a dependency, as a layer makes one.
#[derive(Clone)]
struct Bounded<S> {
    downstream: Downstream,
    service: S,
}

impl<S, R> Service<R> for Bounded<S>
where
    S: Service<R, Error: Send, Response: Send> + Clone + Send + 'static,
    R: Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Answer<Self::Response, Self::Error>;

    /// Reserves nothing, so that there is nothing to undo.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let downstream = self.downstream.clone();
        // A lock, since a service need not be `Sync`; each try takes a clone of both.
        let each = Mutex::new((self.service.clone(), request));
        Box::pin(async move {
            let tried = downstream.call(|| {
                let (mut service, request) = each.lock().unwrap_or_else(PoisonError::into_inner).clone();
                async move {
                    poll_fn(|cx| service.poll_ready(cx)).await?;
                    service.call(request).await
                }
            });
            tried.await
        })
    }
}

/// A service that must be ready before it is called, and each clone for itself; it is not `Sync`.
struct Strict {
    ready: Cell<bool>,
    calls: Arc<AtomicU32>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: Cell::new(false), calls: Arc::clone(&self.calls) }
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = Answer<u32, &'static str>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if !self.ready.replace(true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(self.ready.replace(false), "called a clone that was never ready");
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match call {
                0 => Err("down"),
                1 => {
                    sleep(Duration::from_secs(60)).await;
                    Ok(0)
                }
                _ => Ok(request + 1),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn tower_resilience_286_and_293_each_try_calls_a_clone_that_is_ready_itself() {
    let downstream = Downstream::unnamed()
        .retry(retry::Policy::schedule([Duration::from_millis(10)]))
        .hedge(hedge::Policy::fixed(Duration::from_millis(50)))
        .concurrency(2)
        .build()
        .unwrap();
    let strict = Strict { ready: Cell::new(false), calls: Arc::default() };
    let mut service = Bounded { downstream: downstream.clone(), service: strict.clone() };
    // The first fails, its retry hangs, and the second try of that answers.
    assert_eq!(service.call(6).await, Ok(7));
    assert_eq!(strict.calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn axum_2582_a_limit_is_shared_by_all_clones_of_the_service() {
    let downstream = Downstream::unnamed().concurrency(1).build().unwrap();
    let strict = Strict { ready: Cell::new(false), calls: Arc::new(AtomicU32::new(1)) };
    let mut first = Bounded { downstream, service: strict };
    let mut second = first.clone();
    let (slow, refused) = tokio::join!(first.call(1), second.call(1));
    assert_eq!(slow, Ok(0));
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
}
