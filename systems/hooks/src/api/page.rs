//! Lists, page by page.
//!
//! A page is asked for with `iterator`: the id of an item, to go on behind it, or `-` and the id,
//! to go back to what is before it. An answer carries both, for its last and its first item. `done`
//! says that nothing follows in the direction of the request.

use std::fmt::Display;
use std::io::Write as _;
use std::str::FromStr;

use plimsoll_store::{Order, Page, Sought};

use super::problems::{Problem, Problems, shown};
use super::query::Query;
use super::reply::Reply;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 250;

/// A request for a page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Listing<K> {
    limit: u32,
    order: Order,
    start: Start<K>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Start<K> {
    Beginning,
    Behind(K),
    Before(K),
}

impl<K: FromStr + Clone> Listing<K> {
    /// Reads `limit`, `iterator` and `order`.
    pub(super) fn ordered(query: &Query, problems: &mut Problems) -> Self {
        let order = query.read(problems, "order", |text| match text {
            "ascending" => Ok(Order::Ascending),
            "descending" => Ok(Order::Descending),
            _ => Err(Problem::value("expected ascending or descending")),
        });
        Self::fixed(query, problems, order.unwrap_or(Order::Ascending))
    }

    /// Reads `limit` and `iterator` of a list that has one order.
    pub(super) fn fixed(query: &Query, problems: &mut Problems, order: Order) -> Self {
        let limit = query.read(problems, "limit", |text| match text.parse::<u64>() {
            // The interface names no maximum: who asks for more than a page holds gets a full page,
            // and goes on from its iterator.
            Ok(limit) => Ok(u32::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)),
            Err(_) => Err(Problem::type_is_not(format!("expected a whole number, is {:?}", shown(text)))),
        });
        let start = query.read(problems, "iterator", |text| {
            let key = |text: &str| {
                text.parse().map_err(|_| Problem::value("not an iterator that this list has returned"))
            };
            match text.strip_prefix('-') {
                Some(text) => key(text).map(Start::Before),
                None => key(text).map(Start::Behind),
            }
        });
        Self { limit: limit.unwrap_or(LIMIT_DEFAULT), order, start: start.unwrap_or(Start::Beginning) }
    }

    /// What to ask the store for: one more than the page has, to know whether more follows.
    pub(super) fn page(&self) -> Page<K> {
        let (after, order) = match &self.start {
            Start::Beginning => (None, self.order),
            Start::Behind(key) => (Some(key.clone()), self.order),
            Start::Before(key) => (Some(key.clone()), reverse(self.order)),
        };
        Page { after, limit: self.limit + 1, order }
    }

    /// The items of the page in its order, and whether nothing follows, from what the store gave.
    fn take<T>(&self, mut items: Vec<T>) -> (Vec<T>, bool) {
        let limit = self.limit as usize;
        // A page of no items ends a client's loop, or it would go on for ever.
        let done = items.len() <= limit || limit == 0;
        items.truncate(limit);
        if matches!(self.start, Start::Before(_)) {
            items.reverse();
        }
        (items, done)
    }

    /// The answer.
    pub(super) fn reply<T, I: Display>(
        &self,
        items: Vec<T>,
        id: impl Fn(&T) -> I,
        write: impl Fn(&mut Vec<u8>, &T),
    ) -> Reply {
        self.reply_sought(Sought { found: items, stopped_at: None }, id, write)
    }

    /// The answer to a search: where it stopped at its bound, its iterator goes on there, however
    /// little was found.
    pub(super) fn reply_sought<T, I: Display>(
        &self,
        sought: Sought<T, I>,
        id: impl Fn(&T) -> I,
        write: impl Fn(&mut Vec<u8>, &T),
    ) -> Reply {
        let Sought { found, stopped_at } = sought;
        let (items, at_end) = self.take(found);
        let done = at_end && stopped_at.is_none();
        let mut out = Vec::with_capacity(128 + 512 * items.len());
        out.extend_from_slice(b"{\"data\":[");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write(&mut out, item);
        }
        let (mut first, mut last) = (items.first().map(&id), items.last().map(&id));
        match self.start {
            Start::Before(_) => first = stopped_at.or(first),
            Start::Beginning | Start::Behind(_) => last = stopped_at.or(last),
        }
        // Ids are letters, digits, '_', '-' and '.'.
        let quoted = |sign, id: Option<I>| id.map_or("null".into(), |id| format!("\"{sign}{id}\""));
        let (iterator, back) = (quoted("", last), quoted("-", first));
        // Writing to memory cannot fail.
        let _ = write!(out, "],\"done\":{done},\"iterator\":{iterator},\"prevIterator\":{back}}}");
        Reply::ok(out)
    }
}

