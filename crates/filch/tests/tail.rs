//! The example `tail`, behind a writer that rotates its log in both ways: each line once, in order.

mod support;
#[path = "../examples/tail.rs"]
#[allow(dead_code, reason = "its `main` has nothing to do here")]
mod tail;

use filch::sync::Lock;
use filch::time::{sleep, timeout};
use filch_testkit::limits::watchdog;
use filch_testkit::{Cut, Random};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use support::{PATIENCE, everywhere, runtime, temp};
use tail::Tail;

/// A log, and the file that it was before the last rotation. They go with this.
struct Log {
    path: PathBuf,
    file: File,
    /// How many lines were written, and how many of them into this file.
    lines: u64,
    lines_here: u64,
    bytes_here: usize,
    /// How many lines its reader has told of.
    delivered: Arc<AtomicU64>,
}

fn new_file(path: &Path) -> File {
    OpenOptions::new().append(true).create_new(true).open(path).expect("it can be made")
}

impl Log {
    fn new() -> Self {
        let path = temp("tail");
        let file = new_file(&path);
        Self { path, file, lines: 0, lines_here: 0, bytes_here: 0, delivered: Arc::default() }
    }

    fn old(&self) -> PathBuf {
        self.path.with_extension("old")
    }

    /// A line, in several pieces.
    fn write(&mut self, pieces: usize) {
        let line = line(self.lines);
        for piece in line.as_bytes().chunks(line.len().div_ceil(pieces)) {
            self.file.write_all(piece).expect("there is room");
        }
        self.lines += 1;
        self.lines_here += 1;
        self.bytes_here += line.len();
    }

    fn is_delivered(&self, lines: u64) -> bool {
        // Acquire: pairs with the Release of the reader.
        self.delivered.load(Ordering::Acquire) >= lines
    }

    /// Whether the reader has begun with this file: the one before may go.
    fn is_begun(&self) -> bool {
        self.lines_here > 0 && self.is_delivered(self.lines - self.lines_here + 1)
    }

    /// The old file is still being read; the next line is in a new one.
    fn rename(&mut self) {
        fs::rename(&self.path, self.old()).expect("both are here");
        self.file = new_file(&self.path);
        (self.lines_here, self.bytes_here) = (0, 0);
    }

    /// All that is in it is to be delivered by now.
    fn empty(&mut self) {
        self.file.set_len(0).expect("it is open for writing");
        (self.lines_here, self.bytes_here) = (0, 0);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        for path in [self.path.clone(), self.old()] {
            let _ = fs::remove_file(path);
        }
    }
}

/// Of different lengths; some are longer than what is read at a time.
fn text(number: u64) -> String {
    let more = if number.is_multiple_of(97) { 10_000 } else { number as usize % 50 };
    format!("line {number} {}", "x".repeat(more))
}

fn line(number: u64) -> String {
    text(number) + "\n"
}

/// Writes lines and rotates so often, at random, as its reader goes along.
fn write_and_rotate(mut log: Log, rotations: u64, mut dice: Random) -> Log {
    let until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            thread::sleep(Duration::from_micros(100));
        }
    };
    for rotation in 0..rotations {
        let lines = 2 + dice.below(30) as u64;
        for _ in 0..lines {
            log.write(1 + dice.below(3));
            if dice.below(8) == 0 {
                thread::sleep(Duration::from_micros(dice.below(800) as u64));
            }
        }
        // That it was emptied is seen by its length.
        let is_shorter = line(log.lines).len() < log.bytes_here;
        if dice.below(2) == 0 || !is_shorter {
            // A file that nobody has begun to read is lost if another takes its place.
            until(&|| log.is_begun());
            log.rename();
        } else {
            until(&|| log.is_delivered(log.lines));
            log.empty();
            log.write(1);
            until(&|| log.is_delivered(log.lines));
        }
        // The last file is as good as any.
        if rotation + 1 == rotations {
            log.write(2);
        }
    }
    log
}

/// Reads so many lines as they come, with reads dropped at random. Gives how many were.
async fn follow(
    mut tail: Tail,
    delivered: Arc<AtomicU64>,
    last: Arc<AtomicU64>,
    mut dice: Random,
) -> u64 {
    let mut dropped = 0;
    let mut next = 0;
    // Acquire: pairs with the Release of the writer's end.
    while next < last.load(Ordering::Acquire) {
        let came = match dice.below(3) {
            0 => {
                timeout(Duration::from_micros(dice.below(400) as u64), tail.next_line()).await.ok()
            }
            1 => filch::select! {
                biased;
                () = support::breathe() => None,
                came = tail.next_line() => Some(came),
            },
            _ => timeout(Duration::from_millis(20), tail.next_line()).await.ok(),
        };
        let Some(came) = came else {
            dropped += 1;
            continue;
        };
        let came = String::from_utf8(came.expect("it reads")).expect("it is text");
        assert!(came == text(next), "{next} was to come, and not {came}");
        next += 1;
        // Release: pairs with the Acquire of the writer.
        delivered.store(next, Ordering::Release);
    }
    dropped
}

