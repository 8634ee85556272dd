use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Reads a text file of at most so many bytes; the error is a fragment that says why not.
pub(crate) fn read_text(file: &Path, bytes_max: u64) -> Result<String, String> {
    let open = File::open(file).map_err(|error| error.to_string())?;
    let mut text = String::new();
    open.take(bytes_max + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > bytes_max {
        return Err(format!("more than {bytes_max} bytes"));
    }
    Ok(text)
}
