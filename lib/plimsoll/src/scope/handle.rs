//! The scope itself, and the current one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::labels::Labels;
use super::values::Values;
use super::{Ended, Enter, Inside, Run};
use crate::clock::{self, Instant};

tokio::task_local! {
    pub(super) static CURRENT: Scope;
}

/// Labels, a deadline and cancellation for the work that runs in it; a handle, cheap to clone.
///
/// Clones are one scope: cancelling one cancels all. [`child`](Scope::child) makes a scope of its
/// own that ends with its parent at the latest.
#[derive(Clone)]
pub struct Scope {
    labels: Labels,
    deadline: Option<Instant>,
    /// `None` where nobody holds a handle that could cancel it, which spares the allocation.
    cancel: Option<CancellationToken>,
    inside: Option<Arc<Inside>>,
    values: Values,
    /// How many jobs deep a pool runs in its own callers; see `pool::inline`.
    depth: u8,
}

/// The scope that this task runs in.
///
/// Outside of any scope it is an empty one: no labels, no deadline, and cancelling it ends nothing.
///
/// ```
/// use plimsoll::scope;
/// assert_eq!(scope::current().label_value("tenant"), None);
/// assert_eq!(scope::current().remaining(), None);
/// ```
#[must_use]
pub fn current() -> Scope {
    let mut scope = inherited().unwrap_or_else(Scope::empty);
    scope.cancel.get_or_insert_default();
    scope
}

/// The value of type `T` that the current scope carries; see [`Scope::with_value`].
#[must_use]
pub fn value<T: Any + Send + Sync>() -> Option<Arc<T>> {
    CURRENT.try_with(|scope| scope.values.get()).ok().flatten()
}

/// The scope that this task runs in, for a child to inherit; `None` outside of any.
pub(crate) fn inherited() -> Option<Scope> {
    CURRENT.try_with(Scope::clone).ok()
}

/// The deadline of the scope that this task runs in, without a handle of it.
pub(crate) fn inherited_deadline() -> Option<Instant> {
    CURRENT.try_with(Scope::deadline).ok().flatten()
}

/// Whether the scope that this task runs in has ended, and why.
pub(crate) fn ended_now() -> Option<Ended> {
    CURRENT.try_with(Scope::ended).ok().flatten()
}

impl Scope {
    /// A scope inside the current one: it has the current labels and deadline, and ends with it at
    /// the latest.
    #[must_use]
    pub fn new() -> Self {
        CURRENT.try_with(Self::child).unwrap_or_else(|_| Self::root())
    }

    /// A scope that inherits nothing: for work that must outlive the request that began it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::{self, Scope};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let inner = async { Scope::root().remaining() };
    /// assert_eq!(Scope::new().deadline_in(Duration::from_secs(1)).run(inner).await, Ok(None));
    /// # });
    /// ```
    #[must_use]
    pub fn root() -> Self {
        Self { cancel: Some(CancellationToken::new()), ..Self::empty() }
    }

    /// Nothing at all, and no way to cancel it.
    pub(crate) fn empty() -> Self {
        Self {
            labels: Labels::default(),
            deadline: None,
            cancel: None,
            inside: None,
            values: Values::default(),
            depth: 0,
        }
    }

    /// A scope inside this one.
    #[must_use]
    pub fn child(&self) -> Self {
        let cancel = self.cancel.as_ref().map_or_else(CancellationToken::new, CancellationToken::child_token);
        Self { cancel: Some(cancel), ..self.clone() }
    }

