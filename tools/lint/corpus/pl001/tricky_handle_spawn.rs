//! A handle of the runtime spawns as well.
use tokio::runtime::Handle;

pub fn replay(handle: &Handle, entries: Vec<LogEntry>, target: Arc<Target>) {
    for entry in entries {
        let target = target.clone();
        handle.spawn(async move { target.apply(entry).await }); //~ PL001 medium
    }
}
