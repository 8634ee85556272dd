//! The schedule against a model of the disk, under random work, failures and delays.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_store::{AppId, AttemptState, Endpoint, Id, MessageId, Priority};
use proptest::prelude::*;

use super::destination::{For, Terms};
use super::envelope::Envelope;
use super::job::{Class, Job, Limits, Then, Verdict, Work};
use super::world::{World, envelope, policy, report_of, roomy, roomy_policy};
use crate::policy::{Override, Policy, Table, Totals, Who};

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Start,
    Finish(usize, u16),
    Take(usize),
    Commit,
    BeginLoad,
    EndLoad(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3).prop_map(Step::Send),
        4 => Just(Step::Start),
        4 => (0usize..8, prop::sample::select(vec![200, 200, 200, 500, 503]))
            .prop_map(|(which, status)| Step::Finish(which, status)),
        2 => (1usize..20).prop_map(Step::Take),
        2 => Just(Step::Commit),
        2 => Just(Step::BeginLoad),
        2 => (0usize..4).prop_map(Step::EndLoad),
        1 => (1u64..4_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_message_reaches_every_endpoint_once_whatever_happens_in_between(
        endpoints in prop::collection::vec(1usize..6, 1..4),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut world = World::new(&endpoints);
        for step in steps {
            match step {
                Step::Send(app) => world.send(app),
                Step::Start => world.start(),
                Step::Finish(which, status) => world.answer(which, status),
                Step::Take(count) => world.take_commit(count),
                Step::Commit => world.commit(),
                Step::BeginLoad => world.begin_load(),
                Step::EndLoad(which) => world.end_load(which),
                Step::Pass(ms) => world.pass(Duration::from_millis(ms)),
            }
        }
        world.run_dry();
        world.check();
    }
}

/// Who is served when everybody wants to be, one delivery at a time.
fn served(world: &mut World, deliveries: usize) -> BTreeMap<AppId, usize> {
    let mut served = BTreeMap::new();
    for _ in 0..deliveries {
        let Some(job) = world.schedule.pick(world.now) else { break };
        *served.entry(job.app).or_default() += 1;
        world.running.push(job);
        world.finish(0, true);
        world.take_commit(100);
        world.commit();
        world.begin_load();
        world.end_load(0);
    }
    served
}

#[test]
fn a_tenant_with_a_hundred_times_the_backlog_gets_its_share_and_no_more() {
    let mut world = World::new(&[1, 1, 1]);
    // The first and the third are of one organisation, the second has its own.
    for _ in 0..400 {
        world.send(0);
    }
    for app in [1, 2] {
        for _ in 0..40 {
            world.send(app);
        }
    }
    let served = served(&mut world, 40);
    let [one, two, three] = [0, 1, 2].map(|app| served[&world.apps[app]]);
    assert!(two.abs_diff(20) <= 1, "half for each organisation: {served:?}");
    assert!(
        one.abs_diff(10) <= 1 && three.abs_diff(10) <= 1,
        "then half for each of its tenants: {served:?}"
    );
}

#[test]
fn a_first_try_and_due_work_are_told_apart_by_their_number() {
    let mut world = World::new(&[1]);
    world.send(0);
    world.start();
    assert!(matches!(world.running[0].work, Work::First { sequence: 1 }) && world.running[0].number() == 1);
    world.finish(0, false);
    world.take_commit(10);
    world.commit();
    world.pass(Duration::from_secs(4));
    world.begin_load();
    world.end_load(0);
    world.start();
    assert!(
        matches!(&world.running[0].work, Work::Due(work) if work.tries == 1)
            && world.running[0].number() == 2
    );
}

#[test]
fn endpoints_that_hang_at_their_share_do_not_stop_the_fan_out_to_the_others() {
    let limits = Limits { concurrency: 16, ..roomy() };
    let policy = Policy { concurrency: 16, endpoint_concurrency: 10, window_messages: 64, ..policy() };
    let mut world = World::within(limits, policy, &[8]);
    let hangs = |job: &Job| job.target.endpoint.sequence > 4;
    for _ in 0..40 {
        world.send(0);
    }
    for _ in 0..2_000 {
        world.pass(Duration::from_millis(10));
        world.start();
        if let Some(well) = world.running.iter().position(|job| !hangs(job)) {
            world.finish(well, true);
        }
        world.take_commit(100);
        world.commit();
        world.begin_load();
        world.end_load(0);
    }
    assert_eq!(world.delivered.len(), 160, "all of those that do not hang");
    assert!(!world.running.is_empty() && world.running.iter().all(hangs));
}

