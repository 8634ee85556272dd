//! Loads in virtual time, and what became of every request.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;
use crate::Reason;
use crate::scope::{Scope, enter};

const TARGET: Duration = Duration::from_millis(5);
const INTERVAL: Duration = Duration::from_millis(50);
/// What the runtime's timers of a millisecond can add: one for coming, one for leaving.
const TICK: Duration = Duration::from_millis(2);
const SERVICE: Duration = Duration::from_millis(10);
const CONCURRENCY: u64 = 10;
/// So many in a second are all that can be served.
const CAPACITY: usize = 1_000;

struct Done {
    priority: Priority,
    came: Duration,
    waited: Duration,
    /// From when it came.
    deadline: Option<Duration>,
    end: Result<(), Reason>,
}

/// So many at once, each for so long.
#[derive(Clone, Copy)]
struct Service {
    places: u64,
    time: Duration,
}

/// Whether requests have a deadline.
#[derive(Clone, Copy)]
enum Deadlines {
    None,
    /// Up to 40 ms, at random.
    Random,
}

/// One second of these loads, `(priority, per second)`, at random times.
fn simulate(loads: &[(Priority, usize)], deadlines: Deadlines, seed: u64) -> Vec<Done> {
    simulate_service(Service { places: CONCURRENCY, time: SERVICE }, loads, deadlines, seed)
}

fn simulate_service(
    service: Service,
    loads: &[(Priority, usize)],
    deadlines: Deadlines,
    seed: u64,
) -> Vec<Done> {
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let shed = Shed::builder("shed-simulation").concurrency(service.places).queue(200);
        let shed = shed.target(TARGET).interval(INTERVAL).build().unwrap();
        let (begun, mut requests) = (Instant::now(), JoinSet::new());
        for (priority, per_second) in loads {
            for _ in 0..*per_second {
                let (shed, priority) = (shed.clone(), *priority);
                let came = Duration::from_micros(random.u64(0..1_000_000));
                let deadline = match deadlines {
                    Deadlines::None => None,
                    Deadlines::Random => Some(Duration::from_micros(random.u64(1..40_000))),
                };
                requests.spawn(async move {
                    sleep_until(begun + came).await;
                    let came = begun.elapsed();
                    let scope = deadline.map_or_else(Scope::new, |after| Scope::new().deadline_in(after));
                    let admitted = enter(scope, shed.acquire(priority)).await;
                    let waited = begun.elapsed() - came;
                    assert!(shed.in_use() <= service.places && shed.waiting() <= 200);
                    let end = match admitted {
                        Ok(permit) => {
                            sleep(service.time).await;
                            drop(permit);
                            Ok(())
                        }
                        Err(rejected) => Err(rejected.reason()),
                    };
                    Done { priority, came, waited, deadline, end }
                });
            }
        }
        let done = requests.join_all().await;
        assert_eq!((shed.in_use(), shed.waiting()), (0, 0));
        done
    })
}

fn of(done: &[Done], priority: Priority) -> (usize, usize) {
    let its = || done.iter().filter(|request| request.priority == priority);
    (its().filter(|request| request.end.is_ok()).count(), its().count())
}

proptest! {
    // The same loads every time: what is promised of a random load is promised for nearly all of them.
    #![proptest_config(ProptestConfig { cases: 8, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn under_twice_the_load_the_wait_stays_at_the_target_and_the_places_stay_busy(seed in any::<u64>()) {
        let done = simulate(&[(Priority::CRITICAL, 2 * CAPACITY)], Deadlines::None, seed);
        let (served, _) = of(&done, Priority::CRITICAL);
        prop_assert!(served > CAPACITY * 9 / 10, "{served} served");
        // The queue is known to stand one interval after it began to.
        let warm = 4 * INTERVAL;
        for request in done.iter().filter(|request| request.came > warm) {
            prop_assert!(request.waited <= TARGET + TICK, "waited {:?}", request.waited);
        }
        prop_assert!(done.iter().all(|request| request.waited <= INTERVAL + TICK), "nobody longer, ever");
    }

    #[test]
    fn the_least_important_is_shed_first_and_the_most_important_is_untouched(seed in any::<u64>()) {
        let loads = [
            (Priority::CRITICAL_PLUS, CAPACITY * 3 / 10),
            (Priority::CRITICAL, CAPACITY * 4 / 10),
            (Priority::SHEDDABLE, CAPACITY * 13 / 10),
        ];
        let done = simulate(&loads, Deadlines::None, seed);
        let (served, of_all) = of(&done, Priority::CRITICAL_PLUS);
        prop_assert_eq!(served, of_all);
        let (served, of_all) = of(&done, Priority::CRITICAL);
        // Random arrivals bunch: a target of half a service time cuts into the worst bunches.
        prop_assert!(served * 100 >= of_all * 93, "{} of {}", served, of_all);
        let (served, _) = of(&done, Priority::SHEDDABLE);
        prop_assert!(served > CAPACITY * 2 / 10 && served < CAPACITY * 4 / 10, "what was left: {}", served);
    }

    #[test]
    fn below_the_capacity_bunches_are_absorbed_and_next_to_nothing_is_shed(seed in any::<u64>()) {
        let loads = [(Priority::CRITICAL, CAPACITY / 2), (Priority::SHEDDABLE, CAPACITY / 5)];
        let done = simulate(&loads, Deadlines::None, seed);
        let (served, of_all) = of(&done, Priority::CRITICAL);
        prop_assert_eq!(served, of_all);
        let (served, of_all) = of(&done, Priority::SHEDDABLE);
        prop_assert!(served * 100 >= of_all * 90, "{} of {}", served, of_all);
    }

    #[test]
    fn nothing_begins_after_its_deadline_and_most_of_what_cannot_is_told_at_once(seed in any::<u64>()) {
        let done = simulate(&[(Priority::CRITICAL, 2 * CAPACITY)], Deadlines::Random, seed);
        let (mut at_once, mut in_vain) = (0, 0);
        for request in &done {
            let deadline = request.deadline.unwrap_or(Duration::MAX);
            match request.end {
                Ok(()) => prop_assert!(request.waited < deadline, "began {:?} late", request.waited - deadline),
                Err(Reason::DeadlineTooNear) if request.waited.is_zero() => at_once += 1,
                Err(Reason::DeadlineTooNear) => in_vain += 1,
                Err(_) => {}
            }
        }
        prop_assert!(at_once > 2 * in_vain, "{at_once} were told at once, {in_vain} waited in vain");
        let (served, _) = of(&done, Priority::CRITICAL);
        prop_assert!(served > CAPACITY * 9 / 10, "{served} served");
    }

    /// The only place is held for four times the target: with no more patience than that, two of three
    /// times nobody would be there when it is given back.
    #[test]
    fn linkerd2_5599_a_service_that_is_slow_is_kept_busy_and_not_made_an_outage(seed in any::<u64>()) {
        let slow = Service { places: 1, time: 4 * TARGET };
        let done = simulate_service(slow, &[(Priority::CRITICAL, 100)], Deadlines::None, seed);
        let (served, _) = of(&done, Priority::CRITICAL);
        prop_assert!(served >= 44, "{served} of the 50 that can be served in a second");
    }
}
