//! Imported in a group with others.
use tokio::sync::{mpsc::{self, UnboundedReceiver, UnboundedSender}, oneshot};

pub struct Bus {
    sender: UnboundedSender<Message>,
    receiver: UnboundedReceiver<Message>,
}

impl Bus {
    pub fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel(); //~ PL004
        Self { sender, receiver }
    }
}
