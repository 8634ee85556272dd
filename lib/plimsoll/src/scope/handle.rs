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
///
/// ```
/// use std::time::Duration;
/// use plimsoll::scope::{Ended, Scope};
/// let request = Scope::new().label("tenant", "acme").deadline_in(Duration::from_secs(2));
/// let query = request.child().label("table", "orders").deadline_in(Duration::from_secs(60));
/// assert_eq!(query.labels().collect::<Vec<_>>(), [("tenant", "acme"), ("table", "orders")]);
/// assert_eq!(query.deadline(), request.deadline(), "the earlier one counts");
/// request.cancel();
/// assert_eq!(query.ended(), Some(Ended::Cancelled));
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use plimsoll::scope::{self, Scope};
/// let locale = Scope::new().with_value(Arc::new("fr")).run(async { scope::value::<&str>() }).await?;
/// assert_eq!(locale.as_deref(), Some(&"fr"));
/// assert_eq!(scope::value::<&str>(), None);
/// # Ok(()) }
/// ```
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::scope::Scope;
    /// let outer = Scope::new().label("tenant", "acme");
    /// let inner = outer.clone().run(async { Scope::new().label("user", "ada") }).await?;
    /// assert_eq!((inner.label_value("tenant"), outer.label_value("user")), (Some("acme"), None));
    /// outer.cancel();
    /// assert!(inner.is_cancelled());
    /// # Ok(()) }
    /// ```
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
    ///
    /// ```
    /// use plimsoll::scope::Scope;
    /// let request = Scope::new();
    /// let (first, second) = (request.child(), request.child());
    /// first.cancel();
    /// assert!(!second.is_cancelled() && !request.is_cancelled());
    /// request.cancel();
    /// assert!(second.is_cancelled());
    /// ```
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
    ///
    /// ```
    /// use plimsoll::scope::{LABELS_MAX, Scope};
    /// let mut scope = Scope::new().label("tenant", "acme").label("tenant", "globex");
    /// assert_eq!(scope.label_value("tenant"), Some("globex"));
    /// for extra in 0..LABELS_MAX {
    ///     scope = scope.label(&format!("extra {extra}"), "1");
    /// }
    /// assert_eq!((scope.labels().count(), scope.labels_left_out()), (16, 1));
    /// ```
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.set(key, value);
        self
    }

    /// Sets the deadline to `after` from now, unless an earlier one is set or inherited.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::Scope;
    /// let scope = Scope::new().deadline_in(Duration::from_millis(800)).deadline_in(Duration::from_secs(5));
    /// assert!(scope.remaining().unwrap() <= Duration::from_millis(800));
    /// ```
    #[must_use]
    pub fn deadline_in(self, after: Duration) -> Self {
        self.deadline_at(clock::now() + after)
    }

    /// Sets the deadline, unless an earlier one is set or inherited.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{clock, scope::{Ended, Scope}};
    /// let at = clock::now() + Duration::from_secs(1);
    /// let scope = Scope::new().deadline_at(at);
    /// assert_eq!((scope.deadline(), scope.ended()), (Some(at), None));
    /// assert_eq!(scope.deadline_at(clock::now()).ended(), Some(Ended::DeadlinePassed));
    /// ```
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
    ///
    /// ```
    /// use plimsoll::scope::Scope;
    /// let scope = Scope::new().label("tenant", "acme");
    /// assert_eq!((scope.label_value("tenant"), scope.label_value("plan")), (Some("acme"), None));
    /// ```
    #[must_use]
    pub fn label_value(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    /// The labels, oldest first, as key and value.
    ///
    /// ```
    /// use plimsoll::scope::Scope;
    /// let scope = Scope::new().label("tenant", "acme").label("plan", "gold");
    /// assert_eq!(scope.labels().collect::<Vec<_>>(), [("tenant", "acme"), ("plan", "gold")]);
    /// ```
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter()
    }

    /// How many labels were left out because 16 were there already.
    ///
    /// ```
    /// use plimsoll::scope::Scope;
    /// let scope = (0..18).fold(Scope::new(), |scope, number| scope.label(&format!("key {number}"), "value"));
    /// assert_eq!((scope.labels().count(), scope.labels_left_out()), (16, 2));
    /// ```
    #[must_use]
    pub const fn labels_left_out(&self) -> u32 {
        self.labels.left_out()
    }

    /// When the scope ends by itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{clock, scope::Scope};
    /// assert_eq!(Scope::new().deadline(), None);
    /// let before = clock::now();
    /// let scope = Scope::new().deadline_in(Duration::from_millis(800));
    /// assert!(scope.deadline() >= Some(before.after(Duration::from_millis(800))));
    /// ```
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How much time is left: zero when the deadline has passed, `None` without a deadline.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use plimsoll::scope::Scope;
    /// let scope = Scope::new().deadline_in(Duration::from_millis(800));
    /// tokio::time::advance(Duration::from_millis(300)).await;
    /// assert_eq!(scope.remaining(), Some(Duration::from_millis(500)));
    /// assert_eq!(Scope::new().remaining(), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline - clock::now())
    }

    /// Ends the scope and everything in it: what runs is dropped at its next wake-up.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use plimsoll::scope::{Ended, Scope};
    /// let scope = Scope::new();
    /// let running = tokio::task::JoinSet::from_iter([scope.clone().run(std::future::pending::<()>())]);
    /// tokio::task::yield_now().await;
    /// scope.cancel();
    /// assert_eq!(running.join_all().await, [Err(Ended::Cancelled)]);
    /// # Ok(()) }
    /// ```
    pub fn cancel(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    /// Whether the scope, or one around it, was cancelled.
    ///
    /// ```
    /// use plimsoll::scope::Scope;
    /// let scope = Scope::new();
    /// assert!(!scope.is_cancelled());
    /// scope.clone().cancel();
    /// assert!(scope.is_cancelled());
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Whether the scope has ended, and why.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::scope::{Ended, Scope};
    /// assert_eq!(Scope::new().deadline_in(Duration::from_secs(60)).ended(), None);
    /// assert_eq!(Scope::new().deadline_in(Duration::ZERO).ended(), Some(Ended::DeadlinePassed));
    /// ```
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
