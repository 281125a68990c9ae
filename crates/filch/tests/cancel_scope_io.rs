//! A graceful cancel and operations in flight (CANCEL-10): nothing is lost, and nothing is told wrong.

mod support;

use filch::io::Write;
use filch::net::TcpStream;
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{Runtime, cancellable, is_cancelled, shielded};
use filch_testkit::limits::watchdog;
use filch_testkit::{Cut, DropAtEveryPoll};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use support::{PATIENCE, drain, pair, pattern, runtime};

/// Nobody's patience is to end: who waits for what does not come hangs.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Waits until `so_many` have been counted.
async fn until(count: &AtomicUsize, so_many: usize) {
    while count.load(Ordering::Acquire) < so_many {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn cancel_10_a_read_that_is_cut_leaves_the_bytes_to_the_next() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            for round in 0..200 {
                let (stream, mut peer) = pair();
                let stream = Arc::new(stream);
                let begun = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (stream, begun) = (stream.clone(), begun.clone());
                    async move {
                        begun.store(1, Ordering::Release);
                        let mut buf = [0; 8];
                        let read = cancellable(stream.read(&mut buf)).grace(FOR_EVER).await;
                        assert!(read.is_ok() || is_cancelled());
                        read.map(|read| buf[..read.unwrap()].to_vec()).unwrap_or_default()
                    }
                });
                until(&begun, 1).await;
                // Before, at the same time, or after.
                if round % 3 == 0 {
                    peer.write_all(b"hello").unwrap();
                }
                task.cancel();
                if round % 3 == 1 {
                    peer.write_all(b"hello").unwrap();
                }
                let mut got = task.await.expect("the boundary is around all it waits for");
                if round % 3 == 2 {
                    peer.write_all(b"hello").unwrap();
                }
                while got.len() < 5 {
                    let mut buf = [0; 8];
                    let read = stream.read(&mut buf).await.unwrap();
                    got.extend_from_slice(&buf[..read]);
                }
                assert_eq!(got, b"hello");
            }
        });
    }
}

/// What a write in a boundary says that it wrote is what the other side gets: all of it, and no byte more.
#[test]
fn cancel_10_a_write_that_is_cut_wrote_what_it_said() {
    let _watchdog = watchdog(PATIENCE);
    let bytes = Arc::new(pattern(0, 8 * 1024 * 1024));
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            for round in 0..8 {
                let (stream, peer) = pair();
                let bytes = bytes.clone();
                let written = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (written, bytes) = (written.clone(), bytes.clone());
                    async move {
                        let work = async {
                            loop {
                                let at = written.load(Ordering::Acquire);
                                let wrote = stream.write(&bytes[at..]).await.unwrap();
                                written.fetch_add(wrote, Ordering::Release);
                            }
                        };
                        let cut: Result<(), _> = cancellable(work).grace(FOR_EVER).await;
                        cut.unwrap_err();
                    }
                });
                // The other side does not read: sooner or later it has to wait.
                until(&written, 1 + round * 120_000).await;
                task.cancel();
                task.await.unwrap();
                let got = drain(&peer).await;
                assert_eq!(got.len(), written.load(Ordering::Acquire));
                assert_eq!(got, bytes[..got.len()]);
            }
        });
    }
}

#[test]
fn cancel_10_reads_whom_only_their_own_waker_wakes() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        for round in 0..50 {
            let (streams, mut peers): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
            let streams = Arc::new(streams);
            let begun = Arc::new(AtomicUsize::new(0));
            let got = Arc::new(Mutex::new(vec![Vec::new(); streams.len()]));
            let task = filch::spawn({
                let (streams, begun, got) = (streams.clone(), begun.clone(), got.clone());
                async move {
                    let read = async |at: usize| {
                        begun.fetch_add(1, Ordering::Release);
                        let mut buf = [0; 8];
                        let read = streams[at].read(&mut buf).await.unwrap();
                        got.lock().unwrap()[at].extend_from_slice(&buf[..read]);
                    };
                    let all = async {
                        let mut all: FuturesUnordered<_> = (0..streams.len()).map(read).collect();
                        while all.next().await.is_some() {}
                    };
                    cancellable(all).grace(FOR_EVER).await
                }
            });
            until(&begun, streams.len()).await;
            for (at, peer) in peers.iter_mut().enumerate() {
                if (round + at) % 2 == 0 {
                    peer.write_all(b"hello").unwrap();
                }
            }
            task.cancel();
            let cut = task.await.unwrap();
            assert!(cut.is_err(), "some had nothing to read");
            for (at, peer) in peers.iter_mut().enumerate() {
                if (round + at) % 2 == 1 {
                    peer.write_all(b"hello").unwrap();
                }
                let mut all = got.lock().unwrap()[at].clone();
                while all.len() < 5 {
                    let mut buf = [0; 8];
                    let read = streams[at].read(&mut buf).await.unwrap();
                    all.extend_from_slice(&buf[..read]);
                }
                assert_eq!(all, b"hello");
            }
        }
    });
}

