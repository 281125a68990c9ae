//! Limits of a user and of a process: a quota, the size of files, memory that may be locked.

use crate::support::{PATIENCE, pattern, runtime};
use crate::world::{TempDir, mount_quota, number};
use filch::fs::{self, File, OpenOptions};
use filch::io::Write;
use filch_testkit::limits::watchdog;
use filch_testkit::{child, skip};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

/// The superuser has no limits, so it becomes nobody.
fn become_nobody() {
    // SAFETY: no pointers.
    assert!(unsafe { libc::geteuid() != 0 || libc::seteuid(65_534) == 0 });
}

/// Whoever made the files removes them.
fn become_somebody() {
    // SAFETY: no pointers. Who was nobody from the start stays so.
    unsafe { libc::seteuid(libc::getuid()) };
}

fn limit(resource: u32, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the structure is there.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// What has no room for more than `room` bytes in one file says so, with `expected`: writes are short, then fail, and the
/// errors of what has a path name it.
async fn has_room_for(root: &TempDir, room: usize, expected: i32, kind: ErrorKind) {
    let contents = pattern(0, 2 * room + (1 << 20));
    let error = fs::write(root.join("file"), &contents).await.unwrap_err();
    assert_eq!((number(&error), error.kind()), (Some(expected), kind), "{error}");
    let path = root.join("file").display().to_string();
    assert!(error.to_string().starts_with(&format!("cannot write {path}: ")), "{error}");
    let written = fs::read(root.join("file")).await.unwrap();
    assert!(!written.is_empty() && written.len() <= room && contents.starts_with(&written));
    fs::remove_file(root.join("file")).await.unwrap();

    // At a place: by the worker, and by a thread of the kernel's, and each time as much as fits, then none.
    for size in [100_000, room + (1 << 20)] {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).open(root.join("short")).await;
        let file = file.unwrap();
        let (mut at, mut buf) = (0, contents[..size].to_vec());
        let error = loop {
            let written;
            (written, buf) = file.write_at(buf, at).await;
            assert_eq!(buf.len(), size, "it comes back");
            match written {
                Ok(more) => at += more as u64,
                Err(error) => break error,
            }
        };
        assert_eq!((error.raw_os_error(), error.kind()), (Some(expected), kind), "{error}");
        assert!(at > 0 && at <= room as u64, "{at}");
        assert_eq!(file.metadata().await.unwrap().len(), at);
        // At the cursor it is as it is at a place; and reading is none the worse for it.
        file.seek(std::io::SeekFrom::Start(at)).await.unwrap();
        let error = (&file).write_all(&contents).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(expected), "{error}");
        assert_eq!(file.read_at(buf, 0).await.0.unwrap(), size.min(at as usize));
        file.close().await.unwrap();
        fs::remove_file(root.join("short")).await.unwrap();
    }
}

/// FS-14. The quota of a user is used up.
#[test]
fn a_quota_is_used_up() {
    const QUOTA: usize = 4 << 20;
    let _watchdog = watchdog(PATIENCE);
    child::run("limits::a_quota_is_used_up", || {
        let root = TempDir::new("quota");
        if let Err(reason) = mount_quota(&root, 256 << 20, QUOTA) {
            return skip(format_args!("no quotas: {reason}"));
        }
        std::fs::set_permissions(&*root, fs::Permissions::from_mode(0o777)).unwrap();
        become_nobody();
        let kind = ErrorKind::QuotaExceeded;
        runtime(1).block_on(has_room_for(&root, QUOTA, libc::EDQUOT, kind));
        become_somebody();
    });
}

/// FS-14. No file of this process may be larger: a write that begins below is short.
#[test]
fn a_file_as_large_as_it_may_be() {
    const MOST: usize = 300_001;
    let _watchdog = watchdog(PATIENCE);
    child::run("limits::a_file_as_large_as_it_may_be", || {
        let root = TempDir::new("size");
        // SAFETY: no handler.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        limit(libc::RLIMIT_FSIZE, MOST as u64);
        runtime(1).block_on(async {
            has_room_for(&root, MOST, libc::EFBIG, ErrorKind::FileTooLarge).await;
            // A length, and a copy.
            let file = File::create(root.join("long")).await.unwrap();
            let error = file.set_len(MOST as u64 + 1).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EFBIG), "{error}");
            file.set_len(MOST as u64).await.unwrap();
            let error = fs::copy("/proc/self/exe", root.join("copy")).await.unwrap_err();
            assert_eq!(number(&error), Some(libc::EFBIG), "{error}");
            assert!(error.to_string().contains(&root.join("copy").display().to_string()));
        });
    });
}

/// So much memory may be locked, for now.
fn limit_locked(most: u64) {
    // SAFETY: a limit is two numbers.
    let mut limit = unsafe { std::mem::zeroed::<libc::rlimit>() };
    // SAFETY: the structure is there.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }, 0);
    assert!(most <= limit.rlim_max, "{most} bytes are more than may be had");
    limit.rlim_cur = most;
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
}

/// No memory may be locked. Rings and buffers take none of that from Linux 5.12 to 6.13; where they do, the error says how
/// to get some, and what is enough to begin with is enough.
#[test]
fn no_memory_may_be_locked() {
    let _watchdog = watchdog(PATIENCE);
    child::run("limits::no_memory_may_be_locked", || {
        let root = TempDir::new("locked");
        std::fs::set_permissions(&*root, fs::Permissions::from_mode(0o777)).unwrap();
        // The superuser may lock as much as it likes.
        become_nobody();
        let mut most = 0;
        let runtime = loop {
            limit_locked(most);
            match filch::Runtime::builder().workers(2).build() {
                Ok(runtime) => break runtime,
                Err(error) => {
                    assert!(error.is_io_uring_refused(), "{error}");
                    assert!(error.to_string().contains("LimitMEMLOCK="), "{error}");
                }
            }
            most = 2 * most.max(1 << 14);
        };
        runtime.block_on(async {
            let contents = pattern(0, 4 << 20);
            fs::write(root.join("file"), &contents).await.unwrap();
            assert!(fs::read(root.join("file")).await.unwrap() == contents);
            let file = File::open(root.join("file")).await.unwrap();
            // Many at a time, with buffers of their own; and at the cursor, with those of the runtime.
            let reads: Vec<_> =
                (0..256).map(|number| file.read_at(vec![0; 8192], number * 8192)).collect();
            for (number, read) in reads.into_iter().enumerate() {
                let (read, buf) = read.await;
                assert_eq!(read.unwrap(), 8192);
                assert!(contents[number * 8192..].starts_with(&buf));
            }
            let mut all = Vec::new();
            filch::io::Read::read_to_end(&mut &file, &mut all).await.unwrap();
            assert!(all == contents);
            // What is leased is from a ring of buffers.
            let (ours, theirs) = filch::net::UnixStream::pair().unwrap();
            (&ours).write_all(b"leased").await.unwrap();
            assert_eq!(&theirs.recv().await.unwrap()[..], b"leased");
        });
        drop(runtime);
        become_somebody();
    });
}
