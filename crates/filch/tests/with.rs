//! A resource and its use: `filch::with`, by the numbers of its rules in `docs/semantics.md`.

#[path = "cancel_scopes/kit.rs"]
mod kit;
mod support;

use filch::io::{BufWriter, Read, Write};
use filch::task::{Report, yield_now};
use filch::time::{Duration, sleep, timeout};
use filch::{Close, cancellable, is_cancelled, shielded, spawn, with};
use futures_util::FutureExt;
use kit::{Log, run};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Poll;

const MS: Duration = Duration::from_millis(1);

/// Says how it ended.
struct Thing {
    log: Log,
    fails: bool,
    closed: bool,
}

impl Thing {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), fails: false, closed: false }
    }

    fn that_fails(log: &Log) -> Self {
        let mut this = Self::new(log);
        this.fails = true;
        this
    }
}

impl Close for Thing {
    type Error = io::Error;

    async fn close(mut self) -> io::Result<()> {
        assert!(!is_cancelled(), "shielded");
        self.log.add("closing");
        for _ in 0..3 {
            sleep(MS).await;
            yield_now().await;
        }
        self.closed = true;
        self.log.add("closed");
        if self.fails { Err(io::Error::other("not today")) } else { Ok(()) }
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        if !self.closed {
            self.log.add("dropped");
        }
    }
}

/// WITH-1.
#[test]
fn with_1_closed_before_the_value_is_given() {
    let log = Log::default();
    run(async {
        let value = with(Thing::new(&log), async |thing| {
            thing.log.add("used");
            yield_now().await;
            Ok::<_, io::Error>(7)
        });
        assert_eq!(value.await.unwrap(), 7);
        log.add("behind");
        let failed = with(Thing::that_fails(&log), async |_| Ok::<_, io::Error>(7));
        assert_eq!(failed.await.unwrap_err().to_string(), "not today");
    });
    assert_eq!(log.all(), ["used", "closing", "closed", "behind", "closing", "closed"]);
}

/// WITH-2.
#[test]
fn with_2_closed_behind_an_error_and_a_panic_which_go_on() {
    let (log, reports) = (Log::default(), Arc::new(Mutex::new(Vec::new())));
    let told = reports.clone();
    let builder = filch::Runtime::builder().workers(2).on_error(move |report| {
        assert!(matches!(report, Report::CloseFailed { .. }), "{report}");
        told.lock().unwrap().push(report.to_string());
    });
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let failed =
            with(Thing::that_fails(&log), async |_| Err::<(), _>(io::Error::other("first")));
        assert_eq!(failed.await.unwrap_err().to_string(), "first");
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(with(Thing::that_fails(&log), async |_| -> io::Result<()> {
            yield_now().await;
            panic!("in the body")
        }))
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"in the body"));
    assert_eq!(log.all(), ["closing", "closed", "closing", "closed"]);
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 2);
    assert!(
        reports.iter().all(|report| report.contains("with.rs") && report.contains("not today"))
    );
}

/// WITH-3. The body is over when the cancel comes: the close goes on, and the value comes out.
#[test]
fn with_3_a_close_is_shielded_and_the_value_is_given() {
    run(async {
        let log = Log::default();
        let used = log.clone();
        let task = spawn(async move {
            let value = with(Thing::new(&used), async |_| Ok::<_, io::Error>(7)).await;
            used.add("behind");
            value.unwrap()
        });
        log.until("closing").await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!(log.all(), ["closing", "closed", "behind"]);

        // The same for a timeout: it is over long before the close is.
        let log = Log::default();
        let held = with(Held(log.clone()), async |_| Ok::<_, io::Error>(7));
        assert_eq!(timeout(MS, held).await.unwrap().unwrap(), 7);
        assert_eq!(log.all(), ["closed"]);
    });
}

/// Is closed when the time of a millisecond is long over.
struct Held(Log);

impl Close for Held {
    type Error = io::Error;

