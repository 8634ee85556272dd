//! Opens connections to a target.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

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
    addresses: RefCell<Rc<[SocketAddr]>>,
    heard: RefCell<Heard>,
    deadline: Duration,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    protocol: Protocol,
    streams_max: u32,
    // Turns among the addresses.
    next: Cell<usize>,
}

/// Which addresses took a connection, and which did not.
#[derive(Default)]
struct Heard {
    took: Vec<SocketAddr>,
    failed: Vec<SocketAddr>,
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
    pub(crate) fn new(
        target: &Located,
        protocol: Protocol,
        streams_max: u32,
        deadline: Duration,
    ) -> Result<Self, Error> {
        let tls = target.tls.as_ref().map(|(name, trust)| Ok((tls(trust, protocol)?, name.clone())));
        Ok(Self {
            addresses: RefCell::new(target.addresses.iter().copied().collect()),
            heard: RefCell::default(),
            deadline,
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
        let stream = self.reach(TcpStream::connect).await?;
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
        let dial = async |address: SocketAddr| {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if slow.at == SlowAt::Reading {
                socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES)?;
            }
            socket.connect(address).await
        };
        let stream = self.reach(dial).await?;
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

    /// A stream to the first address that takes one, from that whose turn it is: a name may have
    /// addresses at which nobody listens, as `localhost` often has.
    async fn reach(&self, dial: impl AsyncFn(SocketAddr) -> io::Result<TcpStream>) -> io::Result<TcpStream> {
        let addresses = Rc::clone(&self.addresses.borrow());
        let turn = self.next.get();
        self.next.set(turn.wrapping_add(1));
        // One that is silent must not use up the time of the others.
        let patience = self.deadline / addresses.len() as u32;
        let mut failure = io::Error::other("it has no address");
        for place in 0..addresses.len() {
            let address = addresses[turn.wrapping_add(place) % addresses.len()];
            let silent = || io::Error::new(io::ErrorKind::TimedOut, format!("{address} is silent"));
            match tokio::time::timeout(patience, dial(address)).await.unwrap_or_else(|_| Err(silent())) {
                Ok(stream) => {
                    self.heard.borrow_mut().note_taken(address);
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(denial) if is_denied(&denial) => return Err(denial),
                Err(error) => {
                    self.heard.borrow_mut().note_failed(address);
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    /// Leaves out the addresses that took no connection so far, where others did, and says which.
    pub(crate) fn leave_out_deaf(&self) -> Vec<SocketAddr> {
        let heard = self.heard.take();
        let is_deaf = |address: &SocketAddr| heard.failed.contains(address) && !heard.took.contains(address);
        if heard.took.is_empty() {
            return Vec::new();
        }
        let addresses = self.addresses.take();
        let (deaf, kept): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(is_deaf);
        self.addresses.replace(kept.into());
        deaf
    }
}

impl Heard {
    fn note_taken(&mut self, address: SocketAddr) {
        if !self.took.contains(&address) {
            self.took.push(address);
        }
    }

    fn note_failed(&mut self, address: SocketAddr) {
        if !self.failed.contains(&address) {
            self.failed.push(address);
        }
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
