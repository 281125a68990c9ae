//! The repository's files: where they are, which are its own, and copies of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::proc;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // `cargo run` tells where this crate is now; a binary started by hand falls back to where it
    // was built.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let up = here.ancestors().nth(2).expect("this crate is two folders deep");
    up.to_owned()
}

/// Where everything that is built goes.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// All files of the repository, new ones included, ignored and deleted ones not; relative to the
/// root and sorted.
pub(crate) fn files() -> Result<Vec<PathBuf>, String> {
    let root = root();
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&root);
    let listed = proc::stdout(git)?;
    let names: BTreeSet<PathBuf> =
        listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    Ok(names.into_iter().filter(|name| root.join(name).is_file()).collect())
}

/// Makes `copy` hold exactly `files` of the repository. A file that is already right is not
/// touched, so that cargo sees only what changed; what else lies in `copy` is removed.
pub(crate) fn sync(files: &[PathBuf], copy: &Path) -> Result<(), String> {
    let wanted: BTreeSet<PathBuf> = files.iter().map(|name| copy.join(name)).collect();
    remove_others(copy, &wanted)?;
    for name in files {
        let (from, to) = (root().join(name), copy.join(name));
        let content = fs::read(&from).map_err(|error| format!("{}: {error}", name.display()))?;
        if fs::read(&to).is_ok_and(|old| old == content) {
            continue;
        }
        let written = fs::create_dir_all(to.parent().expect("a file is in a folder"))
            .and_then(|()| fs::write(&to, content));
        written.map_err(|error| format!("cannot copy {}: {error}", name.display()))?;
    }
    Ok(())
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.is_dir() && !path.is_symlink() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_and_lists_this_file() {
        assert!(root().join("Cargo.toml").is_file());
        assert!(files().unwrap().contains(&PathBuf::from("crates/xtask/src/tree.rs")));
    }

    #[test]
    fn a_copy_follows_and_leaves_what_is_right_alone() {
        let copy = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        let files = [PathBuf::from("Cargo.toml"), PathBuf::from("crates/xtask/Cargo.toml")];
        sync(&files, &copy).unwrap();
        let written = fs::metadata(copy.join("Cargo.toml")).unwrap().modified().unwrap();
        fs::write(copy.join("crates/xtask/Cargo.toml"), "mutated").unwrap();
        fs::write(copy.join("stray.rs"), "left over").unwrap();

        sync(&files, &copy).unwrap();
        assert_eq!(fs::metadata(copy.join("Cargo.toml")).unwrap().modified().unwrap(), written);
        let again = fs::read(copy.join("crates/xtask/Cargo.toml")).unwrap();
        assert_eq!(again, fs::read(root().join("crates/xtask/Cargo.toml")).unwrap());
        assert!(!copy.join("stray.rs").exists());
        fs::remove_dir_all(&copy).unwrap();
    }
}