    /// Adds a label, or replaces the inherited one of that key.
    ///
    /// A key or value longer than 128 bytes is cut at the last whole character; a label beyond the
    /// 16th key is left out, and [`labels_left_out`](Scope::labels_left_out) counts it. Labels are
    /// for people to read: nothing is decided by them.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.set(key, value);
        self
    }

    /// Sets the deadline to `after` from now, unless an earlier one is set or inherited.
    #[must_use]
    pub fn deadline_in(self, after: Duration) -> Self {
        self.deadline_at(clock::now() + after)
    }

    /// Sets the deadline, unless an earlier one is set or inherited.
    #[must_use]
    pub fn deadline_at(mut self, at: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(at, |earlier| earlier.min(at)));
        self
    }

    /// Runs `future` in this scope until it is done or the scope ends, whichever is first; if the
    /// scope ends, the future is dropped.
    ///
    /// A future in a scope that has ended already is not polled at all. One that is done in the
    /// same moment as its scope ends counts as done.
    ///
    /// # Errors
    /// [`Ended`] says why the scope ended first.
    ///
    /// # Cancel safety
    /// Dropping it drops `future`; the scope is not cancelled by that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::{Ended, Scope};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// # runtime.block_on(async {
    /// let never = std::future::pending::<()>();
    /// let ended = Scope::new().deadline_in(Duration::from_millis(1)).run(never).await;
    /// assert_eq!(ended, Err(Ended::DeadlinePassed));
    /// # });
    /// ```
    pub fn run<F: Future>(self, future: F) -> Run<F> {
        Run::new(self, future)
    }

    /// Runs `future` in this scope, and on when the scope ends: for what must come to an end of its
    /// own, such as cleaning up, and still be seen to belong here.
    ///
    /// # Cancel safety
    /// Dropping it drops `future`.
    ///
    /// ```
    /// use plimsoll::scope::{self, Scope};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let scope = Scope::new().label("tenant", "acme");
    /// scope.cancel();
    /// let tenant = async { scope::current().label_value("tenant").map(str::to_owned) };
    /// assert_eq!(scope.enter(tenant).await.as_deref(), Some("acme"));
    /// # });
    /// ```
    pub fn enter<F: Future>(self, future: F) -> Enter<F> {
        Enter::new(self, future)
    }

    /// Carries `value` for whatever runs in this scope, in place of an inherited one of that type.
    ///
    /// It is for what a layer at the edge leaves for one further in; [`value`] finds it there.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use plimsoll::scope::{self, Scope};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// struct Locale(&'static str);
    /// let scope = Scope::new().with_value(Arc::new(Locale("fr")));
    /// let inside = scope.run(async { scope::value::<Locale>().map(|locale| locale.0) }).await;
    /// assert_eq!((inside, scope::value::<Locale>().is_none()), (Ok(Some("fr")), true));
    /// # });
    /// ```
    #[must_use]
    pub fn with_value<T: Any + Send + Sync>(mut self, value: Arc<T>) -> Self {
        self.values.set(value);
        self
    }

    /// The value of the label `key`.
    #[must_use]
    pub fn label_value(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    /// The labels, oldest first, as key and value.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter()
    }

    /// How many labels were left out because 16 were there already.
    #[must_use]
    pub const fn labels_left_out(&self) -> u32 {
        self.labels.left_out()
    }

    /// When the scope ends by itself.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How much time is left: zero when the deadline has passed, `None` without a deadline.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline - clock::now())
    }

    /// Ends the scope and everything in it: what runs is dropped at its next wake-up.
    pub fn cancel(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    /// Whether the scope, or one around it, was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Whether the scope has ended, and why.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        if self.is_cancelled() {
            return Some(Ended::Cancelled);
        }
        self.deadline.filter(|deadline| *deadline <= clock::now()).map(|_| Ended::DeadlinePassed)
    }

    /// What tells of the cancellation; `None` for a scope that nobody can cancel.
    pub(super) const fn token(&self) -> Option<&CancellationToken> {
        self.cancel.as_ref()
    }

    pub(crate) const fn inside(&self) -> Option<&Arc<Inside>> {
        self.inside.as_ref()
    }

    pub(crate) fn with_inside(mut self, inside: Arc<Inside>) -> Self {
        self.inside = Some(inside);
        self
    }

    pub(crate) const fn depth(&self) -> u8 {
        self.depth
    }

    pub(crate) const fn with_depth(mut self, depth: u8) -> Self {
        self.depth = depth;
        self
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Scope");
        for (key, value) in self.labels() {
            debug.field(key, &value);
        }
        debug.field("remaining", &self.remaining()).field("cancelled", &self.is_cancelled());
        debug.finish_non_exhaustive()
    }
}
