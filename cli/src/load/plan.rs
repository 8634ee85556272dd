//! From the flags to a plan.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use plimsoll_load::judge::Terms;
use plimsoll_load::knee::Settings;
use plimsoll_load::mix::{Data, Mix, Order, Request, Tenant, Tenants};
use plimsoll_load::profile::{self, Shape, Stage};
use plimsoll_load::vitals::Source;
use plimsoll_load::{Connections, Error, Plan, Protocol, Slow, SlowAt, Target, Trust};

use super::args::{Args, Arrivals, Ask, Http, Profile, Sending, Watch, Wire};

/// How many steps `--profile step` has.
const STEPS: u32 = 10;
/// How many times as high a spike is, and which part of the time it lasts.
const SPIKE_TIMES: f64 = 10.0;
const SPIKE_PART: f64 = 0.1;
/// How long a profile is without `--seconds`.
const SECONDS: f64 = 30.0;
const SOAK_SECONDS: f64 = 3_600.0;
/// The highest rate that a search tries without `--to`.
const SEARCH_TO: f64 = 100_000.0;
/// Bytes a second of slow clients.
const SLOW_BYTES: u32 = 100;
/// The largest file of `--body @FILE`.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// The plan; its profile is the one of `--rate`, or one to be replaced.
///
/// # Errors
/// The first flag that is wrong.
pub(super) fn plan(args: &Args) -> Result<Plan, Error> {
    let Wire { connections, http, timeout, insecure, threads, seed, .. } = args.wire;
    let mut target = Target::new(args.url.as_deref().unwrap_or_default())?;
    if insecure {
        target = target.with_trust(Trust::Anything);
    }
    let mut plan = Plan::new(target, profile(&args.ask)?, mix(&args.send)?);
    plan.tenants = tenants(&args.send)?;
    plan.connections = Connections { open: connections.min(16), max: connections };
    plan.protocol = match http {
        Http::Auto => Protocol::Auto,
        Http::One => Protocol::Http1,
        Http::Two => Protocol::Http2,
    };
    plan.deadline = length("timeout", timeout, 600.0)?;
    plan.workers = threads;
    plan.seed = seed;
    plan.slow =
        args.send.slow_clients.map(|share| Slow { share, bytes_per_second: SLOW_BYTES, at: SlowAt::Sending });
    plan.check()?;
    Ok(plan)
}

/// What must hold around that bound.
pub(super) fn terms(ask: &Ask, bound: f64) -> Terms {
    let mut terms = Terms::new(bound);
    terms.minutes = ask.minutes.unwrap_or(terms.minutes);
    terms.p99_ms = ask.p99_ms.unwrap_or(terms.p99_ms);
    terms.memory_bytes_max = ask.memory_mib.map(|mib| mib * 1_048_576.0);
    terms.quiet_factor = ask.quiet_factor.unwrap_or(terms.quiet_factor);
    terms
}

/// How the bound is searched for.
///
/// # Errors
/// A rate or a length that is out of its range.
pub(super) fn search(ask: &Ask) -> Result<Settings, Error> {
    let to = ask.to.unwrap_or(SEARCH_TO);
    if !(1.0..=500_000.0).contains(&to) {
        return Err(Error::invalid("to", to, "1 to 500,000 requests a second"));
    }
    if !(0.5..=to).contains(&ask.from) {
        return Err(Error::invalid("from", ask.from, "0.5 requests a second to --to"));
    }
    if !(2.0..=600.0).contains(&ask.step_seconds) {
        return Err(Error::invalid("step-seconds", ask.step_seconds, "2 to 600 seconds"));
    }
    let p99_ms = ask.p99_ms.unwrap_or(Terms::new(1.0).p99_ms);
    Ok(Settings { from: ask.from, to, step_seconds: ask.step_seconds, p99_ms })
}

