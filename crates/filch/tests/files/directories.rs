//! Directories, names and copies.

use crate::support::{PATIENCE, pattern, runtime, temp};
use crate::world::{TempDir, number};
use filch::fs;
use filch_testkit::limits::watchdog;
use filch_testkit::{child, skip};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

/// FS-10. Several batches, each entry once, by futures and as a stream.
#[filch::test]
async fn a_directory_is_read_in_batches() {
    let root = TempDir::new("batches");
    let names: BTreeSet<String> = (0..1300).map(|n| format!("file {n}")).collect();
    for name in &names {
        std::fs::write(root.join(name), name).unwrap();
    }
    let mut entries = fs::read_dir(&*root).await.unwrap();
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await.unwrap() {
        assert!(entry.file_type().unwrap().is_file());
        found.push(entry.file_name().into_string().unwrap());
    }
    assert!(entries.next_entry().await.unwrap().is_none(), "it has ended for good");
    assert_eq!(
        (found.len(), found.into_iter().collect::<BTreeSet<_>>()),
        (names.len(), names.clone())
    );
    let stream = fs::read_dir(&*root).await.unwrap();
    let streamed: Vec<_> = stream.map(|entry| entry.unwrap().file_name()).collect().await;
    let streamed: BTreeSet<_> =
        streamed.into_iter().map(|name| name.into_string().unwrap()).collect();
    assert_eq!(streamed, names);
}

