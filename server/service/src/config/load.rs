//! Layers: defaults, then the file, then the environment, then flags.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::file;
use super::nearest::nearest;
use super::resolved::{Entry, Resolved, Source};
use super::setting::{ENVIRONMENT_PREFIX, Setting};
use super::value::{Raw, Value};

/// How large a file may be, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where values come from besides the defaults.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// The file, if there is one.
    pub file: Option<File>,
    /// The environment: names and values. Those that do not begin with `PLIMSOLL_` are left alone.
    pub environment: Vec<(OsString, OsString)>,
    /// Names in the environment that begin with `PLIMSOLL_` and are not settings.
    pub reserved: &'static [&'static str],
    /// Flags: the key, the value as text, and the flag as it was written. A list may be given in
    /// several flags of one key.
    pub flags: Vec<(String, String, String)>,
}

/// A file of settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// Where it is, for people.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB, or is not text.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::read_within(path, FILE_BYTES_MAX)
    }

    /// Reads the file at `path`, of at most `bytes_max`.
    pub(crate) fn read_within(path: &Path, bytes_max: u64) -> Result<Self, ConfigError> {
        let shown = path.display();
        let length =
            std::fs::metadata(path).map_err(|error| ConfigError::one(format!("{shown}: {error}")))?;
        if length.len() > bytes_max {
            let length = length.len();
            let problem = format!("{shown}: {length} bytes, allowed is at most {bytes_max}");
            return Err(ConfigError::one(problem));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::one(format!("{shown}: {error}")))?;
        Ok(Self { path: path.into(), text })
    }
}

impl Resolved {
    /// Puts the layers on top of one another.
    ///
    /// # Errors
    /// All that is wrong at once: keys that no table declares, with the nearest that one does, and
    /// values that their setting does not allow.
    ///
    /// # Panics
    /// When a table declares a key twice, two keys with one name in the environment, or a default
    /// that its kind does not allow: our bug.
    pub fn load(tables: &[&'static [Setting]], inputs: Inputs) -> Result<Self, ConfigError> {
        let mut layers = Layers::new(tables);
        if let Some(file) = inputs.file {
            layers.file(&file);
        }
        layers.environment(inputs.environment, inputs.reserved);
        layers.flags(inputs.flags);
        layers.finish()
    }
}

struct Layers {
    entries: Vec<Entry>,
    by_key: BTreeMap<&'static str, usize>,
    by_environment: BTreeMap<String, usize>,
    problems: Vec<String>,
}

impl Layers {
    fn new(tables: &[&'static [Setting]]) -> Self {
        let entries: Vec<Entry> = tables.iter().copied().flatten().map(default_entry).collect();
        let numbered = || entries.iter().enumerate();
        let by_key: BTreeMap<_, _> = numbered().map(|(at, entry)| (entry.setting.key, at)).collect();
        let by_environment: BTreeMap<_, _> =
            numbered().map(|(at, entry)| (entry.setting.environment(), at)).collect();
        assert_eq!(by_key.len(), entries.len(), "a key is declared once");
        assert_eq!(by_environment.len(), entries.len(), "keys differ in more than their dots");
        Self { entries, by_key, by_environment, problems: Vec::new() }
    }

    fn file(&mut self, file: &File) {
        let shown = file.path.display();
        let lines = match file::read(&file.text) {
            Ok(lines) => lines,
            Err(error) => return self.problems.push(format!("{shown}: {error}")),
        };
        for line in lines {
            let source = Source::File { path: file.path.clone(), line: line.number };
            match self.by_key.get(line.key.as_str()) {
                Some(at) => self.set(*at, &line.value, source),
                None => self.unknown_key(&line.key, &source),
            }
        }
    }

    fn environment(&mut self, variables: Vec<(OsString, OsString)>, reserved: &[&str]) {
        let mut variables: Vec<_> = variables
            .into_iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX) && !reserved.contains(&name.as_str()))
            .collect();
        variables.sort();
        for (name, value) in variables {
            let Some(at) = self.by_environment.get(&name).copied() else {
                let known = self.by_environment.keys().map(String::as_str);
                let meant = meant(nearest(&name, known.chain(reserved.iter().copied())));
                self.problems.push(format!("{name}: no such setting in the environment{meant}"));
                continue;
            };
            match value.into_string() {
                Ok(text) => self.set(at, &Raw::Loose(text), Source::Environment { name }),
                Err(_) => self.problems.push(format!("{name}: its value is not UTF-8")),
            }
        }
    }

