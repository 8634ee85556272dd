//! The settings as an operator reads them.

use serde_json::json;

use super::resolved::{Entry, Resolved};
use super::value::Value;

/// What stands for a secret that is set.
const HIDDEN: &str = "(hidden)";
/// What stands for a setting that is absent.
const ABSENT: &str = "-";

impl Resolved {
    /// A line for each setting: key, value, when it changes, source, help; secrets hidden.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut rows = vec![["KEY", "VALUE", "CHANGES", "SOURCE", "WHAT IT DOES"].map(String::from)];
        rows.extend(self.entries().iter().map(|entry| {
            let Entry { setting, source, .. } = entry;
            [
                setting.key.into(),
                shown(entry),
                setting.changes.to_string(),
                source.to_string(),
                setting.help.into(),
            ]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (first, second, third, fourth) = (width(0), width(1), width(2), width(3));
        rows.iter()
            .map(|[key, value, changes, source, help]| {
                format!("{key:first$}  {value:second$}  {changes:third$}  {source:fourth$}  {help}\n")
            })
            .collect()
    }

    /// An object: for each key its value, source, default, help, what is allowed, when it changes and
    /// its tier; secrets hidden.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let settings = self.entries().iter().map(|entry| {
            let value = match &entry.value {
                Value::Absent => json!(null),
                _ if entry.setting.secret => json!(HIDDEN),
                value => value.to_json(),
            };
            let about = json!({
                "value": value,
                "source": entry.source.to_string(),
                "help": entry.setting.help,
                "allowed": entry.setting.kind.to_string(),
                "default": entry.setting.default,
                "changes": entry.setting.changes.to_string(),
                "tier": entry.setting.tier.map(|tier| tier.to_string()),
                "environment": entry.setting.environment(),
            });
            (entry.setting.key.to_owned(), about)
        });
        serde_json::Value::Object(settings.collect())
    }
}

fn shown(entry: &Entry) -> String {
    match &entry.value {
        Value::Absent => ABSENT.into(),
        _ if entry.setting.secret => HIDDEN.into(),
        value => match value.to_string() {
            empty if empty.is_empty() => ABSENT.into(),
            shown => shown,
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Inputs, Kind, Resolved, Setting, Tier};

    const TABLE: &[Setting] = &[
        Setting::new("a", "7", Kind::Integer { min: 0, max: 9 }, "One.").at_runtime().of(Tier::Tenant),
        Setting::optional("token", Kind::Text, "Two.").secret(),
    ];

    fn resolved(token: &str) -> Resolved {
        let flags = vec![("token".into(), token.into(), "--set".into())];
        Resolved::load(&[TABLE], Inputs { flags, ..Inputs::default() }).unwrap()
    }

    #[test]
    fn the_table_is_aligned_and_hides_secrets() {
        let expected = "KEY    VALUE     CHANGES     SOURCE      WHAT IT DOES\n\
                        a      7         at runtime  default     One.\n\
                        token  (hidden)  at start    flag --set  Two.\n";
        assert_eq!(resolved("hunter2").to_table(), expected);
    }

    #[test]
    fn json_tells_the_value_in_its_own_type_and_hides_secrets() {
        let json = resolved("hunter2").to_json();
        assert_eq!((&json["a"]["value"], &json["token"]["value"]), (&7.into(), &"(hidden)".into()));
        assert_eq!(json["a"]["environment"], "PLIMSOLL_A");
        assert_eq!((&json["a"]["changes"], &json["a"]["tier"]), (&"at runtime".into(), &"tenant".into()));
        assert!(resolved("").to_json()["token"]["value"].is_null());
    }
}
