use crate::expand;
use crate::options::Options;
use crate::scan;
use crate::source::ParseFailure;

/// Deeper than this no worker's stack is made for.
const DEPTH_MAX: usize = 512;

/// Parses a text that is small and flat enough, and looks into its macros.
pub(crate) fn parse(text: &str, options: &Options) -> Result<syn::File, ParseFailure> {
    let bytes = text.len() as u64;
    if bytes > options.file_bytes_max {
        return Err(ParseFailure::TooLarge { bytes, limit: options.file_bytes_max });
    }
    let limit = options.depth_max.min(DEPTH_MAX);
    if let Some(line) = scan::too_deep(text, limit) {
        return Err(ParseFailure::TooDeep { line, limit });
    }
    let mut file = syn::parse_file(text)
        .map_err(|error| ParseFailure::Syntax { line: error.span().start().line, why: error.to_string() })?;
    expand::expand(&mut file);
    Ok(file)
}
