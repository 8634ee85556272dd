//! Who calls: bearer tokens, verified before anything of a request is believed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Extensions, HeaderMap, Request};
use ring::hmac;

use crate::error::ApiError;
use crate::gate::{Gate, GateLayer};
use crate::secret::{Secret, SecretError};
use crate::token::{self, Claims, Refusal};

/// The file of the data directory that holds the signing secret.
pub const SECRET_FILE: &str = "jwt.secret";
/// The organisation of a token when none is named.
pub const DEFAULT_ORG: &str = "org_000000000000000000000000001";
/// How long a token is valid: ten years, as is usual for API tokens of this interface. What ends
/// them all is a new secret.
const VALID_FOR: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
const ORG_PREFIX: &str = "org_";
const ORG_CHARACTERS_MAX: usize = 60;

/// Whether `org` can be an organisation: `org_`, then 1 to 60 of `a-z`, `A-Z`, `0-9`, `_` and `-`.
#[must_use]
pub fn is_org(org: &str) -> bool {
    org.strip_prefix(ORG_PREFIX).is_some_and(|rest| {
        (1..=ORG_CHARACTERS_MAX).contains(&rest.len())
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    })
}

/// The key that tokens are signed with and verified by; cheap to clone.
#[derive(Clone)]
pub struct Keys {
    key: Arc<hmac::Key>,
}

impl Keys {
    /// Reads the signing secret from `jwt.secret` in the data directory, or makes it on first start.
    ///
    /// The key is the text of the file as it stands there, without the end of the line: tokens for
    /// it can be made by any tool that takes a secret as text.
    ///
    /// # Errors
    /// See [`Secret::load_or_create`].
    pub fn load_or_create(directory: &Path) -> Result<Self, SecretError> {
        Secret::load_or_create(directory, SECRET_FILE).map(|secret| Self::new(&secret))
    }

    /// The key that is `secret`.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes())) }
    }

    /// A token for `org`, valid for ten years.
    ///
    /// # Errors
    /// When `org` cannot be an organisation, see [`is_org`].
    pub fn issue(&self, org: &str) -> Result<String, InvalidOrg> {
        if !is_org(org) {
            return Err(InvalidOrg { org: org.chars().take(80).collect() });
        }
        let now = unix_seconds();
        let claims = Claims {
            sub: org.into(),
            iat: Some(now),
            nbf: Some(now),
            exp: now + VALID_FOR.as_secs(),
            iss: Some("plimsoll".into()),
        };
        Ok(token::sign(&self.key, &claims))
    }

    /// Who holds `token`.
    ///
    /// # Errors
    /// 401 when it is not a token of ours that is valid now.
    pub fn verify(&self, token: &str) -> Result<Caller, ApiError> {
        let claims = token::verify(&self.key, token, unix_seconds()).map_err(|refusal| {
            ApiError::unauthorized(match refusal {
                Refusal::Expired => "Token expired",
                Refusal::NotYet => "Token not valid yet",
                Refusal::Algorithm => "Invalid token: not HS256",
                Refusal::TooLong | Refusal::Malformed | Refusal::Signature => "Invalid token",
            })
        })?;
        if !is_org(&claims.sub) {
            return Err(ApiError::unauthorized("Invalid token: its subject is not an organisation"));
        }
        Ok(Caller { org: claims.sub.into() })
    }

    /// Who sent a request with these headers.
    ///
    /// # Errors
    /// 401 when there is no `Authorization: Bearer`, or its token is not valid.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        self.verify(bearer(headers)?)
    }
}

/// The token in `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::unauthorized("Expected one header: Authorization: Bearer <token>"));
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_matches(' '))
        .ok_or_else(|| ApiError::unauthorized("Expected the header Authorization: Bearer <token>"))
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Who calls: verified by [`require`], taken by handlers as an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The organisation that the token is for.
    pub org: Arc<str>,
}

impl Caller {
    /// The organisation of a request that [`require`] let through.
    #[must_use]
    pub fn org_of(extensions: &Extensions) -> Option<&Arc<str>> {
        extensions.get::<Self>().map(|caller| &caller.org)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Absent only where a route was put outside of `require`: our bug, and still nobody gets in.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::internal("The route does not authenticate"))
    }
}

/// An organisation that cannot be one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidOrg {
    org: String,
}

impl std::fmt::Display for InvalidOrg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { org } = self;
        write!(f, "organisation is {org:?}, allowed is org_ and 1 to 60 letters, digits, _ and -")
    }
}

impl std::error::Error for InvalidOrg {}

/// The layer that lets only requests with a valid token through, with their [`Caller`].
#[must_use]
pub const fn require(keys: Keys) -> GateLayer<Keys> {
    GateLayer(keys)
}

impl Gate for Keys {
    type Held = ();

    fn pass<B>(&self, request: &mut Request<B>) -> Result<(), ApiError> {
        let caller = self.caller(request.headers())?;
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    fn keys() -> Keys {
        Keys::new(&Secret::new("0123456789abcdef0123456789abcdef"))
    }

    #[test]
    fn an_issued_token_is_verified_and_names_its_organisation() {
        let token = keys().issue("org_23rb8YdGqMT0qIzpgGwdXfHirMu").unwrap();
        let caller = keys().verify(&token).unwrap();
        assert_eq!(&*caller.org, "org_23rb8YdGqMT0qIzpgGwdXfHirMu");
        assert!(is_org(DEFAULT_ORG) && DEFAULT_ORG.len() == "org_".len() + 27);
    }

    #[test]
    fn only_organisations_can_be_the_subject() {
        let long = format!("org_{}", "x".repeat(61));
        for org in ["", "org_", "app_x", "org_a b", "org_a/b", "org_ä", "ORG_x", &long] {
            assert!(keys().issue(org).is_err(), "{org}");
            let exp = unix_seconds() + 100;
            let claims = Claims { sub: org.into(), iat: None, nbf: None, exp, iss: None };
            let token = token::sign(&keys().key, &claims);
            assert_eq!(keys().verify(&token).unwrap_err().status(), 401, "{org}");
        }
    }

    #[test]
    fn two_processes_with_one_directory_have_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let token = Keys::load_or_create(directory.path()).unwrap().issue(DEFAULT_ORG).unwrap();
        assert!(Keys::load_or_create(directory.path()).unwrap().verify(&token).is_ok());
        assert!(keys().verify(&token).is_err());
    }

    async fn status(headers: &[(&str, &str)]) -> (u16, String) {
        let whoami = |caller: Caller| async move { caller.org.to_string() };
        let router: Router = Router::new().route("/", get(whoami)).layer(require(keys()));
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_one_valid_bearer_token_lets_a_request_through() {
        let token = keys().issue("org_acme").unwrap();
        let good = format!("Bearer {token}");
        assert_eq!(status(&[("authorization", &good)]).await, (200, "org_acme".into()));
        assert_eq!(status(&[("authorization", &format!("bearer  {token} "))]).await.0, 200);
        for headers in [
            &[][..],
            &[("authorization", "Bearer")][..],
            &[("authorization", "Bearer x")][..],
            &[("authorization", token.as_str())][..],
            &[("authorization", "Basic eDp5")][..],
            &[("authorization", good.as_str()), ("authorization", good.as_str())][..],
        ] {
            let (status, body) = status(headers).await;
            assert_eq!(status, 401, "{headers:?}");
            assert!(body.contains("authentication_failed"), "{body}");
        }
    }

    #[tokio::test]
    async fn a_route_that_forgot_to_authenticate_lets_nobody_in() {
        let router: Router = Router::new().route("/", get(|_: Caller| async {}));
        let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
    }
}
