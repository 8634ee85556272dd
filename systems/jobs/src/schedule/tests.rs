//! The schedule against a model of the disk and of its workers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_store::JobState;
use proptest::prelude::*;

use super::*;

const TENANTS: usize = 3;
const SLOTS: usize = 2;
const TENANT_CONCURRENCY: usize = 3;
const CLAIMS: usize = 5;
const WINDOW: usize = 4;
const TENANT_LANES: usize = 5;
const LANES: usize = 8;

fn limits() -> Limits {
    Limits {
        tenant_backlog: 60,
        backlog: 150,
        tenants: TENANTS,
        tenant_lanes: TENANT_LANES,
        lanes: LANES,
        tenant_concurrency: TENANT_CONCURRENCY,
        claims: CLAIMS,
        worker_claims: 4,
        org_claims: CLAIMS,
        polls: 3,
        org_polls: 3,
        window: WINDOW,
        window_total: 1_000,
        lease: Duration::from_secs(10),
        weights: FxHashMap::default(),
    }
}

fn schedule(limits: Limits) -> Schedule {
    Schedule::new(limits, [("here".into(), SLOTS)].into_iter().collect())
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        tenant: usize,
        kind: usize,
        share: u8,
        priority: u8,
        /// Whether its time is yet to come.
        later: bool,
    },
    Poll {
        worker: u8,
        max: usize,
    },
    Leave,
    /// The claim that is on its way is durable, or (false) could not be written.
    Commit(bool),
    End {
        which: usize,
        how: How,
    },
    /// The time of a job that failed has come.
    Promote(usize),
    Silence,
    Cancel(usize),
    /// A lane is read; what was read arrives later.
    BeginLoad,
    /// It arrives, or (false) it could not be read.
    FinishLoad(bool),
    /// Some of the lanes on disk are looked at.
    Look,
    Restart,
}

/// How a claim ends.
#[derive(Clone, Copy, Debug)]
enum How {
    Done,
    /// To be tried again at once.
    Again,
    /// To be tried again when its time has come.
    Later,
}

const KINDS: [&str; 3] = ["here", "there", "nobody"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let how = prop_oneof![6 => Just(How::Done), 2 => Just(How::Again), 1 => Just(How::Later)];
    let step = prop_oneof![
        60 => (0..TENANTS, 0..KINDS.len(), 0..3u8, 0..3u8, prop::bool::weighted(0.2)).prop_map(
            |(tenant, kind, share, priority, later)| Step::Add { tenant, kind, share, priority, later }
        ),
        30 => (0..2u8, 1..4usize).prop_map(|(worker, max)| Step::Poll { worker, max }),
        10 => Just(Step::Leave),
        60 => prop::bool::weighted(0.9).prop_map(Step::Commit),
        50 => (any::<usize>(), how).prop_map(|(which, how)| Step::End { which, how }),
        10 => any::<usize>().prop_map(Step::Promote),
        10 => Just(Step::Silence),
        30 => any::<usize>().prop_map(Step::Cancel),
        30 => Just(Step::BeginLoad),
        30 => prop::bool::weighted(0.9).prop_map(Step::FinishLoad),
        30 => Just(Step::Look),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..300)
}

/// What is durable of a job.
struct Row {
    lane: JobLane,
    job: JobRef,
    state: JobState,
    claims: u32,
}

struct Model {
    schedule: Schedule,
    rows: BTreeMap<JobId, Row>,
    committing: VecDeque<Assignment>,
    running: Vec<(JobId, u32)>,
    polls: BTreeSet<PollId>,
    /// A lane as it was when it was read.
    loading: Option<(JobLane, Vec<JobRef>, u32)>,
    looked_at: Option<JobLane>,
    now: Instant,
    made: i64,
}