/// Where the service's own numbers come from.
///
/// # Errors
/// A URL that is none.
pub(super) fn source(watch: &Watch) -> Result<Option<Source>, Error> {
    let page = watch.metrics.as_deref().map(Source::page).transpose()?;
    Ok(page.or(watch.pid.map(Source::Process)))
}

/// Refuses a file that cannot be written, before there is anything to write; what is in it stays.
///
/// # Errors
/// It cannot be opened for writing.
pub(super) fn writable(path: &Path) -> Result<(), Error> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let refused = |error: std::io::Error| Error::File {
        path: path.display().to_string(),
        why: format!("the page cannot be written there: {error}"),
    };
    opened.map(drop).map_err(refused)
}

fn profile(ask: &Ask) -> Result<profile::Profile, Error> {
    let arrivals = match ask.arrivals {
        Arrivals::Poisson => profile::Arrivals::Poisson,
        Arrivals::Constant => profile::Arrivals::Constant,
    };
    // Without a rate there is a bound, or a search for one, and this is replaced.
    let rate = ask.rate.unwrap_or(1.0);
    let default = if ask.profile == Profile::Soak { SOAK_SECONDS } else { SECONDS };
    let length = length("seconds", ask.seconds.unwrap_or(default), 86_400.0)?;
    let to = ask.to.unwrap_or(2.0 * rate);
    let (name, shape) = match ask.profile {
        Profile::Steady => ("steady", Shape::Steady { rate }),
        Profile::Soak => ("soak", Shape::Steady { rate }),
        Profile::Ramp => ("ramp", Shape::Ramp { from: rate, to }),
        Profile::Step => ("step", Shape::Step { from: rate, to, steps: STEPS }),
        Profile::Spike => {
            let (lasts, begins) = (length.mul_f64(SPIKE_PART), length.mul_f64(0.5 - SPIKE_PART / 2.0));
            ("spike", Shape::Spike { base: rate, times: SPIKE_TIMES, begins, lasts })
        }
        Profile::Burst => {
            ("burst", Shape::Burst { size: rate.round() as u32, every: Duration::from_secs(1) })
        }
    };
    profile::Profile::new(vec![Stage { name: name.to_owned(), shape, length }], arrivals)
}

fn length(field: &str, seconds: f64, most: f64) -> Result<Duration, Error> {
    if (0.001..=most).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Error::invalid(field, seconds, format!("0.001 to {most} seconds")))
}

fn mix(send: &Sending) -> Result<Mix, Error> {
    let headers = send.headers.iter().map(|text| header(text)).collect::<Result<Vec<_>, _>>()?;
    let mix = match &send.requests {
        Some(path) => {
            let requests = Mix::read(path)?.requests().to_vec();
            // What is given for all of them stands before what each has.
            let with = |request: Request| Request {
                headers: [headers.clone(), request.headers].concat(),
                ..request
            };
            Mix::new(requests.into_iter().map(with).collect())?
        }
        None => {
            let body = send.body.as_deref().map(body).transpose()?;
            let default = if body.is_some() { "POST" } else { "GET" };
            let method = send.method.clone().unwrap_or_else(|| default.to_owned());
            Mix::new(vec![Request { method, headers, body: body.unwrap_or_default(), ..Request::get("") }])?
        }
    };
    let data = send.data.as_deref().map(|path| Data::read(path, Order::default())).transpose()?;
    Ok(match data {
        Some(data) => mix.with_data(data),
        None => mix,
    })
}

