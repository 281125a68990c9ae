//! Signals that come in the midst of calls: what a call was begun for is done all the same.

use crate::support::{PATIENCE, make_fifo, pattern, runtime};
use crate::world::TempDir;
use filch::fs::{self, File, OpenOptions, TempFile};
use filch_testkit::child;
use filch_testkit::leaks::threads;
use filch_testkit::limits::watchdog;
use std::io::{self, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

static COME: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_: libc::c_int) {
    // Relaxed: a number.
    COME.fetch_add(1, Ordering::Relaxed);
}

/// Has a signal come to this process that makes calls end with `EINTR`.
fn handle_without_restart() {
    // SAFETY: all zeroes is a value of it.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = count as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler adds to a number; SA_RESTART is not among its flags.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// Sends that signal to all of filch's threads, workers and those for what blocks, again and again.
fn storm(is_over: &AtomicBool) {
    // SAFETY: no pointers.
    let process = unsafe { libc::getpid() };
    while !is_over.load(Ordering::Relaxed) {
        for thread in threads("filch").into_keys() {
            // SAFETY: no pointers. One that is gone is no error here.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
        }
        thread::sleep(Duration::from_micros(20));
    }
}

/// One of everything that is done with files.
async fn all(folder: &Path, round: usize) -> io::Result<()> {
    let contents = pattern(round, 300_000 + round);
    let path = folder.join("file");
    fs::create_dir_all(folder.join("deep/down")).await?;
    fs::write(&path, &contents).await?;
    assert!(fs::read(&path).await? == contents);
    let file = OpenOptions::new().read(true).write(true).open(&path).await?;
    // Large enough for a thread of the kernel's.
    let large = pattern(round, 3 << 20);
    let (written, large) = file.write_at(large, 0).await;
    assert_eq!(written?, large.len());
    file.sync_data().await?;
    let (read, again) = file.read_at(vec![0; large.len()], 0).await;
    assert!(read? == large.len() && again == large);
    file.sync_all().await?;
    file.set_len(contents.len() as u64).await?;
    file.seek(SeekFrom::Start(10)).await?;
    let mut buf = vec![0; 1000];
    assert_eq!(file.read(&mut buf).await?, buf.len());
    assert!(contents.len() > 2000 && file.write(&buf).await? == buf.len());
    file.set_permissions(fs::Permissions::from_mode(0o640)).await?;
    let other = File::open(&path).await?;
    // Somebody waits for a lock all the time.
    file.lock().await?;
    let locking = filch::spawn(async move {
        other.lock_shared().await?;
        other.close().await
    });
    filch::time::sleep(Duration::from_millis(2)).await;
    file.unlock()?;
    locking.await.expect("it does not panic")?;
    file.close().await?;

    fs::copy(&path, folder.join("copy")).await?;
    fs::rename(folder.join("copy"), folder.join("moved")).await?;
    fs::hard_link(&path, folder.join("hard")).await?;
    fs::symlink("file", folder.join("soft")).await?;
    assert_eq!(fs::read_link(folder.join("soft")).await?, Path::new("file"));
    assert!(fs::canonicalize(folder.join("soft")).await?.ends_with("file"));
    assert_eq!(fs::metadata(folder.join("moved")).await?.len(), contents.len() as u64);
    let mut entries = fs::read_dir(folder).await?;
    let mut found = 0;
    while let Some(entry) = entries.next_entry().await? {
        entry.metadata().await?;
        found += 1;
    }
    assert_eq!(found, 5);
    let temp = TempFile::new_in(folder).await?;
    temp.write(b"for a while").await?;
    drop(temp);
    fs::remove_file(folder.join("hard")).await?;
    fs::remove_dir(folder.join("deep/down")).await?;

    // What waits for long: a read of a pipe in the ring, an open of one with a name in a thread of the kernel's.
    let (from, mut to) = io::pipe()?;
    let from = File::from_std(OwnedFd::from(from).into())?;
    let reading = filch::spawn(async move { from.read(&mut [0; 8]).await });
    let fifo = folder.join("fifo");
    make_fifo(&fifo);
    let opening = filch::spawn(File::open(fifo.clone()));
    filch::time::sleep(Duration::from_millis(2)).await;
    to.write_all(b"come")?;
    assert_eq!(reading.await.expect("it does not panic")?, 4);
    let writing = OpenOptions::new().write(true).open(&fifo).await?;
    let opened = opening.await.expect("it does not panic")?;
    writing.write(b"come").await?;
    assert_eq!(opened.read(&mut [0; 8]).await?, 4);
    fs::remove_dir_all(folder).await
}

/// FS-14. No call fails since a signal has come, neither of a worker nor of a thread for what blocks.
#[test]
fn no_signal_makes_a_call_fail() {
    let _watchdog = watchdog(PATIENCE);
    child::run("interrupted::no_signal_makes_a_call_fail", || {
        const TASKS: usize = 4;
        const ROUNDS: usize = 8;
        /// So many signals have to come at least: fewer show nothing.
        const ENOUGH: u64 = 1_000;
        let root = TempDir::new("interrupted");
        handle_without_restart();
        let is_over = Arc::new(AtomicBool::new(false));
        let runtime = runtime(2);
        let storming = thread::spawn({
            let is_over = is_over.clone();
            move || storm(&is_over)
        });
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let folder = root.join(task.to_string());
                runtime.handle().spawn(async move {
                    let mut round = 0;
                    while round < ROUNDS || COME.load(Ordering::Relaxed) < ENOUGH {
                        if let Err(error) = all(&folder, round).await {
                            panic!("round {round}: {error}");
                        }
                        round += 1;
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("nothing fails");
            }
        });
        is_over.store(true, Ordering::Relaxed);
        storming.join().expect("it does not panic");
    });
}
