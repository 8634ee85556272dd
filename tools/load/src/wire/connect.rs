//! Opens connections to a target.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::io::Errno;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::{Multiplexed, Stream};
use crate::Error;
use crate::plan::{Slow, SlowAt};
use crate::target::{Located, Protocol, Trust};

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// What the system may keep for a client that reads slowly: else it would read for it.
const SLOW_RECEIVE_BYTES: u32 = 4_096;

/// How connections to a target are opened.
pub(crate) struct Connector {
    addresses: Arc<[SocketAddr]>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    protocol: Protocol,
    streams_max: u32,
    // Turns among the addresses.
    next: Cell<usize>,
}

/// An open connection, in the version of HTTP that it speaks.
pub(crate) enum Spoken {
    One(Stream),
    Many(Multiplexed),
}

/// Whether it was this machine that did not give a connection, and not the target that did not take it:
/// no descriptor, port or memory is left.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    let denials = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| denials.contains(&error))
}

impl Connector {
    /// # Errors
    /// A certificate of an authority is none.
    pub(crate) fn new(target: &Located, protocol: Protocol, streams_max: u32) -> Result<Self, Error> {
        let tls = target.tls.as_ref().map(|(name, trust)| Ok((tls(trust, protocol)?, name.clone())));
        Ok(Self {
            addresses: Arc::clone(&target.addresses),
            tls: tls.transpose()?,
            protocol,
            streams_max,
            next: Cell::new(0),
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Why it did not open.
    ///
    /// # Cancel safety
    /// Nothing is left open.
    pub(crate) async fn connect(&self) -> io::Result<Spoken> {
        let stream = TcpStream::connect(self.address()).await?;
        stream.set_nodelay(true)?;
        let (stream, chosen) = self.dress(stream).await?;
        let many = match self.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => chosen,
        };
        if !many {
            return Ok(Spoken::One(stream));
        }
        Multiplexed::begin(stream, self.streams_max).await.map(Spoken::Many)
    }

    /// Opens a connection of a slow client, in HTTP/1.1.
    ///
    /// # Errors
    /// Why it did not open.
    ///
    /// # Cancel safety
    /// Nothing is left open.
    pub(crate) async fn connect_slow(&self, slow: &Slow) -> io::Result<Stream> {
        let address = self.address();
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if slow.at == SlowAt::Reading {
            socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        match self.dress(stream).await? {
            (_, true) => Err(io::Error::other("the server chose HTTP/2, which slow clients do not speak")),
            (stream, false) => Ok(stream),
        }
    }

    /// Puts TLS around it where that is asked for, and says whether HTTP/2 was chosen.
    async fn dress(&self, stream: TcpStream) -> io::Result<(Stream, bool)> {
        let Some((connector, name)) = &self.tls else { return Ok((Stream::Plain(stream), false)) };
        let stream = connector.connect(name.clone(), stream).await?;
        let many = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok((Stream::Tls(Box::new(stream)), many))
    }

    fn address(&self) -> SocketAddr {
        let turn = self.next.get();
        self.next.set(turn.wrapping_add(1));
        self.addresses[turn % self.addresses.len()]
    }
}

fn tls(trust: &Trust, protocol: Protocol) -> Result<TlsConnector, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of every protocol version that is on by default");
    let mut config = match trust {
        Trust::Public => {
            let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Authorities(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                let added = roots.add(certificate.clone());
                added.map_err(|error| Error::invalid("authority", error, "a certificate of an authority"))?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Anything => {
            let verifier = Arc::new(Anything(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    config.alpn_protocols = match protocol {
        Protocol::Auto => vec![HTTP2.to_vec(), HTTP1.to_vec()],
        Protocol::Http1 => vec![HTTP1.to_vec()],
        Protocol::Http2 => vec![HTTP2.to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Believes every certificate, but still asks for its key: as [`Trust::Anything`] says.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
