use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A hash has at most 64 digits, and no line before a blob is longer than two of them.
const LINE_MAX: u64 = 256;
/// A path of a repository; git's own limit is 4,096.
const PATH_MAX: u64 = 8_192;

/// What git did not do.
#[derive(Debug)]
pub struct GitError {
    what: String,
    why: String,
}

impl GitError {
    pub(super) fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { what: what.into(), why: why.to_string().trim().to_owned() }
    }
}

impl fmt::Display for GitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "git {}: {}", self.what, self.why)
    }
}

impl std::error::Error for GitError {}

/// A repository, read through git's own commands.
pub(super) struct Repository {
    directory: PathBuf,
    /// Where the directory is in the repository: empty, or ends with `/`.
    pub(super) prefix: String,
    /// Whether its history was cut off when it was cloned.
    pub(super) shallow: bool,
}

/// A commit of the main line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Commit {
    pub(super) seconds: i64,
    pub(super) id: String,
}

/// A file of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TreeFile {
    /// The name of its content.
    pub(super) blob: String,
    pub(super) bytes: u64,
    /// Relative to the directory of the repository that is read.
    pub(super) path: String,
}

impl Repository {
    /// The repository that a directory is in.
    pub(super) fn of(directory: &Path) -> Result<Self, GitError> {
        let mut repository = Self { directory: directory.to_owned(), prefix: String::new(), shallow: false };
        let said = repository.said(&["rev-parse", "--show-prefix", "--is-shallow-repository"])?;
        let mut lines = said.lines();
        repository.prefix = lines.next().unwrap_or_default().to_owned();
        repository.shallow = lines.next() == Some("true");
        Ok(repository)
    }

    /// The commits of the main line, the newest first, until `wanted` says that is enough.
    pub(super) fn commits(&self, mut wanted: impl FnMut(Commit) -> bool) -> Result<(), GitError> {
        let what = "rev-list";
        let mut child = self.start(&["rev-list", "--first-parent", "--timestamp", "HEAD"], Stdio::null())?;
        let mut out = BufReader::new(taken(child.stdout.take(), what)?);
        let mut any = false;
        while let Some(line) = line(&mut out, b'\n', LINE_MAX, what)? {
            let parts = line.trim_end().split_once(' ');
            let commit = parts
                .and_then(|(seconds, id)| Some(Commit { seconds: seconds.parse().ok()?, id: id.to_owned() }));
            any = true;
            if !wanted(commit.ok_or_else(|| GitError::new(what, format!("not understood: {line}")))?) {
                return end(child);
            }
        }
        if any { ended(child, what) } else { Err(GitError::new(what, "there is no commit yet")) }
    }

    /// The files of a commit, in the order of their paths, as far as `wanted` has use for them.
    pub(super) fn files(
        &self,
        commit: &str,
        mut wanted: impl FnMut(&str) -> bool,
        files_max: usize,
    ) -> Result<Vec<TreeFile>, GitError> {
        let what = "ls-tree";
        let mut child =
            self.start(&["ls-tree", "-r", "-z", "-l", "--end-of-options", commit], Stdio::null())?;
        let mut out = BufReader::new(taken(child.stdout.take(), what)?);
        let mut files = Vec::new();
        while let Some(line) = line(&mut out, 0, PATH_MAX, what)? {
            let Some(file) = tree_file(&line).filter(|file| wanted(&file.path)) else { continue };
            if files.len() == files_max {
                end(child)?;
                return Err(GitError::new(what, format!("{commit} has more than {files_max} Rust files")));
            }
            files.push(file);
        }
        ended(child, what)?;
        Ok(files)
    }

    /// Starts reading contents.
    pub(super) fn contents(&self) -> Result<Contents, GitError> {
        let mut child = self.start(&["cat-file", "--batch"], Stdio::piped())?;
        let out = BufReader::new(taken(child.stdout.take(), "cat-file")?);
        let into = child.stdin.take();
        Ok(Contents { child, into, out })
    }

    fn said(&self, arguments: &[&str]) -> Result<String, GitError> {
        let what = arguments[0];
        let output = self.command(arguments).output().map_err(|error| GitError::new(what, error))?;
        if !output.status.success() {
            return Err(GitError::new(what, String::from_utf8_lossy(&output.stderr)));
        }
        String::from_utf8(output.stdout).map_err(|_| GitError::new(what, "its answer is no text"))
    }

