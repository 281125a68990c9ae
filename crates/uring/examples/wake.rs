//! What it costs to wake a thread that sleeps in its ring, by three means: the driver's own (a read
//! armed on an eventfd), a message from another ring (MSG_RING), and, for comparison, a futex, which
//! wakes a thread that does not sleep in a ring.
//!
//! `cargo run --release -p filch-uring --example wake`

use filch_uring::{Config, Driver, Remote};
use io_uring::{IoUring, opcode, types};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

const ROUNDS: u64 = 2_000;

/// A sleeper's end of it: told to sleep until the round begins, it answers with the round's number.
struct Shared {
    round: AtomicU64,
    answer: AtomicU64,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.round.load(Ordering::Acquire) == u64::MAX
    }
}

trait Waker {
    fn wake(&mut self);
}

fn sleeper<W: Send + 'static>(
    shared: &Arc<Shared>,
    run: impl FnOnce(&Shared, &dyn Fn(W)) + Send + 'static,
) -> (W, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let shared = shared.clone();
    let thread = thread::spawn(move || {
        pin(1);
        run(&shared, &|waker| sender.send(waker).expect("heard"));
    });
    (receiver.recv().expect("it says how to wake it"), thread)
}

/// Answers each round once, sleeping in between.
fn answer(shared: &Shared, mut sleep: impl FnMut()) {
    let mut seen = 0;
    while !shared.is_over() {
        sleep();
        let round = shared.round.load(Ordering::Acquire);
        if round != seen {
            seen = round;
            shared.answer.store(round, Ordering::Release);
        }
    }
}

struct EventfdRead(Remote);

impl Waker for EventfdRead {
    fn wake(&mut self) {
        self.0.unpark();
    }
}

struct Futex(Thread);

impl Waker for Futex {
    fn wake(&mut self) {
        self.0.unpark();
    }
}

struct MsgRing {
    ring: IoUring,
    target: RawFd,
}

impl Waker for MsgRing {
    fn wake(&mut self) {
        let message = opcode::MsgRingData::new(types::Fd(self.target), 0, 1, None).build();
        // SAFETY: no memory is involved.
        unsafe { self.ring.submission().push(&message) }.expect("it is empty");
        self.ring.submit_and_wait(1).expect("it works");
        self.ring.completion().for_each(drop);
    }
}

/// Waker and sleeper on processors of their own; a machine with one processor measures something else.
fn pin(processor: usize) {
    // SAFETY: a valid set, of this thread. A failure only makes the figures less steady.
    unsafe {
        let mut set = std::mem::zeroed::<libc::cpu_set_t>();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

fn raw_ring() -> IoUring {
    IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(64).expect("a ring")
}

/// Median and 99th percentile of the time from the wake to the answer, and the median time that the
/// wake itself takes the waker.
fn measure(shared: &Shared, waker: &mut dyn Waker, gap: Duration) -> [Duration; 3] {
    let (mut latencies, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let rested = Instant::now() + gap;
        while Instant::now() < rested {
            std::hint::spin_loop();
        }
        let round = shared.answer.load(Ordering::Acquire) + 1;
        let begin = Instant::now();
        shared.round.store(round, Ordering::Release);
        waker.wake();
        calls.push(begin.elapsed());
        while shared.answer.load(Ordering::Acquire) != round {
            std::hint::spin_loop();
        }
        latencies.push(begin.elapsed());
    }
    latencies.sort();
    calls.sort();
    let middle = latencies.len() / 2;
    [latencies[middle], latencies[latencies.len() * 99 / 100], calls[middle]]
}

fn main() {
    pin(0);
    println!("wake to answer: p50, p99; the waker's own call: p50");
    for gap in [20, 500].map(Duration::from_micros) {
        for name in ["futex", "eventfd read", "msg_ring"] {
            let shared = Arc::new(Shared { round: 0.into(), answer: 0.into() });
            let (mut waker, thread): (Box<dyn Waker>, _) = match name {
                "futex" => {
                    let (thread, handle) = sleeper(&shared, |shared, say| {
                        say(thread::current());
                        answer(shared, thread::park);
                    });
                    (Box::new(Futex(thread)), handle)
                }
                "eventfd read" => {
                    let (remote, handle) = sleeper(&shared, |shared, say| {
                        let mut driver = Driver::new(&Config::default()).expect("a ring");
                        say(driver.remote());
                        answer(shared, || {
                            driver.park(None).expect("the ring works");
                        });
                    });
                    (Box::new(EventfdRead(remote)), handle)
                }
                _ => {
                    let (target, handle) = sleeper(&shared, |shared, say| {
                        let mut ring = raw_ring();
                        say(ring.as_raw_fd());
                        answer(shared, || {
                            ring.submit_and_wait(1).expect("it works");
                            ring.completion().for_each(drop);
                        });
                    });
                    (Box::new(MsgRing { ring: raw_ring(), target }), handle)
                }
            };
            let [p50, p99, call] = measure(&shared, &mut *waker, gap);
            println!("gap {gap:>6.0?}  {name:<12}  {p50:>8.1?}  {p99:>8.1?}  {call:>8.1?}");
            shared.round.store(u64::MAX, Ordering::Release);
            waker.wake();
            thread.join().expect("no panic");
        }
    }
    flood();
}

/// What an unpark costs the waker when the target runs: no system call.
fn flood() {
    let driver = Driver::new(&Config::default()).expect("a ring");
    let remote = driver.remote();
    let begin = Instant::now();
    for _ in 0..1_000_000 {
        remote.unpark();
    }
    println!("unpark of a driver that runs: {:.1?}", begin.elapsed() / 1_000_000);
}
