//! What a child of a group may return.

use std::convert::Infallible;

/// What a child of a group may return: a `Result`, or nothing at all.
///
/// ```
/// use plimsoll::group::Ending;
/// assert_eq!(Ending::into_result(Err::<u8, _>("disk full")), Err("disk full"));
/// assert_eq!(().into_result(), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a child of a group returns a `Result` or `()`, not `{Self}`",
    note = "wrap the value in `Ok::<_, std::convert::Infallible>(…)` if it cannot fail"
)]
pub trait Ending: Send + 'static {
    /// What a child that succeeds leaves; kept until the group is joined.
    type Value: Send + 'static;
    /// What a child that fails leaves.
    type Error: Send + 'static;

    /// How it went.
    ///
    /// ```
    /// use plimsoll::group::Ending;
    /// assert_eq!(Err::<u32, _>("down").into_result(), Err("down"));
    /// assert!(().into_result().is_ok()); // what returns nothing cannot fail
    /// ```
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl<T: Send + 'static, E: Send + 'static> Ending for Result<T, E> {
    type Value = T;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

impl Ending for () {
    type Value = ();
    type Error = Infallible;

    fn into_result(self) -> Result<(), Infallible> {
        Ok(self)
    }
}
