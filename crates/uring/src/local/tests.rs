//! What only a look inside can test: a kernel that takes nothing, or cannot cancel all at once.

use super::*;
use crate::{Driver, Op, Position, Remote, SharedFd, op};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

thread_local! {
    /// What happens on other threads while this one reads its mail.
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

pub(super) fn meanwhile() {
    if let Some(happens) = MEANWHILE.take() {
        happens();
    }
}

fn is_ready<T: Operation>(op: &mut Op<T>) -> bool {
    Pin::new(op).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn small_driver() -> (Driver, Rc<Local>) {
    let config = Config { entries: 8, completions: 16, ..Config::default() };
    let driver = Driver::new(&config).expect("a ring");
    (driver, Local::current().expect("just made"))
}

/// What was left and is not read yet, nobody may take for nothing.
#[test]
fn what_another_thread_has_left_is_told_of_and_counts_before_it_is_read() {
    let (mut driver, _local) = small_driver();
    let (told, remote) = (std::sync::Arc::new(AtomicUsize::new(0)), driver.remote());
    let teller = told.clone();
    // Relaxed here and below: the threads are joined.
    remote.tell_of_mail(Box::new(move || {
        teller.fetch_add(1, Ordering::Relaxed);
    }));
    remote.unpark();
    assert_eq!((driver.in_flight(), told.load(Ordering::Relaxed)), ((0, false), 0));
    let sender = move || {
        let mut nop = Op::with_remote(op::Nop::new(), remote);
        assert!(!is_ready(&mut nop));
        nop
    };
    let mut nop = thread::spawn(sender).join().expect("it only begins");
    assert_eq!((driver.in_flight(), told.load(Ordering::Relaxed)), ((1, true), 1));
    while !is_ready(&mut nop) {
        driver.turn().expect("the ring works");
    }
    assert_eq!((driver.in_flight(), told.load(Ordering::Relaxed)), ((0, false), 1));
}

#[test]
fn what_the_kernel_does_not_take_waits_in_user_space() {
    let (mut driver, local) = small_driver();
    local.stalled.set(true);
    let mut nops: Vec<_> = (0..100).map(|_| Op::new(op::Nop::new())).collect();
    assert!(!nops.iter_mut().any(is_ready));
    driver.turn().expect("the ring works");
    driver.park(None).expect("no sleep over a backlog");
    assert_eq!(local.backlog.borrow().len(), 100 - 8 + 2, "the two wake-up reads wait too");
    assert_eq!(driver.counts().submitted, 0);
    local.stalled.set(false);
    while driver.counts().completed < 100 {
        driver.turn().expect("the ring works");
    }
    assert!(nops.iter_mut().all(is_ready));
}

#[test]
fn what_is_dropped_there_never_reaches_the_kernel() {
    let (mut driver, local) = small_driver();
    local.stalled.set(true);
    let mut nops: Vec<_> = (0..100).map(|_| Op::new(op::Nop::new())).collect();
    assert!(!nops.iter_mut().any(is_ready));
    drop(nops);
    local.stalled.set(false);
    while local.in_flight.get() > 0 {
        driver.turn().expect("the ring works");
    }
    let counts = driver.counts();
    assert_eq!((counts.completed, counts.submitted - counts.cancels), (100, 8));
}

#[test]
fn what_waits_there_at_shutdown_is_given_back() {
    let (mut driver, local) = small_driver();
    local.stalled.set(true);
    let mut nops: Vec<_> = (0..100).map(|_| Op::new(op::Nop::new())).collect();
    assert!(!nops.iter_mut().any(is_ready));
    local.stalled.set(false);
    driver.shutdown(None).expect("nothing is stuck");
    assert!(nops.iter_mut().all(is_ready));
}

#[test]
fn writes_that_wait_there_at_shutdown_are_done() {
    let (mut driver, local) = small_driver();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let writer = SharedFd::new(writer.into());
    local.stalled.set(true);
    for _ in 0..100 {
        let mut write = Op::new(op::Write::new(writer.clone(), "x", Position::Current));
        assert!(!is_ready(&mut write));
    }
    drop(writer);
    local.stalled.set(false);
    driver.shutdown(None).expect("nothing is stuck");
    let mut written = String::new();
    reader.read_to_string(&mut written).expect("a pipe whose other end is closed");
    assert_eq!(written.len(), 100);
}

/// A write that waits in the kernel goes on waiting, while what waits beside it is cancelled.
#[test]
fn writes_that_wait_in_the_kernel_at_shutdown_are_done() {
    for one_by_one in [false, true] {
        let mut driver = Driver::new(&Config::default()).expect("a ring");
        Local::current().expect("just made").cancel_one_by_one.set(one_by_one);
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        // SAFETY: no pointers.
        let room = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) };
        writer.write_all(&vec![0; room as usize]).expect("it has room");
        let writer = SharedFd::new(writer.into());
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let fd = SharedFd::from(OwnedFd::from(ours));
        let mut recv = Op::new(op::Recv::new(fd, Vec::with_capacity(8)));
        let mut write = Op::new(op::Write::new(writer, "more", Position::Current));
        assert!(!is_ready(&mut recv) && !is_ready(&mut write));
        driver.turn().expect("the ring works");
        let remote = driver.remote();
        let read = thread::spawn(move || {
            while remote.counts().cancels == 0 {
                thread::yield_now();
            }
            let mut read = Vec::new();
            reader.read_to_end(&mut read).expect("it can be read");
            assert!(read.ends_with(b"more"));
        });
        driver.shutdown(None).expect("nothing is stuck");
        assert!(is_ready(&mut recv));
        let waker = &mut Context::from_waker(Waker::noop());
        let Poll::Ready((written, _)) = Pin::new(&mut write).poll(waker) else {
            panic!("it must not hang")
        };
        assert_eq!(written.expect("it was not cancelled"), 4);
        read.join().expect("no panic");
    }
}