/// FS-11. Several that make the same directories do not disturb each other.
#[filch::test(workers = 2)]
async fn directories_are_made_by_many_at_once() {
    let root = TempDir::new("many");
    for round in 0..20 {
        let deep = root.join(format!("{round}/a/b/c/d"));
        let makers = (0..8).map(|_| filch::spawn(fs::create_dir_all(deep.clone())));
        for maker in makers.collect::<Vec<_>>() {
            maker.await.unwrap().unwrap();
        }
        assert!(deep.is_dir());
    }
    std::fs::write(root.join("file"), "").unwrap();
    let error = fs::create_dir_all(root.join("file/below")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    assert!(error.to_string().contains("file/below"), "{error}");
    let error = fs::create_dir_all(root.join("file")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

/// FS-12.
#[filch::test]
async fn what_links_lead_to_is_not_removed() {
    let root = TempDir::new("links");
    fs::create_dir_all(root.join("kept/deep")).await.unwrap();
    fs::write(root.join("kept/deep/file"), "kept").await.unwrap();
    fs::create_dir(root.join("gone")).await.unwrap();
    fs::symlink(root.join("kept"), root.join("gone/link")).await.unwrap();
    fs::remove_dir_all(root.join("gone")).await.unwrap();
    assert!(!fs::try_exists(root.join("gone")).await.unwrap());
    assert_eq!(fs::read(root.join("kept/deep/file")).await.unwrap(), b"kept");
}

/// FS-13. Through the system's own copying, and by reading and writing.
#[filch::test]
async fn a_copy_has_contents_and_permissions() {
    let root = TempDir::new("copies");
    let contents = pattern(0, (16 << 20) + 12_345);
    fs::write(root.join("from"), &contents).await.unwrap();
    let permissions = fs::Permissions::from_mode(0o750);
    fs::set_permissions(root.join("from"), permissions.clone()).await.unwrap();
    // What was longer is replaced, too.
    fs::write(root.join("to"), vec![1; contents.len() + 999]).await.unwrap();
    assert_eq!(fs::copy(root.join("from"), root.join("to")).await.unwrap(), contents.len() as u64);
    assert!(fs::read(root.join("to")).await.unwrap() == contents);
    let found = fs::metadata(root.join("to")).await.unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o750);

    // The kernel's own making: it says it is empty.
    let copied = fs::copy("/proc/self/comm", root.join("comm")).await.unwrap();
    assert_eq!(fs::read("/proc/self/comm").await.unwrap().len() as u64, copied);
    assert_eq!(fs::copy(root.join("from"), "/dev/null").await.unwrap(), contents.len() as u64);

    for same in ["from", "./from", "other name"] {
        if same == "other name" {
            fs::hard_link(root.join("from"), root.join(same)).await.unwrap();
        }
        let error = fs::copy(root.join("from"), root.join(same)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("from"), "{error}");
        assert_eq!(fs::metadata(root.join("from")).await.unwrap().len(), contents.len() as u64);
    }
    let error = fs::copy(&*root, root.join("to")).await.unwrap_err();
    assert_eq!((error.kind(), number(&error)), (ErrorKind::InvalidInput, None));
}

/// FS-13. Into another file system, where the kernel does not copy by itself or does.
#[filch::test]
async fn a_copy_goes_into_another_file_system() {
    let root = TempDir::new("across");
    let contents = pattern(3, 700_001);
    fs::write(root.join("from"), &contents).await.unwrap();
    let path = std::path::Path::new("/dev/shm").join(temp("across").file_name().unwrap());
    match fs::copy(root.join("from"), &path).await {
        Ok(copied) => {
            assert_eq!(copied, contents.len() as u64);
            let read = fs::read(&path).await.unwrap();
            fs::remove_file(&path).await.unwrap();
            assert!(read == contents);
        }
        Err(error) => skip(format_args!("no /dev/shm: {error}")),
    }
}

/// With what the child is to be refused.
const REASON: &str = "FILCH_TEST_REASON";

/// FS-13. Where the system does not copy by itself; and what it says of a disk goes through.
#[test]
fn a_copy_is_read_and_written_where_it_has_to_be() {
    let _watchdog = watchdog(PATIENCE);
    // In the child, which is told its own, this goes round once.
    let told = std::env::var(REASON);
    for number in [libc::EXDEV, libc::ENOSYS, libc::EIO] {
        if told.is_err() {
            // SAFETY: only the standard library reads the environment here, under its lock.
            unsafe { std::env::set_var(REASON, number.to_string()) };
        }
        child::run("directories::a_copy_is_read_and_written_where_it_has_to_be", || {
            let root = TempDir::new("by_reading");
            let number = std::env::var(REASON).unwrap().parse().unwrap();
            child::refuse_system_call(libc::SYS_copy_file_range, number).expect("it can");
            runtime(2).block_on(async {
                let contents = pattern(1, 1_000_003);
                fs::write(root.join("from"), &contents).await.unwrap();
                let copied = fs::copy(root.join("from"), root.join("to")).await;
                match number {
                    libc::EIO => {
                        let error = copied.unwrap_err();
                        assert_eq!(crate::world::number(&error), Some(libc::EIO));
                        assert!(error.to_string().starts_with("cannot copy "), "{error}");
                    }
                    _ => {
                        assert_eq!(copied.unwrap(), contents.len() as u64);
                        assert!(fs::read(root.join("to")).await.unwrap() == contents);
                    }
                }
            });
        });
    }
}

/// FS-10. What could not be read once is read when it is asked for again.
#[filch::test]
async fn a_directory_is_read_on_after_an_error() {
    let root = TempDir::new("read on");
    for number in 0..600 {
        std::fs::write(root.join(number.to_string()), b"").unwrap();
    }
    let mut entries = fs::read_dir(&*root).await.unwrap();
    let mut names = std::collections::HashSet::new();
    while names.len() < 512 {
        names.insert(entries.next_entry().await.unwrap().unwrap().file_name());
    }
    let (mut entries, error) = std::thread::spawn(move || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let next = std::pin::pin!(entries.next_entry()).poll(&mut cx);
        let std::task::Poll::Ready(Err(error)) = next else { panic!("there is no runtime") };
        // As a stream it is at its end: it would give errors for ever.
        let mut stream = std::pin::pin!(&mut entries);
        let next = futures_util::Stream::poll_next(stream.as_mut(), &mut cx);
        assert!(matches!(next, std::task::Poll::Ready(None)));
        (entries, error)
    })
    .join()
    .unwrap();
    assert!(error.to_string().contains("read on"), "{error}");
    while let Some(entry) = entries.next_entry().await.unwrap() {
        names.insert(entry.file_name());
    }
    assert_eq!(names.len(), 600);
}

/// FS-10. Entries keep no directory open.
#[test]
fn entries_keep_nothing_open() {
    let _watchdog = watchdog(PATIENCE);
    child::run("directories::entries_keep_nothing_open", || {
        let root = TempDir::new("entries");
        std::fs::write(root.join("one"), b"").unwrap();
        runtime(1).block_on(async {
            let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
            let mut entries = fs::read_dir(&*root).await.unwrap();
            let entry = entries.next_entry().await.unwrap().unwrap();
            assert!(entries.next_entry().await.unwrap().is_none());
            assert_eq!(entry.path(), root.join("one"));
            assert_eq!(std::fs::read_dir("/proc/self/fd").unwrap().count(), before);
        });
    });
}

/// FS-17. A name that was made below the process's directory goes, wherever that is by then.
#[test]
fn a_temporary_name_goes_after_a_change_of_directory() {
    let _watchdog = watchdog(PATIENCE);
    child::run("directories::a_temporary_name_goes_after_a_change_of_directory", || {
        let root = TempDir::new("changed");
        std::env::set_current_dir(&*root).unwrap();
        runtime(1).block_on(async {
            let temp = fs::TempFile::new_in("").await.unwrap();
            assert!(temp.path().is_absolute());
            let kept = fs::TempFile::new_in(".").await.unwrap();
            std::env::set_current_dir("/").unwrap();
            drop(temp);
            kept.persist(root.join("kept")).await.unwrap();
        });
        let names = std::fs::read_dir(&*root).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["kept"]);
    });
}
