//! Where a value comes from: what is written, what is configured, what is read, who connects.

use crate::finding::Source;
use crate::syntax::{has_word, head, words};

/// Who decides a value, or how many there are of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    /// A noun phrase: "what `rx` receives".
    pub(crate) because: String,
    /// Whether it goes on coming while the program runs.
    pub(crate) live: bool,
    /// What keeps it small, if something does.
    pub(crate) bound: Option<String>,
    /// Whether more than a name says so.
    pub(crate) sure: bool,
    /// Whether it went through a queue of the program's own.
    pub(crate) queued: bool,
}

impl Origin {
    pub(crate) fn new(source: Source, because: impl Into<String>) -> Self {
        Self { source, because: because.into(), live: false, bound: None, sure: true, queued: false }
    }

    pub(crate) fn live(source: Source, because: impl Into<String>) -> Self {
        Self { live: true, ..Self::new(source, because) }
    }

    pub(crate) fn unknown() -> Self {
        Self::new(Source::Unknown, "what could not be told")
    }

    pub(crate) fn constant(because: impl Into<String>) -> Self {
        Self::new(Source::Constant, because)
    }

    /// Whether peers or input decide it.
    pub(crate) fn is_fed(&self) -> bool {
        self.source >= Source::Input && self.bound.is_none()
    }

    pub(crate) fn bounded(mut self, by: impl Into<String>) -> Self {
        self.bound = Some(by.into());
        self
    }

    /// The one of two that says more.
    pub(crate) fn or(self, other: Self) -> Self {
        if other.source > self.source { other } else { self }
    }
}

/// What a type tells of its values.
pub(crate) fn of_type(ty: &str, shown: &str) -> Option<Origin> {
    let head = head(ty);
    let last = words(head).pop().unwrap_or_default();
    let origin = match head {
        "Json" | "Query" | "Form" | "Multipart" | "HttpRequest" | "Request" | "Payload" | "TypedHeader" => {
            Origin::new(Source::Input, format!("the request (`{shown}`)"))
        }
        "Path" if ty.contains('<') => {
            Origin::new(Source::Input, format!("the path of the request (`{shown}`)"))
        }
        "Streaming" | "Incoming" | "RecvStream" | "WebSocket" | "WebSocketStream" | "TcpStream"
        | "UnixStream" | "TlsStream" | "ReadHalf" | "OwnedReadHalf" | "SplitStream" | "UdpSocket"
        | "Framed" | "FramedRead" | "SendStream" => {
            Origin::live(Source::Peers, format!("what the other side of `{shown}` sends"))
        }
        "TcpListener" | "UnixListener" => Origin::live(Source::Peers, format!("who connects to `{shown}`")),
        "Args" | "Cli" | "ArgMatches" => {
            Origin::new(Source::Configuration, format!("the arguments (`{shown}`)"))
        }
        _ => match last.as_str() {
            "config" | "settings" | "options" | "opts" | "configuration" | "conf" | "cfg" | "opt"
            | "params"
                if head != "Params" || !shown.contains("request") =>
            {
                Origin::new(Source::Configuration, format!("the configuration (`{shown}`)"))
            }
            "request" | "req" => by_name(Source::Input, format!("the request (`{shown}`)")),
            "response" | "resp" | "reply" => {
                by_name(Source::Input, format!("the answer of a peer (`{shown}`)"))
            }
            "message" | "msg" | "packet" | "frame" => {
                by_name(Source::Input, format!("a message of a peer (`{shown}`)"))
            }
            _ => return None,
        },
    };
    Some(origin)
}

fn by_name(source: Source, because: String) -> Origin {
    Origin { sure: false, ..Origin::new(source, because) }
}

/// What a name tells, where nothing else does.
pub(crate) fn of_name(name: &str) -> Option<Origin> {
    if name.chars().all(|c| !c.is_lowercase()) && name.chars().any(char::is_uppercase) {
        return Some(Origin::constant(format!("the constant `{name}`")));
    }
    if has_word(
        name,
        &["config", "cfg", "conf", "settings", "opts", "args", "cli", "options", "configuration"],
    ) {
        return Some(Origin::new(Source::Configuration, format!("the configuration (`{name}`)")));
    }
    let last = words(name).pop().unwrap_or_default();
    if has_word(name, &["initial", "seed", "bootstrap", "static", "default", "trusted", "boot", "known"]) {
        return Some(Origin::new(Source::Configuration, format!("the configuration (`{name}`)")));
    }
    match last.as_str() {
        // Who is connected is often bounded where it connects: a name is not enough to say who decides.
        "peers" | "clients" | "connections" | "conns" | "sessions" | "subscribers" | "neighbors" => {
            Some(by_name(Source::Unknown, format!("the {last} there are (`{name}`)")))
        }
        "workers" | "threads" | "cpus" | "cores" | "concurrency" | "parallelism" | "shards"
        | "partitions" => {
            Some(Origin::new(Source::Configuration, format!("a number that is configured (`{name}`)")))
        }
        _ => None,
    }
}