impl Model {
    fn new() -> Self {
        Self {
            schedule: schedule(limits()),
            rows: BTreeMap::new(),
            committing: VecDeque::new(),
            running: Vec::new(),
            polls: BTreeSet::new(),
            loading: None,
            looked_at: None,
            now: Instant::from_nanos(1),
            made: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Add { tenant, kind, share, priority, later } => {
                let lane = JobLane::new("org", &format!("t{tenant}"), KINDS[kind], share);
                self.add(&lane, priority, if later { JobState::Scheduled } else { JobState::Ready });
            }
            Step::Poll { worker, max } => self.poll(worker, max),
            Step::Leave => {
                if let Some(poll) = self.polls.pop_first() {
                    assert!(self.schedule.leave(poll));
                }
            }
            Step::Commit(durable) => self.commit(durable),
            Step::End { which, how } if !self.running.is_empty() => {
                let (id, number) = self.running.swap_remove(which % self.running.len());
                self.schedule.ending(id, number).unwrap();
                self.end(id, how);
            }
            Step::End { .. } => {}
            Step::Promote(which) => self.promote(which),
            Step::Silence => self.silence(),
            Step::Cancel(which) => self.cancel(which, |_| true),
            Step::BeginLoad => self.begin_load(),
            Step::FinishLoad(read) => self.finish_load(read),
            Step::Look => self.look(),
            Step::Restart => self.restart(),
        }
        self.serve();
        self.check();
    }

    fn add(&mut self, lane: &JobLane, priority: u8, state: JobState) {
        if self.schedule.admit(lane, state).is_err() {
            return;
        }
        self.made += 1;
        let job = JobRef { priority, due_at: self.made, id: JobId::fresh() };
        self.rows.insert(job.id, Row { lane: lane.clone(), job, state, claims: 0 });
        if state == JobState::Ready {
            self.schedule.offer(lane, job);
        }
    }

    fn poll(&mut self, worker: u8, max: usize) {
        let worker = Worker::Remote("org".into(), worker.to_string().into());
        let poll = Poll { org: "org".into(), worker, kinds: vec!["there".into(), "none".into()], max };
        if let Ok(id) = self.schedule.poll(poll) {
            self.polls.insert(id);
        }
    }

    fn serve(&mut self) {
        for assignment in self.schedule.serve() {
            if let To::Poll(poll) = assignment.to {
                assert!(self.polls.remove(&poll), "only who waits is given something");
            }
            self.committing.push_back(assignment);
        }
    }

    fn commit(&mut self, durable: bool) {
        let Some(assignment) = self.committing.pop_front() else { return };
        for job in assignment.jobs {
            let row = self.rows.get_mut(&job.id).unwrap();
            if !durable {
                self.schedule.not_claimed(job.id, Then::Ready(job));
            } else if row.state == JobState::Ready {
                row.state = JobState::Running;
                row.claims += 1;
                self.schedule.claimed(&as_job(row), self.now);
                self.running.push((job.id, row.claims));
            } else {
                assert_ne!(row.state, JobState::Running, "a job is with one worker at a time");
                self.schedule.not_claimed(job.id, Then::Nothing);
            }
        }
    }

    fn end(&mut self, id: JobId, how: How) {
        let row = self.rows.get_mut(&id).unwrap();
        assert_eq!(row.state, JobState::Running);
        self.made += 1;
        let then = match how {
            How::Done => {
                row.state = JobState::Done;
                Then::Over
            }
            How::Again => {
                row.state = JobState::Ready;
                row.job.due_at = self.made;
                Then::Ready(row.job)
            }
            How::Later => {
                row.state = JobState::Scheduled;
                row.job.due_at = self.made;
                Then::Nothing
            }
        };
        self.schedule.ended(id, then);
    }

    fn promote(&mut self, which: usize) {
        let Some(id) = self.one_of(which, |row| row.state == JobState::Scheduled) else { return };
        let row = self.rows.get_mut(&id).unwrap();
        row.state = JobState::Ready;
        self.schedule.offer(&row.lane, row.job);
    }

    /// Nobody over HTTP is heard of for longer than the lease.
    fn silence(&mut self) {
        self.now = self.now + Duration::from_secs(11);
        while let Some((held, _)) = self.schedule.expired(self.now) {
            let at = self.running.iter().position(|running| *running == (held.job.id, held.number));
            self.running.swap_remove(at.expect("only who has a job loses it"));
            assert_eq!(self.schedule.heartbeat(held.job.id, held.number, self.now), Err(NotHeld::Ending));
            self.end(held.job.id, How::Again);
        }
    }

