//! Operations dropped at every stage, here and on other threads: nothing leaks, nothing is freed early,
//! and unwanted descriptors are closed (D1, D2, D4).

mod support;

use filch_uring::{Driver, IoBuf, IoBufMut, Op, Position, SharedFd, op};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};
use support::{CountWaker, block_on, driver, pair, poll, run};

/// A buffer that knows when it is freed.
struct Tracked {
    bytes: Box<[u8]>,
    freed: Arc<AtomicUsize>,
}

impl Tracked {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let freed = Arc::new(AtomicUsize::new(0));
        (Self { bytes: vec![0; 64].into(), freed: freed.clone() }, freed)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.freed.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: as for the box inside.
unsafe impl IoBuf for Tracked {
    fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn stand_in() -> Self {
        Self { bytes: Box::default(), freed: Arc::default() }
    }
}

// SAFETY: as for the box inside.
unsafe impl IoBufMut for Tracked {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

/// Turns until the buffer is freed.
fn drain(driver: &mut Driver, freed: &AtomicUsize) {
    while freed.load(Ordering::SeqCst) == 0 {
        driver.park(None).expect("the ring works");
    }
    assert_eq!(freed.load(Ordering::SeqCst), 1);
}

#[test]
fn before_the_first_poll() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let (buffer, freed) = Tracked::new();
    drop(Op::new(op::Recv::new(fd.clone(), buffer)));
    assert_eq!(freed.load(Ordering::SeqCst), 1);
    driver.turn().expect("the ring works");
    assert_eq!((driver.counts().submitted, fd.holders()), (0, 1));
}

#[test]
fn staged_and_not_submitted() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let (buffer, freed) = Tracked::new();
    let mut recv = Op::new(op::Recv::new(fd.clone(), buffer));
    assert!(poll(&mut recv).is_pending());
    drop(recv);
    assert_eq!(freed.load(Ordering::SeqCst), 0, "published: the kernel may see it");
    drain(&mut driver, &freed);
    assert_eq!(fd.holders(), 1);
}

#[test]
fn in_the_kernel() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let (buffer, freed) = Tracked::new();
    let mut recv = Op::new(op::Recv::new(fd.clone(), buffer));
    assert!(poll(&mut recv).is_pending());
    driver.turn().expect("the ring works");
    drop(recv);
    assert_eq!(freed.load(Ordering::SeqCst), 0, "the kernel has it (D1)");
    drain(&mut driver, &freed);
    assert_eq!(fd.holders(), 1, "the operation let go of the descriptor (D6)");
}

#[test]
fn completed_and_not_looked_at() {
    let mut driver = driver();
    let (fd, mut peer) = pair();
    let (buffer, freed) = Tracked::new();
    let mut recv = Op::new(op::Recv::new(fd, buffer));
    assert!(poll(&mut recv).is_pending());
    peer.write_all(b"x").expect("it has room");
    while !recv.is_done() {
        driver.park(None).expect("the ring works");
    }
    drop(recv);
    assert_eq!(freed.load(Ordering::SeqCst), 1);
    assert_eq!(driver.counts().cancels, 0);
}

