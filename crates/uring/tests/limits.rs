//! Queues that are too small, results that are too short, descriptors that run out (D5).

mod support;

use filch_uring::{Config, Driver, IoBuf, Op, Position, SharedFd, op};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use support::{driver, pair, poll, run};

#[test]
fn a_full_submission_queue_slows_down_and_loses_nothing() {
    let config = Config { entries: 8, completions: 4_096, ..Config::default() };
    let mut driver = Driver::new(&config).expect("a ring");
    let mut nops: Vec<_> = (0..1_000).map(|_| Op::new(op::Nop::new())).collect();
    for nop in &mut nops {
        assert!(poll(nop).is_pending());
    }
    while driver.counts().completed < 1_000 {
        driver.turn().expect("the ring works");
    }
    assert!(nops.iter_mut().all(|nop| poll(nop).is_ready()));
}

#[test]
fn an_overflowing_completion_queue_loses_nothing() {
    let config = Config { entries: 8, completions: 8, ..Config::default() };
    let mut driver = Driver::new(&config).expect("a ring");
    let (fd, mut peer) = pair();
    let mut polls: Vec<_> =
        (0..200).map(|_| Op::new(op::PollFd::new(fd.clone(), libc::POLLIN))).collect();
    for op in &mut polls {
        assert!(poll(op).is_pending());
    }
    while driver.counts().submitted < 200 {
        driver.turn().expect("the ring works");
    }
    assert_eq!(driver.counts().completed, 0);
    // All of them at once, into eight places.
    peer.write_all(b"x").expect("it has room");
    while driver.counts().completed < 200 {
        driver.park(None).expect("the ring works");
    }
    assert!(driver.counts().overflows > 0, "else this test shows nothing");
    assert!(polls.iter_mut().all(|op| poll(op).is_ready()));
}

/// The kernel puts finished work off until it is entered, and then does a portion of it.
#[test]
fn one_turn_delivers_all_that_is_done() {
    const MANY: u64 = 400;
    for parked in [false, true] {
        let mut driver = driver();
        let (fd, mut peer) = pair();
        let mut polls: Vec<_> =
            (0..MANY).map(|_| Op::new(op::PollFd::new(fd.clone(), libc::POLLIN))).collect();
        assert!(!polls.iter_mut().any(|op| poll(op).is_ready()));
        while driver.counts().submitted < MANY {
            driver.turn().expect("the ring works");
        }
        let before = driver.counts().enters;
        peer.write_all(b"x").expect("it has room");
        let turned = if parked { driver.park(None) } else { driver.turn() };
        assert_eq!(turned.expect("the ring works"), MANY as usize);
        // The portions double: 20, 20, 40, 80, 160, and the rest.
        let enters = driver.counts().enters - before;
        assert!(enters <= 8, "{enters}");
    }
}

#[test]
fn short_reads_and_writes_are_told() {
    let mut driver = driver();
    let (fd, mut peer) = pair();
    peer.write_all(b"abc").expect("it has room");
    let (result, buffer) = run(&mut driver, op::Recv::new(fd.clone(), Vec::with_capacity(64)));
    assert_eq!((result.expect("some"), &buffer[..]), (3, &b"abc"[..]));
    // More than a pipe has room for, to a writer that does not wait.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    // SAFETY: no pointers.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let writer = SharedFd::from(OwnedFd::from(writer));
    let big = vec![1u8; 1 << 20];
    let write = op::Write::new(writer, big, Position::Current);
    let (result, big) = run(&mut driver, write);
    let written = result.expect("some of it");
    assert!(written > 0 && written < big.len(), "{written}");
    let mut got = vec![0; written];
    let mut reader = reader;
    reader.read_exact(&mut got).expect("what was told was written");
    // The rest, by slices, is the caller's: so much is left.
    assert_eq!(big.slice(written..).len(), (1 << 20) - written);
    // At the end of a stream there is nothing.
    drop(peer);
    let (result, _) = run(&mut driver, op::Recv::new(fd, Vec::with_capacity(64)));
    assert_eq!(result.expect("the end"), 0);
}

#[test]
fn accepting_without_descriptors_is_an_error_that_passes() {
    // A process of its own, for the limit.
    if std::env::var_os("FILCH_ALONE").is_none() {
        let this = std::env::current_exe().expect("it runs");
        let status = Command::new(this)
            .args(["--exact", "accepting_without_descriptors_is_an_error_that_passes"])
            .env("FILCH_ALONE", "1")
            .status()
            .expect("it starts");
        assert!(status.success());
        return;
    }
    let mut driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let _client = TcpStream::connect(address).expect("it listens");
    let listener = SharedFd::from(OwnedFd::from(listener));
    let next = std::fs::File::open("/dev/null").expect("a file").as_raw_fd();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: valid limits.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        let low = libc::rlimit { rlim_cur: next as u64, ..limit };
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const low), 0);
    }
    let error = run(&mut driver, op::Accept::new(listener.clone())).expect_err("no descriptors");
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    run(&mut driver, op::Accept::new(listener)).expect("the connection is still there");
}
