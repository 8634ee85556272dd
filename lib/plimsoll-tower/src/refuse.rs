//! What a refusal becomes: an error, or a response.

/// What becomes of a request that a layer refuses.
pub trait Refuse<Why, Response, Error> {
    /// What the caller gets.
    ///
    /// # Errors
    /// Where a refusal is an error.
    fn refuse(&self, why: Why) -> Result<Response, Error>;
}

/// A refusal becomes the service's error, by its [`From`].
#[derive(Clone, Copy, Debug, Default)]
pub struct IntoError;

impl<Why, Response, Error: From<Why>> Refuse<Why, Response, Error> for IntoError {
    fn refuse(&self, why: Why) -> Result<Response, Error> {
        Err(why.into())
    }
}

/// A refusal becomes a response, by a closure.
#[derive(Clone, Copy, Debug)]
pub struct Answer<F>(pub(crate) F);

impl<Why, Response, Error, F: Fn(Why) -> Response> Refuse<Why, Response, Error> for Answer<F> {
    fn refuse(&self, why: Why) -> Result<Response, Error> {
        Ok((self.0)(why))
    }
}
