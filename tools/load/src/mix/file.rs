//! A mix of requests from a file.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::{Mix, Request};
use crate::Error;

/// The largest file of requests.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    request: Vec<WrittenRequest>,
}

/// As [`Request`], with headers as they are written by hand.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRequest {
    name: Option<String>,
    weight: Option<f64>,
    method: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

impl Mix {
    /// Reads requests from a file: JSON where its name ends in `.json`, else TOML.
    ///
    /// ```toml
    /// [[request]]
    /// name = "read"
    /// weight = 9
    /// path = "/items/{{id}}"
    ///
    /// [[request]]
    /// name = "write"
    /// method = "POST"
    /// path = "/items"
    /// headers = { content-type = "application/json" }
    /// body = '{"id": "{{id}}"}'
    /// ```
    ///
    /// In JSON it is `{"request": [{…}, {…}]}`, with the same fields.
    ///
    /// # Errors
    /// A file that cannot be read or is larger than 32 MiB, a field that is not known, and what
    /// [`new`](Self::new) refuses.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let refused = |why: String| Error::File { path: path.display().to_string(), why };
        let file = fs::File::open(path).map_err(|error| refused(error.to_string()))?;
        let mut text = String::new();
        let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| refused(error.to_string()))?;
        if text.len() as u64 > BYTES_MAX {
            return Err(refused("is larger than 32 MiB".to_owned()));
        }
        let json = path.extension().is_some_and(|end| end == "json");
        let requests = if json { Self::from_json(&text) } else { Self::from_toml(&text) };
        let mix = Self::new(requests.map_err(&refused)?);
        mix.map_err(|error| refused(error.to_string()))
    }

    pub(super) fn from_toml(text: &str) -> Result<Vec<Request>, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(written.request.into_iter().map(Request::from).collect())
    }

    pub(super) fn from_json(text: &str) -> Result<Vec<Request>, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(written.request.into_iter().map(Request::from).collect())
    }
}

impl From<WrittenRequest> for Request {
    fn from(written: WrittenRequest) -> Self {
        let WrittenRequest { name, weight, method, path, headers, body } = written;
        let method = method.unwrap_or_else(|| "GET".to_owned());
        Self {
            name: name.unwrap_or_else(|| format!("{method} {path}")),
            weight: weight.unwrap_or(1.0),
            method,
            path,
            headers: headers.into_iter().collect(),
            body,
        }
    }
}
