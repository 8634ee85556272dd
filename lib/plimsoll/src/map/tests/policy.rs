//! The policies as state machines, against what a reader of their documentation expects.

use proptest::prelude::*;

use crate::map::ordered::Ordered;
use crate::map::policy::{Buffer, Fate, Ledger, Policy, Verdict};
use crate::map::{CollectAll, Each, Error, FirstSuccess, InOrder, Quorum};
use crate::{Invalid, Name};

type Outcome = Result<u32, u32>;

/// Places in the order in which their results come, with the results.
fn arrivals() -> impl Strategy<Value = Vec<(usize, Outcome)>> {
    let one = prop_oneof![3 => any::<u32>().prop_map(Ok), 1 => any::<u32>().prop_map(Err)];
    proptest::collection::vec(one, 0..60).prop_flat_map(|results| {
        let places: Vec<_> = (0..results.len()).collect();
        Just(places).prop_shuffle().prop_map(move |places| places.into_iter().zip(results.clone()).collect())
    })
}

/// Gives it the results until all have come, or the ledger says stop; and how many it took.
fn run<L: Ledger<Value = u32, Error = u32>>(
    mut ledger: L,
    arrivals: &[(usize, Outcome)],
) -> (L::Output, usize) {
    let mut kept = Ordered::new();
    let mut taken = 0;
    let mut verdict = ledger.expect(arrivals.len());
    for (place, result) in arrivals {
        if verdict == Verdict::Stop {
            break;
        }
        taken += 1;
        match L::sort(*result) {
            Fate::Forgotten => {}
            Fate::Kept(one) => kept.put(*place, one),
            Fate::Told(result) => verdict = ledger.settle(result),
        }
    }
    (ledger.finish(kept), taken)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_order_has_every_value_or_the_first_error(arrivals in arrivals()) {
        let (output, taken) = run(Policy::<u32, u32>::open(InOrder, Name::UNNAMED), &arrivals);
        match arrivals.iter().position(|(_, result)| result.is_err()) {
            Some(at) => {
                let first = arrivals[at].1.unwrap_err();
                prop_assert_eq!(output, Err(Error::Failed { first, rest: vec![] }));
                prop_assert_eq!(taken, at + 1);
            }
            None => {
                let mut sorted = arrivals;
                sorted.sort_by_key(|(place, _)| *place);
                prop_assert_eq!(output, Ok(sorted.into_iter().map(|(_, result)| result.unwrap()).collect()));
            }
        }
    }

    #[test]
    fn conc_156_collect_all_clips_nothing(arrivals in arrivals()) {
        let (output, _) = run(Policy::<u32, u32>::open(CollectAll, Name::UNNAMED), &arrivals);
        let mut sorted = arrivals;
        sorted.sort_by_key(|(place, _)| *place);
        prop_assert_eq!(output, Ok(sorted.into_iter().map(|(_, result)| result).collect::<Vec<_>>()));
    }

    #[test]
    fn each_ends_with_the_first_error(arrivals in arrivals()) {
        let (output, _) = run(Policy::<u32, u32>::open(Each, Name::UNNAMED), &arrivals);
        let first = arrivals.iter().find_map(|(_, result)| result.err());
        prop_assert_eq!(output, first.map_or(Ok(()), |first| Err(Error::Failed { first, rest: vec![] })));
    }

    #[test]
    fn a_quorum_ends_as_soon_as_it_is_reached_or_out_of_reach(arrivals in arrivals(), wanted in 0..40usize) {
        let (output, taken) = run(Policy::<u32, u32>::open(Quorum { wanted }, Name::UNNAMED), &arrivals);
        if wanted == 0 || wanted > arrivals.len() {
            prop_assert!(matches!(output, Err(Error::Invalid(ref invalid)) if invalid.field() == "quorum"));
            prop_assert_eq!(taken, 0);
            return Ok(());
        }
        let seen = &arrivals[..taken];
        let values: Vec<_> = seen.iter().filter_map(|(_, result)| result.ok()).collect();
        let errors: Vec<_> = seen.iter().filter_map(|(_, result)| result.err()).collect();
        let before = |errors: usize| arrivals.len() - errors >= wanted;
        match output {
            Ok(output) => {
                prop_assert_eq!(&output, &values);
                prop_assert_eq!(values.len(), wanted);
                prop_assert!(seen.last().unwrap().1.is_ok());
            }
            Err(Error::OutOfReach { wanted: told, succeeded, errors: kept }) => {
                prop_assert_eq!((told, succeeded), (wanted, values.len()));
                prop_assert!(!before(errors.len()) && before(errors.len() - 1), "not earlier, not later");
                prop_assert_eq!(kept, errors);
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_buffer_pauses_when_it_is_full_and_loses_nothing(
        capacity in 1..20usize,
        takes in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let mut buffer = Buffer::<u32, u32>::new(capacity);
        let (mut given, mut taken, mut paused) = (0, 0, false);
        for take in takes {
            if take {
                let expected = (taken < given).then_some(Ok(taken));
                taken += u32::from(expected.is_some());
                prop_assert_eq!(buffer.take(), expected);
                paused &= !buffer.has_room();
            } else if !paused {
                paused = buffer.settle(Ok(given)) == Verdict::Pause;
                given += 1;
                prop_assert!((given - taken) as usize <= capacity);
                prop_assert_eq!(paused, (given - taken) as usize == capacity);
            }
        }
    }
}

#[test]
fn a_quorum_learns_late_how_many_items_there_are() {
    let mut ledger = Policy::<u32, u32>::open(Quorum { wanted: 3 }, Name::UNNAMED);
    assert_eq!(ledger.expect(usize::MAX), Verdict::GoOn);
    assert_eq!(ledger.settle(Err(7)), Verdict::GoOn);
    assert_eq!(ledger.settle(Ok(1)), Verdict::GoOn);
    assert_eq!(ledger.expect(3), Verdict::Stop, "three, and one of them has failed");
    assert_eq!(
        ledger.finish(Ordered::new()),
        Err(Error::OutOfReach { wanted: 3, succeeded: 1, errors: vec![7] })
    );
}

#[test]
fn an_error_that_comes_before_the_others_have_ended_is_kept() {
    let mut ledger = Policy::<u32, u32>::open(InOrder, Name::UNNAMED);
    assert_eq!((ledger.settle(Err(1)), ledger.settle(Err(2))), (Verdict::Stop, Verdict::Stop));
    assert_eq!(ledger.finish(Ordered::new()), Err(Error::Failed { first: 1, rest: vec![2] }));
}

#[test]
fn the_first_success_of_nothing_is_refused() {
    let mut ledger = Policy::<u32, u32>::open(FirstSuccess, Name::UNNAMED);
    assert_eq!(ledger.expect(0), Verdict::Stop);
    assert!(matches!(ledger.finish(Ordered::new()), Err(Error::Invalid(_))));
}

#[test]
fn an_error_says_which_number_is_which() {
    let shown = |error: Error<&str>| error.to_string();
    assert_eq!(shown(Error::Failed { first: "down", rest: vec![] }), "down");
    assert_eq!(shown(Error::Failed { first: "down", rest: vec!["late"] }), "down (and 1 more failed)");
    let missed = Error::OutOfReach { wanted: 3, succeeded: 1, errors: vec!["down", "late"] };
    assert_eq!(shown(missed.clone()), "1 of the 3 wanted succeeded, 2 failed, the first: down");
    assert_eq!(missed.into_first(), Some("down"));
    let invalid = Invalid::new(Name::UNNAMED, "limit", 0, "1 to 16,777,216");
    assert_eq!(shown(Error::from(invalid)), "unnamed: limit is 0, allowed is 1 to 16,777,216");
}
