//! What changes while the server runs: settings that are read again, and policy.

use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_hooks::overrides::Differing;
use plimsoll_hooks::settings::Settings;
use plimsoll_hooks::{Hooks, Host};
use plimsoll_service::config::{ConfigError, Reloaded, Resolved};
use plimsoll_service::drain::{Drain, Hangups};
use plimsoll_service::policy::{Commit, Control, Enforce, Refused, Table};

use super::compose::{self, Doors};
use crate::flags;

/// Who differs when the server starts, once all who go by the table have checked it.
pub(super) fn differing(
    resolved: &Resolved,
    settings: &Settings,
    host: &Host,
    table: &Table,
) -> Result<Differing, Refused> {
    compose::tenant_base(resolved).table(table, resolved.integer("admission.requests"))?;
    Differing::checked(table, settings, host)
}

/// What goes by settings and policy; cheap to clone.
#[derive(Clone)]
pub(super) struct Live(Arc<Inner>);

struct Inner {
    doors: Doors,
    hooks: Hooks,
    base: Mutex<Base>,
}

/// What policy stands on.
#[derive(Clone)]
struct Base {
    resolved: Resolved,
    settings: Settings,
}

impl Live {
    pub(super) fn new(doors: Doors, hooks: Hooks, resolved: &Resolved, settings: &Settings) -> Self {
        let base = Base { resolved: resolved.clone(), settings: settings.clone() };
        Self(Arc::new(Inner { doors, hooks, base: Mutex::new(base) }))
    }

    fn base(&self) -> Base {
        self.0.base.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stand_on(&self, base: Base) {
        *self.0.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
    }

    /// Puts in force what may change at runtime, all of it or nothing.
    fn reload(&self, new: &Resolved, control: &Control) -> Result<Reloaded, ConfigError> {
        let before = self.base();
        let reloaded = before.resolved.reloaded(new);
        let resolved = reloaded.resolved.clone();
        let settings = Settings::resolve(&resolved)?;
        let limits = compose::admission_limits(&resolved, &settings);
        let old_limits = compose::admission_limits(&before.resolved, &before.settings);
        self.stand_on(Base { resolved, settings });
        let admission = &self.0.doors.admission;
        let put = admission.resize(limits).map_err(ConfigError::one).and_then(|()| control.again());
        if put.is_err() {
            // They were in force a moment ago.
            let _ = admission.resize(old_limits);
            self.stand_on(before);
        }
        put.map(|()| reloaded)
    }

    /// Reads settings and policy again at every SIGHUP, until `drain` begins.
    pub(super) async fn follow(
        self,
        args: flags::Server,
        control: Control,
        mut hangups: Hangups,
        drain: Drain,
    ) {
        loop {
            tokio::select! {
                () = drain.started() => return,
                () = hangups.next() => {}
            }
            match args.clone().resolve().and_then(|new| self.reload(&new, &control)) {
                Ok(Reloaded { now, at_start, .. }) => {
                    tracing::info!(
                        ?now,
                        ?at_start,
                        "settings were read again: what changes now, and what at start"
                    );
                }
                Err(error) => tracing::error!(%error, "the settings are refused; the old ones stay in force"),
            }
            // It says itself what became of it.
            let _ = control.reload();
        }
    }
}

impl Enforce for Live {
    fn prepare(&self, table: &Table) -> Result<Commit, Refused> {
        let Base { resolved, settings } = self.base();
        let requests_max = resolved.integer("admission.requests");
        let requests = compose::tenant_base(&resolved).table(table, requests_max)?;
        let deliveries = self.0.hooks.prepare_table(&settings, table)?;
        let tenants = self.0.doors.tenants.clone();
        Ok(Box::new(move || {
            if let Err(error) = tenants.replace(requests) {
                tracing::error!(%error, "limits that were checked are refused");
            }
            deliveries();
        }))
    }
}
