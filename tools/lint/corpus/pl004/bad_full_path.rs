//! With the whole path, and a type.
pub fn events() -> (EventSender, EventReceiver) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Event>(); //~ PL004
    (EventSender { sender }, EventReceiver { receiver })
}
