//! What the server says when it is ready.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use plimsoll_service::admin;
use serde_json::json;

/// Where everything is.
pub(super) struct Ready<'a> {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) data: &'a Path,
    /// Whether the token of the debug pages is the one of the data directory.
    pub(super) admin_token_in_file: bool,
}

impl Ready<'_> {
    /// Says it on standard output: to programs first, where it is not a terminal.
    pub(super) fn say(&self) {
        let mut text = String::new();
        if !io::stdout().is_terminal() {
            let Self { listen, admin, data, .. } = self;
            let line = json!({"listen": listen, "admin": admin, "data": data.display().to_string()});
            let _ = writeln!(text, "{line}");
        }
        text.push_str(&self.to_text(&program()));
        // Nobody may be reading: that is no reason not to serve.
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    fn to_text(&self, program: &str) -> String {
        let data = quoted(&self.data.display().to_string()).into_owned();
        let (api, pages) = (reachable(self.listen), reachable(self.admin));
        let token = format!("{program} token --data {data}");
        let debug_token = if self.admin_token_in_file {
            let file = self.data.join(admin::TOKEN_FILE).display().to_string();
            format!("$(cat {})", quoted(&file))
        } else {
            "$ADMIN_TOKEN".into()
        };
        format!(
            "plimsoll serves\n\
             \x20 API     http://{api}\n\
             \x20 admin   http://{pages}/metrics  /health  /ready\n\
             \x20 data    {data}\n\
             \n\
             A token:\n\
             \x20 {token}\n\
             A first application:\n\
             \x20 curl -sS http://{api}/api/v1/app -H \"authorization: Bearer $({token})\" \\\n\
             \x20   -H 'content-type: application/json' -d '{{\"name\": \"first\"}}'\n\
             Every bound, now:\n\
             \x20 curl -sS http://{pages}/debug/bounds -H \"authorization: Bearer {debug_token}\"\n"
        )
    }
}

/// This program as it was called, so that what is printed can be pasted.
fn program() -> String {
    let name = std::env::args_os()
        .next()
        .map_or_else(|| "plimsoll".into(), |name| name.to_string_lossy().into_owned());
    quoted(&name).into_owned()
}

/// An address that can be connected to: who listens on all of them is found on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// As a shell reads it.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./+:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_pasted() {
        let ready = Ready {
            listen: "0.0.0.0:8071".parse().unwrap(),
            admin: "127.0.0.1:8072".parse().unwrap(),
            data: Path::new("/var/lib/my data"),
            admin_token_in_file: true,
        };
        let text = ready.to_text("plimsoll");
        for part in [
            "http://127.0.0.1:8071/api/v1/app",
            "$(plimsoll token --data '/var/lib/my data')",
            "$(cat '/var/lib/my data/admin.token')",
            "http://127.0.0.1:8072/debug/bounds",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn a_configured_token_is_not_looked_for_in_a_file() {
        let address = "127.0.0.1:1".parse().unwrap();
        let ready =
            Ready { listen: address, admin: address, data: Path::new("x"), admin_token_in_file: false };
        assert!(!ready.to_text("plimsoll").contains("admin.token"));
    }

    #[test]
    fn quotes_within_quotes_survive_the_shell() {
        assert_eq!(quoted("./a-b"), "./a-b");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
