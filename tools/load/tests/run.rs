//! Runs against real servers on this machine.

mod site;

use std::time::Duration;

use bytes::Bytes;
use plimsoll_load::mix::{Data, Mix, Order, Request, Tenant, Tenants};
use plimsoll_load::profile::{Arrivals, Profile, Shape, Stage};
use plimsoll_load::report::Counts;
use plimsoll_load::run::{Run, Snapshot, Stop, run_until};
use plimsoll_load::tally::Class;
use plimsoll_load::{Connections, Error, Plan, Protocol, Slow, SlowAt, Target, check};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use site::{OK, Site, ok, request, run, silent};

const SHORT: Duration = Duration::from_millis(300);

/// Whether what was due in each stage is the sum of what is recorded to have become of it.
fn adds_up(done: &Run) -> bool {
    done.stages.iter().all(|stage| {
        let counts = Counts::from(&stage.tally);
        let ends = counts.succeeded + counts.refused + counts.lost() + counts.unfinished;
        stage.due == counts.due && stage.due == ends
    })
}

#[tokio::test]
async fn what_is_due_is_sent_and_answered() {
    let site = Site::start(ok).await;
    let mut plan = site.plan(1_000.0, SHORT);
    plan.connections = Connections { open: 4, max: 64 };
    let done = run(&plan).await.unwrap();
    assert_eq!((done.due(), done.total().counts.success()), (300, 300));
    assert_eq!((done.unfinished(), done.cancelled), (0, false));
    assert_eq!(done.total().latency.len(), 300);
    assert_eq!(done.seconds.iter().map(|second| second.sent).sum::<u64>(), 300);
    let requests = site.seen.requests.lock().unwrap();
    assert_eq!(requests.len(), 300);
    assert!(requests[0].starts_with("GET /hello HTTP/1.1\r\nhost: 127.0.0.1:"), "{}", requests[0]);
}

#[tokio::test]
async fn several_workers_send_what_one_would() {
    let site = Site::start(ok).await;
    let mut plan = site.plan(1_000.0, SHORT);
    plan.workers = Some(3);
    let done = run(&plan).await.unwrap();
    assert_eq!((done.due(), done.total().counts.success(), done.generator.workers), (300, 300, 3));
}

#[tokio::test]
async fn what_was_due_while_the_server_stood_still_shows_all_of_its_waiting() {
    let site = Site::start(|mut stream, seen| {
        Box::pin(async move {
            let mut buffer = Vec::new();
            while let Some(request) = request(&mut stream, &mut buffer).await? {
                let number = {
                    let mut requests = seen.requests.lock().unwrap();
                    requests.push(request);
                    requests.len()
                };
                if number == 20 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                stream.write_all(OK).await?;
            }
            Ok(())
        })
    })
    .await;
    let mut plan = site.plan(100.0, Duration::from_secs(2));
    plan.connections = Connections { open: 1, max: 1 };
    let total = run(&plan).await.unwrap().total();
    assert_eq!(total.counts.success(), 200);
    // One connection: everything that was due in that second waited, evenly spread from a second to
    // nothing. Only one of them was under way, which is all that a closed loop would have seen.
    let late = |histogram: &hdrhistogram::Histogram<u64>| histogram.count_between(500_000, 3_600_000_000);
    assert!(late(&total.latency) >= 50, "{}", late(&total.latency));
    assert!(total.latency.value_at_quantile(0.99) >= 950_000);
    assert!(late(&total.service) < late(&total.latency) / 2, "{}", late(&total.service));
}