/// A connect to a listener whose line is full: the socket is ready all the time, and then it is not, so that
/// the kernel looks for the operation in vain at first.
#[test]
fn between_two_tries_of_the_kernel() {
    let name = format!("filch-drop-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).expect("a short name");
    let listener = UnixListener::bind_addr(&address).expect("a free name");
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _first = UnixStream::connect_addr(&address).expect("there is room for one");
    for turns in 0..4 {
        let mut driver = driver();
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
        // SAFETY: just opened, and ours.
        let fd = SharedFd::new(unsafe { OwnedFd::from_raw_fd(fd) });
        let mut connect = Op::new(op::Connect::new(fd.clone(), &address));
        assert!(poll(&mut connect).is_pending());
        for _ in 0..turns {
            driver.turn().expect("the ring works");
        }
        drop(connect);
        let mut tries = 0;
        while fd.holders() > 1 {
            tries += 1;
            assert!(tries < 200, "it goes on, though dropped after {turns} turns");
            let soon = Instant::now() + Duration::from_millis(10);
            driver.park(Some(soon)).expect("the ring works");
        }
    }
}

#[test]
fn on_another_thread_while_the_ring_sleeps() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let (buffer, freed) = Tracked::new();
    let mut recv = Op::new(op::Recv::new(fd.clone(), buffer));
    assert!(poll(&mut recv).is_pending());
    let remote = driver.remote();
    let dropper = thread::spawn(move || {
        // Until it has slept at least once; it goes on sleeping, nothing wakes it.
        while remote.counts().parks == 0 {
            thread::yield_now();
        }
        drop(recv);
        // Whoever was second disposed of it: if that was this thread, nothing told the other.
        remote.unpark();
    });
    drain(&mut driver, &freed);
    dropper.join().expect("it dropped");
    assert_eq!(fd.holders(), 1);
    assert_eq!((driver.counts().messages, driver.counts().cancels), (1, 1));
}

#[test]
fn submitted_and_dropped_elsewhere_before_the_owner_looked() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let (buffer, freed) = Tracked::new();
    let mut recv = Op::with_remote(op::Recv::new(fd.clone(), buffer), driver.remote());
    thread::spawn(move || {
        assert!(poll(&mut recv).is_pending());
        drop(recv);
    })
    .join()
    .expect("it dropped");
    assert_eq!(freed.load(Ordering::SeqCst), 0);
    driver.turn().expect("the ring works");
    assert_eq!(freed.load(Ordering::SeqCst), 1);
    assert_eq!(driver.counts().submitted, 0, "the kernel never heard of it");
    assert_eq!(fd.holders(), 1);
}

/// Each is looked up among the others: thousands take no longer than their number.
#[test]
fn thousands_submitted_and_dropped_elsewhere() {
    const MANY: usize = 100_000;
    let mut driver = driver();
    let remote = driver.remote();
    thread::spawn(move || {
        for _ in 0..MANY {
            let mut nop = Op::with_remote(op::Nop::new(), remote.clone());
            assert!(poll(&mut nop).is_pending());
        }
    })
    .join()
    .expect("no panic");
    driver.turn().expect("the ring works");
    let counts = driver.counts();
    assert_eq!((counts.completed, counts.cancels), (MANY as u64, 0));
    assert_eq!(counts.submitted, 0, "the kernel never heard of them");
}

#[test]
fn a_write_that_was_begun_elsewhere_and_dropped_is_done_all_the_same() {
    let (mut read, write) = std::io::pipe().expect("a pipe");
    let mut driver = driver();
    let (remote, write) = (driver.remote(), SharedFd::new(write.into()));
    thread::spawn(move || {
        let mut op = Op::with_remote(op::Write::new(write, "done", Position::Current), remote);
        assert!(poll(&mut op).is_pending());
    })
    .join()
    .expect("no panic");
    while driver.counts().completed == 0 {
        driver.park(None).expect("the ring works");
    }
    let mut bytes = String::new();
    read.read_to_string(&mut bytes).expect("a pipe whose other end is closed");
    assert_eq!(bytes, "done");
}

#[test]
fn done_and_dropped_on_another_thread() {
    let mut driver = driver();
    let (fd, mut peer) = pair();
    let (buffer, freed) = Tracked::new();
    let mut recv = Op::new(op::Recv::new(fd, buffer));
    assert!(poll(&mut recv).is_pending());
    peer.write_all(b"x").expect("it has room");
    while !recv.is_done() {
        driver.park(None).expect("the ring works");
    }
    thread::spawn(move || drop(recv)).join().expect("it dropped");
    assert_eq!(freed.load(Ordering::SeqCst), 1);
}

