//! The bare ring loops of the rows of files.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use io_uring::{opcode, squeue, types};

use super::data::check;
use super::{PIECE, Page};
use crate::measure::histogram;
use crate::ring::{each_on_its_thread, positive, push, ring};
use crate::rows::file_rand::Offsets;

/// Keeps `depth` reads of random blocks of the file in flight on `threads` rings together, for that time.
///
/// # Errors
///
/// When a system call fails or a read returns the wrong bytes.
pub fn reads(
    threads: usize,
    (path, direct): (&Path, bool),
    blocks: u64,
    depth: usize,
    time: Duration,
) -> io::Result<Histogram<u64>> {
    let end = Instant::now() + time;
    let shares: Vec<Vec<usize>> = (0..threads.min(depth))
        .map(|thread| (0..depth).filter(|read| read % threads == thread).collect())
        .collect();
    let all = each_on_its_thread(shares, |share| read_share((path, direct), blocks, share, end))?;
    Ok(all.into_iter().reduce(|a, b| a + b).expect("there is a thread"))
}

/// One of the reads in flight.
struct Reader {
    offsets: Offsets,
    block: u64,
    page: Page,
    started: Instant,
}

fn read_share(
    (path, direct): (&Path, bool),
    blocks: u64,
    share: Vec<usize>,
    end: Instant,
) -> io::Result<Histogram<u64>> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let fd = types::Fd(file.as_raw_fd());
    let mut latencies = histogram();
    let mut now = Instant::now();
    let readers: Vec<_> = share
        .into_iter()
        .map(|seed| Reader {
            offsets: Offsets::new(seed as u64, blocks),
            block: 0,
            page: Page::new(),
            started: now,
        })
        .collect();
    let readers = readers.leak();
    let mut ring = ring(256)?;
    let mut ready: Vec<usize> = (0..readers.len()).collect();
    let mut in_flight = 0;
    loop {
        if now < end {
            for index in ready.drain(..) {
                push(&mut ring, readers[index].start(fd, index, now))?;
                in_flight += 1;
            }
        }
        if in_flight == 0 {
            return Ok(latencies);
        }
        ring.submit_and_wait(1)?;
        now = Instant::now();
        for cqe in ring.completion() {
            let index = cqe.user_data() as usize;
            let reader = &readers[index];
            check(reader.block, positive(cqe.result())?, &reader.page)?;
            latencies.saturating_record((now - reader.started).as_nanos() as u64);
            ready.push(index);
            in_flight -= 1;
        }
    }
}

impl Reader {
    fn start(&mut self, fd: types::Fd, index: usize, now: Instant) -> squeue::Entry {
        self.block = self.offsets.next_block();
        self.started = now;
        opcode::Read::new(fd, self.page.as_mut_ptr(), Page::SIZE as u32)
            .offset(self.block * Page::SIZE as u64)
            .build()
            .user_data(index as u64)
    }
}

/// Opens, reads and closes each of the files, `at_a_time` on `threads` rings together, by an entry for each step. With
/// `asks`, each file is asked for its length by a plain call, and read into a buffer of that size.
///
/// # Errors
///
/// When a system call fails or a read returns the wrong bytes.
pub fn small(threads: usize, paths: &[PathBuf], at_a_time: usize, asks: bool) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let shares = vec![at_a_time / threads; threads];
    each_on_its_thread(shares, |share| small_share(paths, &next, share, asks)).map(|_| ())
}

/// One of the files in hand.
#[derive(Default)]
struct Slot {
    number: usize,
    path: CString,
    file: Option<File>,
    buffer: Vec<u8>,
}

/// The mark of a close's completion, which comes if it fails.
const CLOSE: u64 = 1 << 32;

fn small_share(
    paths: &[PathBuf],
    next: &AtomicUsize,
    at_a_time: usize,
    asks: bool,
) -> io::Result<()> {
    let slots: Vec<_> = (0..at_a_time).map(|_| Slot::default()).collect();
    let slots = slots.leak();
    let mut ring = ring(256)?;
    let mut in_flight = 0;
    for (index, slot) in slots.iter_mut().enumerate() {
        if let Some(entry) = slot.open(paths, next, index) {
            push(&mut ring, entry)?;
            in_flight += 1;
        }
    }
    let mut done = Vec::new();
    while in_flight > 0 {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (id, result) in done.drain(..) {
            let result = positive(result)?;
            if id == CLOSE {
                continue;
            }
            let slot = &mut slots[id as usize];
            let entry = if let Some(file) = slot.file.take() {
                check(slot.number as u64, result, &slot.buffer)?;
                let close = opcode::Close::new(types::Fd(file.as_raw_fd())).build();
                push(&mut ring, close.flags(squeue::Flags::SKIP_SUCCESS).user_data(CLOSE))?;
                // The entry closes it.
                mem::forget(file);
                slot.open(paths, next, id as usize)
            } else {
                Some(slot.read(result as i32, id as usize, asks)?)
            };
            match entry {
                Some(entry) => push(&mut ring, entry)?,
                None => in_flight -= 1,
            }
        }
    }
    // The last of the closes.
    ring.submit()?;
    Ok(())
}

impl Slot {
    /// Begins with the next file, if there is one.
    fn open(
        &mut self,
        paths: &[PathBuf],
        next: &AtomicUsize,
        index: usize,
    ) -> Option<squeue::Entry> {
        // Relaxed: each gets another number, and that is all.
        self.number = next.fetch_add(1, Ordering::Relaxed);
        let path = paths.get(self.number)?;
        self.path = CString::new(path.as_os_str().as_bytes()).expect("it has no NUL");
        let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr());
        Some(open.flags(libc::O_RDONLY | libc::O_CLOEXEC).build().user_data(index as u64))
    }

    fn read(&mut self, opened: i32, index: usize, asks: bool) -> io::Result<squeue::Entry> {
        // SAFETY: the kernel has just given out this descriptor, and nobody else knows of it.
        let file = unsafe { File::from_raw_fd(opened) };
        if asks {
            self.buffer = vec![0; file.metadata()?.len() as usize + 1];
        } else {
            self.buffer.resize(Page::SIZE, 0);
        }
        let (at, len) = (self.buffer.as_mut_ptr(), self.buffer.len() as u32);
        let read = opcode::Read::new(types::Fd(file.as_raw_fd()), at, len);
        self.file = Some(file);
        Ok(read.build().user_data(index as u64))
    }
}

/// Copies a file by pieces, one read or write at a time.
///
/// # Errors
///
/// When a system call fails.
pub fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let (from, to) = (File::open(from)?, File::create(to)?);
    let (from, to) = (types::Fd(from.as_raw_fd()), types::Fd(to.as_raw_fd()));
    let buffer = vec![0; PIECE].leak();
    let mut ring = ring(8)?;
    let mut copied = 0;
    loop {
        let read = opcode::Read::new(from, buffer.as_mut_ptr(), PIECE as u32).offset(copied);
        push(&mut ring, read.build())?;
        let read = one(&mut ring)?;
        if read == 0 {
            return Ok(copied);
        }
        let mut done = 0;
        while done < read {
            let rest = &buffer[done..read];
            let write = opcode::Write::new(to, rest.as_ptr(), rest.len() as u32).offset(copied);
            push(&mut ring, write.build())?;
            let written = one(&mut ring)?;
            done += written;
            copied += written as u64;
        }
    }
}

/// Submits what is staged, and waits for its one completion.
fn one(ring: &mut io_uring::IoUring) -> io::Result<usize> {
    ring.submit_and_wait(1)?;
    positive(ring.completion().next().expect("it waited for one").result())
}
