//! crossbeam's, to a thread.
pub fn start_writer(path: PathBuf) -> std::io::Result<Writer> {
    let (lines, queue) = crossbeam_channel::unbounded::<String>(); //~ PL004
    let thread = std::thread::Builder::new().name("writer".into()).spawn(move || write_all(path, queue))?;
    Ok(Writer { lines, thread })
}