#[test]
fn an_endpoint_at_its_share_gets_more_when_half_of_the_places_are_free() {
    let mut world = World::within(roomy(), Policy { concurrency: 16, ..roomy_policy() }, &[8]);
    for _ in 0..10 {
        world.send(0);
    }
    world.start();
    let of_first =
        |world: &World| world.running.iter().filter(|job| job.target.endpoint.sequence == 1).count();
    assert_eq!((world.running.len(), of_first(&world)), (16, 2), "each has its share");
    (2..=8).for_each(|sequence| world.pause_endpoint(0, sequence, true));
    while let Some(other) = world.running.iter().position(|job| job.target.endpoint.sequence > 1) {
        world.finish(other, true);
        world.start();
    }
    assert_eq!(of_first(&world), 8, "all that it may have");
}

#[test]
fn nothing_starts_in_a_drain() {
    let mut world = World::new(&[2]);
    world.schedule.drain();
    world.send(0);
    world.start();
    assert!(world.running.is_empty() && world.schedule.is_drained());
}

#[test]
fn a_paused_endpoint_is_sent_nothing_and_all_that_waited_when_it_is_resumed() {
    let mut world = World::new(&[2]);
    world.pause_endpoint(0, 1, true);
    for _ in 0..10 {
        world.send(0);
    }
    for _ in 0..50 {
        world.turn();
    }
    assert!(world.running.is_empty() && world.delivered.len() == 10, "the other one has its ten");
    assert_eq!((world.disk.due.len(), world.disk.fanouts.len()), (10, 0), "what waits is on disk");
    assert_eq!(world.schedule.bytes(), 0, "and not in memory");
    world.pause_endpoint(0, 1, false);
    world.run_dry();
    world.check();
}

#[test]
fn a_paused_application_is_sent_nothing_and_all_that_waited_when_it_is_resumed() {
    let mut world = World::new(&[2, 1]);
    world.send(0);
    world.turn();
    world.pause_app(0, true);
    for _ in 0..10 {
        world.send(0);
        world.send(1);
    }
    for _ in 0..50 {
        world.turn();
    }
    assert_eq!(world.delivered.len(), 2 + 10, "what was under way, and the other application's");
    world.pause_app(0, false);
    world.run_dry();
    world.check();
}

#[test]
fn a_replaced_policy_is_followed_at_once() {
    let mut world = World::new(&[1]);
    for _ in 0..4 {
        world.send(0);
    }
    world.start();
    assert_eq!(world.running.len(), 2, "at its limit");
    world.policy = Policy { endpoint_concurrency: 3, ..policy() };
    let totals = Totals { concurrency: 64, window_bytes: 1 << 20, payload_bytes_max: 0 };
    world.policies.replace(Table::new(world.policy, totals, []).unwrap());
    world.start();
    assert_eq!(world.running.len(), 3);
}

/// Lets the lanes' due work be in memory: each endpoint has failed this often and is due again.
fn fail_once(world: &mut World, app: usize, messages: usize) {
    for _ in 0..messages {
        world.send(app);
    }
    while !world.running.is_empty() || !world.delivered_or_due(app) {
        world.start();
        world.finish(0, false);
        world.take_commit(1_000);
        world.commit();
    }
    world.pass(Duration::from_secs(4));
    for _ in 0..20 {
        world.begin_load();
        world.end_load(0);
    }
}

#[test]
fn first_tries_go_before_retries_and_retries_hold_no_more_than_their_share() {
    let mut world = World::within(roomy(), roomy_policy(), &[1]);
    fail_once(&mut world, 0, 20);
    for _ in 0..4 {
        world.send(0);
    }
    let classes: Vec<_> = (0..4).map(|_| world.schedule.pick(world.now).unwrap().class()).collect();
    assert_eq!(classes, [Class::First; 4]);
    let rest: Vec<_> = std::iter::from_fn(|| world.schedule.pick(world.now)).collect();
    assert!(rest.iter().all(|job| job.class() == Class::Retry), "then retries, where places are free");
    assert_eq!(rest.len(), 4, "half of eight");
}

#[test]
fn retries_move_while_first_tries_never_end() {
    let mut world = World::within(roomy(), roomy_policy(), &[1]);
    fail_once(&mut world, 0, 20);
    let mut retries = 0;
    for _ in 0..160 {
        world.send(0);
        let job = world.schedule.pick(world.now).unwrap();
        retries += usize::from(job.class() == Class::Retry);
        world.running.push(job);
        world.finish(0, true);
        world.take_commit(100);
        world.commit();
    }
    assert!((9..=11).contains(&retries), "one of sixteen: {retries}");
}

