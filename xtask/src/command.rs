//! Runs commands, and keeps what they print.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How much of a log is shown when its step failed; the rest is in the file.
const LINES_SHOWN_MAX: usize = 400;

/// What a step prints, in a file.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Starts the log of `step` anew.
    pub(crate) fn create(folder: &Path, step: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{step}.log"));
        Ok(Self { file: File::create(&path)?, path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.file, "{line}")
    }

    /// Runs `command` to its end, with both its outputs into this log; whether it succeeded.
    pub(crate) fn run(&mut self, command: &mut Command) -> io::Result<bool> {
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        self.line(&format!("$ {}", words.join(" ")))?;
        let status = command
            .stdin(Stdio::null())
            .stdout(self.file.try_clone()?)
            .stderr(self.file.try_clone()?)
            .status()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", words[0])))?;
        if !status.success() {
            self.line(&format!("({status})"))?;
        }
        Ok(status.success())
    }

    /// All of it.
    pub(crate) fn text(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.path)?).into_owned())
    }

    /// The end of it, as long as a reader can bear.
    pub(crate) fn tail(&self) -> io::Result<String> {
        let text = self.text()?;
        let lines: Vec<&str> = text.lines().collect();
        let left_out = lines.len().saturating_sub(LINES_SHOWN_MAX);
        let mut tail = lines[left_out..].join("\n");
        if left_out > 0 {
            tail.insert_str(0, &format!("… {left_out} lines before these are in {}\n", self.path.display()));
        }
        Ok(tail)
    }
}

/// Whether the command can be started and says that all is well; what it prints is thrown away.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
