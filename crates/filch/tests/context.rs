//! Where a runtime is needed and there is none, or the wrong one, or one that is gone.

mod support;

use filch::fs::File;
use filch::net::{TcpListener, TcpStream};
use filch::time::{sleep, timeout};
use filch::{Handle, Runtime};
use filch_testkit::exec;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::future::Future;
use std::io::Write;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;
use support::{PATIENCE, TempFile, pair, pattern, runtime};

/// What a call panics with, and where it says it was called.
#[track_caller]
fn panic_of<R>(call: impl FnOnce() -> R) -> (String, u32) {
    static SEEN: Mutex<Vec<(thread::ThreadId, u32)>> = Mutex::new(Vec::new());
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let location = info.location().unwrap();
            if location.file() == file!() {
                SEEN.lock().unwrap().push((thread::current().id(), location.line()));
            }
            before(info);
        }));
    });
    let payload = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("it should have panicked"),
        Err(payload) => payload,
    };
    let text = payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("a text");
    let mine = thread::current().id();
    let mut seen = SEEN.lock().unwrap();
    let place = seen.iter().rposition(|(id, _)| *id == mine);
    (text, place.map_or(0, |place| seen.remove(place).1))
}

#[track_caller]
fn line() -> u32 {
    Location::caller().line()
}

const NONE: &str = "there is no filch runtime on this thread";

#[test]
fn without_a_runtime_calls_say_so_and_where() {
    let _alone = alone(PATIENCE);
    let (text, at) = panic_of(|| filch::spawn(async {}));
    assert!(text.starts_with(NONE) && text.contains("filch::run"), "{text}");
    assert_eq!(at, line() - 2, "the caller's line");
    let (text, at) = panic_of(|| filch::spawn_blocking(|| ()));
    assert!(text.starts_with(NONE), "{text}");
    assert_eq!(at, line() - 2);
    let (text, at) = panic_of(Handle::current);
    assert!(text.starts_with(NONE), "{text}");
    assert!(at == 0 || at == line() - 2, "a function pointer has no caller");
    let (_, at) = panic_of(|| Handle::current());
    assert_eq!(at, line() - 1);
    let (text, at) = panic_of(|| filch::task::Builder::new().name("x").spawn(async {}));
    assert!(text.starts_with(NONE), "{text}");
    assert_eq!(at, line() - 2);
    assert_eq!(Handle::try_current().unwrap_err().to_string(), {
        let error: std::io::Error = Handle::try_current().unwrap_err().into();
        error.to_string()
    });

    // A sleep says where it was made.
    let made = line() + 1;
    let nap = sleep(Duration::from_millis(1));
    let (text, _) = panic_of(|| exec::block_on(nap));
    assert!(text.contains(NONE) && text.contains(&format!("{}:{made}:", file!())), "{text}");
    let (text, _) = panic_of(|| {
        exec::block_on(timeout(Duration::from_millis(1), std::future::pending::<()>()))
    });
    assert!(text.contains(NONE), "{text}");
    // What needs no waiting needs no runtime.
    exec::block_on(sleep(Duration::ZERO));
    let ready = exec::block_on(timeout(Duration::from_secs(1), std::future::ready(7)));
    assert_eq!(ready, Ok(7));
}

#[test]
fn without_a_runtime_constructors_give_errors() {
    let _alone = alone(PATIENCE);
    let temp = TempFile::new("none", b"x");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = std::net::TcpStream::connect(address).unwrap();
    let file = std::fs::File::open(&temp.0).unwrap();
    let errors = [
        exec::block_on(TcpListener::bind("127.0.0.1:0")).unwrap_err(),
        exec::block_on(TcpListener::bind("localhost:0")).unwrap_err(),
        exec::block_on(TcpStream::connect(address)).unwrap_err(),
        exec::block_on(TcpStream::connect("localhost:1")).unwrap_err(),
        exec::block_on(File::open(&temp.0)).unwrap_err(),
        exec::block_on(File::create(&temp.0)).unwrap_err(),
        exec::block_on(filch::fs::read(&temp.0)).unwrap_err(),
        exec::block_on(filch::fs::read_to_string(&temp.0)).unwrap_err(),
        exec::block_on(filch::fs::write(&temp.0, "y")).unwrap_err(),
        exec::block_on(filch::fs::metadata(&temp.0)).unwrap_err(),
        TcpListener::from_std(listener).unwrap_err(),
        TcpStream::from_std(stream).unwrap_err(),
        File::from_std(file).unwrap_err(),
    ];
    for (number, error) in errors.iter().enumerate() {
        assert!(error.to_string().contains(NONE), "{number}: {error}");
    }
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"x");
}

