//! What is large holds nobody up.

use crate::support::{PATIENCE, runtime};
use crate::world::TempDir;
use filch::fs::{self, File, OpenOptions};
use filch_testkit::exec::yield_now;
use filch_testkit::limits::watchdog;
use filch_testkit::skip;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Held up, the other is polled some dozen times, before the worker looks after its ring; else thousands of times.
const MANY: u64 = 500;

/// How often another task of the one worker is polled while `future` is not done.
async fn polls_meanwhile<F: Future>(future: F) -> (F::Output, u64) {
    let (polls, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, is_over) = (polls.clone(), over.clone());
    // Relaxed, all: one worker does it all.
    let other = filch::spawn(async move {
        while !is_over.load(Ordering::Relaxed) {
            count.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    let before = polls.load(Ordering::Relaxed);
    let output = future.await;
    let meanwhile = polls.load(Ordering::Relaxed) - before;
    over.store(true, Ordering::Relaxed);
    other.await.expect("it does not panic");
    (output, meanwhile)
}

/// FS-9. All of it is in the page cache, from where it is copied in one go.
#[test]
fn a_large_transfer_does_not_hold_up_its_worker() {
    let _watchdog = watchdog(PATIENCE);
    const SIZE: usize = 256 << 20;
    let root = TempDir::new("large");
    std::fs::write(root.join("file"), vec![7; SIZE]).unwrap();
    let runtime = runtime(1);
    let task = runtime.handle().spawn(async move {
        let file = OpenOptions::new().read(true).write(true).open(root.join("file")).await.unwrap();
        let buf = vec![0; SIZE];
        let ((read, buf), polls) = polls_meanwhile(file.read_at(buf, 0)).await;
        assert_eq!(read.unwrap(), SIZE);
        assert!(polls > MANY, "reading: {polls}");
        let ((written, buf), polls) = polls_meanwhile(file.write_at(buf, 0)).await;
        assert_eq!(written.unwrap(), SIZE);
        assert!(polls > MANY, "writing: {polls}");
        assert!(buf.iter().all(|&byte| byte == 7));
        drop(buf);
        let (whole, polls) = polls_meanwhile(fs::read(root.join("file"))).await;
        assert_eq!(whole.unwrap().len(), SIZE);
        assert!(polls > MANY, "reading the whole: {polls}");
        let (copied, polls) = polls_meanwhile(fs::copy(root.join("file"), root.join("to"))).await;
        assert_eq!(copied.unwrap(), SIZE as u64);
        assert!(polls > MANY, "copying: {polls}");
    });
    runtime.block_on(task).unwrap();
}

/// FS-8. More than the system moves in one go: a read that gives less than there is room for is not the end.
#[test]
#[ignore = "a soak test: takes some gigabytes of memory"]
fn soak_all_of_what_is_larger_than_a_transfer_is_read() {
    let _watchdog = watchdog(PATIENCE);
    const SIZE: u64 = (2 << 30) + 5;
    let root = TempDir::new("two gigabytes");
    let file = std::fs::File::create(root.join("file")).unwrap();
    file.set_len(SIZE - 4).unwrap();
    std::fs::File::options()
        .append(true)
        .open(root.join("file"))
        .unwrap()
        .write_all(b"last")
        .unwrap();
    let whole = runtime(2).block_on(fs::read(root.join("file"))).unwrap();
    assert_eq!(whole.len() as u64, SIZE);
    assert!(whole.ends_with(b"\0last"));
}

fn sha256(path: &Path) -> Option<String> {
    let output = Command::new("sha256sum").arg(path).output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned())
}

/// FS-9, FS-13. A gigabyte, copied by the system and through the ring, against sha256sum.
#[test]
#[ignore = "a soak test: writes some gigabytes"]
fn soak_a_gigabyte_is_copied() {
    let _watchdog = watchdog(10 * PATIENCE);
    let root = TempDir::new("gigabyte");
    let mut dice = filch_testkit::Random::new(1);
    let block = dice.bytes(1 << 20);
    let mut file = std::fs::File::create(root.join("from")).unwrap();
    for number in 0..1024u64 {
        file.write_all(&number.to_le_bytes()).unwrap();
        file.write_all(&block[8..]).unwrap();
    }
    drop(file);
    let Some(expected) = sha256(&root.join("from")) else {
        return skip("sha256sum is not installed");
    };
    runtime(2).block_on(async {
        let copied = fs::copy(root.join("from"), root.join("copied")).await.unwrap();
        assert_eq!(copied, 1 << 30);
        assert_eq!(sha256(&root.join("copied")).as_ref(), Some(&expected));
        fs::remove_file(root.join("copied")).await.unwrap();
        let mut from = File::open(root.join("from")).await.unwrap();
        let mut to = File::create(root.join("pumped")).await.unwrap();
        assert_eq!(filch::io::copy(&mut from, &mut to).await.unwrap(), 1 << 30);
        to.sync_all().await.unwrap();
        to.close().await.unwrap();
        assert_eq!(sha256(&root.join("pumped")).as_ref(), Some(&expected));
        fs::remove_file(root.join("pumped")).await.unwrap();
        let whole = fs::read(root.join("from")).await.unwrap();
        fs::write(root.join("written"), whole).await.unwrap();
        assert_eq!(sha256(&root.join("written")).as_ref(), Some(&expected));
    });
}

/// Copies a directory and all below, many files at a time; permissions, too.
async fn copy_tree(from: &Path, to: &Path) -> u64 {
    let mut open = vec![PathBuf::new()];
    let mut directories = Vec::new();
    let mut copies = filch::TaskSet::new();
    let mut copied = 0;
    while let Some(below) = open.pop() {
        fs::create_dir_all(to.join(&below)).await.unwrap();
        directories.push(below.clone());
        let mut entries = fs::read_dir(from.join(&below)).await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            let below = below.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(below);
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).await.unwrap();
                fs::symlink(target, to.join(below)).await.unwrap();
            } else {
                let _handle = copies.spawn(fs::copy(entry.path(), to.join(below)));
                while copies.len() > 64 {
                    copied += copies.join_next().await.unwrap().unwrap().unwrap();
                }
            }
        }
    }
    while let Some(one) = copies.join_next().await {
        copied += one.unwrap().unwrap();
    }
    // Only now: there may be some that nobody may write into.
    for below in directories {
        let found = fs::metadata(from.join(&below)).await.unwrap();
        fs::set_permissions(to.join(&below), found.permissions()).await.unwrap();
    }
    copied
}