    fn cancel(&mut self, which: usize, wanted: impl Fn(&Row) -> bool) {
        let waits = |row: &Row| matches!(row.state, JobState::Ready | JobState::Scheduled);
        let Some(id) = self.one_of(which, |row| waits(row) && wanted(row)) else { return };
        let row = self.rows.get_mut(&id).unwrap();
        row.state = JobState::Cancelled;
        self.schedule.cancelled(&row.lane, &row.job);
    }

    fn one_of(&self, which: usize, wanted: impl Fn(&Row) -> bool) -> Option<JobId> {
        let found: Vec<_> = self.rows.values().filter(|row| wanted(row)).map(|row| row.job.id).collect();
        (!found.is_empty()).then(|| found[which % found.len()])
    }

    fn begin_load(&mut self) {
        if self.loading.is_some() {
            return;
        }
        let Some((lane, limit)) = self.schedule.next_load() else { return };
        let ready = self.rows.values().filter(|row| row.state == JobState::Ready && row.lane == lane);
        let mut jobs: Vec<_> = ready.map(|row| row.job).collect();
        jobs.sort_unstable();
        jobs.truncate(limit as usize);
        self.loading = Some((lane, jobs, limit));
    }

    fn finish_load(&mut self, read: bool) {
        match self.loading.take() {
            Some((lane, jobs, limit)) if read => self.schedule.loaded(&lane, &jobs, limit),
            Some((lane, ..)) => self.schedule.not_loaded(&lane),
            None => {}
        }
    }

    /// The process ends; what handlers had is ready again, what workers over HTTP had stays theirs.
    fn restart(&mut self) {
        let made = self.made;
        let now = self.now;
        *self = Self { rows: std::mem::take(&mut self.rows), made, now, ..Self::new() };
        for row in self.rows.values().filter(|row| row.state.is_unfinished()) {
            self.schedule.found(row.lane.owner(), 1);
        }
        self.schedule.look_for_lanes();
        let running: Vec<_> =
            self.rows.values().filter(|row| row.state == JobState::Running).map(|row| row.job.id).collect();
        for id in running {
            let row = &self.rows[&id];
            let (number, ours) = (row.claims, row.lane.kind() == "here");
            self.schedule.inherited(&as_job(row), self.now);
            if ours {
                self.schedule.ending(id, number).unwrap();
                self.end(id, How::Again);
            } else {
                self.running.push((id, number));
            }
        }
    }

    fn look(&mut self) {
        if !self.schedule.is_to_look() {
            return;
        }
        if self.looked_at.is_none() {
            self.schedule.begin_look();
        }
        let ready = self.rows.values().filter(|row| row.state == JobState::Ready);
        let lanes: BTreeSet<_> = ready.map(|row| row.lane.clone()).collect();
        let page: Vec<_> =
            lanes.into_iter().filter(|lane| Some(lane) > self.looked_at.as_ref()).take(2).collect();
        for lane in &page {
            self.schedule.found_on_disk(lane);
        }
        self.looked_at = page.last().filter(|_| page.len() == 2).cloned();
        if self.looked_at.is_none() {
            self.schedule.end_look();
        }
    }