#[test]
fn blocking_a_worker_is_an_error() {
    let _alone = alone(PATIENCE);
    let runtime = Arc::new(runtime(1));
    let other = Arc::new(self::runtime(1));
    let check = {
        let (runtime, other) = (runtime.clone(), other.clone());
        async move {
            let (text, at) = panic_of(|| runtime.block_on(async {}));
            assert!(text.contains("this thread is a worker"), "{text}");
            assert!(text.contains("spawn_blocking"), "{text}");
            assert_eq!(at, line() - 3, "the caller's line");
            assert!(runtime.try_block_on(async {}).is_err());
            assert!(runtime.handle().try_block_on(async {}).is_err());
            let (_, at) = panic_of(|| runtime.handle().block_on(async {}));
            assert_eq!(at, line() - 1);
            // Another one's worker is a worker.
            assert!(other.try_block_on(async {}).is_err());
            let (text, at) = panic_of(|| filch::run(async {}));
            assert!(text.contains("this thread is a worker"), "{text}");
            assert_eq!(at, line() - 2);
            let error = Runtime::builder().run(async {}).unwrap_err();
            assert!(error.is_on_worker() && !error.is_io_uring_refused());
            // On a thread that may block it is none.
            let handle = Handle::current();
            let closure = filch::spawn_blocking(move || handle.block_on(async { 7 }));
            assert_eq!(closure.await.unwrap(), 7);
            let closure =
                filch::spawn_blocking(|| Handle::current().block_on(filch::spawn(async { 8 })));
            assert_eq!(closure.await.unwrap().unwrap(), 8);
            let closure = filch::spawn_blocking(|| filch::run(async { 9 }));
            assert_eq!(closure.await.unwrap(), 9);
        }
    };
    runtime.block_on(runtime.handle().spawn(check)).unwrap();
    let check = async {
        assert!(runtime.try_block_on(async {}).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| filch::run(async {}))).is_err());
    };
    Runtime::builder().workers(1).run(check).unwrap();
}

/// As the first half of the test above, but awaited.
#[test]
fn blocking_a_worker_is_an_error_in_tasks() {
    let _alone = alone(PATIENCE);
    let runtime = runtime(1);
    let handle = runtime.handle().clone();
    let task = runtime.handle().spawn(async move {
        let (text, at) = panic_of(|| handle.block_on(async {}));
        assert!(text.contains("this thread is a worker"), "{text}");
        assert_eq!(at, line() - 2);
        handle.try_block_on(async {}).unwrap_err().to_string()
    });
    let text = runtime.block_on(task).unwrap();
    assert!(text.contains("spawn_blocking"), "{text}");
}

#[test]
fn a_runtime_dropped_within_itself_ends_by_itself() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for workers in [1, 2] {
        // By a task of its own.
        let runtime = runtime(workers);
        let handle = runtime.handle().clone();
        let dropped = Arc::new(AtomicU32::new(0));
        struct Count(Arc<AtomicU32>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let other = Count(dropped.clone());
        let waiting = handle.spawn(async move {
            let _other = other;
            std::future::pending::<()>().await;
        });
        let own = Count(dropped.clone());
        let task = handle.spawn(async move {
            let _own = own;
            let (stream, _peer) = pair();
            let mut buf = [0; 8];
            let mut read = pin!(stream.read(&mut buf));
            let _ = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            drop(runtime);
            // It was asked to end, and is dropped where it waits for what does not come at once.
            filch::task::yield_now().await;
            std::future::pending::<()>().await;
        });
        assert!(exec::block_on(task).unwrap_err().is_shutdown());
        assert!(exec::block_on(waiting).unwrap_err().is_shutdown());
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
        assert!(handle.is_shut_down());
        drop(handle);
        before.check();

        // By a blocking closure of its own, and by a thread that blocks on it.
        let runtime = self::runtime(workers);
        let (done, is_done) = mpsc::channel();
        let handle = runtime.handle().clone();
        drop(handle.spawn_blocking(move || {
            drop(runtime);
            done.send(()).unwrap();
        }));
        is_done.recv().unwrap();
        drop(handle);
        before.check();
        let runtime = self::runtime(workers);
        let handle = runtime.handle().clone();
        handle.block_on(async move { drop(runtime) });
        drop(handle);
        before.check();
    }
}

