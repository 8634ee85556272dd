//! Reads tables of policy out of TOML and JSON, with the line of each value.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::table::{Field, Of, Overrides, Table, Who};
use crate::config::{ConfigError, LineNumbers, Raw, Value, nearest, raw_of_toml};

/// How many entries a table may have.
pub(super) const ENTRIES_MAX: usize = 100_000;
/// How long the name of an organisation or application may be, in bytes.
const NAME_BYTES_MAX: usize = 400;
/// How many problems are told: nobody reads more.
const PROBLEMS_MAX: usize = 16;

/// Where the fields of a table stand.
pub(super) type Lines = BTreeMap<(Who, &'static str), usize>;

/// A value, or the values within it by their names, each with its line (0: not known).
enum Node {
    Values(Vec<(String, usize, Node)>),
    Value(Raw),
}

/// Whether it may be the name of an organisation or application, wherever it comes from: what is
/// kept must be readable again.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(char::is_control)
}

/// Reads the text of the file at `path`.
pub(super) fn toml(text: &str, path: &Path, fields: &[Field]) -> Result<(Table, Lines), ConfigError> {
    let shown = path.display().to_string();
    let table = DeTable::parse(text)
        .map_err(|error| ConfigError::one(format!("{shown}: {}", error.to_string().trim_end())))?;
    let mut reader = Reader::new(fields, Some(shown));
    reader.table(of_toml(table.get_ref(), &LineNumbers::of(text)));
    reader.finish()
}

/// Reads a table as it is pushed.
pub(super) fn json(bytes: &[u8], fields: &[Field]) -> Result<Table, ConfigError> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(ConfigError::one)?;
    let mut reader = Reader::new(fields, None);
    reader.table(of_json(value));
    reader.finish().map(|(table, _)| table)
}

/// Reads the fields of one entry as they are pushed.
pub(super) fn json_of(who: &Who, bytes: &[u8], fields: &[Field]) -> Result<Overrides, ConfigError> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(ConfigError::one)?;
    let mut reader = Reader::new(fields, None);
    match who {
        Who::Org(name) if !is_name(name) => reader.not_a_name("org", 0),
        Who::App(name) if !is_name(name) => reader.not_a_name("app", 0),
        _ => reader.entry(who.clone(), 0, of_json(value)),
    }
    reader.finish().map(|(table, _)| table.of(who).cloned().unwrap_or_default())
}

struct Reader<'f> {
    fields: &'f [Field],
    file: Option<String>,
    entries: usize,
    table: Table,
    lines: Lines,
    problems: Vec<String>,
}

impl<'f> Reader<'f> {
    fn new(fields: &'f [Field], file: Option<String>) -> Self {
        Self { fields, file, entries: 0, table: Table::default(), lines: Lines::new(), problems: Vec::new() }
    }

    fn finish(self) -> Result<(Table, Lines), ConfigError> {
        if self.problems.is_empty() {
            Ok((self.table, self.lines))
        } else {
            Err(ConfigError::new(self.problems))
        }
    }

    fn problem(&mut self, line: usize, problem: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            let place = self.file.as_ref().map(|file| format!("{file}:{line}: ")).unwrap_or_default();
            self.problems.push(format!("{place}{problem}"));
        }
    }

    fn table(&mut self, node: Node) {
        let Node::Values(sections) = node else {
            return self.problem(1, "a policy is a table of defaults, org and app");
        };
        for (section, line, node) in sections {
            let make = match section.as_str() {
                "defaults" => {
                    self.entry(Who::Defaults, line, node);
                    continue;
                }
                "org" => Who::Org,
                "app" => Who::App,
                other => {
                    let other: String = other.chars().take(80).collect();
                    self.problem(
                        line,
                        &format!("{other}: no such part of a policy, allowed are defaults, org and app"),
                    );
                    continue;
                }
            };
            let Node::Values(entries) = node else {
                self.problem(line, &format!("{section} is no table, allowed is [{section}.\"name\"]"));
                continue;
            };
            for (name, line, node) in entries {
                if is_name(&name) {
                    self.entry(make(name), line, node);
                } else {
                    self.not_a_name(&section, line);
                }
            }
        }
    }

    fn not_a_name(&mut self, section: &str, line: usize) {
        let problem = format!("a name in {section} is empty, longer than {NAME_BYTES_MAX} bytes or not text");
        self.problem(line, &problem);
    }

    fn entry(&mut self, who: Who, line: usize, node: Node) {
        // The defaults are in every table as it is kept.
        self.entries += usize::from(who != Who::Defaults);
        if self.entries > ENTRIES_MAX {
            if self.entries == ENTRIES_MAX + 1 {
                self.problem(
                    line,
                    &format!("more than {ENTRIES_MAX} entries, allowed are at most {ENTRIES_MAX}"),
                );
            }
            return;
        }
        let Node::Values(values) = node else {
            return self.problem(line, &format!("{who} is no table of fields"));
        };
        let mut overrides = Overrides::new();
        for (name, line, node) in values {
            if let Some((field, value)) = self.field(&who, &name, line, &node) {
                self.lines.insert((who.clone(), field), line);
                overrides.insert(field, value);
            }
        }
        self.table = std::mem::take(&mut self.table).with(who, overrides);
    }

    fn field(&mut self, who: &Who, name: &str, line: usize, node: &Node) -> Option<(&'static str, Value)> {
        let Some(field) = self.fields.iter().find(|field| field.name == name) else {
            let meant = nearest(name, self.fields.iter().map(|field| field.name));
            let names: Vec<_> = self.fields.iter().map(|field| field.name).collect();
            let meant = meant.map_or_else(
                || format!("allowed are {}", names.join(", ")),
                |meant| format!("did you mean {meant}?"),
            );
            let name: String = name.chars().take(80).collect();
            self.problem(line, &format!("{who} {name}: no such field, {meant}"));
            return None;
        };
        if field.of == Of::Organisations && matches!(who, Who::App(_)) {
            self.problem(
                line,
                &format!("{who} {name}: only of organisations, allowed in [defaults] and [org]"),
            );
            return None;
        }
        let (read, shown) = match node {
            Node::Value(raw) => (raw.read(field.kind), raw.to_string()),
            Node::Values(_) => (None, "a table".into()),
        };
        if read.is_none() {
            self.problem(line, &format!("{who} {name} is {shown}, allowed is {}", field.kind));
        }
        read.map(|value| (field.name, value))
    }
}

