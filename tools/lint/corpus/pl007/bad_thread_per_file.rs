//! A thread for each file of a directory.
pub fn hash_all(files: Vec<PathBuf>) -> Vec<Digest> {
    let threads: Vec<_> = files
        .into_iter()
        .map(|file| std::thread::spawn(move || digest(&file))) //~ PL007 medium
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}
