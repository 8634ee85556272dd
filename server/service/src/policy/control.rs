//! The table in force, and how it changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::json;

use super::kept::{self, Pushed};
use super::read::{self, Lines};
use super::table::{Field, Overrides, Table, Who};
use super::watch::Stamp;
use crate::config::{ConfigError, File};

/// Puts a checked table in force. It cannot fail any more, and is quick.
pub type Commit = Box<dyn FnOnce() + Send>;

/// Who goes by the table.
pub trait Enforce: Send + Sync + 'static {
    /// Checks the table as a whole.
    ///
    /// # Errors
    /// With what does not fit; nothing is changed then.
    fn prepare(&self, table: &Table) -> Result<Commit, Refused>;
}

/// A table that does not fit: whose field it is that does not, where that is known.
#[derive(Clone, PartialEq, Debug)]
pub struct Refused {
    /// Whose field, and which.
    pub field: Option<(Who, &'static str)>,
    /// What is wrong with it: the field, its value, what is allowed.
    pub problem: String,
}

/// Where policy comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// What may be said of anybody.
    pub fields: Vec<Field>,
    /// The operator's file, if there is one.
    pub file: Option<PathBuf>,
    /// The directory that keeps what was pushed.
    pub data: PathBuf,
}

/// The file and what was pushed as they were read, before anybody goes by them.
#[derive(Debug)]
pub struct Layers {
    options: Options,
    file: (Table, Lines),
    stamp: Option<Stamp>,
    pushed: Pushed,
}

impl Layers {
    /// Reads the file and what was pushed.
    ///
    /// # Errors
    /// When either cannot be read.
    pub fn read(options: Options) -> Result<Self, ConfigError> {
        let pushed = kept::load(&options.data, &options.fields)?;
        let (file, stamp) = read_file(&options)?;
        Ok(Self { options, file, stamp, pushed })
    }

    /// What `prepare` makes of both together.
    ///
    /// # Errors
    /// When they are refused, with their place.
    pub fn check<T>(&self, prepare: impl FnOnce(&Table) -> Result<T, Refused>) -> Result<T, ConfigError> {
        check(prepare, &self.options, &self.file, &self.pushed.table)
    }
}

/// The table in force; cheap to clone, all clones share one state.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    enforce: Box<dyn Enforce>,
    // Held while a change is checked, made durable and put in force: there is no await in between,
    // so that whoever asked for it and went away leaves nothing half-done. A push is an operator's,
    // and rare: its fsync may hold this thread for a moment.
    state: Mutex<State>,
}

struct State {
    file: (Table, Lines),
    stamp: Option<Stamp>,
    pushed: Pushed,
    counts: Counts,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    pushes: u64,
    reloads: u64,
    refused: u64,
    file_refused: bool,
}

/// Why a push did not take effect.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum PushError {
    /// Somebody else pushed since: the version in force.
    Changed(u64),
    /// The table is not allowed.
    Refused(ConfigError),
    /// It cannot be made durable.
    NotKept(String),
}

/// The state as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) version: u64,
    pub(super) body: serde_json::Value,
}

