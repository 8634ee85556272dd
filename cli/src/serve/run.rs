//! The command: start, serve, drain, end.

use std::fmt::Display;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use plimsoll::group::Group;
use plimsoll_hooks::settings::Settings;
use plimsoll_hooks::{Hooks, Host};
use plimsoll_jobs::Jobs;
use plimsoll_service::admin::Admin;
use plimsoll_service::config::{ConfigError, Resolved};
use plimsoll_service::descriptors::{self, Budget};
use plimsoll_service::drain::{Drain, Signals};
use plimsoll_service::listen::{Counts, Listener};
use plimsoll_service::telemetry::{Metrics, init_logs};
use plimsoll_store::{Options, Store};

use super::compose::{self, Secrets};
use super::ready::Ready;
use crate::flags;
use crate::{failed, misused};

/// Threads for what blocks, which is looking up names: that many look-ups at once.
const BLOCKING_THREADS: usize = 64;
/// How long the admin listener may take to end once all else has.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);
/// How long after the drain's time is over the process waits for the last commit.
const CLOSE: Duration = Duration::from_secs(10);

/// Everything that can be set is listed by `plimsoll config`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: flags::Server,
}

const EXAMPLES: &str = "\
Examples:
  plimsoll serve
  plimsoll serve --data /var/lib/plimsoll --listen 0.0.0.0:8071
  plimsoll serve --allow-private 127.0.0.0/8        deliver to endpoints on this machine
  plimsoll serve --config plimsoll.toml --set hooks.attempt_timeout_ms=5000
  PLIMSOLL_DATA=/data PLIMSOLL_LOG=debug plimsoll serve

When it is ready it says so on standard output. Where that is not a terminal, the first line is for
programs: {\"admin\":\"127.0.0.1:8072\",\"data\":\"./plimsoll-data\",\"listen\":\"127.0.0.1:8071\"}, with the
real ports where 0 was asked for. Logs go to standard error.

SIGTERM or Ctrl-C: no more requests, what runs finishes within drain_seconds, the rest stays in the
store, exit code 0. A second one ends it at once; what was accepted is safe either way.";

/// Why it did not serve, or not to the end.
enum Fault {
    /// The configuration: exit code 2.
    Misused(String),
    /// Anything else: exit code 1.
    Failed(String),
}

impl Fault {
    fn misused(problem: impl Display) -> Self {
        Self::Misused(problem.to_string())
    }

    fn failed(problem: impl Display) -> Self {
        Self::Failed(problem.to_string())
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::misused(error)
    }
}

/// Runs `plimsoll serve`.
pub(crate) fn run(args: Args) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Misused(problem)) => misused("serve", &problem),
        Err(Fault::Failed(problem)) => failed("serve", &problem),
    }
}

fn start(args: Args) -> Result<(), Fault> {
    let resolved = args.server.resolve()?;
    let settings = Settings::resolve(&resolved)?;
    init_logs(resolved.text("log").unwrap_or_default()).map_err(Fault::misused)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(1, NonZero::get))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("plimsoll")
        .enable_all()
        .build()
        .map_err(Fault::failed)?;
    let served = runtime.block_on(serve_until_signalled(&resolved, &settings));
    // A look-up of a name may hang for as long as it likes: nobody waits for it.
    runtime.shutdown_background();
    served
}

async fn serve_until_signalled(resolved: &Resolved, settings: &Settings) -> Result<(), Fault> {
    let signals = Signals::listen().map_err(Fault::failed)?;
    let drain = Drain::new(resolved.duration("drain_seconds"));
    tokio::select! {
        biased;
        code = drain.on_signals(signals) => {
            eprintln!("plimsoll serve: ended by a second signal");
            // At once: nothing is waited for, not even by a destructor.
            std::process::exit(i32::from(code))
        }
        served = serve(resolved, settings, &drain) => served,
    }
}

