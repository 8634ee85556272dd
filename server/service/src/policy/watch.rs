//! Notices that the policy file was changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::control::Control;
use crate::drain::Drain;

/// How often the file is looked at. A look is one call of the system, on every file system there is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a file looks like from outside: another content has another stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// `None` where there is no file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { modified: found.modified().ok(), bytes: found.len(), inode: found.ino() })
    }
}

impl Control {
    /// Reads the file again whenever it has changed, until `drain` begins.
    ///
    /// # Cancel safety
    /// Nothing is lost; call it again.
    pub async fn watch(&self, drain: &Drain) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let looking = async {
            loop {
                look.tick().await;
                if self.is_stale() {
                    // It is logged and counted there; an unchanged file is not read twice.
                    let _ = self.reload();
                }
            }
        };
        tokio::select! {
            () = drain.started() => {}
            () = looking => {}
        }
    }
}
