//! Zero means no limit here.
pub async fn publish(events: impl Stream<Item = Event>, bus: &Bus) {
    events.for_each_concurrent(0, |event| bus.publish(event)).await; //~ PL006
}
