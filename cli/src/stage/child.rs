//! A child process: started, listened to, ended; never left behind.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll::group::Group;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How many of its last lines are kept, to be shown when it fails.
const TAIL_LINES: usize = 40;
/// Longer lines are cut.
const LINE_CHARS_MAX: usize = 500;
/// How long a child may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running child; killed when it is dropped.
pub(crate) struct Running {
    name: &'static str,
    process: Child,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    tail: Tail,
    readers: Group<()>,
}

type Tail = Arc<Mutex<VecDeque<String>>>;

impl Running {
    /// Starts this very program with these arguments, in a process group of its own: the
    /// terminal's Ctrl-C is for this one, which ends its children itself.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) async fn start(name: &'static str, arguments: &[String]) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let mut command = Command::new(program);
        command.args(arguments).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // It is the same wherever it runs: what is set for another server is not for this one.
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("PLIMSOLL_") {
                command.env_remove(key);
            }
        }
        let mut process = command.spawn().map_err(|error| format!("the {name} does not start: {error}"))?;
        let tail = Tail::default();
        // One for each of its two outputs.
        let mut readers = Group::new(2).map_err(|error| error.to_string())?;
        if let Some(stderr) = process.stderr.take() {
            readers.spawn(keep_tail(BufReader::new(stderr).lines(), Arc::clone(&tail))).await;
        }
        let stdout = process.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        Ok(Self { name, process, stdout, tail, readers })
    }

    /// Reads its standard output until `find` finds what it looks for in a line; the rest of the
    /// output is read and kept like its standard error.
    ///
    /// # Errors
    /// It ended, or did not say so in time.
    pub(crate) async fn wait_for<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let mut stdout = self.stdout.take().ok_or_else(|| format!("the {} was asked twice", self.name))?;
        let tail = Arc::clone(&self.tail);
        let found = tokio::time::timeout(START_TIMEOUT, async {
            while let Ok(Some(line)) = stdout.next_line().await {
                if let Some(found) = find(&line) {
                    return Some(found);
                }
                push(&tail, &line);
            }
            None
        });
        match found.await {
            Ok(Some(found)) => {
                self.readers.spawn(keep_tail(stdout, Arc::clone(&self.tail))).await;
                Ok(found)
            }
            Ok(None) => {
                let status = self.process.wait().await;
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(self.failed(&format!("ended at its start ({status})")).await)
            }
            Err(_) => Err(self.failed("did not start in 30 s").await),
        }
    }

    /// Its process id; `None` when it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// An error if it has ended, with its last words.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) async fn check(&mut self) -> Result<(), String> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("ended by itself ({status})")).await),
            Err(error) => Err(self.failed(&error.to_string()).await),
        }
    }

    /// `kill -9`, and waits until the system has taken it away.
    pub(crate) async fn kill(&mut self) {
        // It fails only where the process has ended already.
        let _ = self.process.kill().await;
    }

    /// Asks it to end, as an operator does, and waits; kills it when that takes longer than
    /// `patience`.
    ///
    /// # Errors
    /// It had to be killed, or ended badly.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Result<(), String> {
        if let Some(id) = self.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(patience, self.process.wait()).await {
            Ok(Ok(status)) if ExitStatus::success(&status) => Ok(()),
            Ok(Ok(status)) => Err(self.failed(&format!("ended badly after SIGTERM ({status})")).await),
            Ok(Err(error)) => Err(self.failed(&error.to_string()).await),
            Err(_) => {
                self.kill().await;
                Err(self.failed(&format!("had not ended {} s after SIGTERM", patience.as_secs())).await)
            }
        }
    }

    /// What went wrong, with its last words.
    async fn failed(&mut self, what: &str) -> String {
        // What it wrote last may still be in the pipes: read them to their end where it has ended.
        let _ = tokio::time::timeout(Duration::from_millis(200), self.readers.join()).await;
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!("the {} {what}", self.name);
        for line in tail.iter() {
            text.push_str("\n  | ");
            text.push_str(line);
        }
        text
    }
}

async fn keep_tail<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>, tail: Tail) {
    while let Ok(Some(line)) = lines.next_line().await {
        push(&tail, &line);
    }
}

fn push(tail: &Tail, line: &str) {
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    if tail.len() == TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(line.chars().take(LINE_CHARS_MAX).collect());
}
