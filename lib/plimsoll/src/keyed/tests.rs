use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::clock::{self, Instant};
use crate::limiter::Limiter;
use crate::rate::{Quota, RateLimiter};
use crate::semaphore::Semaphore;
use crate::{Invalid, Name, Reason, registry};

fn semaphores(keys_max: usize, limit: u64) -> Keyed<u32, Semaphore> {
    Keyed::builder("keyed-test", move |_: &u32| Semaphore::new(limit)).keys_max(keys_max).build().unwrap()
}

#[test]
fn numbers_out_of_range_are_refused_by_name_and_range() {
    let builder = || Keyed::builder("keyed-bad", |_: &u32| Semaphore::new(1));
    for keys_max in [0, (1 << 24) + 1, usize::MAX] {
        let refused = builder().keys_max(keys_max).build().unwrap_err();
        assert_eq!((refused.field(), refused.value()), ("keys_max", &*keys_max.to_string()));
    }
    assert_eq!(builder().idle_after(Duration::ZERO).build().unwrap_err().field(), "idle_after");
    assert!(builder().idle_after(Duration::MAX).build().is_ok());
}

#[test]
fn governor_171_keyed_map_never_grows_past_keys_max() {
    let keyed = semaphores(100, 1);
    for key in 0..10_000 {
        drop(keyed.try_acquire(&key).unwrap());
        assert!(keyed.len() <= 100);
    }
    assert_eq!((keyed.len(), keyed.snapshot().high_water), (100, 100));
}

#[test]
fn with_every_key_busy_a_new_one_is_rejected_by_name_and_the_busy_ones_stay() {
    let keyed = semaphores(3, 2);
    let held: Vec<_> = (0..3).map(|key| keyed.try_acquire(&key).unwrap()).collect();
    let refused = keyed.try_acquire(&77).unwrap_err();
    assert_eq!((refused.reason(), refused.key()), (Reason::KeysFull, Some("77")));
    assert_eq!(refused.to_string(), "keyed-test 77: all 3 keys are busy");
    assert!(keyed.get(&77).is_err() && keyed.acquire(&77).now_or_never().unwrap().is_err());
    assert!(keyed.try_acquire(&1).is_ok());
    drop(held);
    assert!(keyed.try_acquire(&77).is_ok());
    assert_eq!(keyed.len(), 3);
}

#[test]
fn the_idle_key_is_found_among_the_busy_ones() {
    let keyed = semaphores(100, 1);
    let mut held: Vec<_> = (0..100).map(|key| Some(keyed.try_acquire(&key).unwrap())).collect();
    for idle in [63, 0, 99] {
        held[idle] = None;
        let permit = keyed.try_acquire(&(1_000 + idle as u32)).unwrap();
        assert!(keyed.try_acquire(&2_000).is_err());
        held.push(Some(permit));
    }
}