    fn flags(&mut self, flags: Vec<(String, String, String)>) {
        // A list given in several flags is one list; anything else given twice is a mistake.
        let mut given: BTreeMap<usize, (String, String)> = BTreeMap::new();
        let mut refused = BTreeSet::new();
        for (key, value, flag) in flags {
            let Some(at) = self.by_key.get(key.as_str()).copied() else {
                self.unknown_key(&key, &Source::Flag { flag });
                continue;
            };
            match given.get_mut(&at) {
                None => {
                    given.insert(at, (value, flag));
                }
                Some((list, _)) if self.entries[at].setting.kind.is_list() => {
                    list.push(',');
                    list.push_str(&value);
                }
                Some(_) => {
                    if refused.insert(at) {
                        self.problems.push(format!("{key} is set more than once by flags ({flag})"));
                    }
                }
            }
        }
        for (at, (value, flag)) in given {
            self.set(at, &Raw::Loose(value), Source::Flag { flag });
        }
    }

    fn set(&mut self, at: usize, raw: &Raw, source: Source) {
        let entry = &mut self.entries[at];
        let setting = entry.setting;
        let cleared = matches!(raw, Raw::Loose(text) if text.trim().is_empty());
        let value = if cleared && setting.default.is_none() && !setting.kind.is_list() {
            // An optional setting is taken back by an empty variable.
            Some(Value::Absent)
        } else {
            raw.read(setting.kind)
        };
        match value {
            Some(value) => {
                entry.value = value;
                entry.source = source;
            }
            None => {
                let Setting { key, kind, secret, .. } = setting;
                let shown = if *secret { "(hidden)".into() } else { raw.to_string() };
                self.problems.push(format!("{key} is {shown} ({source}), allowed is {kind}"));
            }
        }
    }

    fn unknown_key(&mut self, key: &str, source: &Source) {
        let meant = meant(nearest(key, self.by_key.keys().copied()));
        let key: String = key.chars().take(80).collect();
        self.problems.push(format!("{key}: no such setting ({source}){meant}"));
    }

    fn finish(self) -> Result<Resolved, ConfigError> {
        if self.problems.is_empty() {
            Ok(Resolved::new(self.entries, self.by_key))
        } else {
            Err(ConfigError::new(self.problems))
        }
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `plimsoll config` lists all".into(),
        |nearest| format!(", did you mean {nearest}?"),
    )
}

