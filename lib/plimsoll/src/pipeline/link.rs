//! What connects two stages: a bounded queue that puts items in order where that is asked for.
//!
//! # Invariants
//! - `ring` holds places from number `head` on, and no more than `capacity` of them.
//! - The first place is an item, or is still empty: holes are taken out as they come to the front.
//! - Items are numbered without gaps as they are taken. Whoever puts items in order puts each at the
//!   number under which its origin was taken, or leaves a hole there; so each number is filled once,
//!   and the oldest can always be put: it is within the capacity.
//! - While takers wait and the first place is an item, one was called that has not looked yet; and
//!   where items are put as they come, as many as there are items.
//! - Where items are kept or dropped the first place never is an item, so that no taker is called
//!   before the last producer is gone.
//! - While putters wait and there is room for the first of them, one was called that has not looked
//!   yet.
//!
//! # Lock order
//! One lock; no item is dropped under it, and no waker cloned, called or dropped.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::line::{Putters, Takers};
use super::meter::Meter;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::waiters::Ticket;

pub(super) struct Link<T> {
    capacity: usize,
    order: Order,
    state: Mutex<State<T>>,
}

struct State<T> {
    ring: VecDeque<Slot<T>>,
    head: u64,
    taken: u64,
    producers: usize,
    /// By the number of their item, or in the order in which they came.
    putters: Putters,
    takers: Takers,
    outlet: Outlet<T>,
}

/// What becomes of the items that come to the front.
enum Outlet<T> {
    /// They wait to be taken.
    Taken,
    /// They are taken at once, and kept until all have come: nobody is called for each of them.
    Kept(Vec<T>, Arc<Meter>),
    /// They are taken at once, and dropped by whoever put them.
    Dropped(Arc<Meter>),
}

enum Slot<T> {
    Empty,
    Hole,
    Full(T),
}

/// Where an item is put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Behind what is there.
    AsTheyCome,
    /// In the place of its number.
    ByNumber,
}

/// How much of a link is used, whatever goes through it.
pub(super) trait Queued: Send + Sync {
    fn queued(&self) -> usize;
}

impl<T> Link<T> {
    /// A link that is closed when so many [`Producer`]s have been dropped.
    pub(super) fn new(capacity: usize, order: Order, producers: usize) -> Self {
        debug_assert!(capacity > 0 && producers > 0);
        let state = State {
            ring: VecDeque::new(),
            head: 0,
            taken: 0,
            producers,
            putters: Putters::new(),
            takers: Takers::new(),
            outlet: Outlet::Taken,
        };
        Self { capacity, order, state: Mutex::new(state) }
    }

    /// Keeps all items until [`kept`](Self::kept); to be told before any is put.
    pub(super) fn keep(&self, meter: Arc<Meter>) {
        lock(&self.state).outlet = Outlet::Kept(Vec::new(), meter);
    }

    /// What was kept.
    pub(super) fn kept(&self) -> Vec<T> {
        match &mut lock(&self.state).outlet {
            Outlet::Kept(items, _) => std::mem::take(items),
            Outlet::Taken | Outlet::Dropped(_) => Vec::new(),
        }
    }

    /// Drops all items; to be told before any is put.
    pub(super) fn discard(&self, meter: Arc<Meter>) {
        lock(&self.state).outlet = Outlet::Dropped(meter);
    }