#[tokio::test]
async fn answers_are_told_apart_by_class() {
    let site = Site::start(|mut stream, seen| {
        Box::pin(async move {
            let mut buffer = Vec::new();
            while let Some(request) = request(&mut stream, &mut buffer).await? {
                let number = {
                    let mut requests = seen.requests.lock().unwrap();
                    requests.push(request);
                    requests.len() % 10
                };
                let answer: &[u8] = match number {
                    0 => b"HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
                    1 => b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n",
                    2 => b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
                    3 => b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
                    4 => b"HTTP/1.1 404 Not\r\ncontent-length: 0\r\n\r\n",
                    5 => b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                    6 => b"HTTP/1.1 302 There\r\nlocation: /hello\r\ncontent-length: 0\r\n\r\n",
                    7 => b"220 mail ready\r\n",
                    // Cut: the connection ends in the middle of the answer.
                    8 => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi",
                    _ => OK,
                };
                stream.write_all(answer).await?;
                if number == 8 {
                    return Ok(());
                }
            }
            Ok(())
        })
    })
    .await;
    let plan = site.plan(500.0, Duration::from_millis(200));
    let counts = run(&plan).await.unwrap().total().counts;
    for class in Class::ALL {
        let expected = match class {
            Class::TimedOut | Class::WaitedOut | Class::NotConnected | Class::Unsent | Class::Withheld => 0,
            _ => 10,
        };
        assert_eq!(counts.of(class), expected, "{}", class.name());
    }
    assert_eq!((counts.refused(), counts.refused_told(), counts.answered()), (40, 20, 80));
}

#[tokio::test]
async fn an_answer_that_does_not_come_ends_at_the_deadline_and_what_waits_behind_it_too() {
    let site = Site::start(silent).await;
    let mut plan = site.plan(100.0, SHORT);
    plan.deadline = Duration::from_millis(200);
    plan.connections = Connections { open: 2, max: 2 };
    plan.line_max = 10;
    let done = run(&plan).await.unwrap();
    let counts = done.total().counts;
    assert_eq!((done.due(), counts.total(), counts.success()), (30, 30, 0));
    assert!(adds_up(&done), "{counts:?}");
    assert!(counts.of(Class::TimedOut) >= 2, "{counts:?}");
    assert!(
        counts.of(Class::Withheld) > 0,
        "two under way and ten in line are less than 20 in 200 ms: {counts:?}"
    );
    assert_eq!(
        done.total().failed.len(),
        30 - counts.of(Class::Withheld),
        "what was not sent has no latency"
    );
}

#[tokio::test]
async fn a_server_that_is_gone_is_counted_and_none_at_all_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let profile = Profile::steady(100.0, SHORT).unwrap();
    let mix = Mix::new(vec![Request::get("/")]).unwrap();
    let mut plan = Plan::new(Target::new(&url).unwrap(), profile, mix);
    plan.workers = Some(1);
    plan.connections = Connections { open: 1, max: 8 };
    let serve = async move {
        // The first connection is for the beginning; with it goes the server.
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        drop(stream);
    };
    let (done, ()) = tokio::join!(run(&plan), serve);
    let done = done.unwrap();
    let counts = done.total().counts;
    assert_eq!(counts.total(), 30);
    assert!(counts.of(Class::NotConnected) >= 29, "{counts:?}");
    assert!(done.generator.connections_failed > 0 && done.generator.first_failure.is_some());
    let refused = run(&plan).await.unwrap_err();
    assert!(matches!(refused, Error::Target { .. }), "{refused}");
}

#[tokio::test]
async fn connections_grow_with_a_slow_server_up_to_their_bound() {
    let site = Site::start(|mut stream, _| {
        Box::pin(async move {
            let mut buffer = Vec::new();
            while request(&mut stream, &mut buffer).await?.is_some() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                stream.write_all(OK).await?;
            }
            Ok(())
        })
    })
    .await;
    let mut plan = site.plan(200.0, SHORT);
    plan.connections = Connections { open: 1, max: 8 };
    let done = run(&plan).await.unwrap();
    assert_eq!(done.total().counts.success(), 60, "what found no connection waited for one");
    assert_eq!((done.generator.connections_opened, *site.seen.connections.lock().unwrap()), (8, 8));
    // Sixty requests at a tenth of a second each on eight connections: the last waited for longer
    // than it took.
    assert!(done.total().latency.max() > done.total().service.max());
}