fn default_entry(setting: &'static Setting) -> Entry {
    let value = match setting.default {
        None if setting.kind.is_list() => Raw::Loose(String::new()).read(setting.kind),
        None => Some(Value::Absent),
        Some(text) => Raw::Loose(text.into()).read(setting.kind),
    };
    let value = value.unwrap_or_else(|| panic!("the default of {} is allowed by its kind", setting.key));
    Entry { setting, value, source: Source::Default }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Kind;

    const fn setting(key: &'static str, default: Option<&'static str>, kind: Kind) -> Setting {
        Setting { default, ..Setting::optional(key, kind, "What it does.") }
    }

    const TABLE: &[Setting] = &[
        setting("hooks.concurrency", Some("10"), Kind::Integer { min: 1, max: 1_000 }),
        setting("allow_private", None, Kind::NetworkList { items_max: 4 }),
        setting("hooks.tls_ca_file", None, Kind::Path),
        setting("admin_token", None, Kind::Choice(&["good"])).secret(),
    ];

    fn file(text: &str) -> Option<File> {
        Some(File { path: "/etc/plimsoll.toml".into(), text: text.into() })
    }

    fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn flags(flags: &[(&str, &str)]) -> Vec<(String, String, String)> {
        let flag = |(key, value): &(&str, &str)| ((*key).into(), (*value).into(), "--set".into());
        flags.iter().map(flag).collect()
    }

    fn load(inputs: Inputs) -> Result<Resolved, ConfigError> {
        Resolved::load(&[TABLE], inputs)
    }

    fn refusal(inputs: Inputs) -> String {
        load(inputs).unwrap_err().to_string()
    }

    proptest! {
        #[test]
        fn the_last_layer_that_speaks_wins(
            in_file: Option<bool>, in_environment: Option<bool>, in_flags: Option<bool>,
        ) {
            let file_text = in_file.map_or(String::new(), |_| "[hooks]\nconcurrency = 11".into());
            let variables: &[_] = if in_environment.is_some() { &[("PLIMSOLL_HOOKS_CONCURRENCY", "12")] } else { &[] };
            let given: &[_] = if in_flags.is_some() { &[("hooks.concurrency", "13")] } else { &[] };
            let resolved = load(Inputs {
                file: file(&file_text), environment: environment(variables), flags: flags(given), reserved: &[],
            }).unwrap();
            let (expected, source) = match (in_file, in_environment, in_flags) {
                (_, _, Some(_)) => (13, "flag --set"),
                (_, Some(_), None) => (12, "environment PLIMSOLL_HOOKS_CONCURRENCY"),
                (Some(_), None, None) => (11, "/etc/plimsoll.toml:2"),
                (None, None, None) => (10, "default"),
            };
            prop_assert_eq!(resolved.integer("hooks.concurrency"), expected);
            prop_assert_eq!(resolved.entry("hooks.concurrency").source.to_string(), source);
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_the_nearest() {
        let in_file = refusal(Inputs { file: file("[hooks]\n\nconcurency = 1"), ..Inputs::default() });
        assert!(
            in_file.contains("hooks.concurency") && in_file.contains("/etc/plimsoll.toml:3"),
            "{in_file}"
        );
        assert!(in_file.contains("did you mean hooks.concurrency?"), "{in_file}");
        let variables = environment(&[("PLIMSOLL_HOOKS_CONCURENCY", "1"), ("OTHER", "1")]);
        let in_environment = refusal(Inputs { environment: variables, ..Inputs::default() });
        assert!(in_environment.contains("did you mean PLIMSOLL_HOOKS_CONCURRENCY?"), "{in_environment}");
        let in_flags = refusal(Inputs { flags: flags(&[("entirely.else", "1")]), ..Inputs::default() });
        assert!(in_flags.contains("entirely.else") && in_flags.contains("lists all"), "{in_flags}");
    }

    #[test]
    fn a_reserved_variable_is_not_a_setting() {
        let environment = environment(&[("PLIMSOLL_CONFIG", "x")]);
        let reserved = &["PLIMSOLL_CONFIG"];
        assert!(load(Inputs { environment: environment.clone(), reserved, ..Inputs::default() }).is_ok());
        assert!(load(Inputs { environment, ..Inputs::default() }).is_err());
    }

    #[test]
    fn a_bad_value_is_refused_with_key_value_source_and_range() {
        let refusal = refusal(Inputs { file: file("hooks.concurrency = 5000"), ..Inputs::default() });
        let expected =
            "hooks.concurrency is 5000 (/etc/plimsoll.toml:1), allowed is a whole number from 1 to 1000";
        assert_eq!(refusal, expected);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let error = load(Inputs {
            file: file("hooks.concurrency = 0\nunheard_of = 1"),
            environment: environment(&[("PLIMSOLL_ALLOW_PRIVATE", "here")]),
            flags: flags(&[("hooks.concurrency", "1"), ("hooks.concurrency", "2")]),
            reserved: &[],
        })
        .unwrap_err();
        assert_eq!(error.problems().len(), 4, "{error}");
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_with_its_name() {
        let refusal = refusal(Inputs { file: file("hooks.concurrency"), ..Inputs::default() });
        assert!(refusal.starts_with("/etc/plimsoll.toml: "), "{refusal}");
    }

    #[test]
    fn a_list_may_be_given_in_several_flags() {
        let flags = flags(&[("allow_private", "127.0.0.0/8"), ("allow_private", "::1, 10.0.0.1")]);
        assert_eq!(load(Inputs { flags, ..Inputs::default() }).unwrap().networks("allow_private").len(), 3);
    }

    #[test]
    fn an_empty_variable_takes_an_optional_setting_back() {
        let file = file("hooks.tls_ca_file = \"/ca.pem\"");
        let set = load(Inputs { file: file.clone(), ..Inputs::default() }).unwrap();
        assert_eq!(set.path("hooks.tls_ca_file"), Some(Path::new("/ca.pem")));
        let environment = environment(&[("PLIMSOLL_HOOKS_TLS_CA_FILE", "")]);
        let cleared = load(Inputs { file, environment, ..Inputs::default() }).unwrap();
        assert_eq!(cleared.path("hooks.tls_ca_file"), None);
    }

    #[test]
    fn a_secret_is_not_in_the_refusal_of_it() {
        let refusal = refusal(Inputs { flags: flags(&[("admin_token", "hunter2")]), ..Inputs::default() });
        assert!(refusal.contains("(hidden)") && !refusal.contains("hunter2"), "{refusal}");
    }
}