#[test]
fn a_handle_whose_runtime_is_gone() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    let runtime = runtime(2);
    let handle = runtime.handle().clone();
    assert!(!handle.is_shut_down());
    drop(runtime);
    assert!(handle.is_shut_down());
    let dropped = Arc::new(());
    let held = dropped.clone();
    let error = exec::block_on(handle.spawn(async move { drop(held) })).unwrap_err();
    assert!(error.is_shutdown() && error.is_cancelled(), "{error}");
    assert!(error.to_string().contains("shut down"), "{error}");
    let held = dropped.clone();
    let error = exec::block_on(handle.spawn_blocking(move || drop(held))).unwrap_err();
    assert!(error.is_shutdown(), "{error}");
    assert_eq!(Arc::strong_count(&dropped), 1, "nothing of them is kept");
    // A future that needs no runtime runs; what does need it says that it is gone.
    assert_eq!(handle.block_on(async { 7 }), 7);
    let (text, _) = panic_of(|| handle.block_on(sleep(Duration::from_millis(1))));
    assert!(text.contains("was shut down"), "{text}");
    let error = handle.block_on(File::open("/dev/null")).unwrap_err();
    assert!(error.to_string().contains("was shut down"), "{error}");
    let error = handle.block_on(TcpStream::connect("127.0.0.1:9")).unwrap_err();
    assert!(error.to_string().contains("was shut down"), "{error}");
    let error = handle.block_on(TcpStream::connect("localhost:9")).unwrap_err();
    assert!(error.to_string().contains("shut down"), "{error}");
    let entered = handle.enter();
    assert!(exec::block_on(filch::spawn(async {})).unwrap_err().is_shutdown());
    drop(entered);
    assert_eq!(handle.metrics().tasks, 0);
    drop(handle);
    before.check();
}

#[test]
fn a_runtime_may_be_entered() {
    let _alone = alone(PATIENCE);
    let (outer, inner) = (runtime(1), runtime(2));
    let workers = || Handle::try_current().map(|handle| handle.workers());
    assert!(workers().is_err());
    let first = outer.enter();
    assert_eq!(workers().unwrap(), 1);
    assert_eq!(exec::block_on(filch::spawn(async { 1 })).unwrap(), 1);
    exec::block_on(sleep(Duration::from_millis(1)));
    {
        let _second = inner.enter();
        assert_eq!(workers().unwrap(), 2);
        // Blocking enters too, and leaves again.
        outer.block_on(async { assert_eq!(workers().unwrap(), 1) });
        assert_eq!(workers().unwrap(), 2);
        let _ = catch_unwind(AssertUnwindSafe(|| outer.block_on(async { panic!("inside") })));
        assert_eq!(workers().unwrap(), 2);
    }
    assert_eq!(workers().unwrap(), 1);
    // Inside `run`, the worker's own runtime counts, not the one entered outside.
    let builder = Runtime::builder().workers(3);
    assert_eq!(builder.run(async { workers().unwrap() }).unwrap(), 3);
    assert_eq!(workers().unwrap(), 1);
    drop(first);
    assert!(workers().is_err());
    // Entered, and then gone.
    let entered = outer.enter();
    drop(outer);
    assert!(exec::block_on(TcpListener::bind("localhost:0")).is_err());
    drop(entered);
    assert!(workers().is_err());
}