#[tokio::test]
async fn http_2_carries_many_requests_on_one_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection =
            h2::server::Builder::new().max_concurrent_streams(7).handshake::<_, Bytes>(stream).await.unwrap();
        let mut number = 0;
        while let Some(Ok((asked, mut answer))) = connection.accept().await {
            assert_eq!((asked.method().as_str(), asked.uri().path()), ("POST", "/things"));
            number += 1;
            let status = if number % 3 == 0 { 503 } else { 200 };
            let told = http::Response::builder().status(status).header("retry-after", "2").body(()).unwrap();
            answer.send_response(told, false).unwrap().send_data(Bytes::from_static(b"hello"), true).unwrap();
        }
        number
    };
    let profile = Profile::steady(500.0, SHORT).unwrap();
    let mut post = Request::get("/things");
    post.method = "POST".to_owned();
    post.body = "{}".to_owned();
    let mut plan = Plan::new(Target::new(&url).unwrap(), profile, Mix::new(vec![post]).unwrap());
    plan.protocol = Protocol::Http2;
    plan.workers = Some(1);
    plan.connections = Connections { open: 1, max: 1 };
    let (done, served) = tokio::join!(run(&plan), serve);
    let counts = done.unwrap().total().counts;
    assert_eq!((served, counts.success(), counts.of(Class::UnavailableTold)), (150, 100, 50));
}

#[tokio::test]
async fn tenants_are_told_and_counted_by_their_weight() {
    let site = Site::start(ok).await;
    let mut plan = site.plan(2_000.0, Duration::from_millis(500));
    let list = vec![
        Tenant { name: "quiet".to_owned(), weight: 1.0 },
        Tenant { name: "loud".to_owned(), weight: 9.0 },
    ];
    plan.tenants = Some(Tenants::new(list, Some("x-tenant")).unwrap());
    let done = run(&plan).await.unwrap();
    let [loud, quiet] = done.stages[0].tenants.as_slice() else { panic!("two tenants") };
    assert_eq!((loud.name.as_deref(), quiet.name.as_deref()), (Some("loud"), Some("quiet")));
    let (loud, quiet) = (loud.tally.counts.success(), quiet.tally.counts.success());
    assert_eq!(loud + quiet, 1_000);
    assert!((60..140).contains(&quiet), "{quiet} of 100 expected, with a deviation of ten");
    let requests = site.seen.requests.lock().unwrap();
    let told = requests.iter().filter(|request| request.contains("\r\nx-tenant: quiet\r\n")).count();
    assert_eq!(told as u64, quiet);
}