    /// Takes the next item, and its number; `None` when there is none and no producer is left.
    pub(super) const fn take(&self) -> Take<'_, T> {
        Take { link: self, ticket: None }
    }

    pub(super) fn poll_take(&self, ticket: &mut Option<Ticket>, cx: &Context<'_>) -> Poll<Option<(u64, T)>> {
        let mut own_waker = None;
        let (mut state, item) = loop {
            let mut state = lock(&self.state);
            let item = state.pop();
            if item.is_some() || state.producers == 0 {
                break (state, item);
            }
            if let Some(own_waker) = own_waker.take() {
                let stale = state.takers.wait(ticket, own_waker);
                drop(state);
                drop(stale);
                return Poll::Pending;
            }
            drop(state);
            own_waker = Some(cx.waker().clone());
        };
        let stale = ticket.take().map(|ticket| state.takers.leave(ticket));
        let putter = self.putter_due(&mut state);
        // Of several items that came to the front at once, only for the first was a taker called.
        let taker = if self.order == Order::ByNumber { state.taker_due() } else { None };
        drop(state);
        drop(stale);
        wake([putter, taker]);
        Poll::Ready(item)
    }

    fn leave(&self, ticket: Ticket) {
        let mut state = lock(&self.state);
        let waker = state.takers.leave(ticket);
        let other = if waker.is_none() { state.taker_due() } else { None };
        drop(state);
        drop(waker);
        wake([other, None]);
    }

    /// Waits for room for the item of this number, whose place is then the caller's for as long as
    /// the lock is; the waker that was left in the line is to be dropped after the lock.
    fn poll_room(
        &self,
        number: u64,
        waiting: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<(MutexGuard<'_, State<T>>, Option<Waker>)> {
        let mut own_waker = None;
        loop {
            let mut state = lock(&self.state);
            if self.has_room(&state, number) {
                let stale = waiting.take().and_then(|key| state.putters.leave(key));
                return Poll::Ready((state, stale));
            }
            if let Some(own_waker) = own_waker.take() {
                let key = waiting.unwrap_or_else(|| match self.order {
                    Order::ByNumber => number,
                    Order::AsTheyCome => state.putters.arrive(),
                });
                *waiting = Some(key);
                let stale = state.putters.wait(key, own_waker);
                drop(state);
                drop(stale);
                return Poll::Pending;
            }
            drop(state);
            own_waker = Some(cx.waker().clone());
        }
    }

    /// Puts when there is room; says whether there is room for the next.
    fn poll_put(&self, put: &mut Wanted<T>, cx: &Context<'_>) -> Poll<bool> {
        let Poll::Ready((mut state, stale)) = self.poll_room(put.number, &mut put.waiting, cx) else {
            return Poll::Pending;
        };
        let mut item = put.item.take();
        let discarded = state.discard(&mut item);
        let was_ready = state.is_ready();
        state.set(self.order, put.number, item.map_or(Slot::Hole, Slot::Full));
        let is_news = self.order == Order::AsTheyCome || !was_ready;
        let taker = if is_news { state.taker_due() } else { None };
        // More than one may have room now: holes have gone, or an item and the holes behind it.
        let putter = self.putter_due(&mut state);
        let has_room = self.has_room(&state, put.number + 1);
        drop(state);
        drop(stale);
        wake([taker, putter]);
        drop(discarded);
        Poll::Ready(has_room)
    }

    fn give_up(&self, key: u64) {
        let mut state = lock(&self.state);
        let waker = state.putters.leave(key);
        let other = if waker.is_none() { self.putter_due(&mut state) } else { None };
        drop(state);
        drop(waker);
        wake([other, None]);
    }

    fn has_room(&self, state: &State<T>, number: u64) -> bool {
        match self.order {
            Order::AsTheyCome => state.ring.len() < self.capacity,
            Order::ByNumber => number < state.head + self.capacity as u64,
        }
    }

    /// The putter to call, if there is room for it.
    fn putter_due(&self, state: &mut State<T>) -> Option<Waker> {
        let first = state.putters.first()?;
        if self.has_room(state, first) { state.putters.call_first() } else { None }
    }
}

impl<T> State<T> {
    fn is_ready(&self) -> bool {
        matches!(self.ring.front(), Some(Slot::Full(_)))
    }

    fn pop(&mut self) -> Option<(u64, T)> {
        if !self.is_ready() {
            return None;
        }
        let Some(Slot::Full(item)) = self.ring.pop_front() else { unreachable!("the first is an item") };
        self.head += 1;
        self.drop_holes();
        let number = self.taken;
        self.taken += 1;
        Some((number, item))
    }

    /// Takes the item out, and counts it, where it is to be dropped.
    fn discard(&self, item: &mut Option<T>) -> Option<T> {
        let Outlet::Dropped(meter) = &self.outlet else { return None };
        item.take().inspect(|_| meter.item_in())
    }

