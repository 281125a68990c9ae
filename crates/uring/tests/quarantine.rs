//! Buffers that are watched over: a kernel that keeps its promises is told nothing of, one that does not is
//! found out (D1).

mod support;

use filch_uring::quarantine::{Violation, When};
use filch_uring::{Config, Driver, IoBuf, Op, Operation, Position, Quarantine, SharedFd, op};
use std::io::{PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::thread;
use support::{pair, poll};

type Found = Arc<Mutex<Vec<Violation>>>;

/// A driver that watches, and what it finds.
fn watching() -> (Driver, Found) {
    let found = Found::default();
    let to = found.clone();
    let quarantine = Quarantine::new(move |violation: &Violation| {
        to.lock().unwrap().push(violation.clone());
    });
    let config = Config { quarantine: Some(quarantine), ..Config::default() };
    (Driver::new(&config).expect("a ring"), found)
}

/// Has the kernel write to memory that is not its own to write to.
///
/// # Safety
///
/// The memory is there, and nobody looks at it meanwhile.
unsafe fn written_by_the_kernel(at: *mut u8, bytes: &[u8]) {
    let (from, mut to): (_, PipeWriter) = std::io::pipe().expect("a pipe");
    to.write_all(bytes).expect("it has room");
    // SAFETY: the caller's promise.
    let read = unsafe { libc::read(from.as_raw_fd(), at.cast(), bytes.len()) };
    assert_eq!(read, bytes.len() as isize);
}

/// Polls an operation, hands it to the kernel, and drops it.
fn given_up<T: Operation>(driver: &mut Driver, operation: T) {
    let mut op = Op::new(operation);
    assert!(poll(&mut op).is_pending());
    driver.turn().expect("the ring works");
    let before = driver.remote().quarantined().len();
    drop(op);
    while driver.remote().quarantined().len() == before {
        driver.park(None).expect("the ring works");
    }
}

#[test]
fn who_writes_to_a_buffer_late_is_found_out() {
    for (len, offset) in [(1, 0), (64, 0), (64, 63), (100_000, 77_777)] {
        let (mut driver, found) = watching();
        let (fd, _peer) = pair();
        given_up(&mut driver, op::Recv::new(fd.clone(), Vec::with_capacity(len)));
        assert_eq!(fd.holders(), 1, "the descriptor is not kept");
        let [(at, room)] = driver.remote().quarantined()[..] else { panic!("one buffer is kept") };
        assert_eq!(room, len);
        // SAFETY: it is kept until the driver goes, and looked at then.
        unsafe {
            let was = at.add(offset).read();
            written_by_the_kernel(at.add(offset), &[!was]);
        }
        assert_eq!(driver.counts().violations, 0, "it is looked at when it is freed");
        driver.shutdown(None).expect("nothing is stuck");
        let late = found.lock().unwrap().pop().expect("it was found");
        assert_eq!((late.operation, late.when), ("recv", When::Late));
        assert_eq!((late.offset, late.len), (offset, len));
        assert_eq!((driver.counts().violations, driver.remote().quarantined().len()), (1, 0));
        assert!(late.to_string().contains("of a recv, which was over"), "{late}");
    }
}

/// A kernel that writes more than it says, or while nothing was reported.
#[test]
fn who_writes_beyond_what_is_reported_is_found_out() {
    for initialised in [false, true] {
        let (mut driver, found) = watching();
        let (fd, mut peer) = pair();
        let mut bytes = if initialised { vec![1; 64] } else { Vec::with_capacity(64) };
        let at = bytes.as_mut_ptr();
        let mut recv = Op::new(op::Recv::new(fd, bytes));
        assert!(poll(&mut recv).is_pending());
        driver.turn().expect("the ring works");
        // SAFETY: the buffer is lent to the kernel.
        unsafe { written_by_the_kernel(at.add(40), b"stray") };
        peer.write_all(b"said").expect("it has room");
        while !recv.is_done() {
            driver.park(None).expect("the ring works");
        }
        drop(recv);
        let beyond = found.lock().unwrap().pop().expect("it was found");
        assert_eq!((beyond.when, beyond.offset), (When::Beyond(4), 40));
        assert!(beyond.to_string().contains("which reported 4 bytes"), "{beyond}");
        driver.shutdown(None).expect("nothing is stuck");
        assert_eq!(driver.counts().violations, 1, "found once");
    }
}

/// Several buffers in one operation, each watched over as one is.
#[test]
fn who_writes_to_one_of_several_late_is_found_out() {
    for (nth, offset) in [(0, 0), (0, 9), (1, 0), (2, 69_999)] {
        let (mut driver, found) = watching();
        let (fd, _peer) = pair();
        let bufs = vec![Vec::with_capacity(10), vec![7; 20], Vec::with_capacity(70_000)];
        given_up(&mut driver, op::RecvVectored::new(fd.clone(), bufs));
        assert_eq!(fd.holders(), 1, "the descriptor is not kept");
        let kept = driver.remote().quarantined();
        let begin: usize = kept[..nth].iter().map(|(_, len)| len).sum();
        let (at, len) = kept[nth];
        assert!(kept.len() == 3 && offset < len, "all of them are kept");
        // SAFETY: they are kept until the driver goes, and looked at then.
        unsafe {
            let was = at.add(offset).read();
            written_by_the_kernel(at.add(offset), &[!was]);
        }
        driver.shutdown(None).expect("nothing is stuck");
        let late = found.lock().unwrap().pop().expect("it was found");
        let all = kept.iter().map(|(_, len)| len).sum();
        assert_eq!((late.when, late.offset, late.len), (When::Late, begin + offset, all));
        assert!(late.operation.ends_with("of several"), "{late}");
        assert_eq!(driver.counts().violations, 1, "found once");
    }
}

/// Of several buffers the first are filled, and the others not touched.
#[test]
fn who_writes_beyond_what_is_reported_of_several_is_found_out() {
    for (nth, offset, stray) in [(0, 0, false), (0, 5, true), (1, 4, true), (2, 0, true)] {
        let (mut driver, found) = watching();
        let (fd, mut peer) = pair();
        let mut bufs = vec![Vec::with_capacity(10), vec![1; 20], Vec::with_capacity(30)];
        let at = bufs[nth].as_mut_ptr();
        let mut recv = Op::new(op::RecvVectored::new(fd, bufs));
        assert!(poll(&mut recv).is_pending());
        driver.turn().expect("the ring works");
        // Into the first, or over its end.
        let said = if nth == 0 { &b"said"[..] } else { b"said and said" };
        if stray {
            // SAFETY: the buffer is lent to the kernel.
            unsafe { written_by_the_kernel(at.add(offset), b"?") };
        }
        peer.write_all(said).expect("it has room");
        let (received, bufs) = support::block_on(&mut driver, recv);
        assert_eq!(received.expect("it came").len, said.len());
        assert_eq!(bufs[0], &said[..said.len().min(10)]);
        let beyond = found.lock().unwrap().pop().map(|it| (it.when, it.offset, it.len));
        let begin = [0, 10, 30][nth];
        let expected = stray.then_some((When::Beyond(said.len()), begin + offset, 60));
        assert_eq!(beyond, expected);
        assert_eq!(driver.counts().violations, stray.into());
    }
}

/// A kernel that reads several late reads something that nobody wrote.
#[test]
fn what_was_to_be_sent_of_several_is_there_no_more() {
    let (mut driver, found) = watching();
    let (fd, _peer) = pair();
    given_up_as_sent(&mut driver, &fd, vec![b"said".to_vec(), b"twice".to_vec()]);
    let kept = driver.remote().quarantined();
    let bytes = |nth: usize| {
        let (at, len) = kept[nth];
        // SAFETY: it is kept, and nobody writes to it.
        unsafe { std::slice::from_raw_parts(at, len) }
    };
    assert!(bytes(0).len() == 4 && bytes(1).len() == 5);
    assert!(bytes(0) != b"said" && bytes(1) != b"twice");
    // SAFETY: it is kept until the driver goes.
    unsafe { written_by_the_kernel(kept[1].0.add(2), b"!") };
    driver.shutdown(None).expect("nothing is stuck");
    let late = found.lock().unwrap().pop().expect("it was found");
    assert_eq!((late.operation, late.when), ("send of several", When::Late));
    assert_eq!((late.offset, late.len), (6, 9));
}

/// Sends several buffers to whom there is no room, and drops that.
fn given_up_as_sent(driver: &mut Driver, fd: &SharedFd, bufs: Vec<Vec<u8>>) {
    let full = vec![0; 1 << 16];
    loop {
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: the buffer is there.
        let sent = unsafe { libc::send(fd.as_raw_fd(), full.as_ptr().cast(), full.len(), flags) };
        if sent < 0 {
            break;
        }
    }
    given_up(driver, op::SendVectored::new(fd.clone(), bufs));
}

/// Whether the result is wanted or not: a buffer that is delivered is looked at, and not kept.
#[test]
fn a_buffer_that_is_delivered_is_looked_at() {
    let (mut driver, found) = watching();
    let (fd, mut peer) = pair();
    for stray in [false, true] {
        let mut bytes = Vec::with_capacity(64);
        let at = bytes.as_mut_ptr();
        let mut recv = Op::new(op::Recv::new(fd.clone(), bytes));
        assert!(poll(&mut recv).is_pending());
        driver.turn().expect("the ring works");
        if stray {
            // SAFETY: the buffer is lent to the kernel.
            unsafe { written_by_the_kernel(at.add(9), b"stray") };
        }
        peer.write_all(b"said").expect("it has room");
        let (read, buffer) = support::block_on(&mut driver, recv);
        assert_eq!((read.expect("it came"), &buffer[..]), (4, &b"said"[..]));
        assert_eq!(
            (found.lock().unwrap().len(), driver.remote().quarantined().len()),
            (stray.into(), 0)
        );
    }
}

/// What is written from is not written to, be it ours to fill or not.
#[test]
fn who_writes_to_what_it_should_read_is_found_out() {
    fn write_is_watched<B: IoBuf>(bytes: B, at: *mut u8) {
        let (mut driver, found) = watching();
        let (_from, to) = std::io::pipe().expect("a pipe");
        let to = SharedFd::new(to.into());
        let mut write = Op::new(op::Write::new(to, bytes, Position::Current));
        assert!(poll(&mut write).is_pending());
        // SAFETY: the buffer is the operation's, and was writable before.
        unsafe { written_by_the_kernel(at.add(1), b"?") };
        drop(write);
        while driver.remote().quarantined().is_empty() {
            driver.park(None).expect("the ring works");
        }
        let early = found.lock().unwrap().pop().expect("it was found");
        assert_eq!((early.operation, early.when, early.offset), ("write", When::Beyond(0), 1));
        let at = driver.remote().quarantined()[0].0;
        // SAFETY: it is kept until the driver goes.
        unsafe { written_by_the_kernel(at.add(2), b"!") };
        driver.shutdown(None).expect("nothing is stuck");
        assert_eq!(driver.counts().violations, 2);
    }
    let mut own = b"written".to_vec();
    let at = own.as_mut_ptr();
    write_is_watched(own, at);
    let not_ours: &'static mut [u8] = Box::leak(b"written".to_vec().into());
    let at = not_ours.as_mut_ptr();
    write_is_watched(&*not_ours, at);
}

/// A kernel that reads late reads something that nobody wrote.
#[test]
fn what_was_to_be_written_is_there_no_more() {
    let (mut driver, _found) = watching();
    let (from, to) = std::io::pipe().expect("a pipe");
    given_up(
        &mut driver,
        op::Write::new(SharedFd::new(to.into()), b"said".to_vec(), Position::Current),
    );
    let mut said = String::new();
    { from }.read_to_string(&mut said).expect("the other end is closed");
    assert_eq!(said, "said");
    let (at, len) = driver.remote().quarantined()[0];
    // SAFETY: it is kept, and nobody writes to it.
    assert_ne!(unsafe { std::slice::from_raw_parts(at, len) }, b"said");
}

#[test]
fn a_kernel_that_keeps_its_promises_is_told_nothing_of() {
    let (mut driver, found) = watching();
    let (fd, mut peer) = pair();
    let mut most = 0;
    for round in 0..1_000_usize {
        let buffer = match round % 3 {
            0 => Vec::with_capacity(1 + round),
            1 => vec![7; 1 + round],
            _ => [vec![7; round], Vec::with_capacity(round)].concat(),
        };
        let mut recv = Op::new(op::Recv::new(fd.clone(), buffer.slice(round / 4..)));
        assert!(poll(&mut recv).is_pending());
        if round.is_multiple_of(2) {
            driver.turn().expect("the ring works");
        }
        if round.is_multiple_of(5) {
            peer.write_all(b"some bytes").expect("it has room");
        }
        if round.is_multiple_of(7) {
            support::block_on(&mut driver, Op::new(op::Nop::new())).expect("it does nothing");
        }
        if round.is_multiple_of(3) {
            thread::spawn(move || drop(recv)).join().expect("no panic");
        } else {
            drop(recv);
        }
        most = most.max(driver.remote().quarantined().len());
    }
    assert!(most > 100, "only {most} were ever kept");
    assert!(most <= 256, "{most} were kept at once");
    driver.shutdown(None).expect("nothing is stuck");
    assert_eq!((&found.lock().unwrap()[..], driver.counts().violations), (&[][..], 0));
    assert_eq!(driver.remote().quarantined().len(), 0);
}

/// Large buffers are not kept for as long as small ones.
#[test]
fn not_all_memory_is_kept() {
    let (mut driver, _found) = watching();
    let (fd, _peer) = pair();
    for _ in 0..20 {
        let mut recv = Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(1 << 20)));
        assert!(poll(&mut recv).is_pending());
        drop(recv);
        for _ in 0..100 {
            driver.turn().expect("the ring works");
        }
    }
    let kept: usize = driver.remote().quarantined().iter().map(|(_, len)| len).sum();
    assert!(kept > 0 && kept <= 8 << 20, "{kept} bytes are kept");
}
