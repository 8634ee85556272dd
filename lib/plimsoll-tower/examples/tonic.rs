//! A tonic server with a bound for each tenant, and a client whose labels and deadline cross to it.
//!
//! `cargo run -p plimsoll-tower --example tonic`

use std::error::Error;
use std::time::Duration;

use plimsoll::downstream::{self, Downstream};
use plimsoll::keyed::Keyed;
use plimsoll::scope::{self, Scope, header, header::Edge};
use plimsoll::semaphore::Semaphore;
use plimsoll_tower::{Admit, CallCounter, Deadline, DeadlineRefused, FanOutFactor};
use tonic::codegen::http;
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

type HttpRequest = http::Request<tonic::body::Body>;

fn refused(refused: DeadlineRefused) -> Status {
    match refused {
        DeadlineRefused::Malformed(_) => Status::invalid_argument(refused.to_string()),
        _ => Status::deadline_exceeded(refused.to_string()),
    }
}

/// What goes out with each request: what is left of the time, and the labels.
fn send_scope(edge: &Edge, mut request: Request<()>) -> Result<Request<()>, Status> {
    let headers = edge.headers(&scope::current());
    let both = [(header::DEADLINE, headers.deadline), (header::LABELS, headers.labels)];
    for (name, value) in both.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        let value = MetadataValue::try_from(value).map_err(|_| Status::internal("not ASCII"))?;
        request.metadata_mut().insert(name, value);
    }
    Ok(request)
}

/// Serves, asks, and checks what comes back.
pub(crate) async fn run() -> Result<(), BoxError> {
    let edge = Edge::builder().labels(["tenant"]).deadline_max(Duration::from_secs(30)).build()?;
    let tenants = Keyed::builder("example tenants", |_: &String| Semaphore::new(1)).build()?;

    let (at_edge, limits) = (edge.clone(), tenants.clone());
    let read = move |request: &HttpRequest| {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        at_edge.read(header(header::DEADLINE), header(header::LABELS))
    };
    // Within the scope, so that the label is there to go by.
    let of_tenant =
        move |_: &HttpRequest| limits.try_acquire(scope::current().label_value("tenant").unwrap_or("nobody"));
    let (health, service) = tonic_health::server::health_reporter();
    health.set_service_status("inventory", tonic_health::ServingStatus::Serving).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let address = incoming.local_addr()?;
    let server = Server::builder()
        .layer(Deadline::by(read).on_refused(|why| refused(why).into_http()))
        .layer(
            Admit::rejecting_by(of_tenant)
                .on_rejected(|rejected| Status::resource_exhausted(rejected.to_string()).into_http()),
        )
        .add_service(service)
        .serve_with_incoming(incoming);

    let ask = async {
        // The calls of one request to us, at most two of them here.
        let channel = Endpoint::try_from(format!("http://{address}"))?.connect().await?;
        let counted = ServiceBuilder::new()
            .layer(CallCounter::new())
            .service(ServiceExt::<HttpRequest>::map_err(channel, BoxError::from));
        let client = HealthClient::with_interceptor(counted, move |request| send_scope(&edge, request));
        // A plain call, since a tonic client is no service of its messages.
        let inventory =
            Downstream::builder("inventory").timeout(Duration::from_secs(10)).concurrency(8).build()?;
        let check = || {
            let mut client = client.clone();
            // In a box: the futures of a client are large, and what bounds them holds two tries at once.
            Box::pin(async move { client.check(HealthCheckRequest { service: "inventory".into() }).await })
        };
        let check = || inventory.call(check);
        let code_of = |error: downstream::Error<Status>| error.into_inner().map(|status| status.code());
        let of = |tenant| Scope::new().label("tenant", tenant).deadline_in(Duration::from_secs(20));

        // Somebody else's call for acme is running: acme is over its limit, globex is not.
        let held = tenants.try_acquire("acme")?;
        let (acme, globex) = tokio::join!(of("acme").run(check()), of("globex").run(check()));
        assert_eq!(
            acme?.map_err(code_of).expect_err("acme is over its limit"),
            Some(Code::ResourceExhausted)
        );
        assert_eq!(globex??.into_inner().status, 1);
        drop(held);
        assert!(of("acme").run(check()).await?.is_ok());

        // A request of ours that would make a third call is stopped before it reaches anybody.
        let fan_out = FanOutFactor::builder("example calls").max(2).build()?;
        let handler = service_fn(async |calls: u32| {
            for _ in 0..calls {
                check().await?;
            }
            Ok::<_, downstream::Error<Status>>(())
        });
        let ours = ServiceBuilder::new().layer(fan_out).service(handler);
        assert!(ours.clone().oneshot(2).await.is_ok());
        let stopped = ours.oneshot(3).await.expect_err("two calls are the most");
        assert!(stopped.to_string().contains("the limit of 2"), "{stopped}");
        Ok(())
    };
    tokio::select! {
        ended = server => Ok(ended?),
        asked = ask => asked,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await?;
    println!("acme was over its limit, globex was not");
    Ok(())
}