/// A burst of operations that another thread submits and the owner disposes of or takes; and, if told
/// to, one that the owner submits and another thread takes.
fn burst(driver: &mut Driver, local: &Local, round: usize, both_ways: bool) {
    const BURST: usize = 50;
    let remote = driver.remote();
    let theirs = thread::spawn(move || {
        let mut nops: Vec<_> =
            (0..BURST).map(|_| Op::with_remote(op::Nop::new(), remote.clone())).collect();
        assert!(!nops.iter_mut().any(is_ready));
        nops
    });
    let mut theirs = theirs.join().expect("no panic");
    if round.is_multiple_of(2) {
        theirs.clear();
    }
    let mut ours: Vec<_> = (0..BURST).map(|_| Op::new(op::Nop::new())).collect();
    assert!(!ours.iter_mut().any(is_ready));
    while local.in_flight.get() > 0 {
        driver.turn().expect("the ring works");
    }
    assert!(theirs.iter_mut().all(is_ready));
    let mut taken = move || assert!(ours.iter_mut().all(is_ready));
    if both_ways { thread::spawn(taken).join().expect("no panic") } else { taken() }
}

/// Each side's cells are enough for it, however often the other side is the one to finish with them.
#[test]
fn cells_go_back_to_where_they_came_from() {
    for both_ways in [false, true] {
        let (mut driver, local) = small_driver();
        (0..100).for_each(|round| burst(&mut driver, &local, round, both_ways));
        // 100 in use at once, in chunks of 64, 128, 256.
        assert!(local.home().cells() <= 64 + 128 + 256, "{}", local.home().cells());
        drop(driver);
    }
}

#[test]
fn a_kernel_that_cannot_cancel_all_at_once_is_asked_one_by_one() {
    let mut driver = Driver::new(&Config::default()).expect("a ring");
    let local = Local::current().expect("just made");
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let fd = SharedFd::from(OwnedFd::from(ours));
    let mut recvs: Vec<_> =
        (0..50).map(|_| Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(8)))).collect();
    for recv in &mut recvs {
        assert!(!is_ready(recv));
    }
    driver.park(Some(Instant::now())).expect("the ring works");
    local.cancel_one_by_one.set(true);
    driver.shutdown(None).expect("sockets can be cancelled");
    assert!(driver.counts().cancels >= 50);
    assert!(recvs.iter_mut().all(is_ready));
}

