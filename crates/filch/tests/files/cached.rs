//! What is cached is read at once, and what is not, or only looks like it, as ever.

use crate::support::{PATIENCE, make_fifo, pattern, runtime};
use crate::world::{TempDir, number};
use filch::Runtime;
use filch::fs;
use filch::task::yield_now;
use filch_testkit::limits::{alone, watchdog};
use filch_testkit::skip;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Of a file that is not all cached.
const SIZE: usize = 64 << 10;

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

/// New directories in that for temporary files, which may be in memory, and in the one that this program was built in.
fn two_places(name: &str) -> [TempDir; 2] {
    let program = std::env::current_exe().unwrap();
    let own = program.parent().unwrap().join(format!("filch-{name}-{}", std::process::id()));
    [TempDir::new(name), TempDir::at(own)]
}

/// One of them where that can be done.
fn where_it_can(name: &str) -> Option<TempDir> {
    two_places(name).into_iter().find(|root| {
        let path = root.join("try");
        std::fs::write(&path, "x").unwrap();
        can_read_at_once(&path)
    })
}

/// Which pages of a file are in the cache. Nothing is read ahead by that.
fn cached_pages(file: &std::fs::File, len: usize) -> Vec<bool> {
    // SAFETY: a new mapping, of all of the file, which stays as long.
    unsafe {
        let fd = file.as_raw_fd();
        let at = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_ne!(at, libc::MAP_FAILED);
        let mut pages = vec![0; len.div_ceil(libc::sysconf(libc::_SC_PAGESIZE) as usize)];
        assert_eq!(libc::mincore(at, len, pages.as_mut_ptr()), 0);
        assert_eq!(libc::munmap(at, len), 0);
        pages.into_iter().map(|page| page & 1 == 1).collect()
    }
}

/// FS-20. All sizes up to a MiB. As a rule: the system may have to wait now and then, for who mounts something, say.
#[test]
fn what_is_cached_is_read_without_an_operation() {
    const TRIES: usize = 100;
    let _alone = alone(PATIENCE);
    let Some(root) = where_it_can("cached") else {
        return skip("no file system here is read without waiting");
    };
    let runtime = runtime(1);
    runtime.block_on(async {
        for size in [0, 1, 4095, 4096, 4097, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, 1 << 20] {
            let path = root.join(size.to_string());
            std::fs::write(&path, pattern(0, size)).unwrap();
            let mut needed = 0;
            for _ in 0..TRIES {
                let before = submitted(&runtime);
                assert!(fs::read(&path).await.unwrap() == pattern(0, size), "{size} bytes");
                match submitted(&runtime) - before {
                    0 => break,
                    _ => needed += 1,
                }
            }
            assert!(needed < TRIES, "{size} bytes: each time by operations");
        }
        let path = root.join("large");
        std::fs::write(&path, pattern(0, (1 << 20) + 1)).unwrap();
        let before = submitted(&runtime);
        assert!(fs::read(&path).await.unwrap() == pattern(0, (1 << 20) + 1));
        assert!(submitted(&runtime) > before, "what is large holds nobody up");
    });
}

/// A file of which, from `begin` on, not all is cached any more; none if the system keeps it.
fn uncached(root: &Path, begin: usize) -> Option<PathBuf> {
    let path = root.join(format!("from {begin}"));
    // Somebody may have a page in hand just then.
    for _ in 0..20 {
        let mut file = std::fs::File::create_new(&path).unwrap();
        // Page by page: what was written at once may be kept as one, and is forgotten only as one.
        pattern(0, SIZE).chunks(4096).for_each(|page| file.write_all(page).unwrap());
        file.sync_all().unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let (fd, advice) = (file.as_raw_fd(), libc::POSIX_FADV_DONTNEED);
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::posix_fadvise(fd, begin as i64, 0, advice) }, 0);
        if cached_pages(&file, SIZE).contains(&false) {
            return Some(path);
        }
        std::fs::remove_file(&path).unwrap();
    }
    None
}