fn of_toml(table: &DeTable<'_>, numbers: &LineNumbers) -> Node {
    let values = table.iter().map(|(name, value)| {
        let node = match value.get_ref() {
            DeValue::Table(inner) => of_toml(inner, numbers),
            value => Node::Value(raw_of_toml(value)),
        };
        (name.get_ref().to_string(), numbers.of_byte(name.span().start), node)
    });
    Node::Values(values.collect())
}

fn of_json(value: serde_json::Value) -> Node {
    match value {
        serde_json::Value::Object(values) => {
            Node::Values(values.into_iter().map(|(name, value)| (name, 0, of_json(value))).collect())
        }
        value => Node::Value(Raw::of_json(&value)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Kind;

    const FIELDS: &[Field] = &[
        Field { name: "concurrency", kind: Kind::Integer { min: 1, max: 64 }, of: Of::All, help: "A." },
        Field { name: "share_ratio", kind: Kind::Number { min: 0.0, max: 1.0 }, of: Of::All, help: "B." },
        Field { name: "requests", kind: Kind::Integer { min: 1, max: 9 }, of: Of::Organisations, help: "C." },
    ];

    fn refused(text: &str) -> String {
        toml(text, Path::new("p.toml"), FIELDS).unwrap_err().to_string()
    }

    #[test]
    fn a_file_names_its_entries_and_knows_the_line_of_each_field() {
        let text = "[defaults]\nconcurrency = 2\n\n[org.\"org_x\"]\nrequests = 3\n[app.\"org_x/shop\"]\nshare_ratio = 0.5\n";
        let (table, lines) = toml(text, Path::new("p.toml"), FIELDS).unwrap();
        assert_eq!(table.of(&Who::Defaults).unwrap()["concurrency"], Value::Integer(2));
        assert_eq!(table.of(&Who::Org("org_x".into())).unwrap()["requests"], Value::Integer(3));
        assert_eq!(lines[&(Who::App("org_x/shop".into()), "share_ratio")], 7);
        assert_eq!(json(table.to_json().to_string().as_bytes(), FIELDS).unwrap(), table, "as it is pushed");
    }

    #[test]
    fn what_is_wrong_is_told_with_line_field_value_and_what_is_allowed() {
        assert_eq!(
            refused("[app.\"acme\"]\n\nconcurrency = 65"),
            "p.toml:3: [app.\"acme\"] concurrency is 65, allowed is a whole number from 1 to 64"
        );
        assert!(
            refused("[app.acme]\nconcurency = 1")
                .contains("p.toml:2: [app.\"acme\"] concurency: no such field, did you mean concurrency?")
        );
        assert!(refused("[app.acme]\nrequests = 1").contains("only of organisations"));
        assert!(refused("[apps.acme]\nrequests = 1").contains("p.toml:1: apps: no such part"));
        assert!(refused("app = 1").contains("p.toml:1: app is no table"));
        assert!(refused("[defaults]\nconcurrency = \"5\"").contains("concurrency is \"5\""));
        assert!(refused("[defaults\n").starts_with("p.toml: "));
        let both = refused("[app.a]\nconcurrency = 0\nshare_ratio = 2\n");
        assert_eq!(both.lines().count(), 2, "all at once: {both}");
        let pushed = json(br#"{"app": {"acme": {"concurrency": [1]}}}"#, FIELDS).unwrap_err().to_string();
        assert!(pushed.starts_with("[app.\"acme\"] concurrency is "), "{pushed}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = toml(&text, Path::new("p"), FIELDS);
            let _ = json(&bytes, FIELDS);
            let _ = json_of(&Who::App(text.clone()), text.as_bytes(), FIELDS);
        }
    }
}