#[test]
fn retries_of_all_tenants_together_leave_places_for_first_tries() {
    let limits = Limits { concurrency: 8, retries: 4, ..roomy() };
    let mut world = World::within(limits, roomy_policy(), &[1, 1, 1]);
    for app in 0..2 {
        fail_once(&mut world, app, 10);
    }
    world.start();
    assert_eq!(world.running.len(), 4);
    world.send(2);
    world.start();
    assert_eq!(world.running.len(), 5, "a first try finds a place");
    assert_eq!(world.running[4].class(), Class::First);
}

#[test]
fn retries_beyond_the_budget_wait_for_it_and_no_longer() {
    let terms = Terms { concurrency: 64, retries_ratio: 0.0, retries_per_second: 0.5 };
    let mut world = World::within(Limits { destinations: terms, ..roomy() }, roomy_policy(), &[1]);
    fail_once(&mut world, 0, 20);
    let mut failed = 0;
    world.start();
    while !world.running.is_empty() {
        world.finish(0, false);
        failed += 1;
        world.take_commit(100);
        world.commit();
        world.start();
    }
    assert_eq!(failed, 5, "what ten seconds bring");
    let app = world.apps[0];
    let endpoint = world.routing.app(app).unwrap().targets()[0].endpoint.id;
    let standing = world.schedule.standing(app, endpoint, world.now).unwrap();
    assert_eq!((standing.in_flight, standing.waits_for), (0, Some(For::Budget)));
    world.run_dry();
    world.check();
}

#[test]
fn high_goes_before_normal_before_low_and_low_still_moves() {
    let mut world = World::within(roomy(), Policy { window_messages: 1_000, ..roomy_policy() }, &[3]);
    for _ in 0..100 {
        for priority in Priority::ALL {
            world.send_at(0, priority);
        }
    }
    let mut served = [0; 3];
    for _ in 0..105 {
        let job = world.schedule.pick(world.now).unwrap();
        served[job.message.priority as usize] += 1;
        world.running.push(job);
        world.finish(0, true);
        world.take_commit(100);
        world.commit();
    }
    assert_eq!(served, [80, 20, 5], "16 to 4 to 1");
}

#[test]
fn high_priority_does_not_wait_behind_a_backlog_on_disk() {
    let mut world = World::new(&[1]);
    for _ in 0..50 {
        world.send(0);
    }
    world.send_at(0, Priority::High);
    world.start();
    let high = |job: &Job| job.message.priority == Priority::High;
    assert!(world.running.iter().any(high), "it is among the first to start");
    world.run_dry();
    world.check();
}

#[test]
fn weights_of_organisations_and_applications_are_kept() {
    let mut world = World::within(roomy(), roomy_policy(), &[1, 1, 1]);
    let totals = Totals { concurrency: 64, window_bytes: 1 << 20, payload_bytes_max: 0 };
    let entries = [
        (Who::Organisation("org_0".into()), Override { weight: Some(3), ..Override::default() }),
        (Who::App(world.apps[2]), Override { weight: Some(2), ..Override::default() }),
    ];
    world.policies.replace(Table::new(world.policy, totals, entries).unwrap());
    world.schedule.follow(&world.policies, world.now);
    for _ in 0..90 {
        (0..3).for_each(|app| world.send(app));
    }
    let served = served(&mut world, 80);
    let [one, two, three] = [0, 1, 2].map(|app| served[&world.apps[app]]);
    assert_eq!((one, two, three), (20, 20, 40), "three quarters for the first organisation, in thirds");
}

#[test]
fn ten_thousand_endpoints_that_hang_cost_the_others_no_looks() {
    let limits = Limits { concurrency: 64, ..roomy() };
    let mut world = World::within(limits, Policy { concurrency: 32, ..roomy_policy() }, &[1, 10_000]);
    for _ in 0..100 {
        world.send(1);
    }
    world.start();
    assert_eq!(world.running.len(), 32, "it has all of its places, and they hang");
    let hanging = std::mem::take(&mut world.running);
    let before = world.schedule.looks();
    for _ in 0..1_000 {
        world.send(0);
        world.start();
        world.finish(0, true);
        world.take_commit(100);
        world.commit();
        world.pass(Duration::from_millis(1));
    }
    let looks = world.schedule.looks() - before;
    assert!(looks < 1_000 * 12, "{looks} looks at lanes for a thousand deliveries");
    drop(hanging);
}