#[test]
fn polled_and_taken_on_another_thread() {
    let mut driver = driver();
    let (fd, mut peer) = pair();
    let mut recv = Op::new(op::Recv::new(fd, Vec::with_capacity(8)));
    let (count, waker) = CountWaker::new();
    let mut cx = Context::from_waker(&waker);
    assert!(std::pin::Pin::new(&mut recv).poll(&mut cx).is_pending());
    let main = thread::current();
    let stolen = thread::spawn(move || {
        let (count, waker) = CountWaker::new();
        let mut cx = Context::from_waker(&waker);
        assert!(std::pin::Pin::new(&mut recv).poll(&mut cx).is_pending(), "nothing was sent");
        main.unpark();
        // The waker of this poll is woken, wherever the operation completes.
        while count.count() == 0 {
            thread::yield_now();
        }
        match std::pin::Pin::new(&mut recv).poll(&mut cx) {
            std::task::Poll::Ready((result, buffer)) => (result.expect("it arrived"), buffer),
            std::task::Poll::Pending => panic!("woken for nothing"),
        }
    });
    thread::park();
    peer.write_all(b"stolen").expect("it has room");
    while driver.counts().completed == 0 {
        driver.park(None).expect("the ring works");
    }
    assert_eq!(stolen.join().expect("it got it"), (6, b"stolen".to_vec()));
    assert_eq!(count.count(), 0, "the first waker was replaced");
    // The cell came back through the common list and is used again.
    for _ in 0..200 {
        run(&mut driver, op::Nop::new()).expect("it does nothing");
    }
}

#[test]
fn an_accepted_connection_nobody_wants_is_closed() {
    let mut driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let listener = SharedFd::from(OwnedFd::from(listener));
    let mut accept = Op::new(op::Accept::new(listener.clone()));
    assert!(poll(&mut accept).is_pending());
    let mut client = TcpStream::connect(address).expect("it listens");
    while !accept.is_done() {
        driver.park(None).expect("the ring works");
    }
    drop(accept);
    assert_eq!(client.read(&mut [0]).expect("an orderly end"), 0, "the peer sees FIN");
    // The same if it is dropped before its completion is reaped.
    let mut accept = Op::new(op::Accept::new(listener.clone()));
    assert!(poll(&mut accept).is_pending());
    let mut client = TcpStream::connect(address).expect("it listens");
    drop(accept);
    while listener.holders() > 1 {
        driver.park(None).expect("the ring works");
    }
    client.set_nonblocking(true).expect("it can");
    // Accepted and closed, or cancelled and still in the backlog; nothing in between.
    match client.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            run(&mut driver, op::Accept::new(listener)).expect("it waits in the backlog");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancelled_operation_tells_what_became_of_it() {
    let mut driver = driver();
    let (fd, mut peer) = pair();
    let mut recv = Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(8)));
    assert!(poll(&mut recv).is_pending());
    driver.turn().expect("the ring works");
    recv.cancel();
    let (result, buffer) = block_on(&mut driver, recv);
    assert_eq!(result.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
    assert_eq!(buffer.capacity(), 8, "the buffer comes back");
    // Completion wins (C2).
    let mut recv = Op::new(op::Recv::new(fd.clone(), buffer));
    assert!(poll(&mut recv).is_pending());
    peer.write_all(b"here").expect("it has room");
    driver.turn().expect("the ring works");
    recv.cancel();
    assert_eq!(block_on(&mut driver, recv).0.expect("it was there first"), 4);
    // Not staged yet.
    let mut recv = Op::new(op::Recv::new(fd, Vec::with_capacity(8)));
    recv.cancel();
    let (result, _) = block_on(&mut driver, recv);
    let reason = filch_uring::NoDriver::of(&result.expect_err("cancelled"));
    assert_eq!(reason, Some(filch_uring::NoDriver::Cancelled));
}