/// FS-20. Also where only a part of it is cached. As a rule: the disk may be faster than the next attempt.
#[test]
fn what_is_not_cached_is_read_by_the_ring() {
    const TRIES: usize = 100;
    let _watchdog = watchdog(PATIENCE);
    let roots = two_places("uncached");
    let runtime = runtime(1);
    'places: for begin in [0, 4096, SIZE - 4096] {
        for _ in 0..TRIES {
            let Some(path) = roots.iter().find_map(|root| uncached(root, begin)) else {
                skip(format_args!("whatever is forgotten from {begin} on is still cached"));
                continue 'places;
            };
            let before = submitted(&runtime);
            let read = runtime.block_on(async { fs::read(&path).await.unwrap() });
            assert!(read == pattern(0, SIZE), "from {begin} on");
            std::fs::remove_file(path).unwrap();
            if submitted(&runtime) > before {
                continue 'places;
            }
        }
        panic!("from {begin} on: never read from the disk by an operation");
    }
}

/// FS-20, FS-14. What is no file, or none that was stored.
#[test]
fn what_only_looks_cached_is_read_as_ever() {
    let _watchdog = watchdog(PATIENCE);
    let root = TempDir::new("others");
    runtime(1).block_on(async {
        let error = fs::read(&*root).await.unwrap_err();
        assert_eq!(number(&error), Some(libc::EISDIR));
        assert!(error.to_string().contains(root.to_str().unwrap()), "{error}");
        assert_eq!(fs::read("/dev/null").await.unwrap(), b"");
        for path in
            ["/proc/self/cmdline", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"]
        {
            match std::fs::read(path) {
                Ok(expected) => assert_eq!(fs::read(path).await.unwrap(), expected, "{path}"),
                Err(error) => skip(format_args!("{path}: {error}")),
            }
        }
    });
}

/// FS-8, FS-20. One that grows is read at least up to where it ended when that was begun.
#[test]
fn what_grows_is_read_to_an_end_that_it_had() {
    let _watchdog = watchdog(PATIENCE);
    let root = TempDir::new("grows");
    let all = pattern(0, 100_000);
    let runtime = runtime(1);
    for round in 0..20 {
        let path = root.join(round.to_string());
        let mut file = std::fs::File::create(&path).unwrap();
        let has = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for piece in all.chunks(777) {
                    file.write_all(piece).unwrap();
                    // Release: pairs with the Acquire of the reader.
                    has.fetch_add(piece.len(), Ordering::Release);
                }
            });
            runtime.block_on(async {
                let mut read = Vec::new();
                while read.len() < all.len() {
                    let had = has.load(Ordering::Acquire);
                    read = fs::read(&path).await.unwrap();
                    assert!(all.starts_with(&read), "{} bytes", read.len());
                    assert!(read.len() >= had, "{} bytes of {had}", read.len());
                }
            });
        });
    }
}

/// FS-20. A FIFO is opened once: who writes it hears of one reader, who stays until the end.
#[test]
fn a_fifo_is_read_to_its_end() {
    let _watchdog = watchdog(PATIENCE);
    let root = TempDir::new("fifo");
    let path = root.join("fifo");
    make_fifo(&path);
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

/// S5, FS-9. The more so if it is much: 128 MiB are read in eight turns at least.
#[test]
fn reading_much_that_is_cached_takes_more_turns() {
    let _watchdog = watchdog(PATIENCE);
    let Some(root) = where_it_can("much") else {
        return skip("no file system here is read without waiting");
    };
    let path = root.join("file");
    std::fs::write(&path, pattern(0, 1 << 20)).unwrap();
    let runtime = runtime(1);
    let reader = runtime.handle().spawn(async move {
        // Relaxed, all: one worker does it all.
        let (turns, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ends) = (turns.clone(), is_over.clone());
        let other = filch::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        for _ in 0..128 {
            assert_eq!(fs::read(&path).await.unwrap().len(), 1 << 20);
        }
        is_over.store(true, Ordering::Relaxed);
        other.await.unwrap();
        turns.load(Ordering::Relaxed)
    });
    let turns = runtime.block_on(async { reader.await.unwrap() });
    assert!(turns >= 8, "{turns} turns");
}