impl Control {
    /// Puts what was read in force.
    ///
    /// # Errors
    /// When it is not allowed.
    pub fn start(layers: Layers, enforce: impl Enforce) -> Result<Self, ConfigError> {
        layers.check(|table| enforce.prepare(table))?();
        let Layers { options, file, stamp, pushed } = layers;
        let state = State { file, stamp, pushed, counts: Counts::default() };
        Ok(Self { inner: Arc::new(Inner { options, enforce: Box::new(enforce), state: Mutex::new(state) }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again. Where it is refused, the old stays in force: the log and a metric say so.
    ///
    /// # Errors
    /// When it cannot be read, or is not allowed.
    pub fn reload(&self) -> Result<(), ConfigError> {
        let Inner { options, enforce, .. } = &*self.inner;
        let Some(path) = &options.file else { return Ok(()) };
        let mut state = self.lock();
        // Of before the reading: what changes while it is read is read again.
        let stamp = Stamp::of(path);
        let reloaded = read_file(options).and_then(|(file, _)| {
            let commit = check(|table| enforce.prepare(table), options, &file, &state.pushed.table)?;
            Ok((file, commit))
        });
        state.stamp = stamp;
        state.counts.file_refused = reloaded.is_err();
        match reloaded {
            Ok((file, commit)) => {
                state.file = file;
                state.counts.reloads += 1;
                commit();
                tracing::info!(file = %path.display(), "the policy was read again and is in force");
                Ok(())
            }
            Err(error) => {
                state.counts.refused += 1;
                tracing::error!(%error, "the policy is refused; the old one stays in force");
                Err(error)
            }
        }
    }

    /// Checks the table again and puts it in force, because what it stands on has changed.
    ///
    /// # Errors
    /// When it does not fit any more; nothing is changed then.
    pub fn again(&self) -> Result<(), ConfigError> {
        let state = self.lock();
        let Inner { options, enforce, .. } = &*self.inner;
        let prepare = |table: &_| enforce.prepare(table);
        check(prepare, options, &state.file, &state.pushed.table).map(|commit| commit())
    }

    /// Whether the file is not the one that was read last.
    pub(super) fn is_stale(&self) -> bool {
        let Some(path) = &self.inner.options.file else { return false };
        self.lock().stamp != Stamp::of(path)
    }

    pub(super) fn file(&self) -> Option<&PathBuf> {
        self.inner.options.file.as_ref()
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.inner.options.fields
    }

    /// Replaces all that was pushed.
    pub(super) fn push(&self, seen: Option<u64>, table: Table) -> Result<Shown, PushError> {
        self.change(seen, |_| Some(table))
    }

    /// Replaces what was pushed of one; `None` where there is nothing to take back.
    pub(super) fn push_of(
        &self,
        seen: Option<u64>,
        who: Who,
        overrides: Option<Overrides>,
    ) -> Result<Shown, PushError> {
        self.change(seen, |table| match overrides {
            Some(overrides) => Some(table.with(who, overrides)),
            None if table.of(&who).is_none() => None,
            None => Some(table.without(&who)),
        })
    }

    fn change(
        &self,
        seen: Option<u64>,
        change: impl FnOnce(Table) -> Option<Table>,
    ) -> Result<Shown, PushError> {
        let Inner { options, enforce, .. } = &*self.inner;
        let mut state = self.lock();
        let version = state.pushed.version;
        if seen.is_some_and(|seen| seen != version) {
            return Err(PushError::Changed(version));
        }
        let Some(table) = change(state.pushed.table.clone()) else { return Ok(self.show(&state)) };
        let pushed = Pushed { version: version + 1, table };
        let checked = kept::text(&pushed).and_then(|text| {
            let commit = check(|table| enforce.prepare(table), options, &state.file, &pushed.table)?;
            Ok((text, commit))
        });
        let (text, commit) = checked.map_err(|error| {
            state.counts.refused += 1;
            PushError::Refused(error)
        })?;
        kept::store(&options.data, &text).map_err(|error| {
            let path = kept::path(&options.data);
            tracing::error!(%error, path = %path.display(), "a push of policy cannot be kept");
            PushError::NotKept(error.to_string())
        })?;
        state.pushed = pushed;
        state.counts.pushes += 1;
        commit();
        tracing::info!(version = version + 1, "a policy was pushed and is in force");
        Ok(self.show(&state))
    }

    /// What is in force and where it comes from.
    pub(super) fn shown(&self) -> Shown {
        self.show(&self.lock())
    }

    fn show(&self, state: &State) -> Shown {
        let Pushed { version, table } = &state.pushed;
        let body = json!({
            "version": version,
            "pushed": table.to_json(),
            "file": {
                "path": self.file().map(|path| path.display().to_string()),
                "refused": state.counts.file_refused,
                "policy": state.file.0.to_json(),
            },
            "inForce": state.file.0.under(table).to_json(),
        });
        Shown { version: *version, body }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

type Read = ((Table, Lines), Option<Stamp>);

fn read_file(options: &Options) -> Result<Read, ConfigError> {
    let Some(path) = &options.file else { return Ok(((Table::default(), Lines::new()), None)) };
    let stamp = Stamp::of(path);
    let file = File::read(path)?;
    Ok((read::toml(&file.text, path, &options.fields)?, stamp))
}

/// Checks the file with what was pushed on top of it. What is refused is told with its place: a line
/// of the file where the field comes from there.
fn check<T>(
    prepare: impl FnOnce(&Table) -> Result<T, Refused>,
    options: &Options,
    (file, lines): &(Table, Lines),
    pushed: &Table,
) -> Result<T, ConfigError> {
    prepare(&file.under(pushed)).map_err(|Refused { field, problem }| {
        let Some(field) = field else { return ConfigError::one(problem) };
        let is_pushed = pushed.of(&field.0).is_some_and(|overrides| overrides.contains_key(field.1));
        let place = match (&options.file, lines.get(&field)) {
            _ if is_pushed => "pushed".to_owned(),
            (Some(path), Some(line)) => format!("{}:{line}", path.display()),
            _ => "policy".to_owned(),
        };
        ConfigError::one(format!("{place}: {} {problem}", field.0))
    })
}

impl Collector for Control {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (counts, version, entries) = {
            let state = self.lock();
            let entries = state.file.0.under(&state.pushed.table).entries().count();
            (state.counts, state.pushed.version, entries)
        };
        for (name, help, value) in [
            ("plimsoll_policy_pushes", "Changes of policy that were pushed and took effect", counts.pushes),
            (
                "plimsoll_policy_reloads",
                "Times the policy file was read again and took effect",
                counts.reloads,
            ),
            (
                "plimsoll_policy_refused",
                "Policies that were refused, from the file or pushed",
                counts.refused,
            ),
        ] {
            ConstCounter::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        for (name, help, value) in [
            ("plimsoll_policy_version", "The version of what was pushed", version),
            ("plimsoll_policy_entries", "Who differs from the settings", entries as u64),
            (
                "plimsoll_policy_file_refused",
                "1 while the policy file as it is now is refused and an older one is in force",
                counts.file_refused.into(),
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::*;
    use crate::config::{Kind, Value};
    use crate::policy::Of;
    use crate::policy::read::ENTRIES_MAX;

    const FIELDS: [Field; 2] = [
        Field { name: "inner", kind: Kind::Integer { min: 1, max: 100 }, of: Of::All, help: "A." },
        Field { name: "outer", kind: Kind::Integer { min: 1, max: 100 }, of: Of::All, help: "B." },
    ];

    /// Nobody's `inner` may be larger than its `outer`, which is 10 unless said.
    #[derive(Clone, Default)]
    struct Ordered(Arc<Mutex<Table>>);

    impl Enforce for Ordered {
        fn prepare(&self, table: &Table) -> Result<Commit, Refused> {
            for (who, overrides) in table.entries() {
                let number = |name| match overrides.get(name) {
                    Some(Value::Integer(number)) => *number,
                    _ => 10,
                };
                if number("inner") > number("outer") {
                    let problem =
                        format!("inner is {}, allowed is at most {}", number("inner"), number("outer"));
                    return Err(Refused { field: Some((who.clone(), "inner")), problem });
                }
            }
            let (in_force, table) = (Arc::clone(&self.0), table.clone());
            Ok(Box::new(move || *in_force.lock().unwrap() = table))
        }
    }

    impl Ordered {
        fn of(&self, app: &str, name: &str) -> Option<Value> {
            self.0.lock().unwrap().of(&Who::App(app.into()))?.get(name).cloned()
        }
    }

    fn start(directory: &Path, ordered: &Ordered) -> Result<Control, ConfigError> {
        let (file, data) = (Some(directory.join("p.toml")), directory.into());
        Control::start(Layers::read(Options { fields: FIELDS.into(), file, data })?, ordered.clone())
    }

    fn table(json: &str) -> Table {
        read::json(json.as_bytes(), &FIELDS).unwrap()
    }

    fn write(directory: &Path, text: &str) {
        fs::write(directory.join("p.toml"), text).unwrap();
    }

    #[test]
    fn what_was_pushed_is_kept_with_mode_600_and_goes_before_the_file_field_by_field() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "[app.a]\ninner = 3\nouter = 20\n[app.b]\ninner = 4\n");
        let ordered = Ordered::default();
        let control = start(directory.path(), &ordered).unwrap();
        assert_eq!(control.push(Some(0), table(r#"{"app": {"a": {"inner": 15}}}"#)).unwrap().version, 1);
        let look = || (ordered.of("a", "inner"), ordered.of("a", "outer"), ordered.of("b", "inner"));
        let expected = (Some(Value::Integer(15)), Some(Value::Integer(20)), Some(Value::Integer(4)));
        assert_eq!(look(), expected);
        let kept = directory.path().join("policy.json");
        assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "no draft is left");
        *ordered.0.lock().unwrap() = Table::default();
        let again = start(directory.path(), &ordered).unwrap();
        assert_eq!((look(), again.shown().version), (expected, 1), "after a restart");
        again.push_of(Some(1), Who::App("a".into()), None).unwrap();
        assert_eq!(ordered.of("a", "inner"), Some(Value::Integer(3)), "the file's again");
    }

    #[test]
    fn who_has_not_seen_the_last_push_does_not_overwrite_it() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "");
        let control = start(directory.path(), &Ordered::default()).unwrap();
        let one = || Some(Overrides::from([("inner", Value::Integer(1))]));
        control.push_of(Some(0), Who::App("a".into()), one()).unwrap();
        let late = control.push_of(Some(0), Who::App("b".into()), one());
        assert_eq!(late.err(), Some(PushError::Changed(1)));
        assert_eq!(
            control.push_of(None, Who::App("b".into()), one()).ok().map(|shown| shown.version),
            Some(2)
        );
        let nothing = control.push_of(None, Who::App("nobody".into()), None);
        assert_eq!(nothing.ok().map(|shown| shown.version), Some(2), "nothing to take back is no change");
    }

    #[test]
    fn a_file_that_is_refused_leaves_the_old_in_force_and_says_the_line() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "[app.a]\ninner = 3\n");
        let ordered = Ordered::default();
        let control = start(directory.path(), &ordered).unwrap();
        assert!(!control.is_stale());
        write(directory.path(), "[app.a]\nouter = 20\ninner = 21\n");
        assert!(control.is_stale());
        let refused = control.reload().unwrap_err().to_string();
        assert!(refused.contains("p.toml:3: [app.\"a\"] inner is 21, allowed is at most 20"), "{refused}");
        assert_eq!(ordered.of("a", "inner"), Some(Value::Integer(3)));
        assert!(!control.is_stale(), "what was refused is not read again and again");
        assert_eq!(control.shown().body["file"]["refused"], true);
        fs::remove_file(directory.path().join("p.toml")).unwrap();
        assert!(control.reload().is_err(), "a file that is gone takes nothing back");
        assert_eq!(ordered.of("a", "inner"), Some(Value::Integer(3)));
        write(directory.path(), "[app.a]\ninner = 5\n");
        control.reload().unwrap();
        assert_eq!(ordered.of("a", "inner"), Some(Value::Integer(5)));
        assert_eq!(control.shown().body["file"]["refused"], false);
    }

    #[test]
    fn a_push_that_does_not_fit_or_cannot_be_kept_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "[app.a]\ninner = 3\n");
        let ordered = Ordered::default();
        let control = start(directory.path(), &ordered).unwrap();
        let refused = control.push(None, table(r#"{"app": {"a": {"inner": 11}}}"#));
        assert!(
            matches!(refused, Err(PushError::Refused(error)) if error.to_string().starts_with("pushed: "))
        );
        // Where the draft should be is a directory: it cannot be removed as a file.
        fs::create_dir(directory.path().join("policy.draft")).unwrap();
        let lost = control.push(None, table(r#"{"app": {"a": {"inner": 9}}}"#));
        assert!(matches!(lost, Err(PushError::NotKept(_))));
        assert_eq!((ordered.of("a", "inner"), control.shown().version), (Some(Value::Integer(3)), 0));
    }

    #[test]
    fn a_push_of_a_name_that_no_start_would_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "");
        let control = start(directory.path(), &Ordered::default()).unwrap();
        for name in [String::new(), "a\nb".into(), "a\u{7f}".into(), "x".repeat(401)] {
            for who in [Who::App(name.clone()), Who::Org(name)] {
                let refused = read::json_of(&who, br#"{"inner": 2}"#, &FIELDS).unwrap_err().to_string();
                assert!(refused.contains("empty, longer than 400 bytes or not text"), "{refused}");
            }
        }
        // What passes is kept, and read again: the longest, and what JSON and TOML escape.
        for name in ["x".repeat(400), "\"\\\u{2028}/é".into()] {
            let who = Who::App(name);
            let overrides = read::json_of(&who, br#"{"inner": 2}"#, &FIELDS).unwrap();
            control.push_of(None, who, Some(overrides)).unwrap();
        }
        let before = control.shown();
        let after = start(directory.path(), &Ordered::default()).unwrap().shown();
        assert_eq!(before.body["pushed"], after.body["pushed"]);
    }

    fn many(entries: usize) -> Table {
        let one = || Overrides::from([("inner", Value::Integer(1))]);
        let app = |number| Who::App(format!("application-{number}-of-many-that-differ-from-the-settings"));
        (0..entries).fold(Table::default(), |table, number| table.with(app(number), one()))
    }

    #[test]
    fn a_table_of_more_than_a_mebibyte_that_was_pushed_is_read_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "");
        let control = start(directory.path(), &Ordered::default()).unwrap();
        control.push(None, many(12_000)).unwrap();
        let kept = fs::metadata(directory.path().join("policy.json")).unwrap();
        assert!(kept.len() > 1 << 20, "{} bytes", kept.len());
        assert_eq!(start(directory.path(), &Ordered::default()).unwrap().shown().version, 1);
    }

    #[test]
    fn one_entry_more_than_the_next_start_would_read_is_refused() {
        let defaults = Overrides::from([("inner", Value::Integer(1))]);
        let full = many(ENTRIES_MAX).with(Who::Defaults, defaults.clone());
        let full = Pushed { version: 1, table: full };
        assert!(kept::text(&full).is_ok(), "the defaults are beside the entries");
        let more = Pushed { version: 1, table: full.table.with(Who::App("more".into()), defaults) };
        let refused = kept::text(&more).unwrap_err().to_string();
        assert_eq!(refused, "100001 entries, allowed are at most 100000");
    }

    #[test]
    fn a_policy_that_cannot_be_in_force_is_refused_at_start() {
        let directory = tempfile::tempdir().unwrap();
        assert!(start(directory.path(), &Ordered::default()).is_err(), "the file is missing");
        write(directory.path(), "[app.a]\ninner = 11\n");
        assert!(start(directory.path(), &Ordered::default()).is_err());
        write(directory.path(), "");
        fs::write(directory.path().join("policy.json"), "{\"version\": 1").unwrap();
        let refused = start(directory.path(), &Ordered::default()).unwrap_err().to_string();
        assert!(refused.contains("policy.json"), "{refused}");
    }
}
