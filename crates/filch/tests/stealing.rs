//! Tasks go where there is time for them; what they have in flight does not mind.

mod support;

use filch::io::Write as _;
use filch::net::{TcpListener, TcpStream};
use filch::sync::Lock;
use filch::time::sleep;
use filch::{Handle, JoinHandle, Runtime};
use filch_testkit::limits::watchdog;
use std::collections::HashSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::{PATIENCE, TempFile, pair, runtime};

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn everything_may_cross_threads() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    is_send_and_sync::<TcpStream>();
    is_send_and_sync::<TcpListener>();
    is_send_and_sync::<filch::fs::File>();
    is_send_and_sync::<filch::fs::OpenOptions>();
    is_send_and_sync::<filch::fs::Metadata>();
    is_send_and_sync::<JoinHandle<()>>();
    is_send_and_sync::<filch::JoinError>();
    is_send_and_sync::<filch::task::AbortHandle>();
    is_send_and_sync::<Handle>();
    is_send_and_sync::<Runtime>();
    is_send_and_sync::<filch::BuildError>();
    is_send_and_sync::<filch::time::Sleep>();
    is_send_and_sync::<filch::time::Interval>();
    is_send_and_sync::<Lock<u8>>();
    // An output that is not `Sync` may still be waited for from anywhere.
    is_send_and_sync::<JoinHandle<std::cell::Cell<u8>>>();

    // The futures of methods may cross, too: this need only compile.
    #[expect(unused, reason = "types are all that matters")]
    async fn futures(stream: &mut TcpStream, listener: &TcpListener, file: &mut filch::fs::File) {
        let mut buf = [0; 1];
        is_send(stream.read(&mut buf));
        is_send(stream.write(b"x"));
        is_send(stream.write_all(b"x"));
        is_send(stream.shutdown(std::net::Shutdown::Both));
        is_send(listener.accept());
        is_send(file.read(&mut buf));
        is_send(file.seek(std::io::SeekFrom::Start(0)));
        is_send(file.read_at(Vec::new(), 0));
        is_send(filch::io::copy(stream, file));
        is_send(TcpStream::connect("localhost:1"));
        is_send(TcpListener::bind(("localhost", 1)));
        is_send(filch::fs::read("x"));
        is_send(filch::fs::write("x", vec![1]));
        is_send(filch::time::timeout(Duration::ZERO, sleep(Duration::ZERO)));
    }
}

/// Keeps this thread busy for a while that does not depend on a clock.
fn work() {
    for _ in 0..20_000 {
        std::hint::spin_loop();
    }
}

/// Reads that one worker began and reaped are ended by the other.
#[test]
fn a_task_with_io_in_flight_is_stolen_and_ends() {
    const STREAMS: usize = 64;
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    for _ in 0..200 {
        let moved = runtime.block_on(async {
            let temp = Arc::new(TempFile::new("steal", b"in the file"));
            let (streams, peers): (Vec<_>, Vec<_>) = (0..STREAMS).map(|_| pair()).unzip();
            let tasks: Vec<_> = streams
                .into_iter()
                .map(|stream| {
                    let temp = temp.clone();
                    filch::spawn(async move {
                        let mut here = thread::current().id();
                        let mut moved = 0;
                        let mut note = || {
                            let now = thread::current().id();
                            moved += u32::from(std::mem::replace(&mut here, now) != now);
                        };
                        let mut buf = [0; 16];
                        assert_eq!(stream.read(&mut buf).await.unwrap(), 3);
                        note();
                        work();
                        assert_eq!(filch::fs::read(&temp.0).await.unwrap(), b"in the file");
                        note();
                        work();
                        sleep(Duration::from_millis(1)).await;
                        note();
                        assert_eq!(stream.write(&buf[..3]).await.unwrap(), 3);
                        note();
                        moved
                    })
                })
                .collect();
            for mut peer in &peers {
                peer.write_all(b"abc").unwrap();
            }
            let mut moved = 0;
            for task in tasks {
                moved += task.await.unwrap();
            }
            moved
        });
        if moved > 0 {
            let steals: u64 = runtime.handle().metrics().workers.iter().map(|w| w.steals).sum();
            assert!(steals > 0, "who moved was stolen");
            return;
        }
    }
    panic!("nothing was ever stolen");
}

#[test]
fn all_workers_work() {
    let _watchdog = watchdog(PATIENCE);
    for (workers, from_inside) in [(2, true), (2, false), (4, true)] {
        let runtime = runtime(workers);
        let seen = Arc::new(Mutex::new(HashSet::new()));
        for _ in 0..500 {
            let spawn_all = {
                let seen = seen.clone();
                move || {
                    let one = || {
                        let seen = seen.clone();
                        filch::spawn(async move {
                            work();
                            seen.lock().unwrap().insert(thread::current().id());
                        })
                    };
                    (0..100).map(|_| one()).collect::<Vec<_>>()
                }
            };
            runtime.block_on(async {
                let tasks = if from_inside {
                    filch::spawn(async move { spawn_all() }).await.unwrap()
                } else {
                    spawn_all()
                };
                for task in tasks {
                    task.await.unwrap();
                }
            });
            if seen.lock().unwrap().len() == workers {
                break;
            }
        }
        assert_eq!(seen.lock().unwrap().len(), workers, "{:#?}", runtime.handle().metrics());
    }
}