/// What the name of a method tells of what it returns, whatever it is called on.
pub(crate) fn of_method(method: &str, on: &str, args: usize) -> Option<Origin> {
    let origin = match method {
        "accept" | "incoming" | "accept_async" => {
            Origin::live(Source::Peers, format!("who connects to `{on}`"))
        }
        "recv" | "recv_async" | "recv_many" | "recv_timeout" | "blocking_recv" if !is_signal(on) => {
            Origin { queued: true, ..Origin::live(Source::Input, format!("what `{on}` receives")) }
        }
        "recv_from" | "read_u8" | "read_u16" | "read_u32" | "read_u64" | "read_i32" | "read_u32_le"
        | "read_i64" | "read_u64_le" | "read_line" | "read_until" | "read_varint" | "get_u32" | "get_u64"
        | "get_i32" => Origin::live(Source::Peers, format!("what the other side of `{on}` sends")),
        "next_line" | "lines" | "read_dir" | "next_entry" => {
            Origin::new(Source::Input, format!("what is read from `{on}`"))
        }
        "fetch_all" | "fetch" | "fetch_many" | "query" | "query_map" | "query_raw" | "query_as"
            if args > 0 =>
        {
            Origin::new(Source::Input, format!("the rows that `{on}.{method}` finds"))
        }
        _ => return None,
    };
    Some(origin)
}

/// Whether a name is of something that tells an end or a tick, and no work.
pub(crate) fn is_signal(name: &str) -> bool {
    has_word(
        name,
        &[
            "shutdown",
            "stop",
            "signal",
            "signals",
            "sigterm",
            "sigint",
            "sighup",
            "cancel",
            "exit",
            "quit",
            "close",
            "closed",
            "done",
            "tick",
            "ticker",
            "interval",
            "timer",
            "reload",
            "notify",
            "ctrl",
            "kill",
            "terminate",
            "ready",
            "config",
            "watcher",
            "drain",
            "cancellation",
            "termination",
            "delay",
        ],
    )
}

/// Methods that make of a value something that is still as large as it.
pub(crate) fn passes_on(method: &str) -> bool {
    matches!(
        method,
        "iter"
            | "into_iter"
            | "iter_mut"
            | "par_iter"
            | "into_par_iter"
            | "map"
            | "filter"
            | "filter_map"
            | "cloned"
            | "copied"
            | "enumerate"
            | "zip"
            | "rev"
            | "skip"
            | "skip_while"
            | "inspect"
            | "chain"
            | "flat_map"
            | "flatten"
            | "peekable"
            | "clone"
            | "to_vec"
            | "to_owned"
            | "as_ref"
            | "as_mut"
            | "as_slice"
            | "unwrap"
            | "expect"
            | "unwrap_or_default"
            | "unwrap_or"
            | "unwrap_or_else"
            | "ok"
            | "collect"
            | "keys"
            | "values"
            | "values_mut"
            | "into_keys"
            | "into_values"
            | "drain"
            | "lock"
            | "read"
            | "write"
            | "borrow"
            | "borrow_mut"
            | "into_inner"
            | "to_string"
            | "into"
            | "try_into"
            | "as_str"
            | "as_bytes"
            | "split"
            | "split_whitespace"
            | "get_ref"
            | "get_mut"
            | "into_body"
            | "body"
            | "map_err"
            | "ok_or"
            | "ok_or_else"
            | "context"
            | "with_context"
            | "and_then"
            | "concat"
            | "join"
            | "len"
            | "then"
            | "fuse"
            | "map_ok"
            | "try_filter_map"
            | "by_ref"
            | "as_deref"
            | "deref"
            | "sorted"
            | "unique"
            | "dedup"
            | "try_next"
            | "next"
            | "pop"
            | "pop_front"
            | "load"
            | "boxed"
            | "buffered"
            | "buffer_unordered"
            | "into_future"
            | "split_off"
            | "get"
            | "take_while"
            | "await"
            | "transpose"
            | "into_stream"
            | "and"
            | "or"
            | "or_default"
            | "first"
            | "last"
            | "parse"
            | "fuse_stream"
    )
}

/// Calls that wrap a value, or read it in another form.
pub(crate) fn wraps(path: &str) -> bool {
    let last = path.rsplit("::").next().unwrap_or_default();
    matches!(
        last,
        "Some"
            | "Ok"
            | "Err"
            | "Box"
            | "Arc"
            | "Json"
            | "Path"
            | "Query"
            | "pin"
            | "iter"
            | "from"
            | "from_iter"
            | "into"
            | "from_slice"
            | "from_str"
            | "from_reader"
            | "from_utf8"
            | "decode"
            | "deserialize"
            | "from_utf8_lossy"
            | "parse"
            | "take"
            | "once"
            | "ready"
    ) || (last == "new"
        && has_word(
            path,
            &[
                "box",
                "arc",
                "rc",
                "mutex",
                "lock",
                "receiver",
                "reader",
                "pin",
                "cursor",
                "streamreader",
                "lines",
            ],
        ))
        || path.ends_with("ReceiverStream::new")
        || path.ends_with("StreamReader::new")
        || path.ends_with("BufReader::new")
}
