//! Files that have no positions: pipes, eventfds, terminals (C1, D6).

use filch::fs::File;
use filch::io::{Read, Write};
use filch::time::{sleep, timeout};
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

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
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a path that ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
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
