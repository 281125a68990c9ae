//! Calls on paths.

use crate::support::asked::{asked_everywhere, asked_everywhere_in};
use crate::support::{Bytes, TempFile, everywhere, everywhere_in, gated, pattern, temp, watched};
use filch::fs;
use filch::sync::Lock;
use filch_testkit::Cut;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A directory that goes in the end, also if something that was dropped still makes something in it.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        let path = temp("dropped");
        std::fs::create_dir(&path).expect("the temporary directory takes directories");
        Self(path)
    }

    /// A path that outlives it.
    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Deref for TempDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        for _ in 0..1_000 {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Waits until something is so, as what was dropped may still be under way.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if is_so() {
            return;
        }
        filch::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

/// FS-16.
async fn renames(cut: Cut) {
    let root = TempDir::new();
    let (from, to) = (root.at("from"), root.at("to"));
    std::fs::write(&from, "contents").unwrap();
    let done = cut.run(fs::rename(from.clone(), to.clone())).await;
    done.transpose().expect("it renames");
    // First the old one: it goes in the moment in which the new one comes.
    let read = std::fs::read(&from).or_else(|_| std::fs::read(&to)).expect("one of the two");
    assert_eq!(read, b"contents");
}

#[test]
fn a_file_has_either_name() {
    everywhere(2, renames);
}

/// FS-16.
async fn links_and_removes(cut: Cut) {
    let root = TempDir::new();
    let (file, link, soft) = (root.at("file"), root.at("link"), root.at("soft"));
    std::fs::write(&file, "contents").unwrap();
    let paths = (file.clone(), link.clone(), soft.clone());
    let done = cut
        .run(async move {
            let (file, link, soft) = paths;
            fs::hard_link(&file, &link).await?;
            fs::symlink("link", &soft).await?;
            assert_eq!(fs::read_link(&soft).await?, Path::new("link"));
            assert_eq!(fs::canonicalize(&soft).await?, fs::canonicalize(&link).await?);
            assert!(fs::symlink_metadata(&soft).await?.is_symlink());
            assert!(fs::metadata(&soft).await?.is_file());
            fs::set_permissions(&soft, fs::Permissions::from_mode(0o600)).await?;
            fs::remove_file(&soft).await?;
            fs::remove_file(&file).await?;
            fs::try_exists(&file).await
        })
        .await;
    assert!(!done.transpose().expect("all of it works").unwrap_or(false));
    // In order: what comes later has not happened where something before has not.
    let is_removed = !file.exists();
    assert!(!is_removed || link.exists() && std::fs::symlink_metadata(&soft).is_err());
}

#[test]
fn names_come_and_go() {
    everywhere(10, links_and_removes);
}

/// FS-11, FS-12, FS-16.
async fn directories(cut: Cut) {
    let root = TempDir::new();
    let deep = root.at("a/b/c");
    let top = root.at("a");
    let paths = (top.clone(), deep.clone());
    let done = cut
        .run(async move {
            let (top, deep) = paths;
            fs::create_dir_all(&deep).await?;
            fs::create_dir(deep.join("d")).await?;
            fs::remove_dir(deep.join("d")).await?;
            fs::write(deep.join("file"), "contents").await?;
            fs::remove_dir_all(&top).await
        })
        .await;
    if done.transpose().expect("all of it works").is_some() {
        assert!(!top.exists());
    }
}

#[test]
fn directories_come_and_go() {
    everywhere(8, directories);
}

const ENTRIES: usize = 1_100;

/// Filled once, by the test.
static FULL: Mutex<Option<TempDir>> = Mutex::new(None);

/// FS-10.
async fn reads_a_directory(cut: Cut) {
    let path = FULL.lock().unwrap().as_ref().expect("the test fills it").0.clone();
    let place = Arc::new(Lock::new(None));
    let got = Bytes::default();
    let reader = {
        let (place, got, path) = (place.clone(), got.clone(), path.clone());
        async move {
            let mut place = place.lock().await;
            let entries = place.insert(fs::read_dir(path).await.expect("it is there"));
            while read_entry(entries, &got).await {}
        }
    };
    gated(cut.run(reader)).await;
    let mut place = place.lock().await;
    if place.is_none() {
        *place = Some(fs::read_dir(path).await.expect("it is there"));
    }
    let entries = place.as_mut().expect("just now");
    while read_entry(entries, &got).await {}
    let text = String::from_utf8(got.take()).unwrap();
    let mut names: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
    names.sort_unstable();
    assert!(names.into_iter().eq(0..ENTRIES), "each entry, once");
}

async fn read_entry(entries: &mut fs::ReadDir, to: &Bytes) -> bool {
    let entry = entries.next_entry().await.expect("it can be read");
    if let Some(entry) = &entry {
        to.add(format!("{}\n", entry.file_name().to_str().unwrap()).as_bytes());
    }
    entry.is_some()
}

#[test]
fn no_entry_is_lost() {
    let root = TempDir::new();
    for number in 0..ENTRIES {
        std::fs::write(root.join(format!("{number}")), "").unwrap();
    }
    *FULL.lock().unwrap() = Some(root);
    let build = |workers| watched(workers).max_blocking_threads(1);
    everywhere_in(build, 4, reads_a_directory);
    // C2, CANCEL-10.
    asked_everywhere_in(build, 4, reads_a_directory);
    *FULL.lock().unwrap() = None;
}

/// FS-10, FS-16, FS-20.
async fn asks_of_an_entry(cut: Cut) {
    let root = TempDir::new();
    std::fs::write(root.join("file"), "contents").unwrap();
    let path = root.0.clone();
    let done = cut
        .run(async move {
            let file = fs::File::open(path.join("file")).await?;
            file.set_permissions(fs::Permissions::from_mode(0o600)).await?;
            let mut entries = fs::read_dir(&path).await?;
            let entry = entries.next_entry().await?.expect("there is one");
            let mode = entry.metadata().await?.permissions().mode();
            std::io::Result::Ok((mode & 0o777, fs::read_to_string(entry.path()).await?))
        })
        .await;
    if let Some(found) = done.transpose().expect("all of it works") {
        assert_eq!(found, (0o600, "contents".to_owned()));
    }
}

#[test]
fn an_entry_may_be_asked_about() {
    everywhere(4, asks_of_an_entry);
}

/// FS-13.
async fn copies(cut: Cut) {
    let contents = pattern(0, 100_000);
    let from = TempFile::new("copied", &contents);
    let to = TempFile::new("copy", &pattern(7, 200_000));
    let paths = (from.0.clone(), to.0.clone());
    let done = cut.run(async move { fs::copy(paths.0, paths.1).await }).await;
    let read = std::fs::read(&to.0).unwrap();
    if let Some(copied) = done.transpose().expect("it copies") {
        assert_eq!(copied, contents.len() as u64);
        assert!(read == contents);
    } else {
        assert!(contents.starts_with(&read) || read == pattern(7, 200_000), "{}", read.len());
    }
    assert!(std::fs::read(&from.0).unwrap() == contents);
}

#[test]
fn a_copy_is_a_prefix() {
    everywhere(10, copies);
}

/// FS-17.
async fn temporary_files(cut: Cut) {
    let root = TempDir::new();
    let path = root.0.clone();
    let kept = root.at("kept");
    let name = kept.clone();
    let done = cut
        .run(async move {
            let temp = fs::TempFile::new_in(&path).await?;
            temp.write(b"contents").await?;
            let unnamed = fs::tempfile_in(&path).await?;
            unnamed.write(b"contents").await?;
            temp.persist(name).await?.close().await
        })
        .await;
    done.transpose().expect("all of it works");
    // No name but the one that was asked for.
    until("what was dropped is gone", || {
        let names = std::fs::read_dir(&*root).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().all(|name| name == kept)
    })
    .await;
    if let Ok(read) = std::fs::read(&kept) {
        assert_eq!(read, b"contents");
    }
}

#[test]
fn temporary_files_go_wherever_they_are_dropped() {
    everywhere(10, temporary_files);
}

/// C2, CANCEL-10.
#[test]
fn directories_are_whole_wherever_it_is_asked_to_end() {
    asked_everywhere(2, renames);
    asked_everywhere(10, links_and_removes);
    asked_everywhere(8, directories);
    asked_everywhere(4, asks_of_an_entry);
    asked_everywhere(10, copies);
    asked_everywhere(10, temporary_files);
}