/// C1, FS-8, FS-14.
#[test]
fn each_line_comes_once_and_in_order_through_many_rotations() {
    const ROTATIONS: u64 = 150;
    let _watchdog = watchdog(PATIENCE);
    let seed = Random::seed();
    println!("FILCH_SEED={seed}");
    for workers in [1, 2] {
        let log = Log::new();
        let (path, delivered) = (log.path.clone(), log.delivered.clone());
        let last = Arc::new(AtomicU64::new(u64::MAX));
        let writing = thread::spawn({
            let last = last.clone();
            move || {
                let log = write_and_rotate(log, ROTATIONS, Random::new(seed));
                // Release: pairs with the Acquire of the reader.
                last.store(log.lines, Ordering::Release);
                log
            }
        });
        let runtime = runtime(workers);
        let reading = runtime.handle().spawn(async move {
            let tail = Tail::open(path, Duration::from_micros(300)).await.expect("it is there");
            follow(tail, delivered, last, Random::new(!seed)).await
        });
        let dropped = runtime.block_on(reading).expect("it does not panic");
        let log = writing.join().expect("it does not panic");
        assert!(log.is_delivered(log.lines) && log.lines > 2 * ROTATIONS);
        // How many is a matter of who is faster.
        assert!(dropped > 0, "no read was dropped");
    }
}

/// What a writer has left unfinished in a file that is no more comes as it is.
#[test]
fn a_line_without_an_end_is_ended_by_a_rotation() {
    let _watchdog = watchdog(PATIENCE);
    let mut log = Log::new();
    runtime(1).block_on(async {
        let mut tail = Tail::open(&log.path, Duration::from_micros(300)).await.unwrap();
        log.file.write_all(b"one\nhal").unwrap();
        assert_eq!(tail.next_line().await.unwrap(), b"one");
        let waiting = timeout(Duration::from_millis(5), tail.next_line()).await;
        assert!(waiting.is_err(), "it has no end");
        log.file.write_all(b"f").unwrap();
        log.rename();
        assert_eq!(tail.next_line().await.unwrap(), b"half");
        log.file.write_all(b"two\nlost").unwrap();
        assert_eq!(tail.next_line().await.unwrap(), b"two");
        let waiting = timeout(Duration::from_millis(5), tail.next_line()).await;
        assert!(waiting.is_err(), "it has no end");
        log.empty();
        log.file.write_all(b"end\n").unwrap();
        assert_eq!(tail.next_line().await.unwrap(), b"lost");
        assert_eq!(tail.next_line().await.unwrap(), b"end");
    });
}

/// Reads lines through a rotation of each kind, dropped wherever `cut` says, and the rest.
async fn rotated(cut: Cut) {
    let mut log = Log::new();
    let delivered = log.delivered.clone();
    let tail = Tail::open(&log.path, Duration::from_micros(50)).await.expect("it is there");
    let tail = Arc::new(Lock::new(tail));
    let read = |most: u64| {
        let (tail, delivered) = (tail.clone(), delivered.clone());
        async move {
            // Relaxed, and the store as well: one at a time reads.
            while delivered.load(Ordering::Relaxed) < most {
                let next = delivered.load(Ordering::Relaxed);
                let came = tail.lock().await.next_line().await.expect("it reads");
                assert!(came == text(next).as_bytes(), "{next} was to come");
                delivered.store(next + 1, Ordering::Release);
            }
        }
    };
    let reading = async {
        cut.run(read(4)).await;
        read(7).await;
    };
    let writing = async {
        let pause = || sleep(Duration::from_micros(50));
        log.write(2);
        log.write(1);
        while !log.is_begun() {
            pause().await;
        }
        log.rename();
        log.write(1);
        log.write(3);
        while !log.is_delivered(4) {
            pause().await;
        }
        log.empty();
        log.write(1);
        while !log.is_delivered(5) {
            pause().await;
        }
        log.write(1);
        log.rename();
        log.write(1);
    };
    filch::join!(reading, writing);
}

/// C1.
#[test]
fn no_line_is_lost_at_any_poll() {
    everywhere(6, rotated);
}