#[test]
fn many_threads_block_on_one_runtime() {
    let _alone = alone(PATIENCE);
    let runtime = runtime(2);
    let served = AtomicU32::new(0);
    thread::scope(|scope| {
        for number in 0..16 {
            let (handle, served) = (runtime.handle().clone(), &served);
            scope.spawn(move || {
                handle.block_on(async {
                    for round in 0..20 {
                        let (stream, mut peer) = pair();
                        let sent = pattern(number * 100 + round, 50);
                        peer.write_all(&sent).unwrap();
                        let mut got = [0; 50];
                        let mut read = 0;
                        while read < 50 {
                            read += stream.read(&mut got[read..]).await.unwrap();
                        }
                        assert_eq!(got[..], sent);
                        sleep(Duration::from_micros(100)).await;
                        filch::spawn(async {}).await.unwrap();
                    }
                });
                served.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(served.load(Ordering::Relaxed), 16);
}

#[test]
fn objects_work_on_another_executor() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    let temp = TempFile::new("elsewhere", b"contents");
    let runtime = runtime(2);
    // Made inside, used outside, without entering.
    let (listener, (stream, mut peer), file) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener, pair(), File::open(&temp.0).await.unwrap())
    });
    exec::block_on(async {
        peer.write_all(b"ping").unwrap();
        let mut buf = [0; 8];
        assert_eq!(stream.read(&mut buf).await.unwrap(), 4);
        assert_eq!(stream.write(b"pong").await.unwrap(), 4);
        let mut got = [0; 4];
        peer.set_nonblocking(false).unwrap();
        std::io::Read::read_exact(&mut peer, &mut got).unwrap();
        assert_eq!(&got, b"pong");
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_, address) = listener.accept().await.unwrap();
        assert_eq!(address, client.local_addr().unwrap());
        assert_eq!(file.read(&mut buf).await.unwrap(), 8);
        assert_eq!(&buf, b"contents");
        assert_eq!(file.read_at(Vec::with_capacity(3), 2).await.1, b"nte");
        assert_eq!(file.metadata().await.unwrap().len(), 8);
        stream.shutdown(std::net::Shutdown::Write).await.unwrap();
        file.close().await.unwrap();
    });
    drop((listener, stream, peer));
    drop(runtime);
    before.check();
}

#[test]
fn what_one_executor_began_another_ends() {
    let _alone = alone(PATIENCE);
    let runtime = runtime(2);
    let (stream, mut peer) = runtime.block_on(async { pair() });
    let stream = Arc::new(stream);
    // Begun on a thread without a worker, and dropped; ended by a task.
    for round in 0..50 {
        let byte = [round];
        {
            let mut buf = [0; 8];
            let mut read = pin!(stream.read(&mut buf));
            assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        peer.write_all(&byte).unwrap();
        let task = {
            let stream = stream.clone();
            runtime.handle().spawn(async move {
                let mut buf = [0; 8];
                let read = stream.read(&mut buf).await.unwrap();
                // And the other way round: this one is begun by a worker.
                let mut next = [0; 8];
                let mut again = pin!(stream.read(&mut next));
                let pending =
                    std::future::poll_fn(|cx| again.as_mut().poll(cx).is_pending().into()).await;
                assert!(pending);
                (read, buf[0])
            })
        };
        assert_eq!(runtime.block_on(task).unwrap(), (1, round));
        peer.write_all(&byte).unwrap();
        let mut buf = [0; 8];
        assert_eq!(exec::block_on(stream.read(&mut buf)).unwrap(), 1);
        assert_eq!(buf[0], round);
    }
}

#[test]
fn two_runtimes_share_a_stream() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    let home = runtime(1);
    let (stream, mut peer) = home.block_on(async { pair() });
    let stream = Arc::new(stream);
    // Its read is begun by a worker of another runtime, which then goes.
    let guest = runtime(1);
    let task = {
        let stream = stream.clone();
        guest.handle().spawn(timeout(Duration::from_millis(1), async move {
            stream.read(&mut [0; 8]).await.unwrap()
        }))
    };
    assert!(guest.block_on(task).unwrap().is_err(), "nothing was sent");
    drop(guest);
    // Nobody cancelled the read: the next one waits for its bytes as if nothing had been.
    peer.write_all(b"abc").unwrap();
    let mut buf = [0; 8];
    let task = {
        let stream = stream.clone();
        home.handle().spawn(async move {
            let mut buf = [0; 8];
            (stream.read(&mut buf).await, buf)
        })
    };
    let (read, got) = home.block_on(task).unwrap();
    assert_eq!(read.expect("no error of the other runtime's"), 3);
    assert_eq!(&got[..3], b"abc");
    assert!(peer.write_all(b"x").is_ok());
    assert_eq!(exec::block_on(stream.read(&mut buf)).unwrap(), 1);
    drop((stream, peer, home));
    before.check();
}