/// A late cancel of an operation must not hit the next one in its cell.
#[test]
fn generations_tell_operations_apart() {
    let mut driver = driver();
    let (fd, mut peer) = pair();
    for round in 0..1_000u32 {
        let mut first = Op::new(op::Nop::new());
        assert!(poll(&mut first).is_pending());
        // The request is staged behind the nop, so it reaches the kernel when that is over.
        first.cancel();
        driver.turn().expect("the ring works");
        drop(first);
        let mut second = Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(4)));
        assert!(poll(&mut second).is_pending());
        driver.turn().expect("the ring works");
        peer.write_all(&round.to_ne_bytes()).expect("it has room");
        let (result, buffer) = block_on(&mut driver, second);
        assert_eq!((result.expect("not cancelled"), &buffer[..]), (4, &round.to_ne_bytes()[..]));
    }
}

/// Many threads take turns with the operations of one ring: each is polled, cancelled or dropped
/// elsewhere while the owner completes.
#[test]
fn many_threads_at_one_ring() {
    const ROUNDS: usize = 300;
    let mut driver = driver();
    let (sender, receiver) = std::sync::mpsc::channel::<Op<op::Recv<Vec<u8>>>>();
    let receiver = Arc::new(std::sync::Mutex::new(receiver));
    let thieves: Vec<_> = (0..3)
        .map(|thief| {
            let receiver = receiver.clone();
            thread::spawn(move || {
                let mut done = 0;
                loop {
                    let next = receiver.lock().expect("nobody panicked").recv();
                    let Ok(mut recv) = next else { return done };
                    if thief == 0 {
                        drop(recv);
                    } else {
                        recv.cancel();
                        while poll(&mut recv).is_pending() {
                            thread::yield_now();
                        }
                    }
                    done += 1;
                }
            })
        })
        .collect();
    let (fd, mut peer) = pair();
    for round in 0..ROUNDS {
        let mut recv = Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(8)));
        assert!(poll(&mut recv).is_pending());
        if round % 3 == 0 {
            peer.write_all(b"x").expect("it has room");
        }
        sender.send(recv).expect("they listen");
        driver.turn().expect("the ring works");
    }
    drop(sender);
    while driver.counts().completed < ROUNDS as u64 {
        driver.park(None).expect("the ring works");
    }
    let done: usize = thieves.into_iter().map(|thief| thief.join().expect("no panic")).sum();
    assert_eq!(done, ROUNDS);
    assert_eq!(fd.holders(), 1, "every operation let go of the descriptor");
}

/// A waker that panics loses no completion (D2).
#[test]
fn a_panicking_waker_harms_nobody_else() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let mut driver = driver();
    let mut bad = Op::new(op::Nop::new());
    let waker = Waker::from(Arc::new(Panics));
    assert!(std::pin::Pin::new(&mut bad).poll(&mut Context::from_waker(&waker)).is_pending());
    let mut good = Op::new(op::Nop::new());
    assert!(poll(&mut good).is_pending());
    let turn = std::panic::AssertUnwindSafe(|| driver.turn());
    assert!(std::panic::catch_unwind(turn).is_err());
    driver.turn().expect("the ring works");
    assert!(poll(&mut good).is_ready());
    assert!(poll(&mut bad).is_ready());
}

/// Wakers run outside every borrow: one may stage, cancel and drop operations (D8).
#[test]
fn a_waker_may_use_the_driver() {
    struct Uses(std::sync::Mutex<Option<Op<op::Recv<Vec<u8>>>>>);
    impl std::task::Wake for Uses {
        fn wake(self: Arc<Self>) {
            let mut nop = Op::new(op::Nop::new());
            assert!(poll(&mut nop).is_pending());
            drop(nop);
            drop(self.0.lock().expect("no panic").take());
        }
    }
    let mut driver = driver();
    let (fd, _peer) = pair();
    let mut recv = Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(1)));
    assert!(poll(&mut recv).is_pending());
    let waker = Waker::from(Arc::new(Uses(std::sync::Mutex::new(Some(recv)))));
    let mut nop = Op::new(op::Nop::new());
    assert!(std::pin::Pin::new(&mut nop).poll(&mut Context::from_waker(&waker)).is_pending());
    while fd.holders() > 1 {
        driver.park(None).expect("the ring works");
    }
    assert!(poll(&mut nop).is_ready());
}
