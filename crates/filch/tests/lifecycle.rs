//! Runtimes that come and go, with whatever is in flight.

mod support;

use filch::net::{TcpListener, TcpStream};
use filch::task::Report;
use filch::time::sleep;
use filch::{Handle, Runtime};
use filch_testkit::child;
use filch_testkit::exec;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::{PATIENCE, pair, runtime};

/// Reports, as they come.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn hook(&self) -> impl Fn(&Report) + Send + Sync + use<> {
        let reports = self.0.clone();
        move |report| reports.lock().unwrap().push(report.to_string())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Every kind of thing that can be going on.
async fn commotion() {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let reader = stream.clone();
    // Its peer may be closed before it is dropped itself: an error is no surprise.
    drop(filch::spawn(async move { drop(reader.read(&mut [0; 100]).await) }));
    drop(filch::spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _ = (listener.accept().await, peer);
    }));
    drop(filch::spawn(sleep(Duration::from_secs(3600))));
    drop(filch::spawn(async {
        loop {
            filch::task::yield_now().await;
        }
    }));
    drop(filch::spawn_blocking(|| ()));
    // Waits for what the runtime ends.
    drop(filch::spawn_blocking(|| {
        Handle::current().block_on(filch::spawn(std::future::pending::<()>())).unwrap_err()
    }));
    drop(filch::fs::read("/proc/self/stat").await);
    stream.write(b"x").await.unwrap();
}

fn come_and_go(times: usize) {
    let reports = Reports::default();
    // The first one sets up what stays: the clock's page, thread-locals of the harness.
    drop(runtime(2));
    let before = Before::now("filch");
    for round in 0..times {
        let builder =
            Runtime::builder().workers(2).report_stuck_after(None).on_error(reports.hook());
        match round % 5 {
            0 => drop(builder.build().unwrap()),
            1 => builder.run(commotion()).unwrap(),
            2 => {
                let runtime = builder.build().unwrap();
                runtime.block_on(commotion());
            }
            3 => {
                // What was just spawned has not begun.
                let runtime = builder.build().unwrap();
                drop(runtime.handle().spawn(commotion()));
                runtime.shutdown_timeout(Duration::from_secs(600));
            }
            _ => {
                let runtime = builder.build().unwrap();
                runtime.block_on(runtime.handle().spawn(commotion())).unwrap();
            }
        }
        if round % 50 == 0 {
            before.check();
        }
    }
    before.check();
    assert_eq!(reports.take(), [""; 0], "nothing was stuck");
}

#[test]
fn three_hundred_runtimes_leave_nothing() {
    let _alone = alone(PATIENCE);
    come_and_go(300);
}

#[test]
#[ignore = "a soak test: takes a minute or more"]
fn soak_ten_thousand_runtimes_leave_nothing() {
    let _alone = alone(20 * PATIENCE);
    come_and_go(10_000);
}

/// A runtime that goes with operations in flight ends them: nothing waits for their time to come.
#[test]
fn operations_in_flight_end_with_the_runtime() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for workers in [1, 2] {
        let reports = Reports::default();
        // Longer than the test may take: if anything was waited for to the end, it would hang.
        let grace = Duration::from_secs(3600);
        let builder = Runtime::builder()
            .workers(workers)
            .grace(grace)
            .report_stuck_after(None)
            .on_error(reports.hook());
        let runtime = builder.build().unwrap();
        let (mut peer, full) = runtime.block_on(async {
            let (stream, peer) = pair();
            let stream = Arc::new(stream);
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
            for _ in 0..3 {
                let (stream, listener) = (stream.clone(), listener.clone());
                drop(filch::spawn(async move {
                    let mut buf = [0; 10];
                    filch::join!(stream.read(&mut buf), listener.accept()).0.map(drop)
                }));
            }
            let (ours, theirs) = std::io::pipe().unwrap();
            let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(ours));
            let pipe = filch::fs::File::from_std(pipe).unwrap();
            drop(filch::spawn(async move { (pipe.read(&mut [0; 10]).await.map(drop), theirs).0 }));
            // Connecting to where nobody answers.
            let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let full = full.unwrap();
            full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            full.listen(0).unwrap();
            let address = full.local_addr().unwrap().as_socket().unwrap();
            for _ in 0..4 {
                drop(filch::spawn(async move { TcpStream::connect(address).await.map(drop) }));
            }
            sleep(Duration::from_millis(5)).await;
            // A stream that belongs to nobody any more but its read.
            drop(stream);
            (peer, full)
        });
        // Sleeping, reading, waiting on threads that block, too.
        let (begun, is_begun) = mpsc::channel();
        let closures: Vec<_> = (0..3)
            .map(|number| {
                let begun = begun.clone();
                runtime.handle().spawn_blocking(move || {
                    let handle = Handle::current();
                    let what = async {
                        begun.send(()).unwrap();
                        match number {
                            0 => sleep(Duration::from_secs(3600)).await,
                            1 => drop(filch::spawn(sleep(Duration::from_secs(3600))).await),
                            _ => {
                                let (stream, _peer) = pair();
                                stream.read(&mut [0; 10]).await.map(drop).unwrap_err();
                            }
                        }
                    };
                    handle.block_on(what);
                })
            })
            .collect();
        for _ in 0..3 {
            is_begun.recv().unwrap();
        }
        drop(runtime);
        peer.set_nonblocking(false).unwrap();
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "the connection is closed");
        drop((peer, full));
        let ends: Vec<_> = closures.into_iter().map(exec::block_on).collect();
        let error = ends[0].as_ref().unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("was shut down"), "{error}");
        assert!(ends[1].is_ok() && ends[2].is_ok(), "{ends:?}");
        assert_eq!(reports.take(), [""; 0]);
        before.check();
    }
}

