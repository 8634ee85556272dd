//! async-channel's.
use async_channel::unbounded;

pub fn mailbox() -> (Address, Mailbox) {
    let (sender, receiver) = unbounded(); //~ PL004
    (Address(sender), Mailbox(receiver))
}
