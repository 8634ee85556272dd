//! The borders between crates, as DESIGN draws them: arrows run downward only.

use crate::licences;
use crate::workspace::{Crate, Dependency, UsedIn, Workspace};

/// All that `lib/plimsoll` may name: tokio and a few small crates.
const GROUND: &[&str] = &[
    "fastrand",
    "futures-core",
    "loom",
    "pin-project-lite",
    "quanta",
    "rayon",
    "rustc-hash",
    "tokio",
    "tokio-util",
];

/// All that `lib/plimsoll-tower` may name: the traits of tower, and no http type.
const TOWER: &[&str] = &["pin-project-lite", "plimsoll", "tokio", "tower-layer", "tower-service"];

/// Storage engines: only `server/store` names them.
const ENGINES: &[&str] = &["libsqlite3-sys", "rusqlite"];

/// What must not be needed, even by way of others.
const NOT_BY_ANY_WAY: &[(&str, &[&str])] = &[
    (
        "lib/plimsoll",
        &["axum", "http", "hyper", "libsqlite3-sys", "ring", "rusqlite", "rustls", "serde", "serde_json"],
    ),
    ("lib/plimsoll-tower", &["axum", "http", "hyper", "serde", "tower"]),
    ("server/store", &["axum", "http", "hyper"]),
    ("server/service", ENGINES),
];

/// What is nowhere in the tree: whoever builds Plimsoll has Rust and a C compiler, and no more.
pub(crate) const BANNED: &[&str] = &[
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "bindgen",
    "cmake",
    "native-tls",
    "openssl",
    "openssl-sys",
];

/// Where a crate stands in the house.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Floor {
    /// `lib/plimsoll`: the ground.
    Ground,
    Lib,
    Store,
    Service,
    System,
    Cli,
    /// Tools that measure our own code.
    Versus,
    Tool,
    Xtask,
}

impl Floor {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "lib/plimsoll" => Self::Ground,
            "server/store" => Self::Store,
            "server/service" => Self::Service,
            "cli" => Self::Cli,
            "xtask" => Self::Xtask,
            "tools/versus" => Self::Versus,
            _ if path.starts_with("lib/") => Self::Lib,
            _ if path.starts_with("systems/") => Self::System,
            _ if path.starts_with("tools/") => Self::Tool,
            _ => return None,
        })
    }

    /// Whether a crate of this floor may name a crate of that one.
    const fn may_name(self, that: Self) -> bool {
        match self {
            Self::Ground | Self::Xtask => false,
            Self::Lib | Self::Store | Self::Service | Self::Tool => {
                matches!(that, Self::Ground | Self::Lib)
            }
            Self::System => matches!(that, Self::Ground | Self::Lib | Self::Store | Self::Service),
            Self::Cli | Self::Versus => {
                matches!(
                    that,
                    Self::Ground | Self::Lib | Self::Store | Self::Service | Self::System | Self::Tool
                )
            }
        }
    }
}

/// Every border that is crossed, one line each.
pub(crate) fn crossed(workspace: &Workspace) -> Vec<String> {
    let mut crossed = Vec::new();
    for one in &workspace.crates {
        let Some(floor) = Floor::of(&one.path) else {
            crossed.push(format!(
                "{}: no floor of the house is called so: draw it in ARCHITECTURE.md and in xtask/src/border.rs",
                one.path
            ));
            continue;
        };
        for dependency in &one.dependencies {
            crossed.extend(arrow(workspace, one, floor, dependency));
        }
    }
    for (path, unwanted) in NOT_BY_ANY_WAY {
        let Some(one) = workspace.crates.iter().find(|one| one.path == *path) else { continue };
        for way in unwanted.iter().filter_map(|unwanted| workspace.way(&one.name, unwanted)) {
            crossed.push(format!("{path}: must not need {}: {}", way[way.len() - 1], way.join(" -> ")));
        }
    }
    crossed.extend(third_party(workspace));
    crossed
}

fn arrow(workspace: &Workspace, one: &Crate, floor: Floor, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    if let Some(that) = workspace.ours(name) {
        let downward = Floor::of(&that.path).is_some_and(|that| floor.may_name(that));
        return (!downward)
            .then(|| format!("{}: must not depend on {}: arrows run downward only", one.path, that.path));
    }
    if floor == Floor::Ground && dependency.used_in != UsedIn::Tests && !GROUND.contains(&name) {
        return Some(format!("{}: must not depend on {name}: only on {}", one.path, GROUND.join(", ")));
    }
    if one.path == "lib/plimsoll-tower" && dependency.used_in != UsedIn::Tests && !TOWER.contains(&name) {
        return Some(format!("{}: must not depend on {name}: only on {}", one.path, TOWER.join(", ")));
    }
    if floor != Floor::Store && ENGINES.contains(&name) {
        return Some(format!("{}: must not depend on {name}: only server/store names an engine", one.path));
    }
    None
}

