//! A worker that is stuck in one poll holds up nobody else (S5): what lies in its ring, its queue, its
//! slot and its timers goes on *while it is stuck*. Order of events, not times: the poll ends only when
//! the others are through.

mod support;

use filch::net::TcpStream;
use filch::time::sleep;
use filch::{Handle, Runtime};
use filch_testkit::child;
use filch_testkit::limits::watchdog;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;
use support::{PATIENCE, pair, runtime};

/// What was begun on the worker that is stuck by now, and is to end while it is.
type Begun = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Two threads' word about a poll that does not return.
#[derive(Default)]
struct Poll {
    stuck: AtomicBool,
    over: AtomicBool,
}

impl Poll {
    fn wait_until_stuck(&self) {
        while !self.stuck.load(Ordering::Acquire) {
            thread::yield_now();
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// In which way a worker is stuck: returns when it is told that the poll is over.
#[derive(Clone, Copy, Debug)]
enum Stuck {
    Spinning,
    Yielding,
    Sleeping,
    /// In `read(2)` on a pipe that nobody writes to.
    Reading,
    /// In a futex wait.
    Parked,
    /// In `poll(2)`, which no flag of a signal's handler restarts.
    Polling,
    /// Mostly inside the allocator's lock.
    Allocating,
}

const EVERY_WAY: [Stuck; 7] = [
    Stuck::Spinning,
    Stuck::Yielding,
    Stuck::Sleeping,
    Stuck::Reading,
    Stuck::Parked,
    Stuck::Polling,
    Stuck::Allocating,
];

/// Sticks the present poll until `poll` is over.
fn stick(how: Stuck, poll: &Arc<Poll>) {
    let (ours, theirs) = pipe();
    // What ends waits in the kernel, once the poll may return.
    let ender = {
        let (poll, thread) = (poll.clone(), thread::current());
        thread::spawn(move || {
            while !poll.is_over() {
                thread::sleep(Duration::from_millis(1));
            }
            thread.unpark();
            std::fs::File::from(theirs).write_all(b"x").unwrap();
        })
    };
    poll.stuck.store(true, Ordering::Release);
    match how {
        Stuck::Reading => {
            // Not by `std`, which begins again when it is interrupted: SA_RESTART has to do it.
            let mut byte = 0u8;
            // SAFETY: one byte to write to.
            let read = unsafe { libc::read(ours.as_raw_fd(), (&raw mut byte).cast(), 1) };
            assert_eq!((read, byte), (1, b'x'), "{}", std::io::Error::last_os_error());
        }
        Stuck::Polling => {
            let mut readable =
                libc::pollfd { fd: ours.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry.
            while unsafe { libc::poll(&raw mut readable, 1, -1) } != 1 {
                assert_eq!(std::io::Error::last_os_error().kind(), std::io::ErrorKind::Interrupted);
            }
        }
        _ => {}
    }
    while !poll.is_over() {
        match how {
            Stuck::Spinning => std::hint::spin_loop(),
            Stuck::Yielding => thread::yield_now(),
            Stuck::Sleeping => thread::sleep(Duration::from_millis(50)),
            Stuck::Parked => thread::park(),
            Stuck::Allocating => drop(std::hint::black_box(vec![0u8; 40_000])),
            Stuck::Reading | Stuck::Polling => {}
        }
    }
    ender.join().unwrap();
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [-1; 2];
    // SAFETY: two numbers to write to.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: just opened, and ours.
    ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }).into()
}

/// Polls `future` once, here.
fn begin<F: Future + Send + 'static>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it has to wait");
    future
}

/// When a worker gets stuck.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// In the poll that began: nothing was handed to the kernel yet.
    AtOnce,
    /// After the ring was entered.
    Submitted,
}

/// Has a worker run `prepare`, gets it stuck, and runs what `prepare` gave on this thread, to its end,
/// before the worker may go on.
fn while_stuck(
    handle: &Handle,
    how: Stuck,
    when: When,
    prepare: impl Fn() -> Begun + Send + 'static,
) {
    let poll = Arc::new(Poll::default());
    let (send, begun) = mpsc::channel();
    let hog = {
        let poll = poll.clone();
        handle.spawn(async move {
            loop {
                let here = thread::current().id();
                let begun = prepare();
                if when == When::Submitted {
                    sleep(Duration::from_millis(2)).await;
                    if thread::current().id() != here {
                        // Moved: what was begun is in a ring whose worker is free.
                        continue;
                    }
                }
                send.send(begun).unwrap();
                return stick(how, &poll);
            }
        })
    };
    let begun = begun.recv().unwrap();
    poll.wait_until_stuck();
    handle.block_on(begun);
    assert!(!hog.is_finished());
    poll.over.store(true, Ordering::Release);
    handle.block_on(hog).unwrap();
}

