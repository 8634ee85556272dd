use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_nested_deadline_can_only_shorten() {
    let longer = async { Scope::new().deadline_in(60 * SECOND).remaining() };
    let shorter = async { Scope::new().deadline_in(SECOND).remaining() };
    assert_eq!(Scope::new().deadline_in(10 * SECOND).run(longer).await, Ok(Some(10 * SECOND)));
    assert_eq!(Scope::new().deadline_in(10 * SECOND).run(shorter).await, Ok(Some(SECOND)));
}

#[tokio::test(start_paused = true)]
async fn the_future_is_dropped_when_the_deadline_passes() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            assert_eq!(current().label_value("tenant"), Some("acme"), "dropped inside its scope");
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(Arc::clone(&dropped));
    let before = tokio::time::Instant::now();
    let work = async move {
        let _flag = flag;
        pending::<()>().await;
    };
    let ended = Scope::new().label("tenant", "acme").deadline_in(SECOND).run(work).await;
    assert_eq!(ended, Err(Ended::DeadlinePassed));
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(before.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_scope_ends_its_children_and_not_its_parent() {
    let parent = Scope::root();
    let (child, sibling) = (parent.child(), parent.child());
    child.cancel();
    assert_eq!(child.ended(), Some(Ended::Cancelled));
    assert_eq!((parent.ended(), sibling.ended()), (None, None));
    assert_eq!(child.run(pending::<()>()).await, Err(Ended::Cancelled));

    let mut run = pin!(sibling.run(pending::<()>()));
    assert!(poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await);
    parent.cancel();
    assert_eq!(run.await, Err(Ended::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn work_whose_deadline_has_passed_is_not_started() {
    let started = AtomicBool::new(false);
    let work = async { started.store(true, Ordering::SeqCst) };
    assert_eq!(Scope::new().deadline_in(Duration::ZERO).run(work).await, Err(Ended::DeadlinePassed));
    assert!(!started.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_with_its_deadline_counts_as_done() {
    let work = tokio::time::sleep(SECOND);
    assert_eq!(Scope::new().deadline_in(SECOND).run(work).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_uses_up_its_budget_is_stopped_all_the_same() {
    let busy = async {
        loop {
            tokio::time::advance(Duration::from_millis(1)).await;
            tokio::task::consume_budget().await;
        }
    };
    let ended: Result<(), Ended> = Scope::new().deadline_in(SECOND).run(busy).await;
    assert_eq!(ended, Err(Ended::DeadlinePassed));
}

#[tokio::test]
async fn cancelling_the_current_scope_ends_the_work_that_did_it() {
    let work = async {
        current().cancel();
        pending::<()>().await;
    };
    assert_eq!(Scope::new().run(work).await, Err(Ended::Cancelled));
}

#[test]
fn outside_of_any_scope_cancelling_the_current_one_ends_nothing() {
    current().cancel();
    assert!(!current().is_cancelled() && !Scope::new().is_cancelled());
}

#[tokio::test]
async fn labels_are_inherited_and_can_be_replaced() {
    let inner = async {
        let scope = Scope::new().label("tenant", "globex").label("step", "2");
        scope.labels().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    let seen = Scope::new().label("tenant", "acme").label("request", "7").run(inner).await.unwrap();
    assert_eq!(seen, ["tenant=globex", "request=7", "step=2"]);
}

#[test]
fn the_seventeenth_label_is_left_out_and_counted() {
    let scope = (0..20).fold(Scope::root(), |scope, n| scope.label(&format!("key{n}"), "x"));
    assert_eq!((scope.labels().count(), scope.labels_left_out()), (LABELS_MAX, 4));
    assert_eq!(scope.clone().label("key3", "y").label_value("key3"), Some("y"), "a known key is replaced");
    assert_eq!(scope.label_value("key16"), None);
}

#[test]
fn a_long_label_is_cut_at_a_whole_character() {
    let scope = Scope::root().label("name", &"ä".repeat(100)).label("odd", &format!("x{}", "ä".repeat(100)));
    assert_eq!(scope.label_value("name").unwrap().len(), 128);
    assert_eq!(scope.label_value("odd").unwrap().len(), 127);
}

#[test]
fn the_longest_deadline_does_not_overflow() {
    assert!(Scope::root().deadline_in(Duration::MAX).remaining().unwrap() > SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_longest_deadline_can_be_waited_for() {
    let work = tokio::time::sleep(SECOND);
    assert_eq!(Scope::root().deadline_in(Duration::MAX).run(work).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_root_scope_inherits_nothing() {
    let inner = async { (Scope::root().label_value("tenant").is_some(), Scope::root().remaining()) };
    let outer = Scope::new().label("tenant", "acme").deadline_in(SECOND);
    assert_eq!(outer.run(inner).await, Ok((false, None)));
}