/// Lets `runtime` end with `grace`, while something is stuck until it is over; gives what is reported.
#[test]
fn a_blocking_closure_that_is_stuck_is_named() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    let reports = Reports::default();
    let runtime = Runtime::builder()
        .workers(2)
        .report_stuck_after(None)
        .on_error(reports.hook())
        .build()
        .unwrap();
    let (let_go, held) = mpsc::channel::<()>();
    let (begun, is_begun) = mpsc::channel();
    let line = line!() + 1;
    let closure = runtime.handle().spawn_blocking(move || {
        begun.send(()).unwrap();
        held.recv().unwrap();
        "done at last"
    });
    let waits = runtime.handle().spawn(std::future::pending::<()>());
    is_begun.recv().unwrap();
    runtime.shutdown_timeout(Duration::from_millis(20));
    // It returned though the closure still runs.
    assert!(!closure.is_finished());
    assert!(exec::block_on(waits).unwrap_err().is_shutdown());
    let said = reports.take();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&format!("{}:{line}:", file!())), "{said:?}");
    // Its handle stays good.
    let_go.send(()).unwrap();
    assert_eq!(exec::block_on(closure).unwrap(), "done at last");
    before.check();
}

#[test]
fn a_poll_that_does_not_end_is_left_behind() {
    let _alone = alone(PATIENCE);
    // What is left behind is leaked: in a process of its own.
    child::run("a_poll_that_does_not_end_is_left_behind", || {
        for workers in [1, 2] {
            let reports = Reports::default();
            let builder = Runtime::builder()
                .workers(workers)
                .report_stuck_after(None)
                .on_error(reports.hook());
            let runtime = builder.build().unwrap();
            let (stop, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
            let (begun, is_begun) = mpsc::channel();
            let task = {
                let (stop, stopped) = (stop.clone(), stopped.clone());
                runtime.handle().spawn(async move {
                    begun.send(()).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    stopped.store(1, Ordering::Relaxed);
                })
            };
            let waits = runtime.handle().spawn(std::future::pending::<()>());
            is_begun.recv().unwrap();
            runtime.shutdown_timeout(Duration::from_millis(50));
            assert!(!task.is_finished());
            let said = reports.take();
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains("in a poll that does not return"), "{said:?}");
            // When the poll does end after all, so does the rest.
            stop.store(true, Ordering::Relaxed);
            assert!(exec::block_on(task).is_ok(), "it got to its end");
            assert!(exec::block_on(waits).unwrap_err().is_shutdown());
            assert_eq!(stopped.load(Ordering::Relaxed), 1);
        }
    });
}

#[test]
fn a_panic_of_main_comes_out_after_the_runtime_ended() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    let dropped = Arc::new(());
    let held = dropped.clone();
    let result = catch_unwind(AssertUnwindSafe(|| {
        Runtime::builder().workers(2).run(async {
            commotion().await;
            let task = filch::spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            filch::task::yield_now().await;
            std::panic::panic_any(task.id().to_string().len());
        })
    }));
    assert!(result.unwrap_err().is::<usize>(), "the payload is main's");
    assert_eq!(Arc::strong_count(&dropped), 1, "its tasks are gone");
    before.check();
    let result = catch_unwind(AssertUnwindSafe(|| runtime(1).block_on(async { panic!("here") })));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&"here"));
    before.check();
    // And the thread is free for the next.
    assert_eq!(filch::run(async { 7 }), 7);
}

#[test]
fn destructors_that_spawn_and_wake_do_not_keep_a_runtime_alive() {
    struct Restless(u32);
    impl Drop for Restless {
        fn drop(&mut self) {
            if self.0 > 0 {
                let next = Restless(self.0 - 1);
                drop(filch::spawn(async move {
                    let _next = next;
                    std::future::pending::<()>().await;
                }));
                drop(filch::spawn_blocking(|| ()));
            }
        }
    }
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for workers in [1, 2] {
        let runtime = Runtime::builder().workers(workers).build().unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let restless = Restless(50);
                runtime.handle().spawn(async move {
                    let _restless = restless;
                    std::future::pending::<()>().await;
                })
            })
            .collect();
        drop(runtime);
        for task in tasks {
            assert!(exec::block_on(task).unwrap_err().is_shutdown());
        }
        before.check();
    }
}

/// Spawned and shut down at once, from many threads: every handle is told of its end.
#[test]
fn spawning_while_it_ends_leaves_no_handle_waiting() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for _ in 0..30 {
        let runtime = runtime(2);
        let handle = runtime.handle().clone();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let spawner = || {
                let mut tasks = Vec::new();
                while !stop.load(Ordering::Relaxed) || tasks.is_empty() {
                    tasks.push(handle.spawn(async { filch::task::yield_now().await }));
                    tasks.push(handle.spawn_blocking(|| ()));
                    tasks.push(handle.spawn(sleep(Duration::from_secs(3600))));
                    if tasks.len() > 300 {
                        std::thread::yield_now();
                    }
                }
                for task in tasks {
                    if let Err(error) = exec::block_on(task) {
                        assert!(error.is_shutdown(), "{error}");
                    }
                }
            };
            scope.spawn(spawner);
            scope.spawn(spawner);
            std::thread::sleep(Duration::from_millis(1));
            drop(runtime);
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(handle.metrics().tasks, 0);
    }
    before.check();
}