/// A read on a connection to which the other side writes when the worker is stuck.
fn read_of_a_connection() -> Begun {
    let (stream, mut peer) = pair();
    let stream = Arc::new(stream);
    let theirs = stream.clone();
    let mut read = begin(async move {
        let mut buf = [0; 8];
        let read = theirs.read(&mut buf).await.unwrap();
        assert_eq!(&buf[..read], b"hello");
    });
    Box::pin(async move {
        // Polled again before the bytes are there: it waits, and is woken.
        std::future::poll_fn(|cx| {
            assert!(read.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        peer.write_all(b"hello").unwrap();
        read.await;
        drop(stream);
    })
}

#[test]
fn a_connection_goes_on_however_its_worker_is_stuck() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    for how in EVERY_WAY {
        for when in [When::Submitted, When::AtOnce] {
            println!("{how:?}, {when:?}");
            while_stuck(runtime.handle(), how, when, read_of_a_connection);
        }
    }
    let metrics = runtime.handle().metrics();
    let rescued: u64 = metrics.rings.iter().map(|ring| ring.rescued).sum();
    assert!(rescued > 0, "{metrics:#?}");
}

#[test]
fn an_operation_that_was_only_staged_is_begun() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    for _ in 0..10 {
        while_stuck(runtime.handle(), Stuck::Spinning, When::AtOnce, || {
            let read = begin(filch::fs::read("/proc/self/comm"));
            Box::pin(async move { assert!(!read.await.unwrap().is_empty()) })
        });
    }
}

#[test]
fn a_timer_fires() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    for when in [When::AtOnce, When::Submitted] {
        for after in [0, 1, 5] {
            while_stuck(runtime.handle(), Stuck::Spinning, when, move || {
                begin(sleep(Duration::from_millis(3 + after)))
            });
        }
    }
}

/// What the stuck worker's own poll has spawned and woken lies in its queue and its slot.
#[test]
fn tasks_in_its_queue_and_its_slot_run() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    for spawned in 1..5 {
        while_stuck(runtime.handle(), Stuck::Spinning, When::AtOnce, move || {
            // The last of them is in the slot.
            let tasks: Vec<_> =
                (0..spawned).map(|number| filch::spawn(async move { number })).collect();
            Box::pin(async move {
                for (number, task) in tasks.into_iter().enumerate() {
                    assert_eq!(task.await.unwrap(), number);
                }
            })
        });
    }
}

/// A stream dropped elsewhere closes though its read is in the stuck worker's ring (D6).
#[test]
fn a_cancel_reaches_its_ring() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    for how in EVERY_WAY {
        println!("{how:?}");
        while_stuck(runtime.handle(), how, When::Submitted, || {
            let (stream, mut peer) = pair();
            let read = begin(async move { stream.read(&mut [0; 8]).await });
            Box::pin(async move {
                drop(read);
                peer.set_nonblocking(false).unwrap();
                assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "the end of the stream");
            })
        });
    }
}

/// A cancel that is asked for, of a task elsewhere whose read is in the stuck worker's ring: it waits for the
/// read's end there, and gets it (CANCEL-10).
#[test]
fn a_graceful_cancel_waits_for_its_ring() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    for how in EVERY_WAY {
        println!("{how:?}");
        while_stuck(runtime.handle(), how, When::Submitted, || {
            let (stream, mut peer) = pair();
            let stream = Arc::new(stream);
            let theirs = stream.clone();
            let mut read = begin(async move { theirs.read(&mut [0; 8]).await.unwrap() });
            Box::pin(async move {
                let (send, waits) = mpsc::channel();
                let task = filch::spawn(filch::cancellable(std::future::poll_fn(move |cx| {
                    let polled = read.as_mut().poll(cx);
                    let _ = send.send(());
                    polled
                })));
                waits.recv().unwrap();
                task.cancel();
                task.await.unwrap().expect_err("nothing has come");
                // It did not happen: what comes now is for the next one.
                peer.write_all(b"hello").unwrap();
                let mut buf = [0; 8];
                assert_eq!(stream.read(&mut buf).await.unwrap(), 5);
            })
        });
    }
}

