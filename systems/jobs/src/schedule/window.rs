//! The jobs of one lane that are ready: the first of them in memory, the rest on disk.
//!
//! # Invariants
//! - What is in memory sorts before whatever is only on disk.
//! - `more` is false only while everything that is ready on disk is in memory or being claimed.

use std::collections::BTreeSet;

use plimsoll_store::{JobId, JobRef};

#[derive(Default)]
pub(crate) struct Window {
    jobs: BTreeSet<JobRef>,
    more: bool,
    loading: Loading,
    /// Since a reading was wanted something was left on disk.
    left_behind: bool,
    /// What ended or was cancelled while it is read: it may have been read before. As many as end
    /// within one reading.
    gone: Vec<JobId>,
    /// Jobs whose claim is on its way: on disk they are still ready.
    pub(crate) claiming: usize,
}

/// Whether what is on disk is being read.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Loading {
    #[default]
    No,
    /// In line to be.
    Wanted,
    Reading,
}

impl Window {
    pub(crate) fn first(&self) -> Option<&JobRef> {
        self.jobs.first()
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether nothing of it has to be remembered.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && !self.more && self.loading == Loading::No && self.claiming == 0
    }

    /// A job is ready, and durably so. At most `cap` are kept.
    pub(crate) fn offer(&mut self, job: JobRef, cap: usize) {
        if self.more && self.jobs.last().is_none_or(|last| job > *last) {
            self.left_behind = true;
            return;
        }
        self.jobs.insert(job);
        self.trim(cap);
    }

    pub(crate) fn take(&mut self) -> Option<JobRef> {
        self.jobs.pop_first()
    }

    /// The job does not wait any more.
    pub(crate) fn forget(&mut self, job: &JobRef) {
        self.jobs.remove(job);
        if self.loading == Loading::Reading {
            self.gone.push(job.id);
        }
    }

    /// There is, or may be, something on disk that is not in memory.
    pub(crate) fn expect_more(&mut self) {
        self.more = true;
        self.left_behind = true;
    }

    /// Whether it is time to read what is on disk; it is then taken to be in line.
    pub(crate) fn want_loading(&mut self, cap: usize) -> bool {
        let want = self.more && self.loading == Loading::No && self.jobs.len() <= cap / 4;
        if want {
            self.loading = Loading::Wanted;
            self.left_behind = false;
        }
        want
    }

    /// It is its turn to be read.
    pub(crate) fn begin_loading(&mut self) {
        self.loading = Loading::Reading;
    }

    /// What was read of the disk: the first jobs, but for those that are being claimed; `complete`
    /// where there are no others.
    pub(crate) fn loaded(&mut self, jobs: impl Iterator<Item = JobRef>, complete: bool, cap: usize) {
        self.loading = Loading::No;
        self.more = !complete || self.left_behind;
        let gone = std::mem::take(&mut self.gone);
        self.jobs.extend(jobs.filter(|job| !gone.contains(&job.id)));
        self.trim(cap);
    }

    /// It could not be read.
    pub(crate) fn not_loaded(&mut self) {
        self.loading = Loading::No;
        self.gone = Vec::new();
    }

    fn trim(&mut self, cap: usize) {
        while self.jobs.len() > cap.max(1) {
            self.jobs.pop_last();
            self.more = true;
            self.left_behind = true;
        }
    }
}
