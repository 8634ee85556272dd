//! The flags that set settings, and the settings that are then in force.

use std::path::{Path, PathBuf};

use plimsoll_hooks::overrides::FIELDS;
use plimsoll_service::config::{ConfigError, File, Inputs, Resolved};
use plimsoll_service::policy::{Field, TENANT_FIELDS};

/// Where the file is can itself not be in the file: it is no setting. Faults are for the tests of a
/// debug build; a release build takes no notice of them.
const RESERVED: &[&str] = &["PLIMSOLL_CONFIG", "PLIMSOLL_FAULT"];

/// Where the settings come from, and where the data is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The directory that keeps everything [default: ./plimsoll-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// A TOML file of settings
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_CONFIG")]
    config: Option<PathBuf>,
    /// Set any setting; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

/// Everything that a policy may say.
pub(crate) fn policy_fields() -> Vec<Field> {
    [FIELDS.as_slice(), TENANT_FIELDS.as_slice()].concat()
}

/// The flags of a server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Server {
    #[command(flatten)]
    common: Common,
    /// Where the API listens; port 0 takes a free one [default: 127.0.0.1:8071]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where metrics, health and debug pages listen [default: 127.0.0.1:8072]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Allow deliveries to a private network such as 127.0.0.0/8; may be given many times
    #[arg(long, value_name = "CIDR")]
    allow_private: Vec<String>,
}

impl Common {
    /// What is in force.
    ///
    /// # Errors
    /// All that is wrong with the file, the environment and the flags.
    pub(crate) fn resolve(self) -> Result<Resolved, ConfigError> {
        self.resolve_with(Vec::new())
    }

    fn resolve_with(self, mut flags: Vec<(String, String, String)>) -> Result<Resolved, ConfigError> {
        flags.extend(flag("data", self.data));
        for (key, value) in self.set {
            let written = format!("--set {key}");
            flags.push((key, value, written));
        }
        let file = self.config.as_deref().map(File::read).transpose()?;
        let environment = std::env::vars_os().collect();
        let tables = [
            plimsoll_service::settings::SETTINGS,
            plimsoll_hooks::settings::SETTINGS,
            plimsoll_jobs::settings::SETTINGS,
        ];
        Resolved::load(&tables, Inputs { file, environment, reserved: RESERVED, flags })
    }
}

impl Server {
    /// What is in force.
    ///
    /// # Errors
    /// As [`Common::resolve`].
    pub(crate) fn resolve(self) -> Result<Resolved, ConfigError> {
        let mut flags: Vec<_> = flag("listen", self.listen).chain(flag("admin", self.admin)).collect();
        for network in self.allow_private {
            flags.extend(flag("allow_private", Some(network)));
        }
        self.common.resolve_with(flags)
    }
}

/// The data directory; it has a default, but may have been set to nothing.
///
/// # Errors
/// When it was.
pub(crate) fn data(resolved: &Resolved) -> Result<&Path, ConfigError> {
    resolved.path("data").ok_or_else(|| ConfigError::one("data is empty, allowed is a path"))
}

fn flag(key: &str, value: Option<String>) -> impl Iterator<Item = (String, String, String)> {
    let written = format!("--{}", key.replace('_', "-"));
    let key = key.to_owned();
    value.into_iter().map(move |value| (key.clone(), value, written.clone()))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().into(), value.into()))
}
