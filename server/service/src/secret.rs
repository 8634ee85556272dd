//! Secrets in files of the data directory: made once, readable by their owner only.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// How long a secret may be, in bytes of text.
const TEXT_BYTES_MAX: u64 = 4_096;
/// How short: 32 characters of base64 carry 192 bits.
const TEXT_BYTES_MIN: usize = 32;
/// How many random bytes a new secret is made of.
const RANDOM_BYTES: usize = 32;

/// A secret: text that shows itself only when asked to, never in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes a secret from configuration.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub const fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads the secret in the file `name` of `directory`; where the file is missing, makes one
    /// first, and where two processes do so at the same time, both end with the same.
    ///
    /// The file holds one line of text, so that it can be pasted where it is needed, and replaced by
    /// a secret made elsewhere. The directory is made (mode 700) where it is missing.
    ///
    /// # Errors
    /// When the file cannot be made or read, is not a plain file, may be read by others than its
    /// owner, or holds less than 32 or more than 4,096 bytes.
    pub fn load_or_create(directory: &Path, name: &str) -> Result<Self, SecretError> {
        let path = directory.join(name);
        let result = match read(&path) {
            Err(Fault::Io(error)) if error.kind() == ErrorKind::NotFound => {
                create(directory, &path).map_err(Fault::Io).and_then(|()| read(&path))
            }
            result => result,
        };
        result.map_err(|fault| SecretError { path, fault })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Why a secret could not be had.
#[derive(Debug)]
pub struct SecretError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Io(io::Error),
    NotAFile,
    Readable { mode: u32 },
    Length { bytes: usize },
    Text,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Io(error) => write!(f, "secret {path}: {error}"),
            Fault::NotAFile => write!(f, "secret {path}: not a plain file"),
            Fault::Readable { mode } => write!(
                f,
                "secret {path}: others than its owner may use it (mode {mode:03o}): run chmod 600 {path}, and \
                 replace the secret if it may have been read"
            ),
            Fault::Length { bytes } => {
                write!(f, "secret {path}: {bytes} bytes, allowed is {TEXT_BYTES_MIN} to {TEXT_BYTES_MAX}")
            }
            Fault::Text => write!(f, "secret {path}: not one line of printable ASCII"),
        }
    }
}

impl std::error::Error for SecretError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) => Some(error),
            _ => None,
        }
    }
}

fn read(path: &Path) -> Result<Secret, Fault> {
    let file = File::open(path).map_err(Fault::Io)?;
    // Of the open file, not of the path: what is checked is what is read.
    let metadata = file.metadata().map_err(Fault::Io)?;
    if !metadata.is_file() {
        return Err(Fault::NotAFile);
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Fault::Readable { mode });
    }
    let mut text = String::new();
    let read = file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == ErrorKind::InvalidData => return Err(Fault::Text),
        result => result.map_err(Fault::Io)?,
    };
    let bytes = text.len();
    let text = text.trim_ascii_end();
    if text.len() < TEXT_BYTES_MIN || bytes as u64 > TEXT_BYTES_MAX {
        return Err(Fault::Length { bytes });
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::Text);
    }
    Ok(Secret(text.into()))
}

/// Makes the file with a fresh secret, unless another process is faster.
fn create(directory: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let text = random_text()?;
    let draft = path.with_extension(format!("draft-{}-{}", std::process::id(), &random_text()?[..8]));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let linked = write_and_sync(&mut file, &text).and_then(|()| {
        // A link never replaces: the first process wins, and the file is whole when it appears.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    });
    let removed = fs::remove_file(&draft);
    linked.and(removed)?;
    File::open(directory)?.sync_all()
}

fn write_and_sync(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn random_text() -> io::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("no random numbers from the system"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn it_is_made_once_with_mode_600_and_read_again() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("new/data");
        let first = Secret::load_or_create(&directory, "jwt.secret").unwrap();
        assert_eq!(first, Secret::load_or_create(&directory, "jwt.secret").unwrap());
        assert!(first.reveal().len() >= TEXT_BYTES_MIN);
        assert_eq!((mode(&directory), mode(&directory.join("jwt.secret"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no draft is left");
        assert_ne!(first, Secret::load_or_create(&directory, "admin.token").unwrap());
    }

    #[test]
    fn many_who_make_it_at_once_end_with_one() {
        let directory = tempfile::tempdir().unwrap();
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let load = || Secret::load_or_create(directory.path(), "jwt.secret").unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwt.secret");
        Secret::load_or_create(directory.path(), "jwt.secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Secret::load_or_create(directory.path(), "jwt.secret").unwrap_err().to_string();
        assert!(refused.contains("mode 640") && refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn short_long_and_strange_files_are_refused_and_a_directory_too() {
        let directory = tempfile::tempdir().unwrap();
        let contents: [&[u8]; 5] = [b"", b"short\n", &[b'x'; 5_000], &[0xff; 40], &[b' '; 50]];
        for (number, content) in contents.into_iter().enumerate() {
            let name = format!("secret-{number}");
            let path = directory.path().join(&name);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
            file.write_all(content).unwrap();
            assert!(Secret::load_or_create(directory.path(), &name).is_err(), "{number}");
        }
        DirBuilder::new().mode(0o700).create(directory.path().join("folder")).unwrap();
        assert!(Secret::load_or_create(directory.path(), "folder").is_err());
    }

    #[test]
    fn it_does_not_show_itself_in_logs() {
        assert_eq!(format!("{:?}", Secret::new("open sesame")), "Secret(hidden)");
    }
}
