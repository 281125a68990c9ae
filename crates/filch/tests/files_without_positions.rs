//! Files that have no positions: pipes, eventfds, terminals (C1, D6).

mod support;

use filch::fs::{File, OpenOptions};
use filch::io::{Read, Write};
use filch::time::{sleep, timeout};
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use support::{Bytes, everywhere, make_fifo, temp};

const SHORT: Duration = Duration::from_millis(5);

fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().unwrap()
}

fn adopt(fd: impl Into<OwnedFd>) -> File {
    File::from_std(std::fs::File::from(fd.into())).unwrap()
}

#[filch::test]
async fn what_arrives_after_a_dropped_read_goes_to_the_next() {
    // SAFETY: a call without pointers.
    let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    assert!(eventfd >= 0);
    // It takes a seek and ignores it: all the same it has no positions.
    // SAFETY: just opened, and nobody else's.
    let file = adopt(unsafe { OwnedFd::from_raw_fd(eventfd) });
    let mut count = [0; 8];
    assert!(timeout(SHORT, file.read(&mut count)).await.is_err());
    let seven = 7u64.to_ne_bytes();
    assert_eq!(file.write(&seven).await.unwrap(), 8);
    assert_eq!(file.read(&mut count).await.unwrap(), 8);
    assert_eq!(count, seven);
}

#[filch::test]
async fn one_may_be_read_and_written_at_once() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let (ours, theirs) = (Arc::new(adopt(ours)), Arc::new(adopt(theirs)));
    let reader = ours.clone();
    let answer = filch::spawn(async move {
        let mut answer = [0; 6];
        (&*reader).read_exact(&mut answer).await.unwrap();
        answer
    });
    // The other side answers only when it was asked, and by then the read has begun.
    sleep(SHORT).await;
    let echo = filch::spawn(async move {
        let mut asked = [0; 6];
        (&*theirs).read_exact(&mut asked).await.unwrap();
        (&*theirs).write_all(&asked).await.unwrap();
    });
    (&*ours).write_all(b"hello!").await.unwrap();
    assert_eq!(&answer.await.unwrap(), b"hello!");
    echo.await.unwrap();
}

