//! A pool of threads that is there already.
pub fn hash_all(files: Vec<PathBuf>) -> Vec<Digest> {
    files.par_iter().map(|file| digest(file)).collect()
}
