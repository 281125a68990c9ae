//! Which files there are.
//!
//! The kernel has no operation for listing a directory that a ring could take. So this blocks, and runs
//! on a thread made for that: no worker waits for it.

use super::skipped::Skipped;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// How much is enough.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// No further file is looked at after so many.
    files: usize,
    /// A file that does not fit into what is left of so many bytes is left out.
    bytes: u64,
}

impl Limits {
    pub(crate) const NONE: Self = Self { files: usize::MAX, bytes: u64::MAX };
    pub(crate) const USUAL: Self = Self { files: 5000, bytes: 64 << 20 };
}

/// What a walk has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    /// Files that were too large for what was left of the limit.
    pub(crate) too_large: usize,
    /// Whether there are files beyond the limit, which nobody looked at.
    pub(crate) is_cut: bool,
    /// What could not be looked at.
    pub(crate) skipped: Skipped,
}

/// Finds the files under `root`, or `root` itself if it is one.
///
/// # Errors
///
/// If there is no `root`.
pub(crate) async fn walk(root: &Path, limits: Limits) -> io::Result<Found> {
    let root = root.to_owned();
    let walk = filch::spawn_blocking(move || walk_blocking(&root, limits));
    walk.await.map_err(io::Error::other)?
}

fn walk_blocking(root: &Path, limits: Limits) -> io::Result<Found> {
    // Whoever names a link means what it leads to; links further down are not followed.
    let what = fs::metadata(root).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot look at {}: {error}", root.display()))
    })?;
    let mut walk = Walk { bytes_left: limits.bytes, limits, found: Found::default() };
    if what.is_dir() {
        walk.directories(root.to_owned());
    } else if what.is_file() {
        walk.file(root.to_owned(), what.len());
    } else {
        let text = format!("{} is neither a file nor a directory", root.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(walk.found)
}

struct Walk {
    limits: Limits,
    bytes_left: u64,
    found: Found,
}

impl Walk {
    /// Goes through a directory and those in it: with a list in place of recursion, which a very deep
    /// tree would make too deep.
    fn directories(&mut self, root: PathBuf) {
        let mut to_visit = vec![root];
        while let Some(directory) = to_visit.pop() {
            if self.found.is_cut {
                return;
            }
            if let Err(error) = self.directory(&directory, &mut to_visit) {
                self.found.skipped.add(&format!("list {}", directory.display()), &error);
            }
        }
    }

    fn directory(&mut self, directory: &Path, to_visit: &mut Vec<PathBuf>) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                if name != "target" && !name.starts_with("target-") {
                    to_visit.push(entry.path());
                }
            } else if kind.is_file() {
                match entry.metadata() {
                    Ok(what) => self.file(entry.path(), what.len()),
                    Err(error) => {
                        self.found
                            .skipped
                            .add(&format!("look at {}", entry.path().display()), &error);
                    }
                }
                if self.found.is_cut {
                    break;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, len: u64) {
        if self.found.files.len() + self.found.too_large >= self.limits.files {
            self.found.is_cut = true;
        } else if let Some(left) = self.bytes_left.checked_sub(len) {
            self.bytes_left = left;
            self.found.files.push(path);
        } else {
            self.found.too_large += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_what_comes_too_late_is_not_looked_at() {
        let limits = Limits { files: 3, bytes: 10 };
        let mut walk = Walk { bytes_left: limits.bytes, limits, found: Found::default() };
        walk.file("a".into(), 8);
        walk.file("b".into(), 3);
        assert!(!walk.found.is_cut);
        walk.file("c".into(), 2);
        assert!(!walk.found.is_cut);
        walk.file("d".into(), 0);
        assert!(walk.found.is_cut);
        assert_eq!(walk.found.files, [Path::new("a"), Path::new("c")]);
        assert_eq!(walk.found.too_large, 1);
    }
}
