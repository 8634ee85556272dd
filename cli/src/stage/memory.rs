//! How much memory a child may have.

/// From now on the process gets no more memory of its own than that: what it asks for beyond is not
/// given, as in a container. Where the system knows no such limit, nothing is done.
///
/// # Errors
/// The process has ended, or belongs to somebody else.
#[cfg(target_os = "linux")]
pub(crate) fn limit_memory(id: Option<u32>, bytes: u64) -> Result<(), String> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let id = id.and_then(|id| Pid::from_raw(id.cast_signed())).ok_or("the process has ended")?;
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    prlimit(Some(id), Resource::Data, limit)
        .map(drop)
        .map_err(|error| format!("its memory cannot be limited: {error}"))
}

/// As on Linux, where it does something.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub(crate) fn limit_memory(_: Option<u32>, _: u64) -> Result<(), String> {
    Ok(())
}
