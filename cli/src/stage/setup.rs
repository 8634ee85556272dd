//! Makes the tenants and endpoints, through the public API like anybody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use plimsoll::group::Group;
use serde::Deserialize;
use serde_json::json;

use crate::client::Connection;

/// How many requests are on their way at once.
const CONNECTIONS: usize = 16;
/// The deadline of one request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What the server says of an endpoint's deliveries, by the public API.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
pub(crate) struct Told {
    /// Taken by the endpoint.
    pub(crate) success: u64,
    /// Another attempt is due.
    pub(crate) pending: u64,
    /// Not tried yet.
    pub(crate) sending: u64,
    /// Failed for good.
    pub(crate) fail: u64,
}

/// An endpoint that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The number of the tenant it belongs to.
    pub(crate) tenant: usize,
    /// Where it is.
    pub(crate) url: String,
    /// Its signing secret, `whsec_…`.
    pub(crate) secret: String,
    /// What a person reads of it.
    pub(crate) description: String,
    /// How many deliveries a second it takes; as many as come where it is absent.
    pub(crate) throttle_rate: Option<u32>,
}

/// What was made, by number.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The ids of the tenants' applications.
    pub(crate) apps: Vec<String>,
    /// The endpoints: the number of their tenant, and their id.
    pub(crate) endpoints: Vec<(usize, String)>,
}

/// One request to the API; a GET where it has no key.
struct Request {
    path: String,
    key: Option<String>,
    body: Bytes,
}

impl Request {
    fn post(path: String, key: String, body: &serde_json::Value) -> Self {
        Self { path, key: Some(key), body: body.to_string().into() }
    }
}

/// Makes the event type `demo.event`, the applications and the endpoints.
///
/// # Errors
/// The server does not take one of them.
pub(crate) async fn make(
    to: SocketAddr,
    token: &str,
    run: &str,
    tenants: usize,
    endpoints: &[Wanted],
) -> Result<Made, String> {
    let event_type = json!({ "name": "demo.event", "description": "Something happened" });
    let path = "/api/v1/event-type".to_owned();
    let mut requests = vec![Request::post(path, format!("{run}-event-type"), &event_type)];
    for tenant in 0..tenants {
        let body = json!({ "name": format!("Tenant {tenant}"), "uid": format!("tenant-{tenant}") });
        requests.push(Request::post("/api/v1/app".to_owned(), format!("{run}-app-{tenant}"), &body));
    }
    let answers = all(to, token, requests).await?;
    let apps = answers[1..].iter().map(id_of).collect::<Result<Vec<_>, _>>()?;

    let requests = endpoints.iter().enumerate().map(|(number, endpoint)| {
        let mut body = json!({
            "url": endpoint.url,
            "uid": format!("endpoint-{number}"),
            "description": endpoint.description,
            "secret": endpoint.secret,
        });
        if let Some(rate) = endpoint.throttle_rate {
            body["throttleRate"] = rate.into();
        }
        let path = format!("/api/v1/app/{}/endpoint", apps[endpoint.tenant]);
        Request::post(path, format!("{run}-endpoint-{number}"), &body)
    });
    let answers = all(to, token, requests.collect()).await?;
    let made = |(answer, wanted): (&Bytes, &Wanted)| Ok((wanted.tenant, id_of(answer)?));
    let endpoints = answers.iter().zip(endpoints).map(made).collect::<Result<_, String>>()?;
    Ok(Made { apps, endpoints })
}

/// What the server says of the deliveries to these endpoints, by number.
///
/// # Errors
/// It does not say.
pub(crate) async fn told(
    to: SocketAddr,
    token: &str,
    made: &Made,
    endpoints: impl Iterator<Item = usize>,
) -> Result<Vec<Told>, String> {
    let request = |number: usize| {
        let (tenant, id) = &made.endpoints[number];
        let app = &made.apps[*tenant];
        Request { path: format!("/api/v1/app/{app}/endpoint/{id}/stats"), key: None, body: Bytes::new() }
    };
    let answers = all(to, token, endpoints.map(request).collect()).await?;
    let read =
        |body: &Bytes| serde_json::from_slice(body).map_err(|error| format!("endpoint stats: {error}"));
    answers.iter().map(read).collect()
}

fn id_of(body: &Bytes) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Out {
        id: String,
    }
    let out: Out = serde_json::from_slice(body).map_err(|error| format!("no id in an answer: {error}"))?;
    Ok(out.id)
}

/// The bodies of the answers to all requests, in order; they must all succeed.
async fn all(to: SocketAddr, token: &str, requests: Vec<Request>) -> Result<Vec<Bytes>, String> {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = Group::new(CONNECTIONS).map_err(|error| error.to_string())?;
    for _ in 0..CONNECTIONS.min(requests.len()) {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        let mut connection = Connection::new(to, TIMEOUT).with_token(token);
        let work = async move {
            let mut answers = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(number) else { return Ok::<_, String>(answers) };
                answers.push((number, send(&mut connection, request).await?));
            }
        };
        workers.spawn(work).await;
    }
    let answers = workers
        .join()
        .await
        .map_err(|error| error.into_first().unwrap_or_else(|| "the requests were cancelled".to_owned()))?;
    let mut bodies = vec![Bytes::new(); requests.len()];
    for (number, body) in answers.into_iter().flatten() {
        bodies[number] = body;
    }
    Ok(bodies)
}

async fn send(connection: &mut Connection, request: &Request) -> Result<Bytes, String> {
    let path = &request.path;
    let answer = match &request.key {
        Some(key) => connection.post(path, key, request.body.clone()).await,
        None => connection.get(path).await,
    };
    match answer {
        Ok(answer) if answer.status.is_success() => Ok(answer.body),
        Ok(answer) => Err(format!(
            "{path} is answered with {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        )),
        Err(error) => Err(format!("{path}: {error}")),
    }
}
