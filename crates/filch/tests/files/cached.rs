//! What is cached is read at once, and what is not, or only looks like it, as ever.

use crate::support::{PATIENCE, pattern, runtime};
use crate::world::TempDir;
use filch::Runtime;
use filch::fs;
use filch::task::yield_now;
use filch_testkit::limits::{alone, watchdog};
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn submitted(runtime: &Runtime) -> u64 {
    runtime.handle().metrics().rings.iter().map(|ring| ring.submitted).sum()
}

/// Whether the system reads what is cached of this file without waiting: not every file system can.
fn can_read_at_once(path: &Path) -> bool {
    let (file, mut byte) = (std::fs::File::open(path).unwrap(), 0u8);
    let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: one part, of one byte, which is there.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, 0, libc::RWF_NOWAIT) };
    read == 1
}

/// FS-20. All sizes up to a MiB.
#[test]
fn what_is_cached_is_read_without_an_operation() {
    let _alone = alone(PATIENCE);
    let root = TempDir::new("cached");
    let runtime = runtime(1);
    runtime.block_on(async {
        for size in [0, 1, 4095, 4096, 4097, 1 << 20] {
            let path = root.join(size.to_string());
            std::fs::write(&path, pattern(0, size)).unwrap();
            if size > 0 && !can_read_at_once(&path) {
                println!("SKIPPED: this file system cannot do it");
                return;
            }
            let before = submitted(&runtime);
            assert_eq!(fs::read(&path).await.unwrap(), pattern(0, size), "{size} bytes");
            assert_eq!(submitted(&runtime), before, "{size} bytes: no operation");
        }
        let path = root.join("large");
        std::fs::write(&path, pattern(0, (1 << 20) + 1)).unwrap();
        let before = submitted(&runtime);
        assert_eq!(fs::read(&path).await.unwrap(), pattern(0, (1 << 20) + 1));
        assert!(submitted(&runtime) > before, "what is large holds nobody up");
    });
}

/// FS-20. Also where only a part of it is cached.
#[test]
fn what_is_not_cached_is_read_by_the_ring() {
    const SIZE: usize = 64 << 10;
    let _watchdog = watchdog(PATIENCE);
    let root = TempDir::new("uncached");
    let path = root.join("file");
    std::fs::write(&path, pattern(0, SIZE)).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    file.sync_all().unwrap();
    runtime(1).block_on(async {
        for begin in [0, 4096, SIZE as i64 - 4096] {
            // SAFETY: no pointers.
            let forgotten = unsafe {
                libc::posix_fadvise(file.as_raw_fd(), begin, 0, libc::POSIX_FADV_DONTNEED)
            };
            assert_eq!(forgotten, 0);
            assert_eq!(fs::read(&path).await.unwrap(), pattern(0, SIZE), "from {begin} on");
        }
    });
}

/// FS-20. A FIFO is opened once: who writes it hears of one reader, who stays until the end.
#[test]
fn a_fifo_is_read_to_its_end() {
    let _watchdog = watchdog(PATIENCE);
    let root = TempDir::new("fifo");
    let path = root.join("fifo");
    let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    let mut writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    writer.write_all(b"one ").unwrap();
    let other = thread::spawn(move || {
        // Until the reader is there and has taken it.
        let mut left = 1;
        while left > 0 {
            thread::yield_now();
            // SAFETY: the call fills in a number.
            assert_eq!(unsafe { libc::ioctl(writer.as_raw_fd(), libc::FIONREAD, &mut left) }, 0);
        }
        writer.write_all(b"two").unwrap();
    });
    let read = runtime(1).block_on(async { fs::read(&path).await.unwrap() });
    other.join().unwrap();
    assert_eq!(read, b"one two");
}

/// S6. Who finds everything cached lets others run.
#[test]
fn reading_what_is_cached_lets_others_run() {
    let _watchdog = watchdog(PATIENCE);
    let root = TempDir::new("greedy");
    let path = root.join("file");
    std::fs::write(&path, "small").unwrap();
    let runtime = runtime(1);
    let reader = runtime.handle().spawn(async move {
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = has_run.clone();
        // Relaxed, both: one worker does it all.
        let other = filch::spawn(async move { runs.store(true, Ordering::Relaxed) });
        while !has_run.load(Ordering::Relaxed) {
            assert_eq!(fs::read(&path).await.unwrap(), b"small");
        }
        other.await.unwrap();
        yield_now().await;
    });
    runtime.block_on(async { reader.await.unwrap() });
}
