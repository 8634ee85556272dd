//! Who differs from the settings, as a table of policy says it.

use std::collections::HashMap;

use plimsoll_service::auth::{DEFAULT_ORG, is_org};
use plimsoll_service::config::{Kind, Value};
use plimsoll_service::policy::{self as service, Commit, Field, Of, Overrides, Refused};

use crate::core::{Hooks, Host, policies_at_start};
use crate::policy::{Override, PolicyError, Who};
use crate::settings::Settings;

/// What may be said of the deliveries of an application, or of all of an organisation's.
pub const FIELDS: [Field; 7] = [
    Field {
        name: "concurrency",
        kind: Kind::Integer { min: 1, max: 65_536 },
        of: Of::All,
        help: "How many of its deliveries run at once; as hooks.tenant_concurrency.",
    },
    Field {
        name: "endpoint_concurrency",
        kind: Kind::Integer { min: 1, max: 65_536 },
        of: Of::All,
        help: "How many deliveries to each of its endpoints run at once; as hooks.endpoint_concurrency.",
    },
    Field {
        name: "weight",
        kind: Kind::Integer { min: 1, max: 100 },
        of: Of::All,
        help: "Its share of the turns, beside the other applications of its organisation; of an organisation, \
               beside the other organisations.",
    },
    Field {
        name: "window_messages",
        kind: Kind::Integer { min: 1, max: 65_536 },
        of: Of::All,
        help: "How many of its messages wait in memory; as hooks.window_messages.",
    },
    Field {
        name: "window_bytes",
        kind: Kind::Integer { min: 64 << 10, max: 1 << 30 },
        of: Of::All,
        help: "How many bytes of its messages wait in memory; as hooks.window_bytes.",
    },
    Field {
        name: "backlog_max",
        kind: Kind::Integer { min: 1, max: 1_000_000_000_000 },
        of: Of::All,
        help: "How many of its deliveries may be pending; as hooks.tenant_backlog_max.",
    },
    Field {
        name: "retry_share_ratio",
        kind: Kind::Number { min: 0.01, max: 1.0 },
        of: Of::All,
        help: "Which share of its deliveries at once may be retries; as hooks.retry_share_ratio.",
    },
];

/// Who differs, in the words of deliveries.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Differing {
    /// In what everybody differs from the settings.
    pub defaults: Override,
    /// In what these differ from the defaults.
    pub entries: Vec<(Who, Override)>,
}

impl Differing {
    /// Checks the table with the settings below it, before anything is started.
    ///
    /// # Errors
    /// With whose field does not fit, and why.
    pub fn checked(table: &service::Table, settings: &Settings, host: &Host) -> Result<Self, Refused> {
        let differing = differing(table)?;
        match policies_at_start(settings, host, &differing) {
            Ok(_) => Ok(differing),
            Err(error) => Err(refused(&error, table)),
        }
    }
}

impl Hooks {
    /// Checks the table with the settings below it; what is returned puts both in force.
    ///
    /// # Errors
    /// With whose field does not fit, and why.
    pub fn prepare_table(&self, settings: &Settings, table: &service::Table) -> Result<Commit, Refused> {
        let differing = differing(table)?;
        self.prepare(settings, &differing).map_err(|error| refused(&error, table))
    }
}

/// The table in the words of deliveries.
fn differing(table: &service::Table) -> Result<Differing, Refused> {
    let mut differing = Differing::default();
    let mut named = HashMap::new();
    for (entry, overrides) in table.entries() {
        let Some(who) = whose(entry)? else {
            differing.defaults = change(overrides);
            continue;
        };
        // A uid of the default organisation may be written in two ways.
        if let Some(other) = named.insert(who.clone(), entry) {
            let problem = format!("{entry} and {other} are the same {who}, allowed is one of them");
            return Err(Refused { field: None, problem });
        }
        differing.entries.push((who, change(overrides)));
    }
    Ok(differing)
}