/// All that is in a directory, by its path from there, and the mode of each.
fn modes(root: &Path) -> BTreeMap<PathBuf, u32> {
    let mut open = vec![root.to_owned()];
    let mut all = BTreeMap::new();
    while let Some(path) = open.pop() {
        let found = std::fs::symlink_metadata(&path).unwrap();
        if found.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.insert(path.strip_prefix(root).unwrap().to_owned(), found.mode());
    }
    all
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// FS-10, FS-13. A tree, against `cp` and `diff`, and the modes of all that is in it.
fn a_tree_is_copied(folders: usize, files: usize) {
    let root = TempDir::new("tree");
    let mut dice = filch_testkit::Random::new(2);
    let mut bytes = 0;
    for folder_number in 0..folders {
        let folder = root.join(format!("from/{}/{folder_number}", folder_number % 7));
        std::fs::create_dir_all(&folder).unwrap();
        for file in 0..files {
            let len = dice.below(20_000);
            let path = folder.join(format!("file {file}"));
            std::fs::write(&path, dice.bytes(len)).unwrap();
            set_mode(&path, [0o644, 0o600, 0o444, 0o755, 0o466][file % 5]);
            bytes += len as u64;
        }
        std::os::unix::fs::symlink("file 0", folder.join("link")).unwrap();
        set_mode(&folder, [0o755, 0o700, 0o1777, 0o2770, 0o500][folder_number % 5]);
    }
    let copied = runtime(2).block_on(async {
        let (from, to) = (root.join("from"), root.join("ours"));
        filch::spawn(async move { copy_tree(&from, &to).await }).await.unwrap()
    });
    assert_eq!(copied, bytes);
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).current_dir(&*root).output()
    };
    match run("cp", &["-a", "from", "theirs"]) {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => return skip(format_args!("no cp: {error}")),
    }
    assert_eq!(modes(&root.join("ours")), modes(&root.join("theirs")));
    let output = run("diff", &["-r", "--no-dereference", "ours", "theirs"]).expect("cp is there");
    assert!(output.status.success(), "{output:?}");
    // Whoever is not root removes nothing where nobody may write.
    for (below, mode) in modes(&root) {
        if mode & libc::S_IFMT == libc::S_IFDIR {
            set_mode(&root.join(below), 0o700);
        }
    }
}

/// FS-10, FS-13.
#[test]
fn a_small_tree_is_copied() {
    let _watchdog = watchdog(PATIENCE);
    a_tree_is_copied(9, 20);
}

/// FS-10, FS-13.
#[test]
#[ignore = "a soak test: thousands of files"]
fn soak_a_tree_of_thousands_is_copied() {
    let _watchdog = watchdog(10 * PATIENCE);
    a_tree_is_copied(100, 60);
}
