//! What `cargo metadata` says, in the few words the checks need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand, PackageId};

/// The workspace: our crates, theirs, and who needs whom.
#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// Our crates.
    pub(crate) crates: Vec<Crate>,
    /// Every crate that is not ours, on any platform, with all features.
    pub(crate) third_party: Vec<ThirdParty>,
    /// Who needs whom to be built, tests apart: by name, across versions.
    pub(crate) needs: BTreeMap<String, BTreeSet<String>>,
}

/// A crate of ours.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// From the root, with `/` between: `lib/plimsoll`.
    pub(crate) path: String,
    /// What its Cargo.toml names.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency as a Cargo.toml names it.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) used_in: UsedIn,
}

/// What a dependency is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UsedIn {
    Code,
    Tests,
    BuildScript,
}

/// A crate that is not ours.
#[derive(Clone, Debug)]
pub(crate) struct ThirdParty {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Self, String> {
        let metadata = MetadataCommand::new()
            .features(CargoOpt::AllFeatures)
            .exec()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        let root = metadata.workspace_root.clone();
        let mut workspace = Self {
            root: root.clone().into(),
            target: metadata.target_directory.clone().into(),
            ..Self::default()
        };
        for package in &metadata.packages {
            if !metadata.workspace_members.contains(&package.id) {
                workspace.third_party.push(ThirdParty {
                    name: package.name.to_string(),
                    version: package.version.to_string(),
                    licence: package.license.clone(),
                });
                continue;
            }
            let manifest = package.manifest_path.parent().unwrap_or(&root);
            let path = manifest.strip_prefix(&root).unwrap_or(manifest);
            workspace.crates.push(Crate {
                name: package.name.to_string(),
                path: path.as_str().replace('\\', "/"),
                dependencies: package.dependencies.iter().map(Dependency::read).collect(),
            });
        }
        let names: BTreeMap<&PackageId, &str> =
            metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            let needs = workspace.needs.entry(names[&node.id].to_owned()).or_default();
            for dependency in &node.deps {
                if dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development) {
                    needs.insert(names[&dependency.pkg].to_owned());
                }
            }
        }
        Ok(workspace)
    }

    /// Whether a crate of this name is ours.
    pub(crate) fn ours(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|one| one.name == name)
    }

    /// The shortest way from crate `from` to crate `to`, both ends named.
    pub(crate) fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut front = vec![from];
        // Ends: a crate is entered once.
        while !front.is_empty() && !came_from.contains_key(to) {
            let mut next = Vec::new();
            for one in front {
                for need in self.needs.get(one).into_iter().flatten() {
                    if need != from && !came_from.contains_key(need.as_str()) {
                        came_from.insert(need, one);
                        next.push(need.as_str());
                    }
                }
            }
            front = next;
        }
        let mut way = vec![to.to_owned()];
        let mut at = to;
        while at != from {
            at = came_from.get(at)?;
            way.push(at.to_owned());
        }
        way.reverse();
        Some(way)
    }
}

impl Dependency {
    fn read(from: &cargo_metadata::Dependency) -> Self {
        let used_in = match from.kind {
            DependencyKind::Development => UsedIn::Tests,
            DependencyKind::Build => UsedIn::BuildScript,
            _ => UsedIn::Code,
        };
        Self { name: from.name.clone(), used_in }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_two_crates_is_the_shortest() {
        let mut workspace = Workspace::default();
        for (who, needs) in [("a", vec!["b", "c"]), ("b", vec!["d"]), ("c", vec!["b", "a"]), ("d", vec!["e"])]
        {
            workspace.needs.insert(who.into(), needs.into_iter().map(str::to_owned).collect());
        }
        assert_eq!(workspace.way("a", "e"), Some(["a", "b", "d", "e"].map(str::to_owned).to_vec()));
        assert_eq!(workspace.way("d", "a"), None);
    }
}
