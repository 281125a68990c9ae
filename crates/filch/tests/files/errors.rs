//! Errors with real causes.

use crate::support::{PATIENCE, pattern, runtime};
use crate::world::{TempDir, make_read_only, mount_small, number};
use filch::fs::{self, File, OpenOptions};
use filch_testkit::limits::watchdog;
use filch_testkit::{child, skip};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Every call on paths, with this one; with its name.
async fn all_on(path: &Path, other: &Path) -> Vec<(&'static str, io::Error)> {
    let mode = fs::Permissions::from_mode(0o600);
    vec![
        ("read", fs::read(path).await.unwrap_err()),
        ("read_to_string", fs::read_to_string(path).await.unwrap_err()),
        ("open", File::open(path).await.unwrap_err()),
        ("rename", fs::rename(path, other).await.unwrap_err()),
        ("remove_file", fs::remove_file(path).await.unwrap_err()),
        ("remove_dir", fs::remove_dir(path).await.unwrap_err()),
        ("remove_dir_all", fs::remove_dir_all(path).await.unwrap_err()),
        ("hard_link", fs::hard_link(path, other).await.unwrap_err()),
        ("read_link", fs::read_link(path).await.unwrap_err()),
        ("canonicalize", fs::canonicalize(path).await.unwrap_err()),
        ("metadata", fs::metadata(path).await.unwrap_err()),
        ("symlink_metadata", fs::symlink_metadata(path).await.unwrap_err()),
        ("set_permissions", fs::set_permissions(path, mode).await.unwrap_err()),
        ("copy", fs::copy(path, other).await.unwrap_err()),
        ("read_dir", fs::read_dir(path).await.unwrap_err()),
    ]
}

/// Every call that makes something, there; with its name.
async fn all_making(path: &Path, from: &Path) -> Vec<(&'static str, io::Error)> {
    vec![
        ("write", fs::write(path, "x").await.unwrap_err()),
        ("create", File::create(path).await.unwrap_err()),
        ("create_dir", fs::create_dir(path).await.unwrap_err()),
        ("create_dir_all", fs::create_dir_all(path).await.unwrap_err()),
        ("symlink", fs::symlink("x", path).await.unwrap_err()),
        ("hard_link", fs::hard_link(from, path).await.unwrap_err()),
        ("rename", fs::rename(from, path).await.unwrap_err()),
        ("copy", fs::copy(from, path).await.unwrap_err()),
        ("temporary", fs::TempFile::new_in(path.parent().unwrap()).await.unwrap_err()),
        ("unnamed", fs::tempfile_in(path.parent().unwrap()).await.unwrap_err()),
    ]
}