    async fn close(self) -> io::Result<()> {
        sleep(20 * MS).await;
        self.0.add("closed");
        Ok(())
    }
}

/// WITH-4. The innermost is closed first; what is around is cut behind that.
#[test]
fn with_4_a_cancel_cuts_the_body_and_closes() {
    run(async {
        let log = Log::default();
        let used = log.clone();
        let task = spawn(async move {
            let used = &used;
            let nested = with(Thing::new(used), async |_| {
                let inner = with(Thing::new(used), async |thing| {
                    thing.log.add("waits");
                    let _gone = thing.log.on_drop("body dropped", "?");
                    pending::<io::Result<()>>().await
                });
                let inner = inner.await;
                used.add("behind the inner one");
                inner
            });
            let cut = cancellable(nested).await;
            used.add("cut");
            assert!(cut.is_err());
        });
        log.until("waits").await;
        task.cancel();
        task.await.unwrap();
        let all = log.all();
        assert_eq!(all, ["waits", "body dropped", "closing", "closed", "closing", "closed", "cut"]);
    });
}

/// WITH-4. Also where nothing is around but a timeout, or the task; and a cancelled task that is yet to begin.
#[test]
fn with_4_in_a_timeout_in_a_task_and_before_the_first_poll() {
    run(async {
        let log = Log::default();
        let waits = with(Thing::new(&log), async |_| pending::<io::Result<()>>().await);
        assert!(timeout(MS, waits).await.is_err());
        assert_eq!(log.all(), ["closing", "closed"]);

        let log = Log::default();
        let used = log.clone();
        let task = spawn(async move {
            let _unfinished = with(Thing::new(&used), async |thing| {
                thing.log.add("waits");
                pending::<io::Result<()>>().await
            })
            .await;
            used.add("behind");
        });
        log.until("waits").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.all(), ["waits", "closing", "closed"]);

        let log = Log::default();
        let used = log.clone();
        let task = spawn(with(Thing::new(&used), async |_| pending::<io::Result<()>>().await));
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.all(), ["closing", "closed"]);
    });
}

/// WITH-4. Lent to a timeout that was dropped in the midst of its end, it closes where it is polled next, and has nothing
/// to give.
#[test]
fn with_4_lent_it_closes_and_does_not_wait_for_ever() {
    run(async {
        let log = Log::default();
        let mut used = Box::pin(with(Thing::new(&log), async |_| {
            shielded(sleep(10 * MS)).await;
            pending::<io::Result<()>>().await
        }));
        filch::select! {
            biased;
            _ = timeout(MS, used.as_mut()) => unreachable!("the shield holds it"),
            () = sleep(4 * MS) => (),
        }
        let panicked = AssertUnwindSafe(used).catch_unwind().await.unwrap_err();
        assert!(panicked.downcast_ref::<&str>().unwrap().contains("lent"));
        assert_eq!(log.all(), ["closing", "closed"]);

        // To its end.
        let log = Log::default();
        let mut used =
            Box::pin(with(Thing::new(&log), async |_| pending::<io::Result<()>>().await));
        assert!(timeout(MS, used.as_mut()).await.is_err());
        assert_eq!(log.all(), ["closing", "closed"]);
        AssertUnwindSafe(used).catch_unwind().await.unwrap_err();
    });
}

/// WITH-2. Where the body panics as it is called, and where its destructors do when it is cut.
#[test]
fn with_2_closed_behind_every_panic() {
    run(async {
        let log = Log::default();
        let body = |_: &mut Thing| -> std::future::Ready<io::Result<()>> { panic!("at the call") };
        let panicked = AssertUnwindSafe(with(Thing::new(&log), body)).catch_unwind().await;
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"at the call"));
        assert_eq!(log.all(), ["closing", "closed"]);

        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("cut");
            }
        }
        let log = Log::default();
        let used = log.clone();
        let task = spawn(with(Thing::new(&log), async move |_| {
            let _bomb = Bomb;
            used.add("waits");
            pending::<io::Result<()>>().await
        }));
        log.until("waits").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(log.all(), ["waits", "closing", "closed"]);
    });
}

