//! The requests that are sent, and how often each.

use http::{HeaderName, HeaderValue, Method};

use super::data::Data;
use super::template::{Template, Values, Writing};
use super::tenants::Tenants;
use crate::Error;

/// The most kinds of requests in a mix.
const REQUESTS_MAX: usize = 1_000;
/// The most headers of a request.
const HEADERS_MAX: usize = 100;
/// The largest body before it is filled in.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Headers that the generator writes itself, or that would break the framing.
const OWN: &[&str] = &["content-length", "transfer-encoding", "connection", "upgrade", "te", "expect"];

/// One kind of request. Path, values of headers and body may hold placeholders, `{{column}}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// What the report calls it.
    pub name: String,
    /// How often it is sent, as a share of the sum of all weights.
    pub weight: f64,
    /// The method.
    pub method: String,
    /// Path and query, behind the path of the target's URL; values are percent-encoded where they
    /// are filled in.
    pub path: String,
    /// Headers, besides `host` and `content-length`, which are written by themselves.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Request {
    /// `GET` of a path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            name: path.to_owned(),
            weight: 1.0,
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }
}

/// Requests with their weights, and what they are filled in with.
#[derive(Clone, Debug)]
pub struct Mix {
    pub(crate) requests: Vec<Request>,
    pub(crate) data: Option<Data>,
}

/// A request that is ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    path: Template,
    headers: Vec<(HeaderName, Template)>,
    body: Template,
}

impl Mix {
    /// These requests, without data.
    ///
    /// # Errors
    /// None or more than 1,000 of them, or a weight that is not more than 0. What is wrong with a
    /// single request is told when the plan is run.
    pub fn new(requests: Vec<Request>) -> Result<Self, Error> {
        if requests.is_empty() || requests.len() > REQUESTS_MAX {
            return Err(Error::invalid("requests", requests.len(), "1 to 1,000"));
        }
        for request in &requests {
            if !(request.weight > 0.0 && request.weight.is_finite()) {
                let field = format!("weight of request {}", request.name);
                return Err(Error::invalid(field, request.weight, "more than 0"));
            }
        }
        Ok(Self { requests, data: None })
    }

    /// Fills placeholders in from these rows.
    #[must_use]
    pub fn with_data(mut self, data: Data) -> Self {
        self.data = Some(data);
        self
    }

    /// The requests.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The requests as they are written to a target of this base path.
    ///
    /// # Errors
    /// A method, a path or a header that HTTP does not allow, or that the generator writes itself; a
    /// placeholder without a column.
    pub(crate) fn drafts(&self, base: &str, tenants: Option<&Tenants>) -> Result<Vec<Draft>, Error> {
        self.requests.iter().map(|request| self.draft(request, base, tenants)).collect()
    }

    fn draft(&self, request: &Request, base: &str, tenants: Option<&Tenants>) -> Result<Draft, Error> {
        let columns = self.data.as_ref().map_or(&[][..], Data::columns);
        let place = |what: &str| format!("{what} of request {}", request.name);
        let template =
            |text: &str, what: &str| Template::parse(text, columns, tenants.is_some(), &place(what));
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| {
                Error::invalid(place("method"), &request.method, "a method such as GET or POST")
            })?;
        // What is asked for in the URL itself keeps its query; another path stands behind its path.
        let path = match (request.path.as_str(), base.split_once('?')) {
            ("", _) => base.to_owned(),
            (path, Some((base, _))) => format!("{}{path}", base.trim_end_matches('/')),
            (path, None) => format!("{}{path}", base.trim_end_matches('/')),
        };
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let literal = path.replace("{{ ", "{{").replace(" }}", "}}");
        if !literal.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
            return Err(Error::invalid(place("path"), &path, "printable ASCII without spaces or #"));
        }
        if request.headers.len() > HEADERS_MAX {
            return Err(Error::invalid(place("headers"), request.headers.len(), "at most 100"));
        }
        if request.body.len() > BODY_BYTES_MAX {
            return Err(Error::invalid(
                place("body"),
                format!("{} bytes", request.body.len()),
                "at most 16 MiB",
            ));
        }
        let mut headers = Vec::with_capacity(request.headers.len() + 1);
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Error::invalid(place("header"), name, "a header's name"))?;
            if OWN.contains(&name.as_str()) {
                let allowed = "left out: the generator writes it, or it would break the framing";
                return Err(Error::invalid(place("header"), &name, allowed));
            }
            HeaderValue::from_str(value)
                .map_err(|_| Error::invalid(place(name.as_str()), format!("{value:?}"), "one line"))?;
            headers.push((name.clone(), template(value, name.as_str())?));
        }
        if let Some(name) = tenants.and_then(Tenants::header) {
            headers.retain(|(other, _)| other != name);
            headers.push((name.clone(), template("{{tenant}}", name.as_str())?));
        }
        let draft =
            Draft { method, path: template(&path, "path")?, headers, body: template(&request.body, "body")? };
        self.check_values(&draft, request)?;
        Ok(draft)
    }

    /// What stands in headers must be one line, in every row.
    fn check_values(&self, draft: &Draft, request: &Request) -> Result<(), Error> {
        let Some(data) = &self.data else { return Ok(()) };
        for (name, template) in &draft.headers {
            for column in template.columns() {
                let wrong =
                    (0..data.rows()).find(|row| HeaderValue::from_str(data.row(*row).value(column)).is_err());
                if let Some(row) = wrong {
                    let field = format!(
                        "{{{{{}}}}} in header {name} of request {}",
                        data.columns()[column],
                        request.name
                    );
                    let value = format!("{:?} in row {}", data.row(row).value(column), row + 1);
                    return Err(Error::invalid(field, value, "one line"));
                }
            }
        }
        Ok(())
    }
}

impl Draft {
    /// Whether it is the same every time.
    pub(crate) fn is_constant(&self) -> bool {
        let headers = self.headers.iter().all(|(_, value)| value.is_constant());
        headers && self.path.is_constant() && self.body.is_constant()
    }

    /// Whether it takes values from the data.
    pub(crate) fn takes_data(&self) -> bool {
        self.templates().any(|template| template.columns().next().is_some())
    }

    /// Whether it says for which tenant it is.
    pub(crate) fn tells_tenant(&self) -> bool {
        self.templates().any(Template::names_tenant)
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        [&self.path, &self.body].into_iter().chain(self.headers.iter().map(|(_, value)| value))
    }

    /// Writes path and query.
    pub(crate) fn write_path(&self, values: Values<'_>, to: &mut Vec<u8>) {
        self.path.write_as(Writing::Percent, values, to);
    }

    /// Writes the body.
    pub(crate) fn write_body(&self, values: Values<'_>, to: &mut Vec<u8>) {
        self.body.write(values, to);
    }

    /// The headers, each with its value.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &Template)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }
}