    fn check(&self) {
        let census = self.schedule.census();
        let unfinished = self.rows.values().filter(|row| row.state.is_unfinished()).count();
        assert_eq!(census.unfinished, unfinished as u64);
        let committing: Vec<_> = self.committing.iter().flat_map(|one| &one.jobs).map(|job| job.id).collect();
        let held: Vec<_> = self.running.iter().map(|(id, _)| *id).chain(committing).collect();
        assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len(), "one worker at a time");
        assert_eq!(census.in_flight, held.len());
        assert!(census.claims <= CLAIMS);
        let of =
            |wanted: &dyn Fn(&JobLane) -> bool| held.iter().filter(|id| wanted(&self.rows[id].lane)).count();
        assert!(of(&|lane| lane.kind() == "here") <= SLOTS);
        for tenant in 0..TENANTS {
            assert!(of(&|lane| lane.tenant() == format!("t{tenant}")) <= TENANT_CONCURRENCY);
        }
        assert!(census.lanes <= LANES);
        assert!(self.schedule.owners.values().all(|owner| owner.lanes <= TENANT_LANES));
        assert!(census.in_memory <= census.lanes * WINDOW, "{census:?}");
        let in_windows: usize = self.schedule.windows.values().map(Window::len).sum();
        assert_eq!(census.in_memory, in_windows);
        for owner in self.schedule.owners.values() {
            assert!(owner.parked.len() <= KINDS.len(), "a tenant at its bound is remembered once a kind");
            assert!(owner.parked.iter().all(|key| self.schedule.rings.contains_key(key)));
        }
    }

    /// Everything that can end does; nothing may be left over.
    fn finish(mut self) {
        for _ in 0..2_000 {
            if !self.rows.values().any(|row| row.state.is_unfinished()) {
                break;
            }
            self.step(&Step::Poll { worker: 0, max: 3 });
            self.step(&Step::Look);
            self.step(&Step::BeginLoad);
            self.step(&Step::FinishLoad(true));
            self.step(&Step::Commit(true));
            self.step(&Step::End { which: 0, how: How::Done });
            self.step(&Step::Promote(0));
            // Nobody asks for these.
            self.cancel(0, |row| row.lane.kind() == "nobody");
        }
        let left: Vec<_> =
            self.rows.values().filter(|row| row.state.is_unfinished()).map(|row| &row.lane).collect();
        assert!(left.is_empty(), "nobody got {left:?}: {:?}", self.schedule.census());
        while self.schedule.has_loads() || self.loading.is_some() || !self.committing.is_empty() {
            self.step(&Step::BeginLoad);
            self.step(&Step::FinishLoad(true));
            self.step(&Step::Commit(true));
        }
        let census = self.schedule.census();
        assert_eq!((census.tenants, census.lanes, census.in_memory), (0, 0, 0), "nothing is remembered");
        assert!(self.schedule.rings.is_empty(), "a kind without jobs is remembered");
    }
}

