//! The files that the rows read and write, and the folder that they are in. `compare` removes it in the end.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process;

use super::Page;

/// Folders that the small files are in.
const FOLDERS: u64 = 100;

/// The environment variable that says where the folder is: to the processes of a trial, and to a run that is to leave it.
pub const FOLDER: &str = "FILCH_COMPARE_DATA";

/// Where all of it is: beside the program, on a real disk, unless the environment says otherwise.
///
/// # Errors
///
/// When this program's own path is unknown.
pub fn folder() -> io::Result<PathBuf> {
    if let Some(folder) = env::var_os(FOLDER) {
        return Ok(folder.into());
    }
    let program = env::current_exe()?;
    let folder = program.parent().ok_or_else(|| io::Error::other("a program without a folder"))?;
    Ok(folder.join(format!("compare-data-{}", process::id())))
}

/// Removes all of it, if it is this run's.
///
/// # Errors
///
/// When it is there afterwards.
pub fn remove() -> io::Result<()> {
    if env::var_os(FOLDER).is_some() {
        return Ok(());
    }
    match fs::remove_dir_all(folder()?) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Blocks of the large file: 1 GiB, or 64 MiB in a quick run.
pub fn blocks(quick: bool) -> u64 {
    let bytes: u64 = if quick { 64 << 20 } else { 1 << 30 };
    bytes / Page::SIZE as u64
}

/// Where the large file is.
///
/// # Errors
///
/// As [`folder`].
pub fn large(quick: bool) -> io::Result<PathBuf> {
    Ok(folder()?.join(format!("blocks-{}", blocks(quick))))
}

/// Makes the large file, if it is not there. Each block begins with its own number.
///
/// # Errors
///
/// When it cannot be written.
pub fn make_large(quick: bool) -> io::Result<()> {
    let (path, blocks) = (large(quick)?, blocks(quick));
    if fs::metadata(&path).is_ok_and(|found| found.len() == blocks * Page::SIZE as u64) {
        return Ok(());
    }
    fs::create_dir_all(folder()?)?;
    eprintln!("writing {} ({} MiB)", path.display(), (blocks * Page::SIZE as u64) >> 20);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let mut block = Page::new();
    for number in 0..blocks {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block)?;
    }
    // On disk now, lest writing it back disturbs the trials.
    file.into_inner()?.sync_all()
}

/// Reads a file once, so that it is in the page cache.
///
/// # Errors
///
/// When it cannot be read.
pub fn fill_cache(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// How many small files there are.
pub fn small_files(quick: bool) -> u64 {
    if quick { 2_000 } else { 20_000 }
}

/// Where the small files are, each one's number being its place.
///
/// # Errors
///
/// As [`folder`].
pub fn small(quick: bool) -> io::Result<Vec<PathBuf>> {
    let files = small_files(quick);
    let folder = folder()?.join(format!("small-{files}"));
    let path = |number| folder.join(format!("{:02}", number % FOLDERS)).join(format!("{number}"));
    Ok((0..files).map(path).collect())
}

/// Makes the small files, if they are not there: a page each, which begins with its number.
///
/// # Errors
///
/// When they cannot be written.
pub fn make_small(quick: bool) -> io::Result<()> {
    let paths = small(quick)?;
    if paths.last().is_some_and(|last| last.exists()) {
        return Ok(());
    }
    eprintln!("writing {} files", paths.len());
    let mut block = Page::new();
    for (number, path) in paths.iter().enumerate() {
        fs::create_dir_all(path.parent().expect("it is in a folder"))?;
        block[..8].copy_from_slice(&(number as u64).to_le_bytes());
        fs::write(path, &*block)?;
    }
    File::open(folder()?)?.sync_all()
}

/// Whether what was read of a block, or of a small file, is what is there.
///
/// # Errors
///
/// When it is not.
pub fn check(block: u64, count: usize, bytes: &[u8]) -> io::Result<()> {
    if count == Page::SIZE && bytes[..8] == block.to_le_bytes() {
        Ok(())
    } else {
        Err(io::Error::other(format!("block {block}: read {count} bytes, or the wrong ones")))
    }
}

/// Whether a copy of the large file is as long as it, and right in a few places.
///
/// # Errors
///
/// When it is not.
pub fn check_copy(path: &Path, quick: bool) -> io::Result<()> {
    use std::os::unix::fs::FileExt;

    let (file, blocks) = (File::open(path)?, blocks(quick));
    let len = file.metadata()?.len();
    if len != blocks * Page::SIZE as u64 {
        return Err(io::Error::other(format!("the copy has {len} bytes")));
    }
    let mut page = Page::new();
    for block in (0..blocks).step_by(997).chain([blocks - 1]) {
        let count = file.read_at(&mut page, block * Page::SIZE as u64)?;
        check(block, count, &page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_block_is_noticed() {
        let mut bytes = Page::new();
        bytes[..8].copy_from_slice(&7u64.to_le_bytes());
        assert!(check(7, Page::SIZE, &bytes).is_ok());
        assert!(check(8, Page::SIZE, &bytes).is_err());
        assert!(check(7, Page::SIZE - 1, &bytes).is_err());
    }

    #[test]
    fn small_files_have_places_of_their_own() {
        let mut paths = small(true).unwrap();
        let folders: std::collections::HashSet<_> =
            paths.iter().map(|path| path.parent().unwrap().to_owned()).collect();
        assert_eq!(folders.len() as u64, FOLDERS);
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len() as u64, small_files(true));
    }
}
