//! The data directory: its lock, its file, its connections.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::committer::Known;
use super::schema;
use crate::OpenError;
use crate::stats::Counters;

const FILE: &str = "plimsoll.db";
const LOCK: &str = "LOCK";

/// Page cache of the connection that writes. Not more: the engine walks all of a cache at the end
/// of most commits (measured: with 32 MiB an accept takes a sixth more CPU), and the system caches
/// the same pages.
const WRITER_CACHE_KIB: i64 = 8 * 1024;
/// Page cache of a connection that reads.
const READER_CACHE_KIB: i64 = 8 * 1024;
/// Page cache of the connection that writes the log back: it reads no tables.
const HELPER_CACHE_KIB: i64 = 256;
/// More than the crate has statements: each is prepared once.
const STATEMENTS: usize = 256;

/// The files of a store, opened and claimed.
pub(super) struct Files {
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
    /// For the thread that writes the log back.
    pub(super) helper: Connection,
    pub(super) known: Known,
    pub(super) epoch: u64,
    /// Held for as long as the connections are; dropped after them.
    pub(super) lock: File,
}

/// Opens or makes the files in `directory`, with `readers` connections to read.
pub(super) fn open(directory: &Path, readers: usize, counters: &Arc<Counters>) -> Result<Files, OpenError> {
    let lock = claim_directory(directory)?;
    let path = directory.join(FILE);
    let engine = |error: &rusqlite::Error| engine_error(&path, error);

    let mut writer = Connection::open(&path).map_err(|error| engine(&error))?;
    set_up(&writer, WRITER_CACHE_KIB).map_err(|error| engine(&error))?;
    recognise(&writer, &path)?;
    prepare_log(&mut writer, counters).map_err(|error| engine(&error))?;
    schema::migrate(&mut writer, schema::STEPS).map_err(|error| engine(&error))?;
    let epoch = schema::next_epoch(&writer).map_err(|error| engine(&error))?;
    let known = Known::load(&writer).map_err(|error| engine(&error))?;
    let readers = (0..readers)
        .map(|_| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let reader = Connection::open_with_flags(&path, flags)?;
            set_up(&reader, READER_CACHE_KIB)?;
            Ok(reader)
        })
        .collect::<rusqlite::Result<_>>()
        .map_err(|error| engine(&error))?;
    let helper = Connection::open(&path).map_err(|error| engine(&error))?;
    set_up(&helper, HELPER_CACHE_KIB).map_err(|error| engine(&error))?;
    Ok(Files { writer, readers, helper, known, epoch, lock })
}

/// Makes the directory where it is missing, and takes its lock.
fn claim_directory(directory: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.to_path_buf(), source };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(failed)?;

    let lock = private_file(&directory.join(LOCK)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: directory.to_path_buf() }),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // It holds secrets, and the engine gives its log the mode of the file.
    private_file(&directory.join(FILE)).map_err(failed)?;
    Ok(lock)
}

/// Opens the file; makes it, empty and for its owner only, where it is missing.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// What holds for every connection.
fn set_up(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Only somebody's shell can be in the way: we are one writer, and readers wait for nobody.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Refuses a file that is not ours or is newer than we are. A file without any table is new: it
/// may have been left behind by a first start that was cut off.
fn recognise(writer: &Connection, path: &Path) -> Result<(), OpenError> {
    let read = || -> rusqlite::Result<(i32, bool, u32)> {
        let id = writer.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = writer.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
        Ok((id, tables, schema::found(writer)?))
    };
    let (id, tables, found) = read().map_err(|error| engine_error(path, &error))?;
    if id != schema::APPLICATION_ID && (id != 0 || tables || found != 0) {
        return Err(OpenError::Foreign { path: path.to_path_buf() });
    }
    let known = schema::known();
    if found > known {
        return Err(OpenError::Newer { path: path.to_path_buf(), found, known });
    }
    Ok(())
}

/// Page size and vacuum mode hold from a file's first page on; the log and its fsync, always.
fn prepare_log(writer: &mut Connection, counters: &Arc<Counters>) -> rusqlite::Result<()> {
    // 4 KiB is a page of the file system and of the disk: most commits dirty many pages a little
    // (one per idempotency key), and each is written to the log whole.
    writer.pragma_update(None, "page_size", 4096)?;
    writer.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = writer.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    debug_assert_eq!(mode, "wal");
    writer.pragma_update(None, "synchronous", "FULL")?;
    // The committer writes the log back itself, after it has answered: this only tells it the size.
    let counters = Arc::clone(counters);
    writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        counters.log_is(u64::try_from(pages).unwrap_or(0));
        Ok(())
    }))
}

fn engine_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = PathBuf::from(path);
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path },
        _ => OpenError::Engine { path, message: error.to_string() },
    }
}
