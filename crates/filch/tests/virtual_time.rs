//! The virtual clock (TIME-5 to TIME-11).

use filch::io::{Write, duplex};
use filch::net::{TcpListener, TcpStream};
use filch::time::{
    Duration, Instant, MissedTick, advance, interval, settle, sleep, sleep_until, timeout,
};
use filch::{Builder, Runtime, spawn, spawn_blocking};
use futures_util::StreamExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Each kind of runtime with a virtual clock.
fn kinds() -> [Builder; 4] {
    let virtual_time = || Runtime::builder().virtual_time(true);
    [
        virtual_time().workers(1),
        virtual_time().workers(3),
        virtual_time().current_thread(),
        virtual_time().seed(7),
    ]
}

fn run_each<F: Future<Output = ()>>(main: impl Fn() -> F) {
    for kind in kinds() {
        kind.run(main()).unwrap();
    }
}

/// TIME-2, TIME-6.
#[test]
fn sleeps_take_no_time_and_are_exact() {
    run_each(|| async {
        let start = Instant::now();
        let sleepers: Vec<_> = (1..=100u32)
            .rev()
            .map(|hours| {
                spawn(async move {
                    sleep(HOUR * hours).await;
                    start.elapsed()
                })
            })
            .collect();
        sleep(HOUR * 50).await;
        assert_eq!(start.elapsed(), HOUR * 50);
        let mut slept = Vec::new();
        for sleeper in sleepers {
            slept.push(sleeper.await.unwrap());
        }
        assert!(slept.iter().rev().copied().eq((1..=100).map(|hours| HOUR * hours)));
        assert_eq!(Instant::now() - start, HOUR * 100);
        sleep_until(start + HOUR * 101).await;
        assert_eq!(start.elapsed(), HOUR * 101);
    });
}