/// A cancel of what is not in the ring yet: the kernel does not know it, nor does a rescuer's signal help.
/// The owner hears of it all the same, and the room that it took is there for others.
#[test]
fn a_cancel_that_comes_too_early_for_a_rescuer_is_the_owners() {
    let (mut driver, local) = small_driver();
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let fd = SharedFd::from(OwnedFd::from(ours));
    local.stalled.set(true);
    let mut recvs: Vec<_> =
        (0..50).map(|_| Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(8)))).collect();
    assert!(!recvs.iter_mut().any(is_ready));
    let remote = driver.remote();
    let mut recvs = thread::spawn(move || {
        // Those that wait in user space, and then one that the kernel will be given.
        recvs[8..].iter_mut().for_each(Op::cancel);
        recvs[0].cancel();
        // Their thread waits for this one: it is as good as stuck. Late signals are seen to as well.
        while !recvs[0].is_done() {
            remote.rescue().expect("it can be signalled");
        }
        assert!(recvs[1..].iter().all(|recv| !recv.is_done()));
        recvs
    })
    .join()
    .expect("no panic");
    local.stalled.set(false);
    while driver.counts().completed < 43 {
        driver.turn().expect("the ring works");
    }
    assert!(recvs[8..].iter_mut().all(is_ready) && !is_ready(&mut recvs[1]));
}

/// A recv that a thread without a driver sends to that of `remote`.
fn sent_from_elsewhere(remote: &Remote, fd: SharedFd) -> Op<op::Recv<Vec<u8>>> {
    let remote = remote.clone();
    let begun = thread::spawn(move || {
        let mut recv = Op::with_remote(op::Recv::new(fd, Vec::with_capacity(8)), remote);
        assert!(!is_ready(&mut recv));
        recv
    });
    begun.join().expect("no panic")
}

/// Its owner has not heard of the operation yet: a cancel that it staged at once would come first.
#[test]
fn a_cancel_on_the_owners_thread_comes_after_what_was_sent_there() {
    let (mut driver, _local) = small_driver();
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let mut recv = sent_from_elsewhere(&driver.remote(), SharedFd::from(OwnedFd::from(ours)));
    recv.cancel();
    for _ in 0..100 {
        driver.turn().expect("the ring works");
    }
    assert!(is_ready(&mut recv), "cancelled");
}

/// An owner that comes to itself reads its mail, and at that moment an operation is sent and cancelled, and
/// a rescuer that is still about takes the cancel: it comes after the operation all the same.
#[test]
fn a_cancel_that_a_rescuer_took_comes_after_what_it_is_for() {
    let (mut driver, local) = small_driver();
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let fd = SharedFd::from(OwnedFd::from(ours));
    let remote = driver.remote();
    let sent = Rc::new(RefCell::new(None));
    MEANWHILE.set(Some(Box::new({
        let sent = sent.clone();
        move || {
            let mut recv = sent_from_elsewhere(&remote, fd);
            // The signal comes late.
            crate::sys::block(libc::SIGURG, true).expect("a signal");
            let recv = thread::spawn(move || {
                recv.cancel();
                remote.rescue().expect("it can be signalled");
                recv
            });
            *sent.borrow_mut() = Some(recv.join().expect("no panic"));
            crate::sys::block(libc::SIGURG, false).expect("a signal");
        }
    })));
    // Something else in the mail.
    local.home().inbox.push(Message::Cancel(Key::from_user_data(0)));
    for _ in 0..100 {
        driver.turn().expect("the ring works");
    }
    let mut recv = sent.borrow_mut().take().expect("it was sent");
    assert!(is_ready(&mut recv), "cancelled");
}

/// An alarm's read ends, is no operation, and is armed again; one that was taken back does not go off.
#[test]
fn alarms_go_off_once() {
    let mut driver = Driver::new(&Config::default()).expect("a ring");
    let local = Local::current().expect("just made");
    let remote = driver.remote();
    for _ in 0..3 {
        remote.alarm(Some(Duration::from_secs(3_600)));
        remote.alarm(Some(Duration::ZERO));
        driver.park(None).expect("the ring works");
        assert!(!local.alarm_armed.get() && local.event_armed.get(), "the alarm, and nothing else");
    }
    remote.alarm(Some(Duration::from_secs(3_600)));
    remote.alarm(None);
    let left = local.home().wake.time_left();
    assert_eq!(left, Duration::ZERO, "it is off");
    assert_eq!(driver.counts().completed, 0);
}
