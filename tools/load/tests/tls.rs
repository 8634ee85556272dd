//! Runs under TLS: which certificates are believed, and which version of HTTP is spoken.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

#[expect(dead_code, reason = "the other test file uses the rest of it")]
mod site;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_load::mix::{Mix, Request};
use plimsoll_load::profile::Profile;
use plimsoll_load::{Connections, Error, Plan, Protocol, Target, Trust};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use site::{OK, run};

fn pem(name: &str) -> PathBuf {
    PathBuf::from(format!("{}/tests/certificates/{name}.pem", env!("CARGO_MANIFEST_DIR")))
}

fn acceptor(alpn: &[&[u8]]) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(pem("good")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(pem("key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Twenty requests on one connection, which the server serves in what was agreed on; how many it saw
/// in HTTP/2 and in HTTP/1.1.
async fn served(listener: TcpListener, acceptor: TlsAcceptor) -> (u32, u32) {
    let mut seen = (0, 0);
    let (stream, _) = listener.accept().await.unwrap();
    let Ok(mut stream) = acceptor.accept(stream).await else { return seen };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            seen.0 += 1;
            let mut sending = answer.send_response(http::Response::new(()), false).unwrap();
            sending.send_data(Bytes::from_static(b"ok"), true).unwrap();
        }
        return seen;
    }
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        if buffer.ends_with(b"\r\n\r\n") {
            seen.1 += 1;
            buffer.clear();
            stream.write_all(OK).await.unwrap();
            stream.flush().await.unwrap();
        }
    }
    seen
}

async fn exchanged(trust: Trust, protocol: Protocol, alpn: &[&[u8]]) -> (Result<u64, Error>, (u32, u32)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let profile = Profile::steady(200.0, Duration::from_millis(100)).unwrap();
    let target = Target::new(&url).unwrap().with_trust(trust);
    let mut plan = Plan::new(target, profile, Mix::new(vec![Request::get("")]).unwrap());
    plan.protocol = protocol;
    plan.workers = Some(1);
    plan.connections = Connections { open: 1, max: 1 };
    let (done, seen) = tokio::join!(run(&plan), served(listener, acceptor(alpn)));
    (done.map(|done| done.total().counts.success()), seen)
}

fn authority() -> Trust {
    Trust::Authorities(vec![CertificateDer::from_pem_file(pem("authority")).unwrap()])
}

#[tokio::test]
async fn the_server_chooses_the_version_unless_it_is_said() {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let (done, seen) = exchanged(authority(), Protocol::Auto, both).await;
    assert_eq!((done.unwrap(), seen), (20, (20, 0)));
    let (done, seen) = exchanged(authority(), Protocol::Auto, &[]).await;
    assert_eq!((done.unwrap(), seen), (20, (0, 20)));
    let (done, seen) = exchanged(authority(), Protocol::Http1, both).await;
    assert_eq!((done.unwrap(), seen), (20, (0, 20)));
    let (done, seen) = exchanged(Trust::Anything, Protocol::Http2, both).await;
    assert_eq!((done.unwrap(), seen), (20, (20, 0)));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_said_why() {
    let (done, seen) = exchanged(Trust::Public, Protocol::Auto, &[]).await;
    let refused = done.unwrap_err().to_string();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert_eq!(seen, (0, 0), "nothing was sent");
}
