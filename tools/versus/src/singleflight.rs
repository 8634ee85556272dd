//! Our single flight beside asyncband's: nobody else asks for the key.

use std::hint::black_box;

use asyncband::singleflight::Group;
use plimsoll::singleflight::Singleflight;

use crate::pair::Pair;
use crate::runtime::one_thread;

pub(crate) const PAIRS: &[Pair] = &[Pair {
    op: "singleflight_alone",
    peer: "asyncband",
    goal: 2.0,
    gated: true,
    ours: || {
        let flights = Singleflight::<u64, u64, ()>::builder("versus").build().expect("it is valid");
        let runtime = one_thread();
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let flight = flights.run(number, || async { Ok(black_box(number)) });
                    assert_eq!(flight.await.ok(), Some(number));
                }
            });
        })
    },
    theirs: || {
        let (flights, runtime) = (Group::<u64, u64>::new(), one_thread());
        Box::new(move |operations| {
            runtime.block_on(async {
                for number in 0..operations {
                    let flight = flights.try_work(number, async || Ok::<u64, ()>(black_box(number)));
                    assert_eq!(flight.await.ok(), Some(number));
                }
            });
        })
    },
}];
