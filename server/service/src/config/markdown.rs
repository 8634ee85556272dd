//! The settings as the handbook shows them.

use std::fmt::Write as _;

use super::setting::Setting;

/// A table in Markdown for each of these tables of settings, under its title: key, default, what is
/// allowed, when it changes, tier, what it does.
///
/// ```
/// use plimsoll_service::config::{Kind, Setting, markdown};
/// const SETTINGS: &[Setting] = &[Setting::new("log", "info", Kind::Text, "What is logged.")];
/// let page = markdown(&[("Logs", SETTINGS)]);
/// assert!(page.starts_with("### Logs\n"));
/// assert!(page.contains("| `log` | `info` | text of at most 4096 bytes | at start |  | What is logged. |"));
/// ```
#[must_use]
pub fn markdown(tables: &[(&str, &[Setting])]) -> String {
    let mut page = String::new();
    for (number, (title, settings)) in tables.iter().enumerate() {
        let before = if number == 0 { "" } else { "\n" };
        let head = "| key | default | allowed | changes | tier | what it does |\n| --- | --- | --- | --- | --- | --- |";
        // Writing to a text cannot fail.
        let _ = writeln!(page, "{before}### {title}\n\n{head}");
        for setting in *settings {
            let Setting { key, kind, help, changes, .. } = setting;
            let default = match setting.default {
                None | Some("") => "-".into(),
                Some(default) => format!("`{default}`"),
            };
            let tier = setting.tier.map(|tier| tier.to_string()).unwrap_or_default();
            let _ = writeln!(page, "| `{key}` | {default} | {kind} | {changes} | {tier} | {help} |");
        }
    }
    page
}
