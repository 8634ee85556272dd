//! Disables endpoints that are of no use any more, durably and with the reason.
//!
//! What an endpoint's owner says stands: enabled again, it gets a new start.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_store::{
    AppId, Change, Changed, Claim, DisabledBy, Endpoint, EndpointId, Error, Failing, Store,
};

use crate::dispatch::{Dispatch, Gone, unix_millis};
use crate::routing::Routing;

/// How often is looked for endpoints that failed for too long.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Endpoints that one look disables; the next goes on.
const AT_ONCE: usize = 256;
/// After a change that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Disables endpoints; cheap to clone.
#[derive(Clone)]
pub(crate) struct Disabler {
    store: Store,
    claim: Claim,
    routing: Arc<Routing>,
    dispatch: Dispatch,
    /// How long an endpoint may fail; `None` is for ever.
    failing_max: Option<Duration>,
}

impl Disabler {
    pub(crate) fn new(
        store: Store,
        claim: Claim,
        routing: Arc<Routing>,
        dispatch: Dispatch,
        failing_max: Option<Duration>,
    ) -> Self {
        Self { store, claim, routing, dispatch, failing_max }
    }

    /// How long an endpoint may fail without one success; `None` is for ever.
    pub(crate) const fn failing_max(&self) -> Option<Duration> {
        self.failing_max
    }

    /// Disables the endpoint and says why; `false` where it is not there, was disabled already, or is not
    /// such a one any more.
    async fn disable(
        &self,
        app: AppId,
        endpoint: EndpointId,
        by: DisabledBy,
        is_such: impl Fn(&Endpoint) -> bool,
    ) -> Result<bool, Error> {
        let _lock = self.routing.write_lock(app).await;
        let target = self.routing.app(app).and_then(|route| route.target(endpoint));
        let is_meant = |endpoint: &Endpoint| !endpoint.disabled && is_such(endpoint);
        let Some(target) = target.filter(|target| is_meant(&target.endpoint)) else { return Ok(false) };
        let disabled = Endpoint {
            disabled: true,
            disabled_by: Some(by),
            updated_at: unix_millis(),
            ..target.endpoint.clone()
        };
        let change = vec![Change::PutEndpoint(Box::new(disabled.clone()))];
        let changed = self.store.change(self.claim, change).await?;
        if changed != [Changed::Done] {
            return Ok(false);
        }
        self.routing.put_endpoint(disabled);
        self.dispatch.endpoint_changed(app, endpoint);
        tracing::warn!(%app, %endpoint, ?by, "an endpoint was disabled");
        Ok(true)
    }

    /// Disables the endpoint if it still fails as it was found to; `false` where it does not, is gone
    /// or was disabled already.
    pub(crate) async fn disable_if_failing(
        &self,
        endpoint: EndpointId,
        found: Failing,
    ) -> Result<bool, Error> {
        // It was found without the lock, and before others were disabled: it may have succeeded since,
        // or have been given a new start.
        let still = |_: &Endpoint| self.store.failing(endpoint).is_some_and(|now| now.since == found.since);
        self.disable(found.app, endpoint, DisabledBy::Failing, still).await
    }

    /// Disables the endpoints that failed for too long; returns how many.
    pub(crate) async fn disable_failing(&self) -> Result<usize, Error> {
        let Some(longest) = self.failing_max else { return Ok(0) };
        let span_ms = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        let enabled = |endpoint, failing: Failing| {
            let target = self.routing.app(failing.app).and_then(|route| route.target(endpoint));
            target.is_some_and(|target| !target.endpoint.disabled)
        };
        let mut disabled = 0;
        for (endpoint, failing) in self.store.failing_longer_than(span_ms, AT_ONCE, enabled) {
            disabled += usize::from(self.disable_if_failing(endpoint, failing).await?);
        }
        Ok(disabled)
    }

    /// Disables the endpoints that say that they are gone, as long as the system runs.
    pub(crate) async fn run_for_gone(self) {
        loop {
            let gone = self.dispatch.next_gone().await;
            loop {
                match self.disable_gone(&gone).await {
                    Ok(()) => break,
                    Err(Error::Fenced { .. } | Error::Closed) => return,
                    Err(error) => {
                        tracing::error!(%error, endpoint = %gone.endpoint, "cannot disable an endpoint that is gone, trying again");
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The dispatcher leaves the endpoint alone until it is told of a change, whoever made it.
    async fn disable_gone(&self, gone: &Gone) -> Result<(), Error> {
        let Gone { app, endpoint, url } = gone;
        if !self.disable(*app, *endpoint, DisabledBy::Gone, |found| found.url == *url).await? {
            self.dispatch.endpoint_changed(*app, *endpoint);
        }
        Ok(())
    }

    /// Looks for endpoints that failed for too long, as long as the system runs.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.disable_failing().await {
                Ok(_) => {}
                Err(Error::Fenced { .. } | Error::Closed) => return,
                Err(error) => tracing::error!(%error, "cannot disable endpoints that fail, trying again"),
            }
        }
    }
}
