//! The command: start, serve, drain, end.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use plimsoll::group::Group;
use plimsoll_hooks::settings::Settings;
use plimsoll_hooks::{Hooks, Host};
use plimsoll_jobs::Jobs;
use plimsoll_service::admin::{Admin, Parts};
use plimsoll_service::config::{ConfigError, Resolved};
use plimsoll_service::descriptors::{self, Budget};
use plimsoll_service::drain::{Drain, Hangups, Signals};
use plimsoll_service::listen::{Counts, Listener};
use plimsoll_service::policy::{self, Control, Layers};
use plimsoll_service::telemetry::{Load, Metrics, init_logs};
use plimsoll_store::{Options, Store};

use super::compose::{self, Doors, Secrets};
use super::live::{self, Live};
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

SIGHUP: the file of settings and the policy file are read again; what may change at runtime does.

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
    let resolved = args.server.clone().resolve()?;
    let settings = Settings::resolve(&resolved)?;
    init_logs(resolved.text("log").unwrap_or_default()).map_err(Fault::misused)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(1, NonZero::get))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("plimsoll")
        .enable_all()
        .build()
        .map_err(Fault::failed)?;
    let set = Set { args: args.server, resolved, settings };
    let served = runtime.block_on(serve_until_signalled(&set));
    // A look-up of a name may hang for as long as it likes: nobody waits for it.
    runtime.shutdown_background();
    served
}

/// What it was started with.
struct Set {
    args: flags::Server,
    resolved: Resolved,
    settings: Settings,
}

async fn serve_until_signalled(set: &Set) -> Result<(), Fault> {
    let signals = Signals::listen().map_err(Fault::failed)?;
    // From the first moment: who asks to read the settings again must not end a server that starts.
    let hangups = Hangups::listen().map_err(Fault::failed)?;
    let drain = Drain::new(set.resolved.duration("drain_seconds"));
    tokio::select! {
        biased;
        code = drain.on_signals(signals) => {
            eprintln!("plimsoll serve: ended by a second signal");
            // At once: nothing is waited for, not even by a destructor.
            std::process::exit(i32::from(code))
        }
        served = serve(set, hangups, &drain) => served,
    }
}

async fn serve(set: &Set, hangups: Hangups, drain: &Drain) -> Result<(), Fault> {
    let Set { resolved, settings, .. } = set;
    let wanted = compose::wanted(resolved, settings);
    let budget = Budget::split(descriptors::raise(), wanted).map_err(Fault::failed)?;
    compose::check_sockets(resolved, budget)?;
    tracing::info!(?budget, "open files are shared out");
    let data = flags::data(resolved)?.to_path_buf();
    let secrets = Secrets::load(resolved, &data).map_err(Fault::failed)?;
    let counts = Counts::new();
    let options = compose::admin_options(resolved);
    let listener = Listener::bind(resolved.address("admin"), options, counts.clone());
    let listener = listener.await.map_err(Fault::failed)?;
    let address = listener.address();
    let pages = Admin::new(drain.clone(), &secrets.admin_token).map_err(Fault::failed)?;
    let operators = Drain::new(ADMIN_DRAIN);
    let group = listen(listener, pages.router(), &operators).await?;
    let store = Store::open(Options { directory: data.clone() }).await.map_err(Fault::failed)?;
    store.keep_free(resolved.integer("store.disk_free_bytes_min"));
    let desk = Desk { pages, address, group, drain: operators };
    let served = serve_from(&store, set, budget, Own { data, secrets, counts, hangups }, desk, drain).await;
    let closed = tokio::time::timeout(drain.left() + CLOSE, store.close()).await;
    if closed.is_err() {
        return served.and(Err(Fault::failed("the store did not close in time; what was accepted is safe")));
    }
    tracing::info!("ended");
    served
}

/// The admin listener, which is there from the beginning to the end.
struct Desk {
    pages: Admin,
    address: SocketAddr,
    group: Group<()>,
    drain: Drain,
}

/// What a server has of its own.
struct Own {
    data: PathBuf,
    secrets: Secrets,
    counts: Counts,
    hangups: Hangups,
}

async fn serve_from(
    store: &Store,
    set: &Set,
    budget: Budget,
    own: Own,
    mut desk: Desk,
    drain: &Drain,
) -> Result<(), Fault> {
    let Set { args, resolved, settings } = set;
    let Own { data, secrets, counts, hangups } = own;
    let api_options = compose::api_options(resolved, budget);
    let api = Listener::bind(resolved.address("listen"), api_options, counts.clone());
    let api = api.await.map_err(Fault::failed)?;
    let host = Host { sockets_max: budget.outbound };
    // All that can be wrong with what is configured is found before anything is delivered.
    let layers = Layers::read(compose::policy_options(resolved, &data))?;
    let differing = layers.check(|table| live::differing(resolved, settings, &host, table))?;
    let jobs = Jobs::builder(store.clone(), plimsoll_jobs::settings::Settings::resolve(resolved)?);
    let doors = Doors::new(resolved, settings).map_err(Fault::misused)?;
    let hooks = Hooks::start(store.clone(), settings, &differing, host).await.map_err(Fault::failed)?;
    let jobs = jobs.start().await.map_err(Fault::failed)?;
    let router = compose::api(&hooks, &jobs, secrets.keys, &doors);
    let live = Live::new(doors, hooks.clone(), resolved, settings);
    let control = Control::start(layers, live.clone())?;
    let mut metrics = Metrics::new();
    metrics.collect(counts);
    metrics.collect(hooks.numbers());
    metrics.collect(jobs.numbers());
    metrics.collect(control.clone());
    metrics.collect(Load { bounds: compose::LOAD });
    let ready = Ready {
        listen: api.address(),
        admin: desk.address,
        data: &data,
        admin_token_in_file: resolved.text("admin_token").is_none(),
    };
    // Requests in progress take milliseconds; half of the time is theirs at the most, so that one
    // that is stuck leaves the deliveries the other half.
    let requests = Drain::new(resolved.duration("drain_seconds") / 2);
    let mut api = listen(api, router, &requests).await?;
    let mut followers = Group::new(2).map_err(Fault::failed)?;
    followers.spawn(live.follow(args.clone(), control.clone(), hangups, drain.clone())).await;
    let (watched, until) = (control.clone(), drain.clone());
    followers.spawn(async move { watched.watch(&until).await }).await;
    let health = hooks.clone();
    let parts = Parts::new(metrics).check("store", move || health.can_write()).pages(policy::routes(control));
    desk.pages.begin(parts);
    ready.say();
    tokio::select! {
        () = drain.started() => {}
        () = hooks.fenced() => {
            return Err(Fault::failed("another plimsoll has taken over this data: what was accepted is safe with it"));
        }
        () = jobs.fenced() => {
            return Err(Fault::failed("another plimsoll has taken over this data: the jobs that were accepted are safe with it"));
        }
        _ = api.join() => return Err(Fault::failed("the API listener ended by itself")),
        _ = desk.group.join() => return Err(Fault::failed("the admin listener ended by itself")),
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
    let _ = followers.join().await;
    desk.drain.begin();
    let _ = desk.group.join().await;
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