async fn serve(resolved: &Resolved, settings: &Settings, drain: &Drain) -> Result<(), Fault> {
    let wanted = compose::wanted(resolved, settings);
    let budget = Budget::split(descriptors::raise(), wanted).map_err(Fault::failed)?;
    tracing::info!(?budget, "open files are shared out");
    let data = flags::data(resolved)?;
    // First: whoever has the store has the directory.
    let store = Store::open(Options { directory: data.into() }).await.map_err(Fault::failed)?;
    store.keep_free(resolved.integer("store.disk_free_bytes_min"));
    let served = serve_from(&store, resolved, settings, budget, data.into(), drain).await;
    let closed = tokio::time::timeout(drain.left() + CLOSE, store.close()).await;
    if closed.is_err() {
        return served.and(Err(Fault::failed("the store did not close in time; what was accepted is safe")));
    }
    tracing::info!("ended");
    served
}

async fn serve_from(
    store: &Store,
    resolved: &Resolved,
    settings: &Settings,
    budget: Budget,
    data: PathBuf,
    drain: &Drain,
) -> Result<(), Fault> {
    let secrets = Secrets::load(resolved, &data).map_err(Fault::failed)?;
    let counts = Counts::new();
    let api_options = compose::api_options(resolved, budget);
    let api = Listener::bind(resolved.address("listen"), api_options, counts.clone());
    let api = api.await.map_err(Fault::failed)?;
    let admin_options = compose::admin_options(resolved);
    let admin = Listener::bind(resolved.address("admin"), admin_options, counts.clone());
    let admin = admin.await.map_err(Fault::failed)?;
    let host = Host { sockets_max: budget.outbound };
    let hooks = Hooks::start(store.clone(), settings, host).await.map_err(Fault::failed)?;
    let jobs = Jobs::builder(store.clone(), plimsoll_jobs::settings::Settings::resolve(resolved)?);
    let jobs = jobs.start().await.map_err(Fault::failed)?;
    let router = compose::api(&hooks, &jobs, secrets.keys, resolved, settings).map_err(Fault::misused)?;
    let mut metrics = Metrics::new();
    metrics.collect(counts);
    metrics.collect(hooks.numbers());
    metrics.collect(jobs.numbers());
    let pages = Admin::new(metrics, drain.clone(), &secrets.admin_token).map_err(Fault::failed)?.router();
    let ready = Ready {
        listen: api.address(),
        admin: admin.address(),
        data: &data,
        admin_token_in_file: resolved.text("admin_token").is_none(),
    };
    // Requests in progress take milliseconds; half of the time is theirs at the most, so that one
    // that is stuck leaves the deliveries the other half.
    let requests = Drain::new(resolved.duration("drain_seconds") / 2);
    let operators = Drain::new(ADMIN_DRAIN);
    let mut api = listen(api, router, &requests).await?;
    let mut admin = listen(admin, pages, &operators).await?;
    ready.say();
    tokio::select! {
        () = drain.started() => {}
        () = hooks.fenced() => {
            return Err(Fault::failed("another plimsoll has taken over this data: what was accepted is safe with it"));
        }
        _ = api.join() => return Err(Fault::failed("the API listener ended by itself")),
        _ = admin.join() => return Err(Fault::failed("the admin listener ended by itself")),
    }
    // Workers that wait are told at once that there is nothing: they hold up nobody's drain.
    jobs.close();
    requests.begin();
    let _ = api.join().await;
    let cut = hooks.drain(drain.left()).await;
    if cut > 0 {
        tracing::warn!(deliveries = cut, "cut short by the end of the drain; they are made again");
    }
    jobs.drain(drain.left()).await;
    operators.begin();
    let _ = admin.join().await;
    Ok(())
}

/// Serves `router` as a task, which the group owns. The bound that counts is the listener's own, so
/// that this one has no name.
async fn listen(listener: Listener, router: Router, drain: &Drain) -> Result<Group<()>, Fault> {
    let mut group = Group::new(1).map_err(Fault::failed)?;
    let drain = drain.clone();
    let serving = async move {
        let served = listener.serve(router, drain).await;
        if served.cut > 0 {
            tracing::warn!(connections = served.cut, "cut by the end of the drain");
        }
    };
    group.spawn(serving).await;
    Ok(group)
}