/// Whose entry it is; `None` where it is everybody's.
fn whose(who: &service::Who) -> Result<Option<Who>, Refused> {
    let problem = match who {
        service::Who::Defaults => return Ok(None),
        service::Who::Org(org) if is_org(org) => return Ok(Some(Who::Organisation(org.as_str().into()))),
        service::Who::Org(_) => "is no organisation, allowed is org_ and 1 to 60 letters, digits, _ and -",
        service::Who::App(app) => match (app.split_once('/'), app.parse()) {
            (None, Ok(id)) => return Ok(Some(Who::App(id))),
            (None, Err(_)) => return Ok(Some(Who::Uid(DEFAULT_ORG.into(), app.clone()))),
            (Some((org, uid)), _) if is_org(org) && !uid.is_empty() => {
                return Ok(Some(Who::Uid(org.into(), uid.into())));
            }
            _ => {
                "is no application, allowed is its id, its uid, or org_x/uid where it is of another organisation"
            }
        },
    };
    Err(Refused { field: None, problem: format!("{who} {problem}") })
}

fn change(overrides: &Overrides) -> Override {
    let number = |name| match overrides.get(name) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    };
    let ratio = |name| match overrides.get(name) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    Override {
        concurrency: number("concurrency"),
        endpoint_concurrency: number("endpoint_concurrency"),
        weight: number("weight").and_then(|weight| u32::try_from(weight).ok()),
        window_messages: number("window_messages"),
        window_bytes: number("window_bytes"),
        backlog_max: number("backlog_max"),
        retry_share_ratio: ratio("retry_share_ratio"),
    }
}

/// The error with the entry as the table names it.
fn refused(error: &PolicyError, table: &service::Table) -> Refused {
    let is_its = |who: &service::Who| match whose(who) {
        Ok(Some(who)) => who.to_string() == error.who(),
        Ok(None) => error.who() == "all",
        Err(_) => false,
    };
    let who = table.entries().map(|(who, _)| who).find(|who| is_its(who));
    match who {
        Some(who) => Refused { field: Some((who.clone(), error.field())), problem: error.problem() },
        None => Refused { field: None, problem: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(app: &str, fields: Overrides) -> service::Table {
        service::Table::default().with(service::Who::App(app.into()), fields)
    }

    #[test]
    fn an_application_is_named_by_its_id_or_its_uid_with_or_without_its_organisation() {
        let id = plimsoll_store::AppId::fresh();
        let who = |app: &str| whose(&service::Who::App(app.into()));
        assert_eq!(who(&id.to_string()), Ok(Some(Who::App(id))));
        assert_eq!(who("acme"), Ok(Some(Who::Uid(DEFAULT_ORG.into(), "acme".into()))));
        assert_eq!(who("org_x/acme"), Ok(Some(Who::Uid("org_x".into(), "acme".into()))));
        for bad in ["acme/x", "org_x/", "/acme"] {
            assert!(who(bad).unwrap_err().problem.contains(bad), "{bad}");
        }
        assert!(whose(&service::Who::Org("acme".into())).is_err());
    }

    #[test]
    fn one_application_by_two_names_is_refused_instead_of_one_of_them_being_lost() {
        let weight = |weight| Overrides::from([("weight", Value::Integer(weight))]);
        let long = service::Who::App(format!("{DEFAULT_ORG}/acme"));
        let both = table("acme", weight(2)).with(long, weight(3));
        let problem = differing(&both).unwrap_err().problem;
        assert!(problem.contains("[app.\"acme\"]") && problem.contains("/acme\"]"), "{problem}");
        assert!(problem.contains("allowed is one of them"), "{problem}");
        let other = service::Who::App("org_x/acme".into());
        assert_eq!(differing(&table("acme", weight(2)).with(other, weight(3))).unwrap().entries.len(), 2);
    }

    #[test]
    fn every_field_that_may_be_said_is_heeded() {
        for field in FIELDS {
            let value = match field.kind {
                Kind::Integer { min, .. } => Value::Integer(min),
                Kind::Number { min, .. } => Value::Number(min),
                kind => panic!("{}: {kind}", field.name),
            };
            let differing = differing(&table("a", Overrides::from([(field.name, value)]))).unwrap();
            assert_ne!(differing.entries[0].1, Override::default(), "{}", field.name);
            assert!(field.help.ends_with('.'));
        }
    }
}