#[test]
fn a_tenant_s_own_picks_do_not_grow_with_its_endpoints() {
    let looks_of = |endpoints| {
        let mut world = World::within(roomy(), Policy { concurrency: 16, ..roomy_policy() }, &[endpoints]);
        for _ in 0..20_000 / endpoints {
            world.send(0);
        }
        let before = world.schedule.looks();
        for turn in 0..4_000 {
            world.start();
            // Every third fails, and becomes due work.
            world.finish(turn, turn % 3 > 0);
            world.take_commit(100);
            world.commit();
            world.begin_load();
            world.end_load(0);
        }
        world.schedule.looks() - before
    };
    let (few, many) = (looks_of(10), looks_of(5_000));
    assert!(many < few * 4 + 40_000, "{few} looks at 10 endpoints, {many} at 5,000");
}

#[test]
fn a_destination_at_its_limit_is_shared_by_its_tenants_in_turn() {
    let limits = Limits {
        destinations: Terms { concurrency: 4, retries_ratio: 1.0, retries_per_second: 100.0 },
        ..roomy()
    };
    let mut world = World::within(limits, roomy_policy(), &[1, 20]);
    for _ in 0..40 {
        world.send(0);
        world.send(1);
    }
    let mut served = BTreeMap::new();
    for _ in 0..60 {
        world.start();
        assert_eq!(world.running.len(), 4);
        *served.entry(world.running[0].app).or_default() += 1;
        world.running.rotate_left(1);
        let last = world.running.len() - 1;
        world.finish(last, true);
        // All of them: what finds no room in the lanes goes to disk, and holds up nobody.
        world.take_commit(1_000);
        world.commit();
    }
    let [one, two]: [i32; 2] = [0, 1].map(|app| served[&world.apps[app]]);
    assert!((one - two).abs() <= 12, "one endpoint has as much as twenty: {one} and {two}");
    world.run_dry();
    world.check();
}

#[test]
fn an_endpoint_whose_destination_is_full_does_not_hold_up_the_others_of_its_messages() {
    let terms = Terms { concurrency: 4, retries_ratio: 1.0, retries_per_second: 100.0 };
    let mut world = World::within(Limits { destinations: terms, ..roomy() }, roomy_policy(), &[2, 1]);
    let other = world.routing.app(world.apps[0]).unwrap().targets()[1].endpoint.clone();
    let event_types = Some(vec!["b".into()]);
    world.routing.put_endpoint(Endpoint { event_types, url: "http://b/".into(), ..other.clone() });
    (0..4).for_each(|_| world.send(1));
    world.start();
    assert_eq!(world.running.len(), 4, "the destination is full");
    (0..16).for_each(|_| world.send(0));
    let route = world.routing.app(world.apps[0]).unwrap();
    let last = envelope(world.apps[0], MessageId(Id::from_bytes([9; 20])));
    world.schedule.expect(&route, last.id);
    world.schedule.offer(Envelope { event_type: "b".into(), ..last }, route.ceiling(), world.now);
    world.start();
    assert!(world.running.iter().any(|job| job.endpoint() == other.id), "it goes to another");
}

#[test]
fn an_endpoint_that_is_gone_is_sent_nothing_more_and_told_of_once() {
    let mut world = World::new(&[1]);
    (0..4).for_each(|_| world.send(0));
    world.start();
    let job = world.running.pop().unwrap();
    let endpoint = job.endpoint();
    let mut report = report_of(410, world.now);
    report.verdict = Verdict::Gone;
    report.then = Then::End(AttemptState::Failed);
    world.schedule.done(job, report, world.now);
    world.finish(0, true);
    assert!(world.schedule.pick(world.now).is_none(), "nothing more until somebody has seen to it");
    assert_eq!(world.schedule.next_gone().map(|gone| gone.endpoint), Some(endpoint));
    assert_eq!(world.schedule.next_gone(), None);
    let target = world.routing.app(world.apps[0]).unwrap().target(endpoint).unwrap();
    world.routing.put_endpoint(Endpoint { disabled: true, ..target.endpoint.clone() });
    let target = world.routing.app(world.apps[0]).unwrap().target(endpoint);
    world.schedule.endpoint_changed(world.apps[0], endpoint, target, world.now);
    world.turn();
    world.turn();
    assert!(world.disk.fanouts.is_empty(), "what waited is settled without an attempt");
}

#[test]
fn a_paused_application_s_messages_leave_memory_and_come_back() {
    let mut world = World::new(&[4]);
    (0..4).for_each(|_| world.send(0));
    world.start();
    assert!(world.schedule.bytes() > 0);
    world.pause_app(0, true);
    while !world.running.is_empty() {
        world.turn();
    }
    (0..3).for_each(|_| world.turn());
    assert_eq!(world.schedule.bytes(), 0, "what waits is on disk only");
    assert!(!world.disk.fanouts.is_empty() || !world.disk.due.is_empty());
    world.pause_app(0, false);
    world.run_dry();
    world.check();
}