fn header(text: &str) -> Result<(String, String), Error> {
    // The value may be secret: it is not repeated.
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| Error::invalid("header", "a text without a colon", "NAME: VALUE"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn body(text: &str) -> Result<String, Error> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    let refused = |why: String| Error::File { path: path.to_owned(), why };
    let size = Path::new(path).metadata().map_err(|error| refused(error.to_string()))?.len();
    if size > BODY_BYTES_MAX {
        return Err(refused("is larger than 16 MiB".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))
}

fn tenants(send: &Sending) -> Result<Option<Tenants>, Error> {
    if send.tenants.is_empty() {
        return Ok(None);
    }
    let tenant = |text: &String| {
        let refused = || Error::invalid("tenants", text, "NAME=WEIGHT, such as quiet=1");
        let (name, weight) = text.split_once('=').ok_or_else(refused)?;
        Ok(Tenant { name: name.trim().to_owned(), weight: weight.trim().parse().map_err(|_| refused())? })
    };
    let list = send.tenants.iter().map(tenant).collect::<Result<Vec<_>, Error>>()?;
    Tenants::new(list, send.tenant_header.as_deref()).map(Some)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        args: Args,
    }

    fn args(flags: &str) -> Result<Args, clap::Error> {
        Whole::try_parse_from(std::iter::once("load").chain(flags.split_whitespace())).map(|whole| whole.args)
    }

    #[test]
    fn one_thing_must_be_asked_for() {
        assert!(args("http://127.0.0.1:1/").is_err());
        assert!(args("http://127.0.0.1:1/ --bound 5 --find-bound").is_err());
        assert!(args("--bound 5").is_err());
        assert!(args("--compare a b").is_ok());
        assert!(args("--compare a").is_err());
        assert!(args("http://127.0.0.1:1/ --bound 5 --then-phases").is_err());
    }

    #[test]
    fn a_flag_that_would_do_nothing_is_refused() {
        for flags in [
            "--bound 5 --to 9",
            "--bound 5 --seconds 9",
            "--bound 5 --profile spike",
            "--bound 5 --from 9",
            "--rate 5 --minutes 1",
            "--rate 5 --memory-mib 64",
            "--rate 5 --step-seconds 5",
            "--find-bound --seconds 9",
        ] {
            assert!(args(&format!("http://127.0.0.1:1/ {flags}")).is_err(), "{flags}");
        }
        assert!(args("http://127.0.0.1:1/ --find-bound --then-phases --minutes 1 --to 900").is_ok());
    }

    #[test]
    fn flags_become_a_plan() {
        let flags = "http://127.0.0.1:1/a?b=c --rate 100 --profile spike --seconds 20 -d {} -H a:b --http 2 \
                     --tenants big=9,small=1 --tenant-header x-tenant --timeout 2.5 --connections 8";
        let plan = plan(&args(flags).unwrap()).unwrap();
        assert_eq!((plan.protocol, plan.deadline), (Protocol::Http2, Duration::from_millis(2_500)));
        assert_eq!(plan.connections, Connections { open: 8, max: 8 });
        assert_eq!(plan.mix.requests()[0].method, "POST");
        assert_eq!(plan.tenants.unwrap().names(), ["big", "small"]);
        assert_eq!(plan.profile.rate_at(Duration::from_secs(10)), 1_000.0);
        assert_eq!(plan.profile.rate_at(Duration::from_secs(8)), 100.0);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_allowed() {
        let refused = |flags: &str| plan(&args(flags).unwrap()).unwrap_err().to_string();
        assert!(refused("ftp://a --rate 1").starts_with("url is `ftp://a`"));
        assert!(refused("http://a --rate 1 --seconds 0").starts_with("seconds is 0, allowed is"));
        assert!(refused("http://a --rate 1 --tenants a").starts_with("tenants is a, allowed is NAME=WEIGHT"));
        assert!(refused("http://a --rate 1 -H secret").ends_with("allowed is NAME: VALUE"));
        assert!(!refused("http://a --rate 1 -H secret").contains("secret"));
        assert!(search(&args("http://a --find-bound --from 0").unwrap().ask).is_err());
        assert!(
            writable(Path::new("/nowhere/load.html")).unwrap_err().to_string().contains("/nowhere/load.html")
        );
        assert!(source(&args("http://a --rate 1 --metrics 5").unwrap().watch).is_err());
    }
}