/// TIME-5.
#[test]
fn it_stands_while_something_runs() {
    run_each(|| async {
        let start = Instant::now();
        let mut late = std::pin::pin!(timeout(Duration::from_millis(1), async {
            for _ in 0..1_000 {
                filch::task::yield_now().await;
                std::hint::black_box((0..1_000).sum::<u32>());
            }
            "done"
        }));
        // Others that always have something to do, on each worker.
        let others: Vec<_> = (0..4)
            .map(|_| {
                spawn(async {
                    for _ in 0..2_000 {
                        filch::task::yield_now().await;
                    }
                })
            })
            .collect();
        assert_eq!(late.as_mut().await, Ok("done"));
        assert_eq!(start.elapsed(), Duration::ZERO);
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
}

/// TIME-6.
#[test]
fn earlier_timers_are_over_and_have_run_before_later_ones() {
    run_each(|| async {
        let log = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..40u64)
            .map(|number| {
                let log = log.clone();
                spawn(async move {
                    for step in 1..=5 {
                        sleep(Duration::from_millis(1 + (number * 7 + step * 13) % 29)).await;
                        log.lock().unwrap().push(Instant::now());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let log = log.lock().unwrap();
        assert_eq!(log.len(), 200);
        assert!(log.is_sorted());
    });
}

/// TIME-4.
#[test]
fn a_timeout_ends_at_its_moment() {
    run_each(|| async {
        let start = Instant::now();
        assert!(timeout(HOUR, std::future::pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), HOUR);
        let soon = async {
            sleep(HOUR - SECOND).await;
            5
        };
        assert_eq!(timeout(HOUR, soon).await, Ok(5));
        assert_eq!(start.elapsed(), 2 * HOUR - SECOND);
    });
}

/// TIME-3, TIME-4.
#[test]
fn an_interval_is_a_stream_that_keeps_its_policy() {
    run_each(|| async {
        let start = Instant::now();
        let ticks: Vec<_> = interval(HOUR).take(4).collect().await;
        assert_eq!(ticks, [0, 1, 2, 3].map(|hours| start + HOUR * hours));
        assert_eq!(start.elapsed(), 3 * HOUR);
        for (missed, expected) in [
            (MissedTick::Burst, [0, 10, 20, 30, 40]),
            (MissedTick::Delay, [0, 10, 45, 55, 65]),
            (MissedTick::Skip, [0, 10, 40, 50, 60]),
        ] {
            let start = Instant::now();
            let mut pace = interval(10 * SECOND);
            pace.set_missed_tick(missed);
            let mut due = Vec::new();
            for tick in 0..5 {
                due.push((pace.tick().await - start).as_secs());
                if tick == 0 {
                    // The second and third tick are missed.
                    sleep(35 * SECOND).await;
                }
            }
            assert_eq!(due, expected, "{missed:?}");
        }
    });
}

/// TIME-6: a sleep that is for never, and a clock that was moved as far as it goes.
#[test]
fn it_never_goes_back() {
    run_each(|| async {
        let start = Instant::now();
        let never = spawn(sleep(Duration::from_millis(u64::MAX)));
        sleep(SECOND).await;
        assert_eq!(start.elapsed(), SECOND);
        // It goes nowhere while a thread sleeps that is the world outside.
        let (here, there) = filch::io::pipe().unwrap();
        let outside = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            drop(there);
        });
        assert_eq!(here.read(&mut [0]).await.unwrap(), 0);
        outside.join().unwrap();
        assert_eq!(start.elapsed(), SECOND);
        advance(Duration::MAX);
        let last = start.elapsed();
        advance(Duration::MAX);
        assert_eq!(start.elapsed(), last);
        assert!(!never.is_finished());
        never.cancel();
    });
}

/// TIME-7.
#[test]
fn it_stands_while_a_closure_runs() {
    run_each(|| async {
        let start = Instant::now();
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let closure = spawn_blocking(move || {
            told.recv().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            Instant::now()
        });
        // Nobody waits for this one.
        drop(spawn_blocking(|| std::thread::sleep(Duration::from_millis(3))));
        tell.send(()).unwrap();
        let at = timeout(SECOND, closure).await.expect("no time passes").unwrap();
        assert_eq!((at, start.elapsed()), (start, Duration::ZERO));
        sleep(SECOND).await;
        assert_eq!(start.elapsed(), SECOND);
    });
}

/// TIME-7: also one that nobody waits for.
#[test]
fn it_goes_on_when_a_forgotten_closure_is_over() {
    run_each(|| async {
        let over = Arc::new(AtomicUsize::new(0));
        let here = over.clone();
        drop(spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(5));
            here.store(1, Ordering::SeqCst);
        }));
        sleep(HOUR).await;
        assert_eq!(over.load(Ordering::SeqCst), 1);
    });
}

/// TIME-8.
#[test]
fn it_stands_while_data_comes_over_a_socket() {
    run_each(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let mut byte = [0];
            while stream.read(&mut byte).await.unwrap() > 0 {
                sleep(SECOND).await;
                stream.write_all(&byte).await.unwrap();
            }
        });
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        for round in 1..=20 {
            stream.write_all(b"x").await.unwrap();
            let mut byte = [0];
            let answer = timeout(2 * SECOND, stream.read(&mut byte)).await;
            assert_eq!(answer.expect("it takes a second").unwrap(), 1);
            assert_eq!(start.elapsed(), SECOND * round);
        }
        drop(stream);
        server.await.unwrap();
    });
}

/// TIME-8: in memory there is nothing to wait for.
#[test]
fn a_program_in_memory_needs_no_real_time() {
    run_each(|| async {
        let (mut here, mut there) = duplex(16);
        let echo = spawn(async move {
            let mut byte = [0];
            while there.read(&mut byte).await.unwrap() > 0 {
                sleep(SECOND).await;
                there.write_all(&byte).await.unwrap();
            }
        });
        let start = Instant::now();
        for round in 1..=500 {
            here.write_all(b"x").await.unwrap();
            here.read(&mut [0]).await.unwrap();
            assert_eq!(start.elapsed(), SECOND * round);
        }
        drop(here);
        echo.await.unwrap();
    });
}