#[tokio::test]
async fn data_fills_requests_in_row_by_row() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rows.csv");
    std::fs::write(&file, "id,note\n1,a b\n2,\"c,d\"\n3,e\n").unwrap();
    let site = Site::start(ok).await;
    let mut plan = site.plan(100.0, Duration::from_millis(90));
    let mut post = Request::get("/items/{{note}}");
    post.method = "PUT".to_owned();
    post.headers = vec![("x-id".to_owned(), "n-{{id}}".to_owned())];
    post.body = "{\"id\": {{id}}}".to_owned();
    plan.mix = Mix::new(vec![post]).unwrap().with_data(Data::read(&file, Order::Cycled).unwrap());
    assert_eq!(run(&plan).await.unwrap().total().counts.success(), 9);
    let requests = site.seen.requests.lock().unwrap();
    for (number, request) in requests.iter().enumerate() {
        let (id, path) = [(1, "a%20b"), (2, "c%2Cd"), (3, "e")][number % 3];
        assert!(request.starts_with(&format!("PUT /items/{path} HTTP/1.1\r\n")), "{request}");
        assert!(
            request.contains(&format!("x-id: n-{id}\r\ncontent-length: 9\r\n\r\n{{\"id\": {id}}}")),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_burst_comes_all_at_once_and_opens_what_it_needs() {
    let site = Site::start(ok).await;
    let mut plan = site.plan(1.0, Duration::from_secs(1));
    let burst = Shape::Burst { size: 40, every: Duration::from_millis(150) };
    let stage = Stage { name: "burst".to_owned(), shape: burst, length: SHORT };
    plan.profile = Profile::new(vec![stage], Arrivals::Constant).unwrap();
    plan.connections = Connections { open: 1, max: 40 };
    let done = run(&plan).await.unwrap();
    assert_eq!((done.due(), done.total().counts.success()), (80, 80));
    assert!(done.generator.connections_opened > 1);
}

#[tokio::test]
async fn slow_clients_are_counted_apart_and_send_a_few_bytes_at_a_time() {
    let site = Site::start(|mut stream, seen| {
        Box::pin(async move {
            use tokio::io::AsyncReadExt as _;
            let mut buffer = Vec::new();
            let mut reads = 0;
            loop {
                reads += 1;
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                if buffer.ends_with(b"\r\n\r\n") {
                    buffer.clear();
                    seen.requests.lock().unwrap().push(format!("{reads}"));
                    reads = 0;
                    stream.write_all(OK).await?;
                }
            }
        })
    })
    .await;
    let mut plan = site.plan(50.0, Duration::from_secs(1));
    plan.connections = Connections { open: 2, max: 8 };
    plan.slow = Some(Slow { share: 0.25, bytes_per_second: 300, at: SlowAt::Sending });
    let done = run(&plan).await.unwrap();
    assert_eq!(done.total().counts.success(), 50, "the schedule's requests are as many as without");
    let slow = done.slow.expect("there were slow clients");
    assert!(slow.counts.success() >= 1 && slow.counts.total() < 10, "{:?}", slow.counts);
    let requests = site.seen.requests.lock().unwrap();
    assert!(requests.iter().any(|reads| reads.parse::<u32>().unwrap() > 1), "{requests:?}");
    // A request of some 60 bytes at 300 a second.
    assert!(slow.latency.min() >= 100_000, "{}", slow.latency.min());
}

#[tokio::test]
async fn a_slow_reader_takes_its_time_over_an_answer() {
    let site = Site::start(|mut stream, seen| {
        Box::pin(async move {
            let mut buffer = Vec::new();
            while let Some(request) = request(&mut stream, &mut buffer).await? {
                seen.requests.lock().unwrap().push(request);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n").await?;
                stream.write_all(&[b'x'; 20_000]).await?;
            }
            Ok(())
        })
    })
    .await;
    let mut plan = site.plan(20.0, Duration::from_secs(1));
    plan.connections = Connections { open: 2, max: 10 };
    plan.slow = Some(Slow { share: 0.1, bytes_per_second: 50_000, at: SlowAt::Reading });
    let done = run(&plan).await.unwrap();
    assert_eq!(done.total().counts.success(), 20);
    let slow = done.slow.expect("there was a slow client");
    assert!(slow.counts.success() >= 1, "{:?}", slow.counts);
    // Twenty kilobytes at fifty a second, the first turn of which is free.
    assert!(slow.latency.min() >= 250_000, "{}", slow.latency.min());
    assert_eq!(slow.bytes_read / slow.counts.success(), 20_000 + 42);
}

#[tokio::test]
async fn an_endless_answer_in_http_2_ends_at_its_bound() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serve = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut answers = Vec::new();
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            let mut sending = answer.send_response(http::Response::new(()), false).unwrap();
            // More than its bound, and never the end.
            sending.send_data(Bytes::from_static(&[0; 60_000]), false).unwrap();
            answers.push(sending);
        }
        answers.len()
    };
    let profile = Profile::steady(50.0, SHORT).unwrap();
    let mut plan = Plan::new(Target::new(&url).unwrap(), profile, Mix::new(vec![Request::get("/")]).unwrap());
    plan.protocol = Protocol::Http2;
    plan.workers = Some(1);
    plan.body_bytes_max = 50_000;
    plan.connections = Connections { open: 1, max: 1 };
    let (done, served) = tokio::join!(run(&plan), serve);
    let counts = done.unwrap().total().counts;
    assert_eq!((served, counts.of(Class::Malformed)), (15, 15), "{counts:?}");
}

