//! The function imported by itself, under another name.
use tokio::sync::mpsc::unbounded_channel as queue;

pub fn start(node: Node) -> Handle {
    let (commands, inbox) = queue(); //~ PL004
    node.run(inbox);
    Handle { commands }
}
