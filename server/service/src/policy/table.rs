//! Who differs from the settings, and in what.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, json};

use crate::config::{Kind, Value};

/// One thing in which somebody may differ; systems declare them in `const` tables.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Field {
    /// Its name: `concurrency`.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Who may have it.
    pub of: Of,
    /// What it does: one sentence for an operator.
    pub help: &'static str,
}

/// Who may have a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// Everybody: it may stand in every entry.
    All,
    /// Organisations, and not their applications.
    Organisations,
}

/// Whose entry it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Who {
    /// All for whom nothing else is said.
    Defaults,
    /// An organisation: `org_x`.
    Org(String),
    /// An application: its id, or its organisation and its uid: `org_x/shop`.
    App(String),
}

impl fmt::Display for Who {
    /// As it is named in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("[defaults]"),
            Self::Org(org) => write!(f, "[org.{org:?}]"),
            Self::App(app) => write!(f, "[app.{app:?}]"),
        }
    }
}

/// In what one differs: field and value.
pub type Overrides = BTreeMap<&'static str, Value>;

/// Everybody who differs.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Table {
    entries: BTreeMap<Who, Overrides>,
}

impl Table {
    /// Everybody who differs, and in what.
    pub fn entries(&self) -> impl Iterator<Item = (&Who, &Overrides)> {
        self.entries.iter()
    }

    /// How many differ, the defaults aside.
    #[must_use]
    pub fn named(&self) -> usize {
        self.entries.len() - usize::from(self.entries.contains_key(&Who::Defaults))
    }

    /// In what `who` differs.
    #[must_use]
    pub fn of(&self, who: &Who) -> Option<&Overrides> {
        self.entries.get(who)
    }

    /// Says in what `who` differs, instead of what was said before.
    #[must_use]
    pub fn with(mut self, who: Who, overrides: Overrides) -> Self {
        self.entries.insert(who, overrides);
        self
    }

    /// `who` does not differ.
    #[must_use]
    pub fn without(mut self, who: &Who) -> Self {
        self.entries.remove(who);
        self
    }

    /// This table, with `above` on top of it: each field by itself.
    #[must_use]
    pub fn under(&self, above: &Self) -> Self {
        let mut entries = self.entries.clone();
        for (who, overrides) in &above.entries {
            entries
                .entry(who.clone())
                .or_default()
                .extend(overrides.iter().map(|(name, value)| (*name, value.clone())));
        }
        Self { entries }
    }

    /// As it is pushed: `{"defaults": {...}, "org": {"org_x": {...}}, "app": {"app_...": {...}}}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let (mut defaults, mut orgs, mut apps) = (json!({}), Map::new(), Map::new());
        for (who, overrides) in &self.entries {
            let fields = fields_to_json(overrides);
            match who {
                Who::Defaults => defaults = fields,
                Who::Org(org) => drop(orgs.insert(org.clone(), fields)),
                Who::App(app) => drop(apps.insert(app.clone(), fields)),
            }
        }
        json!({"defaults": defaults, "org": orgs, "app": apps})
    }
}

fn fields_to_json(overrides: &Overrides) -> serde_json::Value {
    let fields = overrides.iter().map(|(name, value)| ((*name).to_owned(), value.to_json()));
    serde_json::Value::Object(fields.collect())
}
