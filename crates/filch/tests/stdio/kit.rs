//! What the tests share.

use crate::support::{PATIENCE, watched};
use filch::time::{Duration, sleep};
use filch_testkit::child;
use filch_testkit::leaks::threads;
use filch_testkit::limits::watchdog;
use std::future::{Future, poll_fn};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Wake, Waker};

/// Runs a test in a process of its own.
#[track_caller]
pub(crate) fn in_child(test: &str, body: impl FnOnce()) {
    child::run(test, || {
        let _watchdog = watchdog(PATIENCE);
        body();
    });
}

/// Runs a future in a runtime of its own.
pub(crate) fn run<F: Future>(workers: usize, future: F) -> F::Output {
    watched(workers).run(future).expect("a runtime")
}

/// Has another descriptor in the place of a standard one, until this is dropped.
pub(crate) struct InPlace {
    number: RawFd,
    before: OwnedFd,
}

impl InPlace {
    pub(crate) fn of(number: RawFd, by: impl AsFd) -> Self {
        let this = Self::before(number);
        put(by.as_fd(), number);
        this
    }

    /// Nothing in its place.
    pub(crate) fn closed(number: RawFd) -> Self {
        let this = Self::before(number);
        // SAFETY: it is put back, and nobody opens anything meanwhile.
        assert_eq!(unsafe { libc::close(number) }, 0);
        this
    }

    fn before(number: RawFd) -> Self {
        std::io::stdout().flush().expect("it takes it");
        // SAFETY: it is open.
        let before = unsafe { BorrowedFd::borrow_raw(number) };
        Self { number, before: before.try_clone_to_owned().expect("a descriptor") }
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        put(self.before.as_fd(), self.number);
    }
}

fn put(fd: BorrowedFd<'_>, number: RawFd) {
    // SAFETY: a standard descriptor, which nobody owns.
    assert_eq!(unsafe { libc::dup2(fd.as_raw_fd(), number) }, number);
}

pub(crate) fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().expect("a pipe")
}

/// A pipe that keeps no more than 4 KiB.
pub(crate) fn small_pipe() -> (PipeReader, PipeWriter) {
    let (from, to) = pipe();
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::fcntl(to.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) }, 4096);
    (from, to)
}

/// The two ends of a terminal: who types and looks, and who reads and writes.
pub(crate) fn terminal() -> (std::fs::File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: there is room for two descriptors; nothing else is asked for.
    let made = unsafe {
        libc::openpty(&raw mut master, &raw mut slave, ptr::null_mut(), ptr::null(), ptr::null())
    };
    assert_eq!(made, 0, "a terminal");
    // SAFETY: they are new and ours.
    unsafe { (std::fs::File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

/// A device that is read and written by numbers of eight bytes, made non-blocking, that keeps their sum, and takes none
/// before it is read.
pub(crate) fn full_device() -> std::fs::File {
    // SAFETY: no pointers.
    let number = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK) };
    assert!(number >= 0, "an event's descriptor");
    // SAFETY: it is new and ours.
    let device = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(number) });
    (&device).write_all(&(u64::MAX - 1).to_ne_bytes()).expect("there is room");
    device
}

/// Takes out what such a device keeps.
pub(crate) fn take_sum(mut device: &std::fs::File) -> u64 {
    let mut sum = [0; 8];
    device.read_exact(&mut sum).expect("there is something");
    u64::from_ne_bytes(sum)
}

/// How much of a pipe, or of what a terminal shows, nobody has read.
pub(crate) fn unread(fd: impl AsFd) -> usize {
    let mut unread = 0;
    // SAFETY: there is room for the number.
    let asked = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut unread) };
    assert_eq!(asked, 0);
    usize::try_from(unread).expect("a count")
}

/// Has the only thread for what blocks until this is dropped, once it has begun: what is given to it waits behind.
pub(crate) struct Gate(mpsc::Receiver<()>, Option<mpsc::Sender<()>>);

impl Gate {
    pub(crate) fn new() -> Self {
        let ((open, opened), (begun, has_begun)) = (mpsc::channel::<()>(), mpsc::channel());
        drop(filch::spawn_blocking(move || {
            let _nobody_asks = begun.send(());
            opened.recv().unwrap_err();
        }));
        Self(has_begun, Some(open))
    }

    /// Waits until it has begun.
    pub(crate) fn wait(&self) {
        self.0.recv().expect("it begins");
    }

    pub(crate) fn open(mut self) {
        self.1 = None;
    }
}

/// Waits until a thread for what blocks is in a system call, with this first argument.
pub(crate) async fn until_a_thread_is_in(call: libc::c_long, argument: RawFd) {
    let is_in = |thread: &i32| {
        let now = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
        now.expect("it is there").starts_with(&format!("{call} {argument:#x} "))
    };
    while !threads("filch-blocking").keys().any(is_in) {
        pause().await;
    }
}

/// Lets some time go by.
pub(crate) async fn pause() {
    sleep(Duration::from_millis(2)).await;
}

/// The status flags of a descriptor.
pub(crate) fn flags(number: RawFd) -> i32 {
    // SAFETY: no pointers.
    unsafe { libc::fcntl(number, libc::F_GETFL) }
}

pub(crate) fn set_nonblocking(fd: impl AsFd) {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: no pointers.
    let set = unsafe { libc::fcntl(number, libc::F_SETFL, flags(number) | libc::O_NONBLOCK) };
    assert_eq!(set, 0);
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    /// How often it was woken.
    pub(crate) fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

/// Waits until a waker has been woken so often.
pub(crate) async fn until(count: &Count, woken: usize) {
    while count.woken() < woken {
        pause().await;
    }
}

/// Polls a future once, and says whether it waits.
pub(crate) async fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
