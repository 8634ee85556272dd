//! futures' channel.
use futures::channel::mpsc;

pub fn notifier() -> (mpsc::UnboundedSender<Notice>, mpsc::UnboundedReceiver<Notice>) {
    mpsc::unbounded() //~ PL004
}