    fn start(&self, arguments: &[&str], input: Stdio) -> Result<Child, GitError> {
        let mut command = self.command(arguments);
        // What it says of an error goes where ours go: a pipe that nobody reads could stop it.
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn().map_err(|error| GitError::new(arguments[0], error))
    }

    fn command<Word: AsRef<OsStr>>(&self, arguments: &[Word]) -> Command {
        let mut command = Command::new("git");
        // Reads only, and must not wait for a lock that an editor's git holds.
        command
            .current_dir(&self.directory)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .args(arguments);
        command
    }
}

/// Contents of files, by name.
pub(super) struct Contents {
    child: Child,
    into: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
}

impl Contents {
    /// The text of a content; nothing where it is no text.
    pub(super) fn text(&mut self, blob: &str, bytes_max: u64) -> Result<Option<String>, GitError> {
        let what = "cat-file";
        let failed = |error: std::io::Error| GitError::new(what, error);
        let into = self.into.as_mut().ok_or_else(|| GitError::new(what, "has ended"))?;
        // One is asked for and read to its end before the next: neither side ever waits for the other.
        into.write_all(format!("{blob}\n").as_bytes()).and_then(|()| into.flush()).map_err(failed)?;
        let head = line(&mut self.out, b'\n', LINE_MAX, what)?.unwrap_or_default();
        let bytes = head.trim_end().rsplit(' ').next().and_then(|bytes| bytes.parse::<u64>().ok());
        let bytes = bytes.ok_or_else(|| GitError::new(what, format!("not understood: {head}")))?;
        if bytes > bytes_max {
            return Err(GitError::new(
                what,
                format!("{blob} has {bytes} bytes, expected were {bytes_max} at most"),
            ));
        }
        let mut content = Vec::new();
        // And the line break behind it.
        self.out.by_ref().take(bytes + 1).read_to_end(&mut content).map_err(failed)?;
        if content.pop() != Some(b'\n') {
            return Err(GitError::new(what, "has ended in the middle of a content"));
        }
        Ok(String::from_utf8(content).ok())
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // It ends when nothing more can be asked of it.
        self.into.take();
        let _ = self.child.wait();
    }
}

/// `100644 blob HASH    SIZE\tPATH`: of a submodule or a link nothing is wanted.
fn tree_file(line: &str) -> Option<TreeFile> {
    let (head, path) = line.split_once('\t')?;
    let mut words = head.split_whitespace();
    let (mode, kind, blob, bytes) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let plain = kind == "blob" && matches!(mode, "100644" | "100755");
    plain.then_some(TreeFile { blob: blob.to_owned(), bytes: bytes.parse().ok()?, path: path.to_owned() })
}

fn taken<Pipe>(pipe: Option<Pipe>, what: &str) -> Result<Pipe, GitError> {
    pipe.ok_or_else(|| GitError::new(what, "has no output"))
}

/// What is read up to the end of a line, without it; nothing at the end.
fn line(
    out: &mut BufReader<ChildStdout>,
    end: u8,
    bytes_max: u64,
    what: &str,
) -> Result<Option<String>, GitError> {
    let mut bytes = Vec::new();
    let read = out.by_ref().take(bytes_max).read_until(end, &mut bytes);
    read.map_err(|error| GitError::new(what, error))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(end) {
        return Err(GitError::new(what, "a line does not end"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Ends a command of which nothing more is read.
fn end(mut child: Child) -> Result<(), GitError> {
    let _ = child.kill();
    child.wait().map(|_| ()).map_err(|error| GitError::new("wait", error))
}

/// Waits for a command that has said all it has to say.
fn ended(mut child: Child, what: &str) -> Result<(), GitError> {
    let status = child.wait().map_err(|error| GitError::new(what, error))?;
    if status.success() { Ok(()) } else { Err(GitError::new(what, format!("has failed: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_tree_is_a_file_and_a_link_or_a_submodule_is_none() {
        let file = tree_file("100644 blob 0123abc    1234\tsrc/a b.rs").unwrap();
        assert_eq!((file.blob.as_str(), file.bytes, file.path.as_str()), ("0123abc", 1_234, "src/a b.rs"));
        assert_eq!(tree_file("160000 commit 0123abc       -\tvendored"), None);
        assert_eq!(tree_file("120000 blob 0123abc      10\tlink.rs"), None);
        assert_eq!(tree_file(""), None);
    }
}