#[filch::test]
async fn a_dropped_write_to_a_full_pipe_keeps_nothing_open() {
    let (mut read, write) = pipe();
    let file = adopt(write);
    let much = vec![1; 1 << 20];
    assert!(timeout(SHORT, (&file).write_all(&much)).await.is_err());
    drop(file);
    // The pipe ends, though nobody read what it was full of before.
    let bytes = filch::spawn_blocking(move || {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let bytes = bytes.await.unwrap();
    assert!(bytes.len() < much.len() && bytes.iter().all(|&byte| byte == 1));
}

#[filch::test]
async fn closing_waits_for_no_reader() {
    let (read, write) = pipe();
    let file = adopt(write);
    assert!(timeout(SHORT, (&file).write_all(&vec![1; 1 << 20])).await.is_err());
    file.close().await.unwrap();
    drop(read);
}

#[filch::test]
async fn a_pipe_of_the_standard_library_is_read_to_its_end() {
    let (read, mut write) = pipe();
    let mut file = adopt(read);
    let writer = filch::spawn_blocking(move || write.write_all(b"to the end").unwrap());
    let mut text = String::new();
    file.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "to the end");
    writer.await.unwrap();
}

#[filch::test]
async fn a_fifo_to_be_written_waits_for_its_reader() {
    let path = std::env::temp_dir().join(format!("filch-fifo-{}", std::process::id()));
    make_fifo(&path);
    // So that the kernel knows the path by heart: then it does not wait at its first attempt.
    std::fs::metadata(&path).unwrap();
    let to_write = filch::fs::OpenOptions::new().write(true).open(&path);
    let mut to_write = std::pin::pin!(to_write);
    assert!(timeout(SHORT, &mut to_write).await.is_err(), "nobody reads");
    let reader = path.clone();
    let reader = filch::spawn_blocking(move || std::fs::read_to_string(reader).unwrap());
    let file = to_write.await.unwrap();
    (&file).write_all(b"through").await.unwrap();
    drop(file);
    assert_eq!(reader.await.unwrap(), "through");
    std::fs::remove_file(&path).unwrap();
}

/// FS-21. As nobody writes yet, it has no end.
#[filch::test]
async fn a_fifo_to_be_read_waits_for_who_writes_to_it() {
    let path = temp("fifo");
    make_fifo(&path);
    // So that the kernel knows the path by heart: then it does not wait at its first attempt.
    std::fs::metadata(&path).unwrap();
    let mut whole = Box::pin(filch::fs::read(path.clone()));
    assert!(timeout(SHORT, &mut whole).await.is_err(), "nobody writes");
    let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    assert!(timeout(SHORT, &mut whole).await.is_err(), "nobody has written");
    writer.write_all(b"through").unwrap();
    drop(writer);
    assert_eq!(whole.await.unwrap(), b"through");

    let read = async |path: &std::path::Path| {
        let (mut file, mut text) = (File::open(path).await?, String::new());
        file.read_to_string(&mut text).await?;
        // There was somebody: now it is at its end.
        assert_eq!(file.read(&mut [0; 8]).await?, 0);
        Ok::<_, std::io::Error>(text)
    };
    let mut whole = Box::pin(read(&path));
    assert!(timeout(SHORT, &mut whole).await.is_err(), "nobody writes");
    // One who comes and says nothing.
    let writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    assert!(timeout(SHORT, &mut whole).await.is_err(), "nobody has written");
    drop(writer);
    assert_eq!(whole.await.unwrap(), "");

    // Who may not read it is told so, and does not wait.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).await.unwrap();
    let error = file.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    drop(reader);
    std::fs::remove_file(&path).unwrap();
}

/// FS-21. A pipe without a name has had its writer, though it is opened by the name that the system gives it.
#[filch::test]
async fn a_pipe_without_a_name_has_an_end() {
    let (from, mut to) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", from.as_raw_fd());
    to.write_all(b"all of it").unwrap();
    drop(to);
    assert_eq!(filch::fs::read(&path).await.unwrap(), b"all of it");
    assert_eq!(filch::fs::read(&path).await.unwrap(), b"");
    assert_eq!(File::open(&path).await.unwrap().read(&mut [0]).await.unwrap(), 0);
}

/// FS-21, C1. That nobody writes yet is not forgotten with the read that was dropped.
async fn reads_a_fifo(cut: filch_testkit::Cut) {
    let path = temp("fifo");
    make_fifo(&path);
    std::fs::metadata(&path).unwrap();
    let got = Bytes::default();
    let into = got.clone();
    let reading = async {
        let file = Arc::new(File::open(&path).await.unwrap());
        let read_all = move |file: Arc<File>, size: usize, into: Bytes| async move {
            let mut piece = vec![0; size];
            while let read @ 1.. = file.read(&mut piece).await.unwrap() {
                into.add(&piece[..read]);
            }
        };
        cut.run(read_all(file.clone(), 3, into.clone())).await;
        read_all(file, 5, into).await;
    };
    filch::join!(reading, async {
        support::breathe().await;
        let to_write = OpenOptions::new().write(true).open(&path).await.unwrap();
        (&to_write).write_all(b"all of it").await.unwrap();
    });
    assert_eq!(got.take(), b"all of it");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_dropped_read_of_a_fifo_forgets_no_writer() {
    everywhere(2, reads_a_fifo);
}

/// The two sides of a new pseudo-terminal.
fn terminal() -> (OwnedFd, OwnedFd) {
    // SAFETY: a call without pointers.
    let ours = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(ours >= 0);
    // SAFETY: just opened, and nobody else's.
    let ours = unsafe { OwnedFd::from_raw_fd(ours) };
    let mut name = [0; 64];
    // SAFETY: calls on an open descriptor; the name has room for its length.
    unsafe {
        assert_eq!(libc::grantpt(ours.as_raw_fd()), 0);
        assert_eq!(libc::unlockpt(ours.as_raw_fd()), 0);
        assert_eq!(libc::ptsname_r(ours.as_raw_fd(), name.as_mut_ptr(), name.len()), 0);
    }
    // SAFETY: the call has written a name that ends with a NUL.
    let theirs =
        unsafe { libc::open(name.as_ptr(), libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(theirs >= 0);
    // SAFETY: as above.
    (ours, unsafe { OwnedFd::from_raw_fd(theirs) })
}

#[filch::test(workers = 1)]
async fn a_terminal_that_takes_no_more_holds_up_its_writer_alone() {
    let (screen, program) = terminal();
    let program = adopt(program);
    let much = vec![b'x'; 1 << 20];
    // Nobody looks at the screen. The worker goes on: else the time would never be over.
    assert!(timeout(Duration::from_millis(50), (&program).write_all(&much)).await.is_err());
    program.close().await.unwrap();
    drop(screen);
}
