//! The headers that are sent with each delivery to an endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::{HeaderName, HeaderValue, StatusCode};
use plimsoll_service::auth::Caller;
use plimsoll_service::error::ApiError;
use serde::Serialize;
use serde_json::value::RawValue;

use super::body::{self, Body, Fields};
use super::endpoint;
use super::find::{self, Params};
use super::problems::Problem;
use super::reply::Reply;
use crate::core::Core;

/// The interface sets no limit.
const HEADERS_MAX: usize = 50;
/// The interface sets no limit; of names and values together.
const BYTES_MAX: usize = 8_192;
/// Values that are not shown again.
const SENSITIVE: [&str; 9] = [
    "api-key",
    "authorization",
    "cookie",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "x-api-key",
    "x-auth-token",
    "x-authorization",
];
/// Those that say how the request is framed, or that are ours.
const RESERVED: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const RESERVED_PREFIXES: [&str; 2] = ["svix-", "webhook-"];

/// A set of headers in JSON, their names in small letters, in the order of their names.
pub(super) fn read(raw: &RawValue) -> Result<Vec<(String, String)>, Problem> {
    let mut headers = BTreeMap::new();
    for (name, value) in body::text_map(raw)? {
        let name = name_of(&name)?;
        headers.insert(name, value_of(value)?);
    }
    bounded(headers)
}

fn bounded(headers: BTreeMap<String, String>) -> Result<Vec<(String, String)>, Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || bytes > BYTES_MAX {
        return Err(Problem::value(format!(
            "must be at most {HEADERS_MAX} headers of {BYTES_MAX} bytes together, are {} of {bytes}",
            headers.len()
        )));
    }
    Ok(headers.into_iter().collect())
}

fn name_of(name: &str) -> Result<String, Problem> {
    let name = HeaderName::try_from(name)
        .map_err(|_| Problem::value(format!("{name:?} cannot be the name of a header")))?;
    let reserved = RESERVED.contains(&name.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    if reserved {
        return Err(Problem::value(format!("{:?} is set by the server", name.as_str())));
    }
    Ok(name.as_str().to_owned())
}

fn value_of(value: String) -> Result<String, Problem> {
    // Bytes over 127 are allowed in a header and understood differently everywhere.
    if value.is_ascii() && HeaderValue::try_from(value.as_str()).is_ok() {
        Ok(value)
    } else {
        Err(Problem::value("values must be visible ASCII characters, spaces and tabs"))
    }
}

/// Headers to set, and (`None`) to take away.
type Patch = BTreeMap<String, Option<String>>;

fn read_patch(body: &[u8]) -> Result<Patch, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let mut patch = fields.required("headers", |raw| {
        body::patch_map(raw)?
            .into_iter()
            .map(|(name, value)| Ok((name_of(&name)?, value.map(value_of).transpose()?)))
            .collect::<Result<Patch, Problem>>()
    });
    let delete = fields.field("deleteHeaders", |raw| {
        body::texts(raw)?.iter().map(|name| name_of(name)).collect::<Result<Vec<_>, _>>()
    });
    fields.finish()?;
    for name in delete.value().unwrap_or_default() {
        patch.entry(name).or_insert(None);
    }
    Ok(patch)
}

fn patched(headers: &[(String, String)], patch: Patch) -> Result<Vec<(String, String)>, Problem> {
    let mut headers: BTreeMap<String, String> = headers.iter().cloned().collect();
    for (name, value) in patch {
        match value {
            Some(value) => headers.insert(name, value),
            None => headers.remove(&name),
        };
    }
    bounded(headers)
}

#[derive(Serialize)]
struct HeadersOut<'a> {
    headers: BTreeMap<&'a str, &'a str>,
    sensitive: Vec<&'a str>,
}

fn shown(headers: &[(String, String)]) -> HeadersOut<'_> {
    let mut out = HeadersOut { headers: BTreeMap::new(), sensitive: Vec::new() };
    for (name, value) in headers {
        if SENSITIVE.contains(&name.as_str()) {
            out.sensitive.push(name);
        } else {
            out.headers.insert(name, value);
        }
    }
    out
}

pub(super) async fn get(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, endpoint)): Params<(String, String)>,
) -> Result<Reply, ApiError> {
    let target = find::endpoint(&*find::app(&core, &caller, &app)?, &endpoint)?;
    Ok(Reply::json(StatusCode::OK, &shown(&target.endpoint.headers)))
}

pub(super) async fn put(
    state: State<Arc<Core>>,
    caller: Caller,
    params: Params<(String, String)>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let headers = fields.required("headers", read);
    fields.finish()?;
    change(state, caller, params, |_| Ok(headers)).await
}

pub(super) async fn patch(
    state: State<Arc<Core>>,
    caller: Caller,
    params: Params<(String, String)>,
    Body(body): Body,
) -> Result<Reply, ApiError> {
    let patch = read_patch(&body)?;
    change(state, caller, params, |headers| patched(headers, patch)).await
}

async fn change(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Params((app, path)): Params<(String, String)>,
    change: impl FnOnce(&[(String, String)]) -> Result<Vec<(String, String)>, Problem> + Send + 'static,
) -> Result<Reply, ApiError> {
    let app = find::app(&core, &caller, &app)?;
    let run = Arc::clone(&core);
    core.to_the_end(async move {
        let core = run;
        let _lock = core.routing.write_lock(app.id).await;
        let mut endpoint = find::endpoint(&app, &path)?.endpoint.clone();
        endpoint.headers = change(&endpoint.headers).map_err(|problem| problem.at(&["body", "headers"]))?;
        endpoint::change(&core, &app, endpoint).await.map(|_| Reply::nothing())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Vec<(String, String)>, Problem> {
        read(serde_json::from_str(json).unwrap())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_are_taken_in_small_letters() {
        assert_eq!(of(r#"{"X-B": "2", "x-a": "1 2"}"#).unwrap(), [pair("x-a", "1 2"), pair("x-b", "2")]);
    }

    #[test]
    fn what_frames_the_request_or_signs_it_is_refused() {
        for name in ["Host", "content-length", "Webhook-Signature", "svix-id", "a b", "", "x\n", "ä"] {
            assert!(of(&serde_json::json!({ name: "x" }).to_string()).is_err(), "{name}");
        }
        for value in ["a\nb", "a\rb", "\0", "ä"] {
            assert!(of(&serde_json::json!({ "x": value }).to_string()).is_err(), "{value}");
        }
    }

    #[test]
    fn headers_are_bounded() {
        let many: BTreeMap<_, _> = (0..=HEADERS_MAX).map(|n| (format!("x-{n}"), "")).collect();
        assert!(of(&serde_json::to_string(&many).unwrap()).is_err());
        assert!(of(&serde_json::json!({ "x": "y".repeat(BYTES_MAX) }).to_string()).is_err());
    }

    #[test]
    fn a_patch_sets_and_takes_away() {
        let before = [pair("a", "1"), pair("b", "2"), pair("c", "3")];
        let patch =
            read_patch(br#"{"headers": {"A": "9", "b": null}, "deleteHeaders": ["C", "d", "A"]}"#).unwrap();
        assert_eq!(patched(&before, patch).unwrap(), [pair("a", "9")]);
        assert!(read_patch(b"{}").is_err());
    }

    #[test]
    fn sensitive_values_are_not_shown() {
        let headers = [pair("authorization", "Bearer x"), pair("x-y", "z")];
        let out = serde_json::to_string(&shown(&headers)).unwrap();
        assert_eq!(out, r#"{"headers":{"x-y":"z"},"sensitive":["authorization"]}"#);
    }
}