/// TIME-8.
#[test]
fn it_stands_while_a_file_is_written() {
    run_each(|| async {
        let path = std::env::temp_dir().join(format!("filch-virtual-{}", std::process::id()));
        let start = Instant::now();
        let file = filch::fs::File::create(&path).await.unwrap();
        for _ in 0..5 {
            timeout(SECOND, file.sync_all()).await.expect("no time passes").unwrap();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        std::fs::remove_file(&path).unwrap();
    });
}

/// TIME-5: also for a thread in `block_on`.
#[test]
fn it_stands_while_a_thread_runs_a_future() {
    for kind in kinds() {
        let runtime = kind.build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let nap = spawn(sleep(SECOND));
            for _ in 0..50 {
                // Long enough for an idle worker to jump, if it may.
                std::thread::sleep(Duration::from_micros(200));
                filch::task::yield_now().await;
            }
            assert_eq!(start.elapsed(), Duration::ZERO);
            nap.await.unwrap();
            assert_eq!(start.elapsed(), SECOND);
            sleep(HOUR).await;
            assert_eq!(start.elapsed(), SECOND + HOUR);
        });
    }
}

/// TIME-5, TIME-8: what such a thread begins is in flight from the start, in whichever ring.
#[test]
fn it_stands_for_what_a_thread_has_begun_elsewhere() {
    for kind in kinds() {
        let path = std::env::temp_dir().join(format!("filch-mailed-{}", std::process::id()));
        let runtime = kind.build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let file = filch::fs::File::create(&path).await.unwrap();
            for _ in 0..50 {
                timeout(SECOND, file.sync_all()).await.expect("no time passes").unwrap();
            }
            assert_eq!(start.elapsed(), Duration::ZERO);
        });
        std::fs::remove_file(&path).unwrap();
    }
}

/// TIME-5: the destructors of a future that panics are a part of its run.
#[test]
fn it_stands_while_a_future_that_panicked_is_dropped() {
    struct Slow(Arc<Mutex<Option<Duration>>>);
    impl Drop for Slow {
        fn drop(&mut self) {
            let start = Instant::now();
            // Long enough for an idle worker to jump, if it may.
            std::thread::sleep(Duration::from_millis(5));
            *self.0.lock().unwrap() = Some(start.elapsed());
        }
    }
    for kind in kinds() {
        let runtime = kind.build().unwrap();
        let passed = Arc::new(Mutex::new(None));
        let slow = Slow(passed.clone());
        let panics = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(std::future::poll_fn(move |_cx| {
                drop(spawn(sleep(SECOND)));
                if slow.0.lock().unwrap().is_none() {
                    panic!("on purpose");
                }
                std::task::Poll::Ready(())
            }));
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(*passed.lock().unwrap(), Some(Duration::ZERO));
    }
}

/// TIME-9.
#[test]
fn the_clock_can_be_moved_by_hand() {
    run_each(|| async {
        let start = Instant::now();
        let nap = spawn(async move {
            sleep(SECOND).await;
            start.elapsed()
        });
        settle().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        advance(HOUR);
        assert_eq!(start.elapsed(), HOUR);
        assert!(!nap.is_finished() || filch::Handle::current().workers() > 1);
        settle().await;
        assert!(nap.is_finished());
        assert_eq!(nap.await.unwrap(), HOUR);
        assert_eq!(start.elapsed(), HOUR);
    });
}

/// TIME-9: also a sleep that nobody has polled yet is over by then.
#[test]
fn a_sleep_that_was_made_before_the_clock_was_moved_is_over() {
    run_each(|| async {
        let mut nap = Box::pin(sleep(SECOND));
        advance(2 * SECOND);
        assert!(nap.is_elapsed());
        let mut is_ready = |cx: &mut std::task::Context<'_>| nap.as_mut().poll(cx).is_ready();
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(is_ready(cx))).await);
    });
}

/// TIME-10.
#[test]
fn settling_waits_for_all_that_can_run() {
    run_each(|| async {
        let start = Instant::now();
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let ran = ran.clone();
            spawn(async move {
                for _ in 0..50 {
                    filch::task::yield_now().await;
                }
                let closure = ran.clone();
                spawn_blocking(move || closure.fetch_add(1, Ordering::SeqCst)).await.unwrap();
                ran.fetch_add(1, Ordering::SeqCst);
                sleep(SECOND).await;
                ran.fetch_add(1_000, Ordering::SeqCst);
            });
        }
        let another = spawn(async { settle().await });
        settle().await;
        assert_eq!(ran.load(Ordering::SeqCst), 40);
        another.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleep(SECOND).await;
        settle().await;
        assert_eq!(ran.load(Ordering::SeqCst), 20_040);
    });
}

