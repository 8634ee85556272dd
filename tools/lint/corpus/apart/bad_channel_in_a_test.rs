//! A queue without a bound, in a test function.
#[tokio::test]
async fn events_arrive_in_order() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel(); //~ PL004 test
    subscribe(sender);
    assert_eq!(receiver.recv().await, Some(Event::Started));
}
