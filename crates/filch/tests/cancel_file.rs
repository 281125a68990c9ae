//! Dropping what a file does: the cursor moves when bytes are delivered, and nothing stays open (C1).

mod support;

use filch::fs::{File, OpenOptions};
use filch_testkit::leaks::descriptors;
use filch_testkit::{Cut, skip};
use std::io::{SeekFrom, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{Bytes, TempFile, breathe, everywhere, pattern};

async fn read_some(file: &File, size: usize, to: &Bytes) -> usize {
    let mut buf = vec![0; size];
    let read = file.read(&mut buf).await.expect("it reads");
    to.add(&buf[..read]);
    read
}

async fn reads_at_the_cursor(cut: Cut) {
    let contents = pattern(0, 1000);
    let temp = TempFile::new("reads", &contents);
    let file = Arc::new(File::open(&temp.0).await.expect("it is there"));
    let got = Bytes::default();
    let reader = {
        let (file, got) = (file.clone(), got.clone());
        async move {
            for size in [10, 300, 1, 64] {
                read_some(&file, size, &got).await;
            }
        }
    };
    cut.run(reader).await;
    let cursor = file.seek(SeekFrom::Current(0)).await.unwrap();
    assert_eq!(cursor, got.len() as u64, "the cursor is behind what was delivered");
    while read_some(&file, 77, &got).await > 0 {}
    assert_eq!(got.take(), contents);
}

#[test]
fn the_cursor_moves_with_the_bytes() {
    everywhere(8, reads_at_the_cursor);
}

async fn reads_from_a_pipe(cut: Cut) {
    let (ours, mut theirs) = std::io::pipe().unwrap();
    let file = File::from_std(std::fs::File::from(OwnedFd::from(ours))).expect("a runtime");
    let file = Arc::new(file);
    let sent = pattern(0, 50);
    let got = Bytes::default();
    let reader = {
        let (file, got) = (file.clone(), got.clone());
        async move {
            for size in [1, 8, 3] {
                read_some(&file, size, &got).await;
            }
        }
    };
    let writer = async {
        for piece in sent.chunks(9) {
            breathe().await;
            theirs.write_all(piece).expect("it fits");
        }
        drop(theirs);
    };
    filch::join!(cut.run(reader), writer);
    while read_some(&file, 5, &got).await > 0 {}
    assert_eq!(got.take(), sent);
}

#[test]
fn a_pipe_loses_no_byte() {
    everywhere(5, reads_from_a_pipe);
}

async fn a_pipe_that_goes(cut: Cut) {
    let (ours, mut theirs) = std::io::pipe().unwrap();
    let file = File::from_std(std::fs::File::from(OwnedFd::from(ours))).expect("a runtime");
    let reader = async move { file.read(&mut [0; 4]).await.expect("it reads") };
    let writer = async {
        breathe().await;
        let _ = theirs.write_all(b"x");
    };
    filch::join!(cut.run(reader), writer);
    // Without a reader, writing fails: the read was cancelled and the pipe closed (D6).
    let mut tries = 0;
    while theirs.write_all(b"y").is_ok() {
        tries += 1;
        assert!(tries < 20_000, "the pipe still has a reader");
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_pipe_that_goes_with_its_read_closes() {
    everywhere(3, a_pipe_that_goes);
}

async fn writes_at_the_cursor(cut: Cut) {
    let is_asking = cut.is_asking();
    let temp = TempFile::new("writes", b"");
    let options = OpenOptions::new().read(true).write(true).clone();
    let file = Arc::new(options.open(&temp.0).await.expect("it is there"));
    let all = pattern(0, 3000);
    let acknowledged = Bytes::default();
    let writer = {
        let (file, all, acknowledged) = (file.clone(), all.clone(), acknowledged.clone());
        async move {
            for piece in all.chunks(1000) {
                assert_eq!(file.write(piece).await.expect("it writes"), piece.len());
                acknowledged.add(piece);
            }
        }
    };
    cut.run(writer).await;
    // Whether the dropped write happened or not, what follows comes behind it.
    assert_eq!(file.write(b"end").await.unwrap(), 3);
    let written = std::fs::read(&temp.0).unwrap();
    let (before, end) = written.split_at(written.len() - 3);
    assert_eq!(end, b"end");
    assert!(all.starts_with(before), "a prefix, once");
    let acknowledged = acknowledged.len();
    assert!((acknowledged..=acknowledged + 1000).contains(&before.len()), "{}", before.len());
    assert!(!is_asking || before.len() == acknowledged, "what it wrote it told");
    assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), written.len() as u64);
}

#[test]
fn a_dropped_write_is_whole_or_nothing_and_once() {
    everywhere(5, writes_at_the_cursor);
}

async fn opens(cut: Cut) {
    let temp = TempFile::new("opens", b"contents");
    let path = temp.0.clone();
    let before = descriptors().len();
    cut.run(async move {
        let file = File::open(&path).await.expect("it is there");
        let (read, _) = file.read_at(Vec::with_capacity(100), 0).await;
        assert_eq!(read.expect("it reads"), 8);
        assert_eq!(filch::fs::read(&path).await.expect("it reads"), b"contents");
        // Of the kernel's own making: that is not read at once.
        assert!(!filch::fs::read("/proc/self/comm").await.expect("it reads").is_empty());
        file.close().await.expect("it closes");
    })
    .await;
    let mut tries = 0;
    while descriptors().len() > before {
        tries += 1;
        assert!(tries < 20_000, "still open: {:?}", descriptors());
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn what_is_opened_for_nobody_is_closed() {
    everywhere(8, opens);
}

#[filch::test]
async fn the_error_of_a_dropped_write_is_heard_of() {
    // Opened for reading: a sync goes well, a write does not.
    let path = std::env::current_exe().unwrap();
    let file = File::open(&path).await.unwrap();
    {
        let mut write = Box::pin(file.write(b"lost"));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(write.as_mut().poll(&mut cx).is_pending());
    }
    let error = file.sync_all().await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    file.sync_all().await.unwrap();
}

/// FS-6: the system's word for what may not be changed is its word for what it does not know, too.
#[filch::test]
async fn the_error_of_a_dropped_change_of_length_is_heard_of() {
    let temp = TempFile::new("set_len", b"contents");
    let leave = async |file: &File| {
        let mut change = Box::pin(file.set_len(3));
        let polled = std::future::poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx))).await;
        assert!(polled.is_pending(), "the ring has it");
    };
    // Not open for writing.
    let file = File::open(&temp.0).await.unwrap();
    leave(&file).await;
    assert_eq!(file.sync_all().await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    file.sync_all().await.expect("it was told");
    leave(&file).await;
    assert_eq!(file.write(b"lost").await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    let own = file.write(b"lost").await.unwrap_err();
    assert_eq!(own.raw_os_error(), Some(libc::EBADF), "it was told");
    leave(&file).await;
    assert_eq!(file.try_clone().await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    file.try_clone().await.expect("it was told").close().await.expect("nothing of the other's");
    leave(&file).await;
    assert_eq!(file.close().await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"contents");
    // One that may be. (Older rings do not know the operation; that is no failure.)
    let file = OpenOptions::new().write(true).open(&temp.0).await.unwrap();
    leave(&file).await;
    file.sync_all().await.unwrap();
    file.close().await.unwrap();
}

/// Whether this kernel's rings know how to change the length of a file.
fn rings_change_lengths() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel has one");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

/// FS-6: also where that word is about the length, of a file that may be changed.
#[filch::test]
async fn the_error_of_a_dropped_bad_length_is_heard_of() {
    // SAFETY: the name ends with a NUL.
    let fd =
        unsafe { libc::memfd_create(c"filch".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_HUGETLB) };
    if fd == -1 || !rings_change_lengths() {
        return skip("no files of huge pages here, or no ring that changes lengths");
    }
    // SAFETY: new and ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let file = File::from_std(fd.into()).unwrap();
    assert_eq!(file.set_len(1).await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    {
        let mut change = Box::pin(file.set_len(1));
        let polled = std::future::poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx))).await;
        assert!(polled.is_pending(), "the ring has it");
    }
    assert_eq!(file.sync_all().await.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    file.sync_all().await.expect("it was told");
    file.close().await.unwrap();
}

/// C2, CANCEL-10.
#[test]
fn nothing_is_lost_wherever_it_is_asked_to_end() {
    asked_everywhere(8, reads_at_the_cursor);
    asked_everywhere(5, reads_from_a_pipe);
    asked_everywhere(3, a_pipe_that_goes);
    asked_everywhere(5, writes_at_the_cursor);
    asked_everywhere(8, opens);
}