/// One task never suspends. All others go on, with timers, files and sockets, on the other worker.
#[test]
fn a_hungry_task_stops_nobody_else() {
    let _watchdog = watchdog(PATIENCE);
    for _ in 0..10 {
        let runtime = runtime(2);
        let (stop, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let done = Arc::new(AtomicU32::new(0));
        let hungry = {
            let (stop, begun) = (stop.clone(), begun.clone());
            runtime.handle().spawn(async move {
                begun.store(true, Ordering::Relaxed);
                while !stop.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            })
        };
        // Some may be in the same queue, behind it; some come later.
        let mut tasks = Vec::new();
        for number in 0..100 {
            if number == 50 {
                while !begun.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            }
            let done = done.clone();
            tasks.push(runtime.handle().spawn(async move {
                if number >= 50 {
                    // What is begun now is begun on the free worker.
                    sleep(Duration::from_millis(1)).await;
                    filch::fs::read("/proc/self/comm").await.unwrap();
                    let (mut stream, mut peer) = pair();
                    peer.write_all(b"x").unwrap();
                    assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 1);
                    stream.write_all(b"y").await.unwrap();
                }
                filch::task::yield_now().await;
                done.fetch_add(1, Ordering::Relaxed);
            }));
        }
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        assert!(!hungry.is_finished());
        assert_eq!(done.load(Ordering::Relaxed), 100);
        stop.store(true, Ordering::Relaxed);
        runtime.block_on(hungry).unwrap();
    }
}

/// What is always ready does not keep a worker from its other tasks (S6).
#[test]
fn what_is_always_ready_takes_turns() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(1);
    let stop = Arc::new(AtomicBool::new(false));
    type Greedy = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    let greedy: [fn() -> Greedy; 4] = [
        || {
            let lock = Arc::new(Lock::new(()));
            Box::pin(async move { drop(lock.lock().await) })
        },
        || Box::pin(filch::task::yield_now()),
        || Box::pin(sleep(Duration::ZERO)),
        || Box::pin(async { drop(filch::spawn(async {}).await) }),
    ];
    for (number, once) in greedy.into_iter().enumerate() {
        let task = {
            let stop = stop.clone();
            runtime.handle().spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    once().await;
                }
            })
        };
        let other = {
            let stop = stop.clone();
            runtime.handle().spawn(async move {
                sleep(Duration::from_millis(2)).await;
                filch::fs::read("/proc/self/comm").await.unwrap();
                stop.store(true, Ordering::Relaxed);
            })
        };
        println!("greedy task {number}");
        runtime.block_on(other).unwrap();
        runtime.block_on(task).unwrap();
        stop.store(false, Ordering::Relaxed);
    }
}

/// I6, S6. Nor does what an earlier read has left, when it is taken bit by bit.
#[test]
fn what_is_left_of_a_read_takes_turns() {
    const MUCH: usize = 32 << 10;
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(1);
    let task = runtime.handle().spawn(async {
        let (stream, mut peer) = pair();
        {
            let mut read = std::pin::pin!(stream.read_owned(Vec::with_capacity(MUCH)));
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(read.as_mut().poll(&mut cx).is_pending());
        }
        peer.write_all(&vec![1; MUCH]).unwrap();
        // Relaxed, all: one worker does it all.
        let (turns, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ends) = (turns.clone(), is_over.clone());
        let other = filch::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                counted.fetch_add(1, Ordering::Relaxed);
                filch::task::yield_now().await;
            }
        });
        for _ in 0..MUCH {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
        }
        is_over.store(true, Ordering::Relaxed);
        other.await.unwrap();
        turns.load(Ordering::Relaxed)
    });
    let turns = runtime.block_on(task).unwrap();
    // 128 reads to a turn.
    assert!(turns >= MUCH / 128, "{turns} turns");
}

/// A sender that never lets the reader wait does not keep the worker to itself.
#[test]
fn a_stream_with_always_more_takes_turns() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(1);
    runtime.block_on(async {
        let (stream, mut peer) = pair();
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let stop = stop.clone();
            thread::spawn(move || {
                peer.set_nonblocking(false).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    peer.write_all(&[7; 4096]).unwrap();
                }
            })
        };
        let reader = {
            let stop = stop.clone();
            filch::spawn(async move {
                // One byte at a time: what is left over is always ready.
                let mut buf = [0; 64 * 1024];
                let mut size = 1;
                loop {
                    let read = stream.read(&mut buf[..size]).await.unwrap();
                    assert_eq!(buf[..read], [7; 64 * 1024][..read]);
                    if read == 0 {
                        return;
                    }
                    if stop.load(Ordering::Relaxed) {
                        size = buf.len();
                    }
                }
            })
        };
        let other = {
            let stop = stop.clone();
            filch::spawn(async move {
                for _ in 0..10 {
                    sleep(Duration::from_millis(1)).await;
                }
                stop.store(true, Ordering::Relaxed);
            })
        };
        other.await.unwrap();
        sender.join().unwrap();
        reader.await.unwrap();
    });
}
