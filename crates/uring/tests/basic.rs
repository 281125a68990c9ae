//! Operations on one thread: the thin path through every layer.

mod support;

use filch_uring::{IoBuf, NoDriver, Op, Position, SharedFd, op};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use support::{block_on, driver, pair, poll, run};

#[test]
fn a_nop_completes() {
    let mut driver = driver();
    run(&mut driver, op::Nop::new()).expect("it does nothing");
    assert_eq!(driver.counts().completed, 1);
    assert_eq!(driver.counts().enters, 1, "one call submits and waits");
}

#[test]
fn a_file_is_read() {
    let mut driver = driver();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let expected = std::fs::read(&path).expect("it is there");
    let open = op::Open::new(&path, libc::O_RDONLY, 0).expect("no NUL");
    let file: SharedFd = run(&mut driver, open).0.expect("it opens").into();
    let buffer = Vec::with_capacity(64 * 1024);
    let (read, buffer) = run(&mut driver, op::Read::new(file.clone(), buffer, Position::At(0)));
    assert_eq!(read.expect("it reads"), expected.len());
    assert_eq!(buffer, expected);
    let (read, buffer) = run(&mut driver, op::Read::new(file, buffer.slice(2..5), Position::At(0)));
    assert_eq!(read.expect("it reads"), 3);
    assert_eq!(buffer.into_inner()[2..5], expected[..3]);
}

#[test]
fn sockets_talk() {
    let mut driver = driver();
    let (ours, mut theirs) = pair();
    let (sent, _) = run(&mut driver, op::Send::new(ours.clone(), "hello"));
    assert_eq!(sent.expect("it sends"), 5);
    let mut got = [0; 5];
    theirs.read_exact(&mut got).expect("it arrived");
    assert_eq!(&got, b"hello");
    let mut recv = Op::new(op::Recv::new(ours, Vec::with_capacity(16)));
    assert!(poll(&mut recv).is_pending());
    driver.turn().expect("the ring works");
    assert!(poll(&mut recv).is_pending(), "nothing was sent yet");
    theirs.write_all(b"back").expect("it sends");
    let (received, buffer) = block_on(&mut driver, recv);
    assert_eq!(received.expect("it arrived"), 4);
    assert_eq!(buffer, b"back");
}

/// With MSG_TRUNC, TCP drops bytes and counts them; with MSG_ZEROCOPY the buffer is read later (D1).
#[test]
fn flags_that_would_break_a_promise_are_refused() {
    let mut driver = driver();
    let (server, client) = tcp_pair();
    (&client).write_all(b"secret").expect("it has room");
    for flags in [libc::MSG_TRUNC, libc::MSG_TRUNC | libc::MSG_PEEK, 1 << 30] {
        let recv = op::Recv::new(server.clone(), Vec::with_capacity(64)).flags(flags);
        let (result, buffer) = run(&mut driver, recv);
        let error = result.expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
        assert!(buffer.is_empty(), "nothing was written to it");
    }
    let send = op::Send::new(server.clone(), "bytes").flags(libc::MSG_ZEROCOPY);
    let error = run(&mut driver, send).0.expect_err("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    assert_eq!(driver.counts().submitted, 0);
    let (result, buffer) = run(&mut driver, op::Recv::new(server, Vec::with_capacity(64)));
    assert_eq!((result.expect("it is all there"), &buffer[..]), (6, &b"secret"[..]));
}

/// A FIFO without readers is waited for in a kernel thread, and only there.
#[test]
fn a_fifo_is_opened_when_there_is_a_reader() {
    let path = std::env::temp_dir().join(format!("filch-fifo-{}", std::process::id()));
    let name = op::c_path(&path).expect("no NUL");
    // SAFETY: the name ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let mut driver = driver();
    let open = || op::Open::new(&path, libc::O_WRONLY, 0).expect("no NUL");
    // So that the path is cached, and the kernel tries.
    std::fs::metadata(&path).expect("it is there");
    let error = run(&mut driver, open()).0.expect_err("there is no reader");
    assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
    let mut waiting = Op::new(open().in_kernel_thread());
    assert!(poll(&mut waiting).is_pending());
    driver.turn().expect("the ring works");
    let reader = std::thread::spawn({
        let path = path.clone();
        move || std::fs::read_to_string(path).expect("somebody writes")
    });
    let writer = block_on(&mut driver, waiting).0.expect("there is a reader");
    std::fs::File::from(writer).write_all(b"through").expect("there is a reader");
    assert_eq!(reader.join().expect("no panic"), "through");
    // One that waits can be given up.
    let mut waiting = Op::new(open().in_kernel_thread());
    assert!(poll(&mut waiting).is_pending());
    driver.turn().expect("the ring works");
    waiting.cancel();
    block_on(&mut driver, waiting).0.expect_err("cancelled");
    std::fs::remove_file(&path).expect("it is there");
}

fn tcp_pair() -> (SharedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("it is bound"));
    let (accepted, _) = listener.accept().expect("somebody connects");
    (OwnedFd::from(accepted).into(), client.expect("it listens"))
}

#[test]
fn many_more_operations_than_the_queues_hold() {
    let config = filch_uring::Config { entries: 8, completions: 16, ..Default::default() };
    let mut driver = filch_uring::Driver::new(&config).expect("a ring");
    let mut nops: Vec<_> = (0..1_000).map(|_| Op::new(op::Nop::new())).collect();
    for nop in &mut nops {
        assert!(poll(nop).is_pending());
    }
    for nop in nops {
        block_on(&mut driver, nop).expect("it does nothing");
    }
    assert_eq!(driver.counts().completed, 1_000);
}

#[test]
fn a_park_ends_at_its_deadline_or_at_an_unpark() {
    let mut driver = driver();
    let deadline = Instant::now() + Duration::from_millis(2);
    while Instant::now() < deadline {
        driver.park(Some(deadline)).expect("the ring works");
    }
    driver.park(Some(deadline)).expect("a deadline in the past is no sleep");
    let remote = driver.remote();
    remote.unpark();
    driver.park(None).expect("the token was there");
    let waker = std::thread::spawn(move || remote.unpark());
    driver.park(None).expect("the ring works");
    waker.join().expect("it unparked");
}

#[test]
fn an_idle_turn_makes_no_system_call() {
    let mut driver = driver();
    driver.turn().expect("the ring works");
    assert_eq!(driver.counts().enters, 0);
}

#[test]
fn without_a_driver_there_is_an_error() {
    let error = match poll(&mut Op::new(op::Nop::new())) {
        std::task::Poll::Ready(Err(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(NoDriver::of(&error), Some(NoDriver::None));
}

#[test]
fn another_thread_submits_through_the_remote() {
    let mut driver = driver();
    let remote = driver.remote();
    let thread = std::thread::spawn(move || {
        let (waker, mut op) = (std::thread::current(), Op::with_remote(op::Nop::new(), remote));
        let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(waker)));
        let mut cx = std::task::Context::from_waker(&waker);
        loop {
            match std::future::Future::poll(std::pin::Pin::new(&mut op), &mut cx) {
                std::task::Poll::Ready(result) => return result.expect("it does nothing"),
                std::task::Poll::Pending => std::thread::park(),
            }
        }
    });
    while driver.counts().completed == 0 {
        driver.park(None).expect("the ring works");
    }
    thread.join().expect("it got its result");
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}