#[tokio::test(start_paused = true)]
async fn idle_keys_leave_by_themselves_and_used_ones_stay() {
    let keyed = Keyed::builder("keyed-idle", |_: &u32| Semaphore::new(1))
        .keys_max(10_000)
        .idle_after(Duration::from_secs(60))
        .build()
        .unwrap();
    for key in 0..5_000 {
        drop(keyed.try_acquire(&key).unwrap());
    }
    let _busy = keyed.try_acquire(&1).unwrap();
    advance(Duration::from_secs(59)).await;
    assert_eq!(keyed.sweep(), 0);
    drop(keyed.try_acquire(&2).unwrap());
    advance(Duration::from_secs(1)).await;
    // Traffic of one key is enough to sweep all.
    for _ in 0..50_000 {
        drop(keyed.try_acquire(&2).unwrap());
    }
    assert_eq!(keyed.len(), 2);
    assert_eq!(keyed.sweep(), 0);
    assert!(keyed.try_acquire(&1).is_err());
    let forgotten = keyed.snapshot().details.into_iter().find(|(name, _)| *name == "forgotten");
    assert_eq!(forgotten, Some(("forgotten", 4_998)));
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_is_never_dropped() {
    let keyed = semaphores(1, 1);
    let full = || keyed.try_acquire(&2).unwrap_err().reason() == Reason::KeysFull;

    let permit = keyed.try_acquire(&1).unwrap();
    assert!(full());
    let mut waiting = Box::pin(keyed.acquire(&1));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(keyed.snapshot().waiting, 1);
    drop(permit);
    assert!(full());
    drop(waiting.now_or_never().unwrap().unwrap());
    assert_eq!(keyed.snapshot().waiting, 0);

    let handle = keyed.get(&1).unwrap();
    let limiter = handle.limiter().clone();
    assert!(full());
    drop(handle);
    assert!(full(), "a clone of the limiter could still admit");
    drop(limiter);
    keyed.update(&1, |limiter| limiter.resize(2)).unwrap().unwrap();
    assert!(full(), "the change would be lost");
    keyed.update(&1, |limiter| limiter.resize(1)).unwrap().unwrap();
    assert!(!full_after(&keyed));

    fn full_after(keyed: &Keyed<u32, Semaphore>) -> bool {
        keyed.try_acquire(&2).is_err()
    }
}

#[test]
fn a_key_can_be_borrowed_and_its_settings_are_its_own() {
    let keyed =
        Keyed::builder("keyed-plans", |key: &String| Semaphore::new(if key == "gold" { 2 } else { 1 }))
            .build()
            .unwrap();
    let _gold = (keyed.try_acquire("gold").unwrap(), keyed.try_acquire("gold").unwrap());
    let _free = keyed.try_acquire("free").unwrap();
    assert_eq!(keyed.try_acquire("gold").unwrap_err().limit(), 2);
    let refused = keyed.get("free").unwrap().try_acquire().unwrap_err();
    assert_eq!(refused.to_string(), "keyed-plans free: 1 of 1 in use, 0 waiting");
    assert_eq!(keyed.get("free").unwrap().key(), "free");
}

#[test]
fn a_factory_may_return_the_limiter_itself_and_may_be_hashed_otherwise() {
    let shared = RateLimiter::new(Quota::per_hour(1)).unwrap();
    let keyed = Keyed::builder("keyed-shared", move |_: &u32| shared.clone())
        .hasher(std::hash::BuildHasherDefault::<rustc_hash::FxHasher>::default())
        .build()
        .unwrap();
    keyed.try_acquire(&1).unwrap();
    let refused = keyed.try_acquire(&2).unwrap_err();
    assert_eq!((refused.reason(), refused.key()), (Reason::RateExceeded, Some("2")));
    assert!(refused.retry_after().is_some());
}

#[test]
fn a_key_without_valid_settings_is_rejected_and_not_remembered() {
    let keyed = Keyed::builder("keyed-invalid", |key: &u32| Semaphore::new(u64::from(*key)))
        .keys_max(1)
        .build()
        .unwrap();
    for _ in 0..3 {
        let refused = keyed.try_acquire(&0).unwrap_err();
        assert_eq!((refused.reason(), refused.key()), (Reason::Misconfigured, Some("0")));
    }
    assert!(keyed.is_empty());
    assert_eq!(keyed.last_invalid().unwrap().field(), "limit");
    assert!(keyed.try_acquire(&1).is_ok());
    assert_eq!((keyed.snapshot().rejected, keyed.snapshot().admitted), (3, 1));
}

#[test]
fn a_factory_that_panics_loses_no_place() {
    let keyed = Keyed::builder("keyed-panics", |key: &u32| {
        assert!(*key != 0, "no such tenant");
        Semaphore::new(1)
    })
    .keys_max(1)
    .build()
    .unwrap();
    let panics = std::panic::AssertUnwindSafe(|| keyed.try_acquire(&0));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert!(keyed.is_empty() && keyed.try_acquire(&1).is_ok());
}

#[test]
fn it_is_one_entry_in_the_registry_whatever_its_keys() {
    let keyed = Keyed::builder("keyed-seen", |_: &u32| Semaphore::new(1)).build().unwrap();
    let _held: Vec<_> = (0..50).map(|key| keyed.clone().try_acquire(&key).unwrap()).collect();
    assert!(keyed.try_acquire(&1).is_err());
    let seen: Vec<_> = registry::snapshot().into_iter().filter(|bound| bound.name == keyed.name()).collect();
    assert_eq!(seen, [keyed.snapshot()]);
    assert_eq!((seen[0].in_use, seen[0].limit, seen[0].admitted, seen[0].rejected), (50, 10_000, 50, 1));
}

#[test]
fn everything_public_can_cross_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    fn send<T: Send>(_: T) {}
    sendable::<Keyed<String, Semaphore>>();
    sendable::<Handle<Semaphore>>();
    let keyed = semaphores(1, 1);
    send(keyed.acquire(&1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against a model that forgets nothing.
    #[test]
    fn forgetting_changes_no_decision_of_a_semaphore(steps in proptest::collection::vec((0..5u8, 0..12u32), 1..200)) {
        let keyed = Keyed::builder("keyed-model", |_: &u32| Semaphore::new(2))
            .keys_max(4)
            .idle_after(Duration::from_nanos(10))
            .build()
            .unwrap();
        let mut held: Vec<(u32, _)> = Vec::new();
        for (now, (step, key)) in steps.into_iter().enumerate() {
            let now = Instant::from_nanos(now as u64 * 7);
            let in_use = held.iter().filter(|(other, _)| *other == key).count();
            let busy: HashSet<u32> = held.iter().map(|(key, _)| *key).collect();
            match step {
                0..=2 => match keyed.try_acquire_at(&key, now) {
                    Ok(permit) => {
                        prop_assert!(in_use < 2);
                        held.push((key, permit));
                    }
                    Err(refused) if refused.reason() == Reason::KeysFull => {
                        prop_assert!(busy.len() == 4 && !busy.contains(&key));
                    }
                    Err(_) => prop_assert!(in_use == 2),
                },
                3 if !held.is_empty() => drop(held.swap_remove(key as usize % held.len())),
                _ => {
                    keyed.0.sweep(now);
                }
            }
            prop_assert!(keyed.len() <= 4);
        }
    }

    #[test]
    fn forgetting_changes_no_decision_of_a_rate(steps in proptest::collection::vec((0..9u32, 0..400u64), 1..300)) {
        let quota = Quota::per(Duration::from_nanos(100), 1).burst(3);
        let keyed = Keyed::builder("keyed-rates", move |_: &u32| RateLimiter::new(quota))
            .keys_max(3)
            .idle_after(Duration::from_nanos(50))
            .build()
            .unwrap();
        let mut model: HashMap<u32, RateLimiter> = HashMap::new();
        let mut now = 1_000;
        for (key, pause) in steps {
            now += pause / 4;
            let now = Instant::from_nanos(now);
            let busy = model.iter().filter(|(_, limiter)| !limiter.is_forgettable(now)).count();
            let reference = model.entry(key).or_insert_with(|| RateLimiter::new(quota).unwrap());
            match keyed.try_acquire_at(&key, now) {
                Err(refused) if refused.reason() == Reason::KeysFull => {
                    prop_assert!(busy == 3 && reference.is_forgettable(now));
                }
                Ok(()) => prop_assert!(reference.try_acquire_at(now).is_ok()),
                Err(refused) => {
                    let told = reference.try_acquire_at(now).unwrap_err().retry_after();
                    prop_assert_eq!(refused.retry_after(), told);
                }
            }
            prop_assert!(keyed.len() <= 3);
        }
    }
}

#[test]
fn many_threads_never_exceed_a_keys_limit_nor_the_keys_maximum() {
    let keyed = semaphores(70, 2);
    let inside: Arc<Vec<AtomicU64>> = Arc::new((0..200).map(|_| AtomicU64::new(0)).collect());
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (keyed, inside) = (keyed.clone(), inside.clone());
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..3_000_u32 {
                    let key = (round * 31 + thread * 7 + round / 13) % 200;
                    if let Ok(permit) = keyed.try_acquire(&key) {
                        assert!(inside[key as usize].fetch_add(1, Ordering::SeqCst) < 2);
                        held.push((key, permit));
                    }
                    if held.len() > 20 {
                        let (key, permit) = held.swap_remove(round as usize % 20);
                        inside[key as usize].fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                    assert!(keyed.len() <= 70);
                }
                for (key, permit) in held {
                    inside[key as usize].fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    let seen = keyed.snapshot();
    assert!(seen.high_water <= 70 && seen.admitted > 1_000);
    for key in 0..200 {
        assert!(keyed.try_acquire(&key).is_ok(), "a place or a permit of key {key} leaked");
    }
}

/// A limiter of a stranger's making: the trait is enough.
#[derive(Clone)]
struct Once(Arc<AtomicU64>);

impl Limiter for Once {
    type Permit = ();

    fn try_acquire_owned_at(&self, _now: Instant) -> Result<(), crate::Rejected> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(crate::Rejected::new(Name::UNNAMED, Reason::Full).with_use(1, 1, 0)),
        }
    }

    fn is_forgettable(&self, _now: Instant) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Pair(u8, u8);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

#[test]
fn any_limiter_and_any_key_will_do() {
    let keyed =
        Keyed::builder("keyed-once", |_: &Pair| Ok::<_, Invalid>(Once(Arc::default()))).build().unwrap();
    keyed.try_acquire(&Pair(1, 2)).unwrap();
    let refused = keyed.try_acquire_at(&Pair(1, 2), clock::now()).unwrap_err();
    assert_eq!(refused.to_string(), "keyed-once 1/2: 1 of 1 in use, 0 waiting");
}

#[test]
fn observing_reaches_every_key_also_those_to_come_and_never_the_number_of_keys() {
    let keyed = semaphores(3, 1);
    let mut held = vec![keyed.try_acquire(&1).unwrap()];
    let mut waiting = Box::pin(keyed.acquire(&1));
    assert!(waiting.as_mut().now_or_never().is_none());
    keyed.observe();
    held.push(waiting.now_or_never().unwrap().unwrap());
    for key in [1, 2, 2, 3] {
        held.push(keyed.try_acquire(&key).unwrap());
    }
    assert_eq!(keyed.try_acquire(&4).unwrap_err().reason(), Reason::KeysFull);
    let seen = keyed.snapshot();
    assert_eq!((seen.would_reject, seen.admitted, seen.waits.count()), (3, 6, 1));
    assert_eq!(seen.rejected_by, [(Reason::KeysFull, 1)]);
    keyed.set_enforced_ratio(1.0).unwrap();
    assert_eq!(keyed.try_acquire(&3).unwrap_err().reason(), Reason::Full);
    assert!(keyed.set_enforced_ratio(1.5).is_err());
    assert_eq!(keyed.enforced_ratio().to_bits(), 1.0_f64.to_bits());
}

#[test]
fn a_share_given_to_the_builder_is_that_of_every_key_and_a_wrong_one_is_refused() {
    let built = |ratio| {
        Keyed::builder("keyed-share", |_: &u32| RateLimiter::new(Quota::per_hour(1)))
            .enforced_ratio(ratio)
            .hasher(std::hash::BuildHasherDefault::<rustc_hash::FxHasher>::default())
            .build()
    };
    assert_eq!(built(f64::NAN).unwrap_err().field(), "enforced_ratio");
    let observes = built(0.0).unwrap();
    assert!((0..5).all(|_| observes.try_acquire(&1).is_ok()));
    assert_eq!(observes.snapshot().would_reject, 4);
}

#[tokio::test(start_paused = true)]
async fn observing_keeps_no_key_from_being_forgotten_and_no_count_is_forgotten_with_it() {
    let keyed = Keyed::builder("keyed-observes", |_: &u32| Semaphore::new(1))
        .keys_max(100)
        .idle_after(Duration::from_secs(1))
        .build()
        .unwrap();
    drop(keyed.try_acquire(&0).unwrap());
    keyed.observe();
    for key in 0..1_000 {
        drop((keyed.try_acquire(&key).unwrap(), keyed.try_acquire(&key).unwrap()));
    }
    assert_eq!((keyed.len(), keyed.snapshot().would_reject), (100, 1_000));
    advance(Duration::from_secs(2)).await;
    assert_eq!(keyed.sweep(), 100);
    assert_eq!(keyed.snapshot().would_reject, 1_000);
    // A key that was set otherwise by itself stays: the change would be lost.
    keyed.update(&7, |limiter| limiter.set_enforced_ratio(1.0)).unwrap().unwrap();
    advance(Duration::from_secs(2)).await;
    assert_eq!((keyed.sweep(), keyed.len()), (0, 1));
    keyed.observe();
    assert_eq!((keyed.sweep(), keyed.len()), (1, 0));
}

#[test]
fn many_threads_that_set_the_share_leave_every_key_with_the_last() {
    let keyed = semaphores(1_000, 1);
    std::thread::scope(|scope| {
        for thread in 0..3_u32 {
            let keyed = keyed.clone();
            scope.spawn(move || {
                for round in 0..200 {
                    drop(keyed.try_acquire(&(thread * 200 + round)));
                    keyed.set_enforced_ratio(f64::from(round % 2)).unwrap();
                }
            });
        }
    });
    for key in 0..600 {
        let ratio = keyed.get(&key).unwrap().limiter().enforced_ratio();
        assert_eq!(ratio.to_bits(), keyed.enforced_ratio().to_bits(), "key {key}");
    }
}

#[tokio::test(start_paused = true)]
async fn actix_governor_60_addresses_that_come_once_leave_again() {
    let addresses = Keyed::builder("keyed-addresses", |_: &u32| RateLimiter::new(Quota::per_second(10)))
        .keys_max(50_000)
        .idle_after(Duration::from_secs(60))
        .build()
        .unwrap();
    for round in 0..5_u32 {
        for address in 0..10_000 {
            addresses.try_acquire(&(round * 10_000 + address)).unwrap();
        }
        advance(Duration::from_secs(61)).await;
    }
    assert!(addresses.len() < 20_000, "{} are remembered, of which 10,000 came lately", addresses.len());
}

#[test]
fn dropping_one_that_waits_for_its_key_leaves_nothing_behind() {
    for polls in 0..4 {
        for observes in [false, true] {
            let keyed = semaphores(1, 1);
            let held = keyed.try_acquire(&1).unwrap();
            let mut waits = Box::pin(keyed.acquire(&1));
            for poll in 0..polls {
                if poll == 2 && observes {
                    keyed.observe();
                }
                if waits.as_mut().now_or_never().is_some() {
                    break;
                }
            }
            drop(waits);
            assert_eq!(keyed.snapshot().waiting, 0);
            drop(held);
            keyed.set_enforced_ratio(1.0).unwrap();
            assert!(keyed.try_acquire(&2).is_ok(), "the key or its permit was left behind");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against a model that forgets nothing.
    #[test]
    fn observing_counts_what_enforcing_would_refuse_whoever_is_forgotten(
        steps in proptest::collection::vec((0..6u8, 0..8u32), 1..200),
    ) {
        let keyed = Keyed::builder("keyed-observing-model", |_: &u32| Semaphore::new(2))
            .keys_max(5)
            .idle_after(Duration::from_nanos(10))
            .build()
            .unwrap();
        let (mut held, mut observing, mut waived): (Vec<(u32, _)>, _, _) = (Vec::new(), false, 0);
        for (now, (step, key)) in steps.into_iter().enumerate() {
            let now = Instant::from_nanos(now as u64 * 7);
            let in_use = held.iter().filter(|(other, _)| *other == key).count();
            match step {
                0..=2 => match keyed.try_acquire_at(&key, now) {
                    Ok(permit) => {
                        prop_assert!(observing || in_use < 2);
                        waived += u64::from(in_use >= 2);
                        held.push((key, permit));
                    }
                    Err(refused) if refused.reason() == Reason::KeysFull => prop_assert_eq!(keyed.len(), 5),
                    Err(_) => prop_assert!(!observing && in_use >= 2),
                },
                3 if !held.is_empty() => drop(held.swap_remove(key as usize % held.len())),
                4 => {
                    observing = !observing;
                    keyed.set_enforced_ratio(if observing { 0.0 } else { 1.0 }).unwrap();
                }
                _ => {
                    keyed.0.sweep(now);
                }
            }
            prop_assert_eq!(keyed.snapshot().would_reject, waived);
        }
        held.clear();
        keyed.0.sweep(Instant::from_nanos(1 << 40));
        prop_assert_eq!((keyed.len(), keyed.snapshot().would_reject), (0, waived));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_keys_share_is_let_through_by_a_key_that_comes_later() {
    let shared = RateLimiter::new(Quota::per_hour(1)).unwrap();
    let factory = shared.clone();
    let keyed = Keyed::builder("keyed-shares", move |_: &u32| factory.clone()).build().unwrap();
    keyed.observe();
    assert!(shared.try_acquire().is_ok() && shared.try_acquire().is_err(), "no key has it yet");
    let mut waiting = Box::pin(shared.acquire());
    assert!(waiting.as_mut().now_or_never().is_none());
    keyed.try_acquire(&1).unwrap();
    assert!(waiting.now_or_never().unwrap().is_ok());
    assert_eq!(shared.snapshot().would_reject, 2);
}

#[test]
fn what_a_handle_admits_and_rejects_is_counted_too() {
    let keyed = semaphores(4, 1);
    let handle = keyed.get(&1).unwrap();
    let permit = handle.try_acquire().unwrap();
    assert!(handle.try_acquire().is_err());
    let seen = keyed.snapshot();
    assert_eq!((seen.admitted, seen.rejected_by.as_slice()), (1, [(Reason::Full, 1)].as_slice()));
    drop(permit);
}