/// Two workers of three are stuck, each with something of the other's.
#[test]
fn two_stuck_workers_of_three() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(3);
    for _ in 0..5 {
        let handle = runtime.handle();
        thread::scope(|scope| {
            let both = Arc::new(AtomicU32::new(0));
            for _ in 0..2 {
                let both = both.clone();
                scope.spawn(move || {
                    while_stuck(handle, Stuck::Spinning, When::Submitted, move || {
                        let (begun, both) = (read_of_a_connection(), both.clone());
                        Box::pin(async move {
                            // Not before both are stuck, and neither ends before the other's is read.
                            both.fetch_add(1, Ordering::Relaxed);
                            while both.load(Ordering::Relaxed) < 2 {
                                thread::yield_now();
                            }
                            begun.await;
                            both.fetch_add(1, Ordering::Relaxed);
                            while both.load(Ordering::Relaxed) < 4 {
                                thread::yield_now();
                            }
                        })
                    });
                });
            }
        });
    }
}

/// All workers that are not stuck are busy, with polls that are short.
#[test]
fn a_busy_neighbour_helps_too() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    let stop = Arc::new(AtomicBool::new(false));
    // More than one: while one of them lies in the stuck worker's queue, the other keeps the rest busy.
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            runtime.handle().spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    filch::task::yield_now().await;
                }
            })
        })
        .collect();
    for when in [When::AtOnce, When::Submitted] {
        while_stuck(runtime.handle(), Stuck::Spinning, when, read_of_a_connection);
        while_stuck(runtime.handle(), Stuck::Spinning, when, || {
            begin(sleep(Duration::from_millis(5)))
        });
    }
    stop.store(true, Ordering::Relaxed);
    for task in busy {
        runtime.block_on(task).unwrap();
    }
}

/// The main future's thread is a worker like the others.
#[test]
fn the_main_future_may_be_what_is_stuck() {
    let _watchdog = watchdog(PATIENCE);
    Runtime::builder()
        .workers(2)
        .run(async {
            let (handle, poll) = (Handle::current(), Arc::new(Poll::default()));
            let begun = read_of_a_connection();
            sleep(Duration::from_millis(2)).await;
            let other = {
                let poll = poll.clone();
                thread::spawn(move || {
                    poll.wait_until_stuck();
                    handle.block_on(begun);
                    poll.over.store(true, Ordering::Release);
                })
            };
            stick(Stuck::Spinning, &poll);
            other.join().unwrap();
        })
        .unwrap();
}

/// Whoever starts the runtime may have blocked every signal: threads inherit that.
#[test]
fn the_signal_may_be_blocked_before_the_runtime_starts() {
    let _watchdog = watchdog(PATIENCE);
    thread::spawn(|| {
        // SAFETY: an own set.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        }
        let runtime = runtime(2);
        while_stuck(runtime.handle(), Stuck::Spinning, When::Submitted, read_of_a_connection);
        drop(runtime);
        // This thread's own mask is as it was.
        // SAFETY: a set to write to.
        let blocked = unsafe {
            let mut mask = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &raw mut mask);
            libc::sigismember(&raw const mask, libc::SIGURG)
        };
        assert_eq!(blocked, 1);
    })
    .join()
    .unwrap();
}

static FOREIGN: AtomicI32 = AtomicI32::new(0);
static BEFORE: std::sync::OnceLock<libc::sigaction> = std::sync::OnceLock::new();

extern "C" fn foreign(_: libc::c_int) {
    FOREIGN.fetch_add(1, Ordering::Relaxed);
}

/// Calls whoever was there before it, as a handler should.
extern "C" fn polite(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    FOREIGN.fetch_add(1, Ordering::Relaxed);
    let before = BEFORE.get().expect("it was put there first");
    if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN {
        // SAFETY: a handler that was installed with SA_SIGINFO, which filch's is.
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(before.sa_sigaction) };
        handler(number, info, context);
    }
}

fn install(handler: usize, flags: libc::c_int) -> libc::sigaction {
    // SAFETY: whole structures.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags | libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGURG, &raw const action, &raw mut before), 0);
        before
    }
}

