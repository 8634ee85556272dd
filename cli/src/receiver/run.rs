//! The process: binds the ports, says which, serves until its standard input is closed.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use plimsoll::group::Group;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket};

use super::serve::{Fleet, controls, deliveries};

/// Runs a fleet of receivers on the loopback interface.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many ports to listen on for deliveries; every endpoint's path is on all of them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    ports: u16,
    /// Over how many addresses of the loopback network, 127.0.0.1 and on, the ports are spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=250))]
    addresses: u8,
    /// How many ports to keep closed: connections to them are refused
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    closed_ports: u16,
}

/// Where the fleet is: the first line on its standard output, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The control port.
    pub(crate) control: SocketAddr,
    /// The ports that take deliveries.
    pub(crate) open: Vec<SocketAddr>,
    /// The ports that refuse them.
    pub(crate) closed: Vec<SocketAddr>,
}

/// Runs `plimsoll receiver`.
pub(crate) fn run(args: Args) -> ExitCode {
    match serve_until_closed(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => crate::failed("receiver", &error),
    }
}

fn serve_until_closed(args: Args) -> io::Result<()> {
    // One thread: it does little for a request, and hands nothing over to another for it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Dropped, and with it every connection, before the runtime.
    let _fleet = runtime.block_on(open(args))?;
    // Whoever started it holds the other end: when that process is gone, however it went, this is
    // closed. What is written there is nothing to it.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// The running fleet.
struct Open {
    _tasks: Group<()>,
    // Bound, so that nobody else gets them, and never listened on: to connect is refused.
    _closed: Vec<TcpSocket>,
}

async fn open(args: Args) -> io::Result<Open> {
    raise_descriptors();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let fleet = Fleet::default();
    let mut ready = Ready { control: any, open: Vec::with_capacity(args.ports.into()), closed: Vec::new() };
    let listeners = usize::from(args.ports) + 1;
    let mut tasks = Group::builder("listeners").limit(listeners).build().map_err(io::Error::other)?;

    let listener = TcpListener::bind(any).await?;
    ready.control = listener.local_addr()?;
    tasks.spawn(controls(listener, fleet.clone())).await;
    for port in 0..args.ports {
        let listener = TcpListener::bind(address_of(port, args.addresses)).await?;
        ready.open.push(listener.local_addr()?);
        tasks.spawn(deliveries(listener, fleet.clone())).await;
    }
    let mut closed = Vec::with_capacity(args.closed_ports.into());
    for _ in 0..args.closed_ports {
        let socket = TcpSocket::new_v4()?;
        socket.bind(any)?;
        ready.closed.push(socket.local_addr()?);
        closed.push(socket);
    }

    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &ready)?;
    writeln!(out)?;
    out.flush()?;
    Ok(Open { _tasks: tasks, _closed: closed })
}

/// Where a port listens: one after the other takes the next address.
fn address_of(port: u16, addresses: u8) -> SocketAddr {
    let last = 1 + port % u16::from(addresses);
    SocketAddr::from(([127, 0, 0, last as u8], 0))
}

/// As many descriptors as the system lets this process have; it does with less where it may not.
pub(crate) fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