fn each_says(errors: Vec<(&'static str, io::Error)>, expected: i32, named: &Path) {
    for (call, error) in errors {
        assert_eq!(number(&error), Some(expected), "{call}: {error}");
        assert_eq!(error.kind(), io::Error::from_raw_os_error(expected).kind(), "{call}");
        let text = error.to_string();
        assert!(text.starts_with("cannot "), "{call}: {text}");
        assert!(text.contains(&named.display().to_string()), "{call}: {text}");
    }
}

/// FS-14.
#[filch::test]
async fn what_is_not_there_is_named() {
    let root = TempDir::new("absent");
    let other = root.join("other");
    each_says(all_on(&root.join("absent"), &other).await, libc::ENOENT, &root.join("absent"));
    assert!(!fs::try_exists(root.join("absent")).await.unwrap());
    fs::write(root.join("file"), "").await.unwrap();
    let below = root.join("file/below");
    each_says(all_on(&below, &other).await, libc::ENOTDIR, &below);
    each_says(all_making(&below, &root.join("file")).await, libc::ENOTDIR, &root.join("file"));
    assert_eq!(fs::try_exists(&below).await.unwrap_err().kind(), ErrorKind::NotADirectory);
    let long = root.join("n".repeat(256));
    each_says(all_on(&long, &other).await, libc::ENAMETOOLONG, &long);
    fs::symlink("loop", root.join("loop")).await.unwrap();
    let below = root.join("loop/below");
    each_says(all_on(&below, &other).await, libc::ELOOP, &below);
    assert_eq!(number(&fs::try_exists(&below).await.unwrap_err()), Some(libc::ELOOP));
}

/// FS-14. And a path that none can be.
#[filch::test]
async fn the_wrong_kind_of_file_is_named() {
    let root = TempDir::new("kinds");
    let directory = root.join("directory");
    fs::create_dir_all(directory.join("full")).await.unwrap();
    fs::write(root.join("file"), "x").await.unwrap();
    let kinds = [
        (fs::read(&directory).await.unwrap_err(), libc::EISDIR),
        (fs::write(&directory, "x").await.unwrap_err(), libc::EISDIR),
        (fs::remove_file(&directory).await.unwrap_err(), libc::EISDIR),
        (fs::remove_dir(root.join("file")).await.unwrap_err(), libc::ENOTDIR),
        (fs::remove_dir(&directory).await.unwrap_err(), libc::ENOTEMPTY),
        (fs::create_dir(&directory).await.unwrap_err(), libc::EEXIST),
        (fs::symlink("x", &directory).await.unwrap_err(), libc::EEXIST),
        (fs::rename(root.join("file"), &directory).await.unwrap_err(), libc::EISDIR),
        (fs::hard_link(&directory, root.join("x")).await.unwrap_err(), libc::EPERM),
        (fs::read_link(root.join("file")).await.unwrap_err(), libc::EINVAL),
        (fs::read_dir(root.join("file")).await.unwrap_err(), libc::ENOTDIR),
        (fs::rename("/proc/version", root.join("x")).await.unwrap_err(), libc::EXDEV),
    ];
    for (error, expected) in kinds {
        assert_eq!(number(&error), Some(expected), "{error}");
        assert!(error.to_string().contains(&root.display().to_string()), "{error}");
    }
    let nul = Path::new("a\0b");
    let mode = fs::Permissions::from_mode(0o600);
    for error in [
        fs::rename(nul, "x").await.unwrap_err(),
        fs::rename("x", nul).await.unwrap_err(),
        fs::hard_link("x", nul).await.unwrap_err(),
        fs::symlink(nul, "x").await.unwrap_err(),
        fs::remove_file(nul).await.unwrap_err(),
        fs::remove_dir(nul).await.unwrap_err(),
        fs::remove_dir_all(nul).await.unwrap_err(),
        fs::create_dir(nul).await.unwrap_err(),
        fs::create_dir_all(nul).await.unwrap_err(),
        fs::symlink_metadata(nul).await.unwrap_err(),
        fs::set_permissions(nul, mode).await.unwrap_err(),
        fs::copy(nul, "x").await.unwrap_err(),
        fs::read_dir(nul).await.unwrap_err(),
        fs::canonicalize(nul).await.unwrap_err(),
        fs::read_link(nul).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

/// FS-14.
#[test]
fn another_user_is_denied() {
    let _watchdog = watchdog(PATIENCE);
    child::run("errors::another_user_is_denied", || {
        let root = TempDir::new("denied");
        let closed = root.join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::write(closed.join("file"), "x").unwrap();
        std::fs::write(root.join("readable"), "x").unwrap();
        std::fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        // SAFETY: no pointers. The superuser is denied nothing, so it becomes nobody.
        assert!(unsafe { libc::geteuid() != 0 || libc::seteuid(65_534) == 0 });
        runtime(1).block_on(async {
            let path = closed.join("file");
            let mut errors = all_on(&path, &root.join("other")).await;
            // It says of the directory what it cannot do there.
            errors.retain(|error| error.0 != "remove_dir_all");
            each_says(errors, libc::EACCES, &path);
            let making = all_making(&closed.join("new"), &root.join("readable")).await;
            // (The kernel may refuse links to files of others.)
            each_says(
                making.into_iter().filter(|error| error.0 != "hard_link").collect(),
                libc::EACCES,
                &closed,
            );
            let error = fs::try_exists(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            let mode = fs::Permissions::from_mode(0o777);
            // SAFETY: no pointers.
            if unsafe { libc::getuid() } == 0 {
                let error = fs::set_permissions(root.join("readable"), mode).await.unwrap_err();
                assert_eq!(number(&error), Some(libc::EPERM));
            } else {
                skip("only root has files that are not this user's");
            }
        });
        // SAFETY: as above. Whoever made the files removes them.
        unsafe { libc::seteuid(0) };
        std::fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    });
}

/// FS-14. A file system that is full, then read only.
#[test]
fn a_full_file_system_and_one_to_be_read_only() {
    let _watchdog = watchdog(PATIENCE);
    child::run("errors::a_full_file_system_and_one_to_be_read_only", || {
        let root = TempDir::new("full");
        if let Err(reason) = mount_small(&root, 1 << 20) {
            return skip(reason);
        }
        runtime(1).block_on(async {
            let contents = pattern(0, 3 << 20);
            let error = fs::write(root.join("file"), &contents).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert_eq!(number(&error), Some(libc::ENOSPC));
            assert!(error.to_string().starts_with("cannot write "), "{error}");
            assert!(error.to_string().contains("file"), "{error}");
            // What is written is a prefix.
            let written = fs::read(root.join("file")).await.unwrap();
            assert!(!written.is_empty() && contents.starts_with(&written));
            fs::remove_file(root.join("file")).await.unwrap();

            // A short write, then none. The buffer comes back.
            for size in [1 << 20, 3 << 20] {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true);
                let file = options.open(root.join("short")).await.unwrap();
                let (first, buf) = file.write_at(contents[..600_000].to_vec(), 0).await;
                assert_eq!((first.unwrap(), buf.len()), (600_000, 600_000));
                let (written, buf) = file.write_at(contents[..size].to_vec(), 600_000).await;
                let written = written.unwrap();
                assert!(written > 0 && written < size && buf.len() == size, "{written}");
                let at = 600_000 + written as u64;
                let (none, buf) = file.write_at(buf, at).await;
                assert_eq!((none.unwrap_err().kind(), buf.len()), (ErrorKind::StorageFull, size));
                assert_eq!(file.metadata().await.unwrap().len(), at);
                drop(file);
                fs::remove_file(root.join("short")).await.unwrap();
            }

            // A copy that does not fit, by the system.
            let from = TempDir::new("large");
            fs::write(from.join("from"), &contents).await.unwrap();
            let error = fs::copy(from.join("from"), root.join("to")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            let text = error.to_string();
            assert!(text.contains("from") && text.contains("to"), "{text}");
            fs::remove_file(root.join("to")).await.unwrap();

            fs::write(root.join("kept"), "kept").await.unwrap();
            fs::create_dir(root.join("directory")).await.unwrap();
            make_read_only(&root).expect("what is mounted is mounted again");
            each_says(all_making(&root.join("new"), &root.join("kept")).await, libc::EROFS, &root);
            let mode = fs::Permissions::from_mode(0o600);
            let errors = vec![
                ("write", fs::write(root.join("kept"), "x").await.unwrap_err()),
                ("remove_file", fs::remove_file(root.join("kept")).await.unwrap_err()),
                ("remove_dir", fs::remove_dir(root.join("directory")).await.unwrap_err()),
                ("remove_dir_all", fs::remove_dir_all(root.join("directory")).await.unwrap_err()),
                (
                    "set_permissions",
                    fs::set_permissions(root.join("kept"), mode).await.unwrap_err(),
                ),
            ];
            each_says(errors, libc::EROFS, &root);
            assert_eq!(fs::read(root.join("kept")).await.unwrap(), b"kept");
        });
    });
}