#[test]
fn a_foreign_handler_that_was_there_is_called_too() {
    child::run("a_foreign_handler_that_was_there_is_called_too", || {
        let _watchdog = watchdog(PATIENCE);
        install(foreign as *const () as usize, 0);
        let runtime = runtime(2);
        while_stuck(runtime.handle(), Stuck::Spinning, When::Submitted, read_of_a_connection);
        assert!(FOREIGN.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_foreign_handler_that_comes_later_and_is_polite_changes_nothing() {
    child::run("a_foreign_handler_that_comes_later_and_is_polite_changes_nothing", || {
        let _watchdog = watchdog(PATIENCE);
        let runtime = runtime(2);
        let before = install(polite as *const () as usize, libc::SA_SIGINFO);
        assert!(BEFORE.set(before).is_ok());
        while_stuck(runtime.handle(), Stuck::Spinning, When::Submitted, read_of_a_connection);
        assert!(FOREIGN.load(Ordering::Relaxed) > 0);
    });
}

/// One that calls nobody takes the ring's rescue away, and no more than that.
#[test]
fn a_foreign_handler_that_comes_later_and_is_rude_costs_the_completions_only() {
    child::run("a_foreign_handler_that_comes_later_and_is_rude_costs_the_completions_only", || {
        let _watchdog = watchdog(PATIENCE);
        let runtime = runtime(2);
        install(foreign as *const () as usize, 0);
        without_rescue_of_rings(&runtime);
    });
}

#[test]
fn without_rescue_queue_slot_and_timers_go_on() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = Runtime::builder().workers(2).rescue(false).build().unwrap();
    without_rescue_of_rings(&runtime);
    let metrics = runtime.handle().metrics();
    assert!(metrics.rings.iter().all(|ring| ring.signals_sent == 0), "{metrics:#?}");
}

/// Queue, slot and timers go on; a completion comes when the poll is over.
fn without_rescue_of_rings(runtime: &Runtime) {
    let handle = runtime.handle();
    while_stuck(handle, Stuck::Spinning, When::AtOnce, || {
        let tasks: Vec<_> = (0..3).map(|_| filch::spawn(async {})).collect();
        let timer = begin(sleep(Duration::from_millis(3)));
        Box::pin(async move {
            for task in tasks {
                task.await.unwrap();
            }
            timer.await;
        })
    });
    let (send, begun) = mpsc::channel();
    while_stuck(handle, Stuck::Spinning, When::AtOnce, move || {
        send.send(read_of_a_connection()).unwrap();
        Box::pin(async {})
    });
    handle.block_on(begun.recv().unwrap());
}

#[test]
fn another_signal_may_be_chosen() {
    let _watchdog = watchdog(PATIENCE);
    let builder = Runtime::builder().workers(2).rescue_signal(libc::SIGRTMIN() + 3);
    let runtime = builder.build().unwrap();
    while_stuck(runtime.handle(), Stuck::Spinning, When::Submitted, read_of_a_connection);
}

/// Many connections, most of them in the ring of a worker that is stuck again and again: no byte is
/// lost, doubled or moved.
#[test]
fn streams_survive_many_rescues() {
    const STREAMS: usize = 16;
    const BYTES: usize = 60_000;
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        let mut tasks = Vec::new();
        let mut peers = Vec::new();
        for _ in 0..STREAMS {
            let (stream, mut peer) = pair();
            let stream: Arc<TcpStream> = Arc::new(stream);
            peer.set_nonblocking(false).unwrap();
            let mut theirs = peer.try_clone().unwrap();
            peers.push(thread::spawn(move || {
                let mut echoed = vec![0; BYTES];
                theirs.read_exact(&mut echoed).unwrap();
                assert_eq!(echoed, support::pattern(0, BYTES));
            }));
            peers.push(thread::spawn(move || {
                for chunk in support::pattern(0, BYTES).chunks(777) {
                    peer.write_all(chunk).unwrap();
                    thread::sleep(Duration::from_micros(500));
                }
            }));
            tasks.push(filch::spawn(async move {
                let mut buf = [0; 1024];
                let mut polls = 0u32;
                let mut echoed = 0;
                while echoed < BYTES {
                    let read = stream.read(&mut buf).await.unwrap();
                    let mut written = 0;
                    while written < read {
                        written += stream.write(&buf[written..read]).await.unwrap();
                    }
                    echoed += read;
                    polls += 1;
                    if polls.is_multiple_of(20) {
                        // Longer than the watch looks on.
                        thread::sleep(Duration::from_millis(4));
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        for peer in peers {
            peer.join().unwrap();
        }
    });
}