fn as_job(row: &Row) -> Job {
    Job {
        id: row.job.id,
        lane: row.lane.clone(),
        state: row.state,
        priority: row.job.priority,
        due_at: row.job.due_at,
        key: None,
        unique_key: None,
        claims: row.claims,
        attempts: 0,
        attempts_max: 1,
        crashes: 1,
        timeout_ms: 3_600_000,
        created_at: 0,
        started_at: None,
        ended_at: None,
        error: None,
        payload: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_job_is_with_one_worker_at_a_time_within_all_bounds_and_none_is_left(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }
}

/// The tenants in the order in which one slot serves them.
fn served(limits: Limits, jobs: &[(&str, u8, u8)]) -> Vec<String> {
    let slots = [("here".into(), 1)].into_iter().collect();
    let mut schedule = Schedule::new(Limits { window: 256, ..limits }, slots);
    let mut lanes = BTreeMap::new();
    for (at, (tenant, share, priority)) in jobs.iter().enumerate() {
        let lane = JobLane::new("org", tenant, "here", *share);
        schedule.found(lane.owner(), 1);
        let job = JobRef { priority: *priority, due_at: at as i64, id: JobId::fresh() };
        lanes.insert(job.id, format!("{tenant}{share}{priority}"));
        schedule.offer(&lane, job);
    }
    let mut order = Vec::new();
    while let Some(given) = schedule.serve().pop() {
        let job = given.jobs[0];
        order.push(lanes[&job.id].clone());
        let lane = schedule.held(job.id).unwrap().lane.clone();
        let claimed = Row { lane, job, state: JobState::Running, claims: 1 };
        schedule.claimed(&as_job(&claimed), Instant::default());
        schedule.ending(job.id, 1).unwrap();
        schedule.ended(job.id, Then::Over);
    }
    order
}

#[test]
fn turns_go_round_the_tenants_by_weight() {
    let jobs = [("a", 0, 1); 4].into_iter().chain([("b", 0, 1); 4]).collect::<Vec<_>>();
    assert_eq!(served(limits(), &jobs), ["a01", "b01", "a01", "b01", "a01", "b01", "a01", "b01"]);
    let weights = [("b".to_owned(), 3)].into_iter().collect();
    let order = served(Limits { weights, ..limits() }, &jobs);
    assert_eq!(order, ["a01", "b01", "b01", "b01", "a01", "b01", "a01", "a01"]);
}

#[test]
fn within_a_tenant_the_urgent_go_first_and_keys_in_turn() {
    let jobs = [("a", 1, 1), ("a", 1, 1), ("a", 2, 1), ("a", 2, 2), ("a", 3, 0)];
    assert_eq!(served(limits(), &jobs), ["a30", "a11", "a21", "a11", "a22"]);
}

#[test]
fn what_is_on_disk_of_a_lane_is_read_though_a_job_of_it_was_offered_before() {
    let lane = JobLane::new("org", "t", "there", 0);
    let mut schedule = schedule(limits());
    schedule.look_for_lanes();
    schedule.found(lane.owner(), 2);
    schedule.offer(&lane, JobRef { priority: 1, due_at: 2, id: JobId::fresh() });
    assert_eq!(schedule.next_load().map(|(lane, _)| lane), Some(lane));
}

#[test]
fn a_tenant_at_its_bound_is_remembered_once_however_many_jobs_it_adds() {
    let mut schedule = schedule(Limits { tenant_concurrency: 1, ..limits() });
    for at in 0..50 {
        let lane = JobLane::new("org", "t", "here", 0);
        schedule.found(lane.owner(), 1);
        schedule.offer(&lane, JobRef { priority: 1, due_at: at, id: JobId::fresh() });
        schedule.serve();
    }
    assert_eq!(schedule.owners[&JobOwner::new("org", "t")].parked.len(), 1);
}

#[test]
fn a_tenant_whose_only_job_was_cancelled_is_forgotten_though_a_worker_asks_later() {
    let lane = JobLane::new("org", "t", "there", 0);
    let job = JobRef { priority: 1, due_at: 1, id: JobId::fresh() };
    let mut schedule = schedule(limits());
    schedule.found(lane.owner(), 1);
    schedule.offer(&lane, job);
    schedule.cancelled(&lane, &job);
    let worker = Worker::Remote("org".into(), "w".into());
    schedule.poll(Poll { org: "org".into(), worker, kinds: vec!["there".into()], max: 1 }).unwrap();
    assert_eq!(schedule.serve(), []);
    assert_eq!(schedule.census().tenants, 0);
}

#[test]
fn a_job_known_from_before_it_was_claimed_is_not_given_to_a_second_worker() {
    let lane = JobLane::new("org", "t", "here", 0);
    let mut schedule = schedule(limits());
    let old = JobRef { priority: 1, due_at: 1, id: JobId::fresh() };
    let new = JobRef { due_at: 2, ..old };
    schedule.found(lane.owner(), 1);
    schedule.offer(&lane, old);
    schedule.offer(&lane, new);
    let given: Vec<_> = schedule.serve().into_iter().flat_map(|given| given.jobs).collect();
    assert_eq!(given, [old]);
    schedule.not_claimed(old.id, Then::Nothing);
    assert_eq!(schedule.next_load().map(|(lane, _)| lane), Some(lane), "the disk is asked how it stands");
}

#[test]
fn kinds_of_the_callers_choice_do_not_fill_memory() {
    let mut schedule = schedule(limits());
    let lane = |tenant: usize, kind: usize| JobLane::new("org", &format!("t{tenant}"), &kind.to_string(), 0);
    let mut add = |lane: &JobLane| {
        schedule.admit(lane, JobState::Ready)?;
        schedule.offer(lane, JobRef { priority: 1, due_at: 1, id: JobId::fresh() });
        Ok::<_, Full>(())
    };
    for kind in 0..TENANT_LANES {
        add(&lane(0, kind)).unwrap();
    }
    let refused = add(&lane(0, TENANT_LANES)).unwrap_err();
    assert_eq!((refused.bound, refused.whose), ("jobs.tenant_lanes_max", Whose::Caller));
    add(&lane(0, 0)).unwrap();
    for kind in 0..LANES - TENANT_LANES {
        add(&lane(1, kind)).unwrap();
    }
    let refused = add(&lane(2, 0)).unwrap_err();
    assert_eq!((refused.bound, refused.whose), ("jobs.lanes_max", Whose::Ours));
}

#[test]
fn a_worker_that_waits_at_its_own_bound_gets_a_job_when_one_of_its_own_ends() {
    let lanes = ["there", "other"].map(|kind| JobLane::new("org", "t", kind, 0));
    let mut schedule = schedule(Limits { worker_claims: 1, ..limits() });
    let worker = Worker::Remote("org".into(), "w".into());
    let poll = Poll { org: "org".into(), worker, kinds: vec!["there".into(), "other".into()], max: 1 };
    let polls = [schedule.poll(poll.clone()).unwrap(), schedule.poll(poll).unwrap()];
    for lane in &lanes {
        schedule.found(lane.owner(), 1);
        schedule.offer(lane, JobRef { priority: 1, due_at: 1, id: JobId::fresh() });
    }
    let first = schedule.serve();
    assert_eq!((first.len(), first[0].to), (1, To::Poll(polls[0])));
    let job = first[0].jobs[0];
    let lane = schedule.held(job.id).unwrap().lane.clone();
    schedule.claimed(&as_job(&Row { lane, job, state: JobState::Running, claims: 1 }), Instant::default());
    assert_eq!(schedule.serve(), []);
    schedule.ending(job.id, 1).unwrap();
    schedule.ended(job.id, Then::Over);
    assert_eq!(schedule.serve()[0].to, To::Poll(polls[1]));
}

#[test]
fn no_window_asks_for_more_than_a_page_of_the_store() {
    let lane = JobLane::new("org", "t", "there", 0);
    let mut schedule = schedule(Limits { window: 65_536, ..limits() });
    schedule.look_for_lanes();
    assert!(schedule.found_on_disk(&lane));
    assert_eq!(schedule.next_load(), Some((lane, LOAD_MAX)));
}

#[test]
fn one_organisation_takes_no_more_polls_and_claims_than_are_its_share() {
    let mut schedule = schedule(Limits { org_polls: 2, org_claims: 1, claims: 2, ..limits() });
    let poll = |org: &str| {
        let worker = Worker::Remote(org.into(), "w".into());
        Poll { org: org.into(), worker, kinds: vec!["there".into()], max: 4 }
    };
    for _ in 0..2 {
        schedule.poll(poll("a")).unwrap();
    }
    let refused = schedule.poll(poll("a")).unwrap_err();
    assert_eq!((refused.bound, refused.whose), ("jobs.org_polls_max", Whose::Caller));
    let other = schedule.poll(poll("b")).unwrap();
    for (org, at) in [("a", 1), ("a", 2), ("b", 3)] {
        let lane = JobLane::new(org, "t", "there", 0);
        schedule.found(lane.owner(), 1);
        schedule.offer(&lane, JobRef { priority: 1, due_at: at, id: JobId::fresh() });
    }
    let given: BTreeMap<_, _> = schedule.serve().into_iter().map(|one| (one.jobs[0].due_at, one)).collect();
    assert_eq!(given.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(given[&3].to, To::Poll(other));
    schedule.not_claimed(given[&1].jobs[0].id, Then::Over);
    assert_eq!(schedule.serve()[0].jobs[0].due_at, 2, "whoever waited for the share gets the next");
}

#[test]
fn a_kind_that_nobody_asks_for_is_forgotten_with_its_last_job() {
    let mut schedule = schedule(limits());
    for kind in ["a", "b"] {
        let lane = JobLane::new("org", "t", kind, 0);
        let job = JobRef { priority: 1, due_at: 1, id: JobId::fresh() };
        schedule.found(lane.owner(), 1);
        schedule.offer(&lane, job);
        schedule.cancelled(&lane, &job);
    }
    assert!(schedule.rings.is_empty());
}