#[test]
fn cancel_10_nothing_begins_in_a_scope_that_is_cancelled() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        let (stream, peer) = pair();
        let (go, went) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let task = filch::spawn({
            let (go, went) = (go.clone(), went.clone());
            async move {
                let mut stream = stream;
                let work = async {
                    went.store(true, Ordering::Release);
                    while !go.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    stream.write_all(b"never").await.unwrap();
                };
                cancellable(work).await.unwrap_err();
                // Shielded it does.
                shielded(stream.write_all(b"good bye")).await.unwrap();
            }
        });
        while !went.load(Ordering::Acquire) {
            sleep(Duration::from_millis(1)).await;
        }
        task.cancel();
        go.store(true, Ordering::Release);
        task.await.unwrap();
        assert_eq!(drain(&peer).await, b"good bye");
    });
}

/// Cut in flight or never begun, what a write did not write is not written by the next one.
#[test]
fn cancel_10_a_write_that_was_cut_does_not_happen_later() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        let (stream, peer) = pair();
        let bytes = pattern(0, 8 * 1024 * 1024);
        let written = Arc::new(AtomicUsize::new(0));
        let (expected, count) = (bytes.clone(), written.clone());
        let task = filch::spawn(async move {
            let mut stream = stream;
            let work = async {
                loop {
                    let at = count.load(Ordering::Acquire);
                    let wrote = stream.write(&bytes[at..]).await.unwrap();
                    count.fetch_add(wrote, Ordering::Release);
                }
            };
            let cut: Result<(), _> = cancellable(work).grace(FOR_EVER).await;
            cut.unwrap_err();
            shielded(stream.write_all(b"good bye")).await.unwrap();
        });
        // Until it has to wait: nobody reads.
        let mut before = 0;
        while before == 0 || before != written.load(Ordering::Acquire) {
            before = written.load(Ordering::Acquire);
            sleep(Duration::from_millis(10)).await;
        }
        task.cancel();
        let got = drain(&peer).await;
        task.await.unwrap();
        let written = written.load(Ordering::Acquire);
        assert_eq!(got.len(), written + b"good bye".len());
        assert_eq!(got[..written], expected[..written]);
        assert_eq!(&got[written..], b"good bye");
    });
}

/// A read that was asked to stop, and whose boundary is dropped before it has: somebody else's begins anew.
#[test]
fn cancel_11_what_a_dropped_boundary_has_stopped_begins_anew() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        let (stream, mut peer) = pair();
        let stream = Arc::new(stream);
        let begun = Arc::new(AtomicBool::new(false));
        let task = filch::spawn({
            let (stream, begun) = (stream.clone(), begun.clone());
            async move {
                let mut buf = [0; 8];
                let mut cut = pin!(cancellable(stream.read(&mut buf)).grace(FOR_EVER));
                poll_once(cut.as_mut()).await;
                begun.store(true, Ordering::Release);
                while !is_cancelled() {
                    std::thread::yield_now();
                }
                poll_once(cut.as_mut()).await;
            }
        });
        while !begun.load(Ordering::Acquire) {
            sleep(Duration::from_millis(1)).await;
        }
        task.cancel();
        task.await.expect("it waits for nothing");
        // Until the kernel has stopped.
        sleep(Duration::from_millis(20)).await;
        let next = filch::spawn(async move {
            let mut buf = [0; 8];
            let read = stream.read(&mut buf).await.unwrap();
            buf[..read].to_vec()
        });
        sleep(Duration::from_millis(5)).await;
        peer.write_all(b"hello").unwrap();
        assert_eq!(next.await.unwrap(), b"hello");
    });
}

/// Polls it, and lets it wait.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// A boundary with clean-up that writes, dropped at every poll while its task is cancelled. Whatever is left
/// of it holds up nobody, and the connection stays whole.
#[test]
fn cancel_11_a_boundary_may_be_dropped_at_every_poll() {
    async fn scenario(cut: Cut) {
        let (stream, peer) = pair();
        let stream = Arc::new(stream);
        let begun = Arc::new(AtomicUsize::new(0));
        let task = filch::spawn({
            let (stream, begun) = (stream.clone(), begun.clone());
            async move {
                let work = {
                    let (stream, begun) = (stream.clone(), begun.clone());
                    async move {
                        let inner = cancellable(async {
                            begun.store(1, Ordering::Release);
                            stream.read(&mut [0; 8]).await
                        });
                        inner.await.unwrap_err();
                        shielded(yield_now()).await;
                        std::future::pending::<()>().await
                    }
                };
                let clean_up = async move || {
                    yield_now().await;
                    let _ = say(&stream, b"good bye").await;
                };
                let ended = cut.run(cancellable(work).on_cancel(clean_up)).await;
                begun.store(1, Ordering::Release);
                ended.is_some()
            }
        });
        until(&begun, 1).await;
        task.cancel();
        // It comes to its end: it waits for nothing outside the future that is dropped.
        let ended = task.await.expect("nothing holds it up");
        say(&stream, b", all").await.unwrap();
        drop(stream);
        let got = drain(&peer).await;
        let expected: &[u8] = if got.len() > 5 { b"good bye, all" } else { b", all" };
        assert!(got == expected && (!ended || got.len() > 5), "{got:?}");
    }

    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let summary = Runtime::builder()
            .workers(workers)
            .run(DropAtEveryPoll::new().run(scenario))
            .expect("a runtime");
        assert!(summary.dropped >= 5, "{summary:?}");
    }
}

async fn say(mut to: &TcpStream, what: &[u8]) -> std::io::Result<()> {
    to.write_all(what).await
}