/// TIME-10: what is due has run.
#[test]
fn settling_waits_for_timers_that_are_due() {
    run_each(|| async {
        let nap = sleep(SECOND);
        advance(2 * SECOND);
        let task = spawn(nap);
        settle().await;
        assert!(task.is_finished());
    });
    Runtime::builder()
        .current_thread()
        .run(async {
            let task = spawn(sleep(Duration::from_millis(2)));
            filch::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(10));
            settle().await;
            assert!(task.is_finished());
        })
        .unwrap();
}

/// Runs a future on this thread with no runtime's help.
fn block_plainly<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    loop {
        let mut cx = std::task::Context::from_waker(&waker);
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        std::thread::park();
    }
}

/// TIME-10: also for a thread that is neither a worker nor in `block_on`, while all workers sleep.
#[test]
fn settling_on_a_thread_that_has_entered_a_runtime() {
    for kind in kinds().into_iter().chain([Runtime::builder().current_thread()]) {
        let runtime = kind.build().unwrap();
        let _entered = runtime.enter();
        for _ in 0..3 {
            // Time for the workers to fall asleep. It is over in any case.
            std::thread::sleep(Duration::from_millis(2));
            block_plainly(settle());
        }
    }
}

/// TIME-10: on one thread it needs no virtual clock.
#[test]
fn settling_in_real_time() {
    Runtime::builder()
        .current_thread()
        .run(async {
            let ran = Arc::new(AtomicUsize::new(0));
            let here = ran.clone();
            spawn(async move {
                spawn_blocking(|| ()).await.unwrap();
                here.fetch_add(1, Ordering::SeqCst);
            });
            settle().await;
            assert_eq!(ran.load(Ordering::SeqCst), 1);
        })
        .unwrap();
}

/// TIME-10.
#[filch::test]
#[should_panic = "nobody would notice"]
async fn settling_where_nobody_would_notice() {
    settle().await;
}

/// TIME-9.
#[filch::test]
#[should_panic = "goes by the system's clock"]
async fn the_real_clock_cannot_be_moved() {
    advance(SECOND);
}

/// TIME-11: the grace is real, and clean-up that takes an hour of virtual time is no reason to wait.
#[test]
fn the_end_of_a_runtime_waits_for_virtual_time() {
    let cleaned = Arc::new(AtomicUsize::new(0));
    for kind in kinds() {
        let here = cleaned.clone();
        kind.run(async move {
            spawn(async move {
                let wait = filch::cancellable(std::future::pending::<()>());
                assert!(wait.await.is_err());
                filch::shielded(sleep(HOUR)).await;
                here.fetch_add(1, Ordering::SeqCst);
            });
            settle().await;
        })
        .unwrap();
    }
    assert_eq!(cleaned.load(Ordering::SeqCst), kinds().len());
}

/// TIME-2: real time where there is no virtual clock.
#[test]
fn instants_are_those_of_the_system_where_there_is_no_virtual_clock() {
    let outside = Instant::now();
    assert!(outside.into_std() <= std::time::Instant::now());
    Runtime::builder()
        .workers(1)
        .run(async {
            let before = std::time::Instant::now();
            let now = Instant::now();
            assert!(before <= now.into_std() && now.into_std() <= std::time::Instant::now());
        })
        .unwrap();
}

/// TIME-2.
#[test]
fn instants_count_as_those_of_the_system_do() {
    let moment = Instant::now();
    let mut later = moment + SECOND;
    later += SECOND;
    assert_eq!(later - moment, 2 * SECOND);
    assert_eq!(moment - later, Duration::ZERO);
    assert_eq!(moment.checked_duration_since(later), None);
    assert_eq!(later.saturating_duration_since(moment), 2 * SECOND);
    later -= SECOND;
    assert_eq!(later.into_std(), moment.into_std() + SECOND);
    assert_eq!(Instant::from(later.into_std()), later);
    assert_eq!(moment.checked_add(Duration::MAX), None);
    assert_eq!(moment.checked_sub(Duration::MAX), None);
    assert!(later > moment && later == later.into_std() && later.into_std() == later);
}
