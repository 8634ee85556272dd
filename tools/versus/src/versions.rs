//! Which version of a peer was built in: read from Cargo.lock, where it cannot be out of date.

const LOCK: &str = include_str!("../../../Cargo.lock");

/// The version of the crate `name` that this crate depends on.
pub(crate) fn of(name: &str) -> Option<&'static str> {
    direct(LOCK, env!("CARGO_PKG_NAME"), name)
}

/// The version of `name` that `by` depends on. Where there are several in the tree, cargo writes
/// which one beside the name.
fn direct<'a>(lock: &'a str, by: &str, name: &str) -> Option<&'a str> {
    let mine = packages(lock).find(|package| field(package, "name") == Some(by))?;
    let named = mine.lines().find_map(|line| {
        let entry = line.trim().strip_prefix('"')?.trim_end_matches(['"', ',']);
        let mut words = entry.split(' ');
        (words.next() == Some(name)).then(|| words.next())
    })?;
    match named {
        Some(version) => Some(version),
        None => packages(lock)
            .find(|package| field(package, "name") == Some(name))
            .and_then(|p| field(p, "version")),
    }
}

fn packages(lock: &str) -> impl Iterator<Item = &str> {
    lock.split("[[package]]").skip(1)
}

fn field<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_versions_it_is_ours_that_is_told() {
        let lock = "\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\n\
                    version = \"2.0.0\"\n\n[[package]]\nname = \"c\"\nversion = \"3.1.0\"\n\n[[package]]\n\
                    name = \"a\"\nversion = \"0.1.0\"\ndependencies = [\n \"b 2.0.0\",\n \"c\",\n]\n";
        assert_eq!(direct(lock, "a", "b"), Some("2.0.0"));
        assert_eq!(direct(lock, "a", "c"), Some("3.1.0"));
        assert_eq!(direct(lock, "a", "d"), None);
    }

    #[test]
    fn every_peer_has_a_version() {
        for pair in crate::pair::all() {
            assert!(of(pair.peer).is_some(), "{}", pair.peer);
        }
    }
}