const fn reverse(order: Order) -> Order {
    match order {
        Order::Ascending => Order::Descending,
        Order::Descending => Order::Ascending,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn query(text: &str) -> Query {
        Query::from(format!("/x?{text}").parse::<http::Uri>().unwrap())
    }

    fn listing(text: &str, order: Order) -> Listing<String> {
        let mut problems = Problems::default();
        let listing = Listing::fixed(&query(text), &mut problems, order);
        problems.finish().unwrap();
        listing
    }

    /// As the store does it.
    fn stored(all: &[String], page: &Page<String>) -> Vec<String> {
        let mut all = all.to_vec();
        all.sort();
        if page.order == Order::Descending {
            all.reverse();
        }
        let behind = |one: &String| match (&page.after, page.order) {
            (None, _) => true,
            (Some(key), Order::Ascending) => one > key,
            (Some(key), Order::Descending) => one < key,
        };
        all.into_iter().filter(behind).take(page.limit as usize).collect()
    }

    fn answer(all: &[String], limit: u32, iterator: &str, order: Order) -> Value {
        let listing = listing(&format!("limit={limit}&iterator={iterator}"), order);
        let items = stored(all, &listing.page());
        let reply = listing.reply(items, String::clone, |out, item| {
            serde_json::to_writer(out, item).unwrap();
        });
        serde_json::from_slice(reply.body()).unwrap()
    }

    proptest! {
        #[test]
        fn walking_there_and_back_sees_every_item_once_in_order(
            all in prop::collection::btree_set("[a-z]{1,6}", 0..40),
            limit in 1u32..12,
            descending: bool,
        ) {
            let mut all: Vec<String> = all.into_iter().collect();
            let order = if descending { Order::Descending } else { Order::Ascending };
            let (mut there, mut back) = (Vec::new(), Vec::new());
            let mut iterator = String::new();
            loop {
                let page = answer(&all, limit, &iterator, order);
                there.extend(page["data"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()));
                if page["done"] == true { break }
                iterator = page["iterator"].as_str().unwrap().to_owned();
            }
            if descending { all.reverse() }
            prop_assert_eq!(&there, &all);
            let Some(last) = there.last() else { return Ok(()) };
            let mut iterator = format!("-{last}");
            loop {
                let page = answer(&all, limit, &iterator, order);
                let data: Vec<_> =
                    page["data"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
                back.splice(0..0, data);
                if page["done"] == true { break }
                iterator = page["prevIterator"].as_str().unwrap().to_owned();
            }
            back.push(last.clone());
            prop_assert_eq!(back, all);
        }
    }

    #[test]
    fn the_default_is_fifty_and_the_maximum_two_hundred_and_fifty() {
        assert_eq!(listing("", Order::Ascending).page().limit, 51);
        assert_eq!(listing("limit=250", Order::Ascending).page().limit, 251);
        assert_eq!(listing("limit=1000", Order::Ascending).page().limit, 251);
        for bad in ["limit=-1", "limit=x", "limit=99999999999999999999"] {
            let mut problems = Problems::default();
            let _: Listing<String> = Listing::ordered(&query(bad), &mut problems);
            assert!(problems.finish().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_of_nothing_is_the_last() {
        let page = answer(&["a".into()], 0, "", Order::Ascending);
        assert_eq!(
            page,
            serde_json::json!({"data": [], "done": true, "iterator": null, "prevIterator": null})
        );
    }

    #[test]
    fn a_search_that_stopped_short_is_not_done_and_goes_on_where_it_stopped() {
        for (iterator, found, expected) in [
            (
                "",
                vec![],
                serde_json::json!({"data": [], "done": false, "iterator": "m", "prevIterator": null}),
            ),
            (
                "a",
                vec!["c"],
                serde_json::json!({"data": ["c"], "done": false, "iterator": "m", "prevIterator": "-c"}),
            ),
            (
                "-z",
                vec![],
                serde_json::json!({"data": [], "done": false, "iterator": null, "prevIterator": "-m"}),
            ),
        ] {
            let listing = listing(&format!("limit=5&iterator={iterator}"), Order::Ascending);
            let sought = Sought { found, stopped_at: Some("m") };
            let reply = listing.reply_sought(
                sought,
                |item| *item,
                |out, item| {
                    serde_json::to_writer(out, item).unwrap();
                },
            );
            assert_eq!(serde_json::from_slice::<Value>(reply.body()).unwrap(), expected);
        }
    }

    #[test]
    fn an_iterator_of_another_list_is_refused() {
        let mut problems = Problems::default();
        let _: Listing<plimsoll_store::AppId> = Listing::ordered(&query("iterator=ep_x"), &mut problems);
        assert_eq!(problems.finish().unwrap_err().status(), 422);
    }
}