#[test]
fn two_runtimes_share_a_listener() {
    let _alone = alone(PATIENCE);
    let home = runtime(1);
    let listener = home.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let listener = Arc::new(listener);
    let guest = runtime(1);
    let task = {
        let listener = listener.clone();
        guest.handle().spawn(timeout(Duration::from_millis(1), async move {
            listener.accept().await.map(drop).unwrap()
        }))
    };
    assert!(guest.block_on(task).unwrap().is_err(), "nobody connected");
    drop(guest);
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, peer) = home.block_on(listener.accept()).expect("no error of the other runtime's");
    assert_eq!(peer, client.local_addr().unwrap());
}

/// Objects that outlive their runtime: an error that says so, and no hanging.
#[test]
fn objects_whose_runtime_is_gone_say_so() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    let temp = TempFile::new("gone", b"contents");
    let runtime = runtime(2);
    let (listener, (stream, peer), file) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener, pair(), File::open(&temp.0).await.unwrap())
    });
    let (stream, listener) = (Arc::new(stream), Arc::new(listener));
    // Some of it in flight when the runtime goes: polled by a thread that sleeps, and dropped.
    let (started, is_started) = mpsc::channel();
    let waiting = {
        let (stream, listener) = (stream.clone(), listener.clone());
        thread::spawn(move || {
            exec::block_on(async {
                let mut buf = [0; 8];
                let begun = async {
                    exec::yield_now().await;
                    started.send(()).unwrap();
                };
                let (read, accept, ()) =
                    filch::join!(stream.read(&mut buf), listener.accept(), begun);
                (read.unwrap_err(), accept.map(drop).unwrap_err())
            })
        })
    };
    is_started.recv().unwrap();
    drop(runtime);
    let (read, accept) = waiting.join().unwrap();
    let gone = "was shut down";
    assert!(read.to_string().contains(gone), "{read}");
    assert!(accept.to_string().contains(gone), "{accept}");
    exec::block_on(async {
        let mut buf = [0; 8];
        for error in [
            stream.read(&mut buf).await.unwrap_err(),
            stream.write(b"x").await.unwrap_err(),
            stream.shutdown(std::net::Shutdown::Write).await.unwrap_err(),
            listener.accept().await.map(drop).unwrap_err(),
            file.read(&mut buf).await.unwrap_err(),
            file.write(&buf).await.unwrap_err(),
            file.metadata().await.map(drop).unwrap_err(),
            file.sync_all().await.unwrap_err(),
            file.read_at(vec![0; 8], 0).await.0.unwrap_err(),
        ] {
            assert!(error.to_string().contains(gone), "{error}");
        }
        let _ = file.close().await;
    });
    assert!(stream.peer_addr().is_ok(), "what needs no ring still works");
    drop((listener, stream, peer));
    before.check();
}

#[test]
fn wakers_that_panic_while_a_runtime_ends_keep_nothing_from_ending() {
    let _alone = alone(PATIENCE);
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody else's");
        }
    }
    let runtime = runtime(1);
    let streams: Vec<_> = (0..3).map(|_| runtime.block_on(async { pair() })).collect();
    let waker = std::task::Waker::from(Arc::new(Panics));
    let mut bufs = [[0; 4]; 3];
    let mut reads: Vec<_> = streams
        .iter()
        .zip(&mut bufs)
        .map(|((stream, _peer), buf)| Box::pin(stream.read(buf)))
        .collect();
    for read in &mut reads {
        assert!(read.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    let handle = runtime.handle().clone();
    drop(runtime);
    assert!(handle.is_shut_down());
    for read in reads {
        assert!(exec::block_on(read).is_err());
    }
}