    fn set(&mut self, order: Order, number: u64, slot: Slot<T>) {
        match order {
            Order::AsTheyCome => self.ring.push_back(slot),
            Order::ByNumber => {
                let index = (number - self.head) as usize;
                while self.ring.len() <= index {
                    self.ring.push_back(Slot::Empty);
                }
                debug_assert!(matches!(self.ring[index], Slot::Empty), "a number is put once");
                self.ring[index] = slot;
            }
        }
        self.drop_holes();
        if let Outlet::Kept(..) = self.outlet {
            self.keep_front();
        }
    }

    fn keep_front(&mut self) {
        while let Some((_, item)) = self.pop() {
            if let Outlet::Kept(items, meter) = &mut self.outlet {
                items.push(item);
                meter.item_in();
            }
        }
    }

    fn drop_holes(&mut self) {
        while let Some(Slot::Hole) = self.ring.front() {
            self.ring.pop_front();
            self.head += 1;
        }
    }

    /// The taker to call for the first item.
    fn taker_due(&mut self) -> Option<Waker> {
        if self.is_ready() { self.takers.call_first() } else { None }
    }
}

fn wake(wakers: [Option<Waker>; 2]) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}

impl<T: Send> Queued for Link<T> {
    fn queued(&self) -> usize {
        lock(&self.state).ring.iter().filter(|slot| matches!(slot, Slot::Full(_))).count()
    }
}

/// The right to put items into a link, which is closed when the last is dropped.
pub(super) struct Producer<T> {
    link: Arc<Link<T>>,
}

impl<T> Producer<T> {
    /// One of those that the link was told of.
    pub(super) const fn new(link: Arc<Link<T>>) -> Self {
        Self { link }
    }

    /// Puts an item, or in its place nothing, when there is room. Where items are put as they come
    /// the number is not looked at.
    pub(super) fn put(&self, number: u64, item: Option<T>) -> Put<'_, T> {
        Put { link: &self.link, wanted: Wanted { number, item, waiting: None } }
    }

    /// Waits for room; it stays as long as this producer is the only one and puts nothing.
    pub(super) async fn room(&self) {
        let mut put = self.put(0, None);
        poll_fn(|cx| self.link.poll_room(0, &mut put.wanted.waiting, cx).map(drop)).await;
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.link.state);
        state.producers -= 1;
        let takers = if state.producers == 0 { state.takers.call_all() } else { Vec::new() };
        drop(state);
        takers.into_iter().for_each(Waker::wake);
    }
}

struct Wanted<T> {
    number: u64,
    item: Option<T>,
    /// As what it stands in the line, while it does.
    waiting: Option<u64>,
}

/// Waits for room, then puts.
pub(super) struct Put<'a, T> {
    link: &'a Link<T>,
    wanted: Wanted<T>,
}

// The item is moved on, never pinned.
impl<T> Unpin for Put<'_, T> {}

impl<T> Future for Put<'_, T> {
    /// Whether there is room for the next number; where items are put as they come, for any.
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = self.get_mut();
        this.link.poll_put(&mut this.wanted, cx)
    }
}

impl<T> Drop for Put<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.wanted.waiting.take() {
            self.link.give_up(key);
        }
    }
}

/// Waits for an item, then takes it.
pub(super) struct Take<'a, T> {
    link: &'a Link<T>,
    ticket: Option<Ticket>,
}

impl<T> Future for Take<'_, T> {
    type Output = Option<(u64, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.link.poll_take(&mut this.ticket, cx)
    }
}

impl<T> Drop for Take<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.link.leave(ticket);
        }
    }
}