#[tokio::test]
async fn a_run_that_is_cancelled_tells_what_was_seen_until_then() {
    let site = Site::start(ok).await;
    let plan = site.plan(200.0, Duration::from_secs(3_600));
    let cancellation = CancellationToken::new();
    let (observer, mut seen) = watch::channel(Snapshot::default());
    let stop = async {
        let snapshot = seen.wait_for(|snapshot| snapshot.seconds >= 1).await.unwrap();
        assert!(snapshot.second.due > 0 && snapshot.stages.len() == 1);
        cancellation.cancel();
    };
    let (done, ()) = tokio::join!(plimsoll_load::run(&plan, &cancellation, &observer), stop);
    let done = done.unwrap();
    assert!(done.cancelled && done.total().counts.success() > 0);
    assert!(adds_up(&done), "{:?}", done.stages);
    assert_eq!(done.due(), done.total().counts.total() + done.unfinished());
}

#[tokio::test]
async fn what_is_left_undone_by_a_cancelled_run_stands_in_its_stage_with_its_age() {
    let site = Site::start(silent).await;
    let mut plan = site.plan(100.0, Duration::from_secs(3_600));
    plan.connections = Connections { open: 2, max: 2 };
    let cancellation = CancellationToken::new();
    let (observer, mut seen) = watch::channel(Snapshot::default());
    let stop = async {
        seen.wait_for(|snapshot| snapshot.seconds >= 1).await.unwrap();
        cancellation.cancel();
    };
    let (done, ()) = tokio::join!(plimsoll_load::run(&plan, &cancellation, &observer), stop);
    let done = done.unwrap();
    let [stage] = done.stages.as_slice() else { panic!("one stage") };
    assert_eq!((stage.tally.counts.total(), stage.tally.unfinished.len()), (0, stage.due));
    assert!(stage.due >= 90 && done.cancelled, "{}", stage.due);
    assert!(stage.tally.unfinished.max() >= 900_000, "the first waits for a second");
    assert!(done.arrivals_stopped.is_some() && adds_up(&done));
}

#[tokio::test]
async fn a_run_that_is_told_enough_lets_what_is_out_come_to_its_end() {
    let site = Site::start(silent).await;
    let mut plan = site.plan(100.0, Duration::from_secs(3_600));
    plan.deadline = Duration::from_millis(1_500);
    plan.connections = Connections { open: 2, max: 200 };
    let stop = Stop::default();
    let (observer, mut seen) = watch::channel(Snapshot::default());
    let enough = async {
        seen.wait_for(|snapshot| snapshot.seconds >= 1).await.unwrap();
        stop.arrivals.cancel();
    };
    let (done, ()) = tokio::join!(run_until(&plan, &stop, &observer), enough);
    let done = done.unwrap();
    let counts = done.total().counts;
    assert!(!done.cancelled && done.due() >= 90, "{}", done.due());
    assert_eq!((counts.of(Class::TimedOut), done.unfinished()), (done.due(), 0), "{counts:?}");
    assert!(done.arrivals_stopped.unwrap() < done.took);
}

#[tokio::test]
async fn a_wrong_plan_is_refused_before_anything_is_sent() {
    let site = Site::start(ok).await;
    let mut plan = site.plan(1.0, Duration::from_secs(1));
    plan.connections = Connections { open: 5, max: 4 };
    let refused = run(&plan).await.unwrap_err().to_string();
    assert_eq!(refused, "connections opened first is 5, allowed is 0 to 4, the most there may be");
    assert_eq!(*site.seen.connections.lock().unwrap(), 0);
}

#[tokio::test]
async fn the_ceiling_is_measured_with_the_plans_own_requests() {
    let site = Site::start(ok).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut plan = site.plan(500.0, SHORT);
        plan.protocol = protocol;
        let ceiling = check::ceiling(&plan, &CancellationToken::new()).await.unwrap();
        assert!(ceiling.requests > 0 && ceiling.per_second > 0.0, "{ceiling:?}");
    }
    assert_eq!(*site.seen.connections.lock().unwrap(), 0, "the target is left alone");
}