/// WITH-2. Of two panics the first.
#[test]
fn with_2_a_close_that_panics_behind_a_panic_is_reported() {
    struct Panics;
    impl Close for Panics {
        type Error = io::Error;
        async fn close(self) -> io::Result<()> {
            panic!("in the close")
        }
    }
    let told = Log::default();
    let hook = told.clone();
    let builder = filch::Runtime::builder().workers(2).on_error(move |report| {
        assert!(matches!(report, Report::CloseFailed { .. }), "{report}");
        hook.add("told");
    });
    let panicked = builder.run(async {
        let used = with(Panics, async |_| -> io::Result<()> { panic!("in the body") });
        AssertUnwindSafe(used).catch_unwind().await.unwrap_err()
    });
    assert_eq!(panicked.unwrap().downcast_ref(), Some(&"in the body"));
    assert_eq!(told.all(), ["told"]);
}

/// WITH-4, C4. A close that never ends is dropped when the grace is over.
#[test]
fn with_4_a_close_has_its_grace() {
    struct Stays(Log);
    impl Close for Stays {
        type Error = io::Error;
        fn close(self) -> impl Future<Output = io::Result<()>> + Send {
            self.0.add("closing");
            pending()
        }
    }
    let told = Log::default();
    let hook = told.clone();
    let builder = filch::Runtime::builder().workers(2).grace(5 * MS).on_error(move |report| {
        let Report::CleanUpCut { location, .. } = report else { panic!("{report}") };
        assert!(location.file().ends_with("tests/with.rs"), "{report}");
        hook.add("cut");
    });
    let log = Log::default();
    let used = log.clone();
    let cut = builder.run(async move {
        let task = spawn(with(Stays(used), async |_| pending::<io::Result<()>>().await));
        yield_now().await;
        task.cancel();
        task.await.unwrap_err().is_cancelled()
    });
    assert!(cut.unwrap());
    assert_eq!((log.all(), told.all()), (vec!["closing"], vec!["cut"]));
}

/// WITH-5. At each of its polls.
#[test]
fn with_5_dropped_it_drops_the_resource_once() {
    for at in 0..12 {
        let log = Log::default();
        run(async {
            let mut used = Box::pin(with(Thing::new(&log), async |_| {
                yield_now().await;
                yield_now().await;
                Ok::<_, io::Error>(())
            }));
            for _ in 0..at {
                if poll_fn(|cx| Poll::Ready(used.as_mut().poll(cx))).await.is_ready() {
                    break;
                }
                sleep(2 * MS).await;
            }
            drop(used);
        });
        let ends = log.all().iter().filter(|end| ["dropped", "closed"].contains(end)).count();
        assert_eq!(ends, 1, "{:?}", log.all());
        // Two waits in the body and six in the close: it ends at its ninth poll.
        assert_eq!(log.has("closed"), at >= 9, "{at}");
        assert_eq!(log.has("closing"), at >= 3, "{at}");
    }
}

/// Files, and what is buffered before them: what was written is there behind the block.
#[test]
fn files_are_closed_and_buffers_flushed() {
    let path = std::env::temp_dir().join(format!("filch-with-{}", std::process::id()));
    run(async {
        let file = filch::fs::File::create(&path).await.unwrap();
        let task = spawn(with(BufWriter::new(file), async |out| {
            for line in 0..100 {
                out.write_all(format!("{line}\n").as_bytes()).await?;
            }
            Ok::<_, io::Error>(())
        }));
        task.await.unwrap().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 100);
    });
    std::fs::remove_file(&path).unwrap();
}

/// Connections, from a task: the future is `Send`.
#[test]
fn connections_are_closed() {
    run(async {
        let listener = filch::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = spawn(async move {
            let stream = filch::net::TcpStream::connect(address).await?;
            with(stream, async |stream| stream.write_all(b"hello").await).await
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        client.await.unwrap().unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "hello");
    });
}