#[cfg(all(test, not(plimsoll_loom)))]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;
    use crate::waiters::on_drop;

    fn drain(link: &Link<u64>) -> Vec<u64> {
        std::iter::from_fn(|| link.take().now_or_never().flatten().map(|(_, item)| item)).collect()
    }

    #[test]
    fn it_holds_no_more_than_its_capacity_and_calls_the_next_putter_for_each_place() {
        let link = Arc::new(Link::new(2, Order::AsTheyCome, 1));
        let producer = Producer::new(Arc::clone(&link));
        let mut puts: Vec<_> = (0..5).map(|item| producer.put(0, Some(item))).collect();
        let done = puts.iter_mut().map(|put| put.now_or_never().is_some()).collect::<Vec<_>>();
        assert_eq!(done, [true, true, false, false, false]);
        assert_eq!(link.take().now_or_never(), Some(Some((0, 0))));
        drop(puts.remove(2));
        assert_eq!(lock(&link.state).putters.first(), Some(3), "the one that was called passed it on");
        assert!(puts.iter_mut().skip(2).any(|put| put.now_or_never().is_some()));
        drop(puts);
        assert_eq!(drain(&link).len(), 2);
        assert!(link.take().now_or_never().is_none());
        drop(producer);
        assert_eq!(link.take().now_or_never(), Some(None));
    }

    #[test]
    fn a_taker_that_was_called_and_dropped_passes_it_on() {
        let link = Arc::new(Link::new(2, Order::AsTheyCome, 1));
        let producer = Producer::new(Arc::clone(&link));
        let (mut first, mut second) = (link.take(), link.take());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert!(producer.put(0, Some(7)).now_or_never().is_some());
        drop(first);
        assert_eq!(lock(&link.state).takers.len(), 0, "the second was not called");
        assert_eq!(second.now_or_never(), Some(Some((0, 7))));
    }

    #[test]
    fn nothing_is_put_while_only_room_was_waited_for() {
        let link = Arc::new(Link::new(1, Order::AsTheyCome, 1));
        let producer = Producer::new(Arc::clone(&link));
        assert!(producer.room().now_or_never().is_some());
        assert!(producer.put(0, Some(1)).now_or_never().is_some());
        let mut room = Box::pin(producer.room());
        assert!(room.as_mut().now_or_never().is_none());
        assert_eq!(drain(&link), [1]);
        assert!(room.now_or_never().is_some());
        assert_eq!(link.queued(), 0);
    }

    #[test]
    fn putters_wait_in_the_order_of_their_numbers_and_leave_from_anywhere() {
        let link = Arc::new(Link::new(1, Order::ByNumber, 1));
        let producer = Producer::new(Arc::clone(&link));
        let mut puts: Vec<_> = [4, 1, 3, 2].map(|number| producer.put(number, Some(number))).into();
        for put in &mut puts {
            assert!(put.now_or_never().is_none());
        }
        // Polled again, it is still there only once.
        assert!((&mut puts[1]).now_or_never().is_none());
        let first = || lock(&link.state).putters.first();
        assert_eq!(first(), Some(1));
        drop(puts.remove(2));
        assert!(producer.put(0, None).now_or_never().is_some());
        assert_eq!(first(), Some(2), "the first was called");
        assert!((&mut puts[1]).now_or_never().is_some());
        assert_eq!(drain(&link), [1]);
        assert_eq!(first(), Some(4), "the second was called, and the third has left");
    }

    #[test]
    fn a_waker_that_comes_back_as_it_is_dropped_finds_no_lock() {
        let link = Arc::new(Link::new(1, Order::AsTheyCome, 1));
        let producer = Producer::new(Arc::clone(&link));
        for is_full in [false, true] {
            if is_full {
                assert!(producer.put(0, Some(7)).now_or_never().is_some());
            }
            for is_replaced in [true, false] {
                let mut waits: BoxFuture<'_, ()> = if is_full {
                    producer.put(0, Some(8)).map(drop).boxed()
                } else {
                    link.take().map(drop).boxed()
                };
                let again = Arc::clone(&link);
                let waker = on_drop(move || assert!(again.queued() <= 1));
                assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                drop(waker);
                if is_replaced {
                    assert!(waits.as_mut().now_or_never().is_none());
                }
                drop(waits);
            }
        }
        // Room that is there after all, for one that was not called.
        let again = Arc::clone(&link);
        let waker = on_drop(move || assert!(again.queued() <= 1));
        let mut waits = producer.put(0, Some(8));
        assert!(Pin::new(&mut waits).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        lock(&link.state).ring.clear();
        assert!((&mut waits).now_or_never().is_some());
        assert_eq!(drain(&link), [8]);
    }

    #[test]
    fn what_is_dropped_takes_no_room_and_is_counted() {
        let (link, meter) = (Arc::new(Link::new(1, Order::ByNumber, 1)), meter());
        link.discard(Arc::clone(&meter));
        let producer = Producer::new(Arc::clone(&link));
        let (item, mut taker) = (Arc::new(()), link.take());
        assert!((&mut taker).now_or_never().is_none());
        for number in 0..3 {
            assert!(producer.put(number, Some(Arc::clone(&item))).now_or_never().is_some());
        }
        assert!(producer.put(3, None).now_or_never().is_some());
        assert_eq!((Arc::strong_count(&item), items_in(&meter)), (1, 3));
        drop(producer);
        assert!(taker.now_or_never().is_some_and(|taken| taken.is_none()));
    }

    fn meter() -> Arc<Meter> {
        Arc::new(Meter::new(crate::Name::UNNAMED, 1, None))
    }

    fn items_in(meter: &Meter) -> u64 {
        meter.report(crate::clock::now()).items_in
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_kept_is_in_the_order_of_its_numbers_and_calls_nobody_before_the_end(
            capacity in 1usize..6,
            kept in prop::collection::vec(any::<bool>(), 1..60),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let (link, meter) = (Arc::new(Link::new(capacity, Order::ByNumber, 1)), meter());
            link.keep(Arc::clone(&meter));
            let producer = Producer::new(Arc::clone(&link));
            let mut taker = link.take();
            prop_assert!((&mut taker).now_or_never().is_none());
            let put = |number: usize| producer.put(number as u64, kept[number].then_some(number));
            let mut puts: Vec<_> = (0..kept.len()).map(put).collect();
            let mut picks = picks.into_iter();
            while let (false, Some(pick)) = (puts.is_empty(), picks.next()) {
                let which = pick.index(puts.len());
                if (&mut puts[which]).now_or_never().is_some() {
                    drop(puts.swap_remove(which));
                }
                prop_assert!(lock(&link.state).ring.len() <= capacity);
                prop_assert_eq!(lock(&link.state).takers.len(), 1);
            }
            while !puts.is_empty() {
                let before = puts.len();
                puts.retain_mut(|put| put.now_or_never().is_none());
                prop_assert!(puts.len() < before, "they wait for one another");
            }
            drop(puts);
            drop(producer);
            prop_assert_eq!(taker.now_or_never(), Some(None));
            let expected: Vec<_> = (0..kept.len()).filter(|number| kept[*number]).collect();
            prop_assert_eq!(items_in(&meter), expected.len() as u64);
            prop_assert_eq!(link.kept(), expected);
        }

        /// Several workers that take from a source in order and put at different times: what comes
        /// out is in order, nothing is missing but what they left out, and none waits for ever.
        #[test]
        fn numbers_come_out_in_order_whatever_the_order_in_which_they_are_put(
            capacity in 1usize..6,
            workers in 1usize..6,
            kept in prop::collection::vec(any::<bool>(), 1..60),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 1..60),
        ) {
            let link = Arc::new(Link::new(capacity, Order::ByNumber, 1));
            let producer = Producer::new(Arc::clone(&link));
            let mut puts: Vec<BoxFuture<'_, bool>> = Vec::new();
            let mut next = 0..kept.len();
            let mut out: Vec<(u64, u64)> = Vec::new();
            let mut picks = picks.into_iter().cycle();
            loop {
                while puts.len() < workers {
                    let Some(number) = next.next() else { break };
                    let item = kept[number].then_some(number as u64);
                    puts.push(producer.put(number as u64, item).boxed());
                }
                if puts.is_empty() {
                    break;
                }
                let which = picks.next().map_or(0, |pick| pick.index(puts.len()));
                if (&mut puts[which]).now_or_never().is_some() {
                    drop(puts.swap_remove(which));
                } else if let Some(item) = link.take().now_or_never() {
                    out.extend(item);
                } else {
                    // It has no room, and nothing can be taken: the oldest is still to be put.
                    let before = puts.len();
                    puts.retain_mut(|put| put.now_or_never().is_none());
                    prop_assert!(puts.len() < before, "they wait for one another");
                }
                prop_assert!(lock(&link.state).ring.len() <= capacity);
            }
            while let Some(item) = link.take().now_or_never() {
                out.extend(item);
            }
            let expected = (0..kept.len() as u64).filter(|number| kept[*number as usize]);
            prop_assert_eq!(out, (0u64..).zip(expected).collect::<Vec<_>>());
            let state = lock(&link.state);
            prop_assert!(state.ring.is_empty() && state.putters.first().is_none());
        }
    }
}