fn third_party(workspace: &Workspace) -> Vec<String> {
    let mut refused = Vec::new();
    for theirs in &workspace.third_party {
        let who = format!("{} {}", theirs.name, theirs.version);
        if BANNED.contains(&theirs.name.as_str()) {
            let way = workspace.crates.iter().find_map(|one| workspace.way(&one.name, &theirs.name));
            let way = way.map_or_else(|| "by tests only".to_owned(), |way| way.join(" -> "));
            refused.push(format!("{who}: banned, only Rust and a C compiler are promised ({way})"));
        }
        match theirs.licence.as_deref().map(licences::allowed) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => refused.push(format!(
                "{who}: licence `{}` is not among {}",
                theirs.licence.as_deref().unwrap_or_default(),
                licences::ALLOWED.join(", ")
            )),
            Some(Err(error)) => refused.push(format!("{who}: licence not understood: {error}")),
            None => refused.push(format!("{who}: states no licence")),
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::ThirdParty;

    fn house(arrows: &[(&str, &[&str])]) -> Workspace {
        let mut workspace = Workspace::default();
        for (path, dependencies) in arrows {
            let dependencies = dependencies
                .iter()
                .map(|name| Dependency { name: (*name).to_owned(), used_in: UsedIn::Code })
                .collect::<Vec<_>>();
            let needs = dependencies.iter().map(|dependency| dependency.name.clone()).collect();
            workspace.needs.insert((*path).to_owned(), needs);
            // In these tests a crate is called by its path.
            workspace.crates.push(Crate { name: (*path).to_owned(), path: (*path).to_owned(), dependencies });
        }
        workspace
    }

    #[test]
    fn the_house_as_drawn_crosses_no_border() {
        let house = house(&[
            ("lib/plimsoll", &["tokio", "quanta"]),
            ("lib/plimsoll-tower", &["lib/plimsoll", "tower-service"]),
            ("server/store", &["lib/plimsoll", "rusqlite"]),
            ("server/service", &["lib/plimsoll", "axum"]),
            ("systems/hooks", &["lib/plimsoll", "server/store", "server/service"]),
            ("cli", &["lib/plimsoll", "server/store", "server/service", "systems/hooks", "tools/lint"]),
            ("tools/versus", &["lib/plimsoll", "systems/hooks", "governor"]),
            ("xtask", &["clap"]),
        ]);
        assert_eq!(crossed(&house), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_upward_or_sideways_is_told() {
        for (from, to) in [
            ("systems/hooks", "systems/jobs"),
            ("systems/hooks", "cli"),
            ("server/store", "server/service"),
            ("server/service", "systems/hooks"),
            ("lib/plimsoll", "lib/plimsoll-tower"),
            ("tools/load", "server/service"),
            ("tools/load", "systems/hooks"),
            ("cli", "tools/versus"),
            ("tools/lint", "cli"),
            ("xtask", "lib/plimsoll"),
        ] {
            let told = crossed(&house(&[(from, &[to]), (to, &[])]));
            assert!(told[0].starts_with(&format!("{from}: must not depend on {to}")), "{told:?}");
        }
    }

    #[test]
    fn only_the_store_names_an_engine_and_the_ground_stays_small() {
        assert_eq!(crossed(&house(&[("systems/hooks", &["rusqlite"])])).len(), 1);
        assert_eq!(crossed(&house(&[("server/store", &["rusqlite"])])).len(), 0);
        let told = crossed(&house(&[("lib/plimsoll", &["serde"])]));
        assert_eq!(told.len(), 2, "directly, and by any way: {told:?}");
        let told = crossed(&house(&[("lib/plimsoll-tower", &["tower"])]));
        assert_eq!(told.len(), 2, "only the traits of tower: {told:?}");
    }

    #[test]
    fn what_comes_by_way_of_others_is_told_with_the_way() {
        let mut house = house(&[("lib/plimsoll", &["tokio"])]);
        house.needs.insert("tokio".to_owned(), ["http".to_owned()].into());
        assert_eq!(crossed(&house), ["lib/plimsoll: must not need http: lib/plimsoll -> tokio -> http"]);
    }

    #[test]
    fn banned_crates_and_licences_are_told() {
        let mut house = house(&[("cli", &["openssl"])]);
        for (name, licence) in
            [("openssl", Some("Apache-2.0")), ("copyleft", Some("GPL-3.0-only")), ("none", None)]
        {
            let licence = licence.map(str::to_owned);
            house.third_party.push(ThirdParty { name: name.into(), version: "1.0.0".into(), licence });
        }
        let told = crossed(&house);
        assert!(told[0].contains("openssl 1.0.0: banned"), "{told:?}");
        assert!(told[0].contains("cli -> openssl"), "{told:?}");
        assert!(told[1].contains("copyleft 1.0.0: licence `GPL-3.0-only`"), "{told:?}");
        assert!(told[2].contains("none 1.0.0: states no licence"), "{told:?}");
    }

    #[test]
    fn a_crate_outside_the_house_is_told() {
        assert_eq!(crossed(&house(&[("misc/thing", &[])])).len(), 1);
    }
}
