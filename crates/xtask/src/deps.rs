//! What the manifests say, read line by line: packages, features and direct dependencies.
//!
//! A reader of this repository's own `Cargo.toml` files, not of TOML: it knows sections, keys at
//! the start of a line, and nothing else. Each direct dependency has to be explained in
//! `docs/dependencies.md`, and nothing else may be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::tree;

/// One member of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// Its folder, relative to the root.
    pub(crate) folder: PathBuf,
    /// Its name.
    pub(crate) package: String,
    /// Its features, `default` included; optional dependencies are not listed.
    pub(crate) features: Vec<String>,
    /// The crates that it names, our own included.
    pub(crate) dependencies: BTreeSet<String>,
}

/// The manifests of all members.
pub(crate) fn manifests() -> Result<Vec<Manifest>, String> {
    let root = tree::root();
    let mut found = Vec::new();
    for file in tree::files()? {
        if !file.ends_with("Cargo.toml") || file.components().count() == 1 {
            continue;
        }
        let text = fs::read_to_string(root.join(&file))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let folder = file.parent().unwrap_or(&file).to_owned();
        found.push(Manifest { folder, ..parse(&text) });
    }
    Ok(found)
}

fn parse(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end().trim_matches(['[', ']']).to_owned();
            // `[dependencies.name]` names one in its header.
            if let Some((parent, name)) = section.rsplit_once('.')
                && is_dependencies(parent)
            {
                manifest.dependencies.insert(name.trim_matches('"').to_owned());
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        if line.starts_with(char::is_whitespace) || line.starts_with('#') {
            continue;
        }
        // `name.workspace = true` is a key of the same crate.
        let name = key.trim().split('.').next().unwrap_or_default().trim_matches('"').to_owned();
        match section.as_str() {
            "package" if name == "name" => {
                manifest.package = value.trim().trim_matches('"').to_owned();
            }
            "features" => manifest.features.push(name),
            section if is_dependencies(section) => {
                manifest.dependencies.insert(name);
            }
            _ => {}
        }
    }
    manifest
}

fn is_dependencies(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or_default();
    section != "workspace.dependencies"
        && matches!(last, "dependencies" | "dev-dependencies" | "build-dependencies")
}

/// What is wrong with `docs/dependencies.md`: a dependency not explained, or one explained that
/// nobody has.
pub(crate) fn undocumented() -> Result<Vec<String>, String> {
    let text = fs::read_to_string(tree::root().join("docs/dependencies.md"))
        .map_err(|error| format!("docs/dependencies.md: {error}"))?;
    let manifests = manifests()?;
    let own: BTreeSet<&str> = manifests.iter().map(|m| m.package.as_str()).collect();
    let mut used: BTreeMap<&str, &str> = BTreeMap::new();
    for manifest in &manifests {
        for name in manifest.dependencies.iter().filter(|name| !own.contains(name.as_str())) {
            used.insert(name, &manifest.package);
        }
    }
    let explained: BTreeSet<&str> = text.lines().filter_map(row_name).collect();
    let missing = used
        .iter()
        .filter(|(name, _)| !explained.contains(*name))
        .map(|(name, by)| format!("docs/dependencies.md does not explain `{name}`, used by {by}"));
    let stale = explained
        .iter()
        .filter(|name| !used.contains_key(*name))
        .map(|name| format!("docs/dependencies.md explains `{name}`, which nothing uses"));
    Ok(missing.chain(stale).collect())
}

/// The crate that a row of the table is about: "| `name` | ...".
fn row_name(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_tells_its_name_features_and_dependencies() {
        let manifest = parse(
            r#"
[package]
name = "filch-sched"
version.workspace = true

[features]
default = ["std"]
std = []

[dependencies]
filch-atomic.workspace = true
slab = { version = "0.4", features = [
    "std",
] }

[dependencies.libc]
version = "0.2"

[target.'cfg(filch_loom)'.dependencies]
loom = "0.7.2"

[dev-dependencies]
# proptest = "1"
trybuild = "1"

[lints]
workspace = true
"#,
        );
        assert_eq!(manifest.package, "filch-sched");
        assert_eq!(manifest.features, ["default", "std"]);
        let names: Vec<&str> = manifest.dependencies.iter().map(String::as_str).collect();
        assert_eq!(names, ["filch-atomic", "libc", "loom", "slab", "trybuild"]);
    }

    #[test]
    fn the_members_are_found() {
        let manifests = manifests().unwrap();
        let xtask = manifests.iter().find(|manifest| manifest.package == "xtask").unwrap();
        assert_eq!(xtask.folder, PathBuf::from("crates/xtask"));
    }

    #[test]
    fn a_row_of_the_table_names_its_crate() {
        assert_eq!(row_name("| `libc` | system calls |"), Some("libc"));
        assert_eq!(row_name("| crate | why |"), None);
    }
}
