//! Operations that outlive the future that waited for them, or the scope that they were waited for in
//! (CANCEL-10): who comes next finds them in order, and nobody waits for what nobody waits for.

mod support;

use filch::fs::File;
use filch::io::{Read, Write};
use filch::net::TcpStream;
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{Runtime, cancellable, is_cancelled, shielded};
use filch_testkit::limits::watchdog;
use filch_testkit::{Cut, DropAtEveryPoll};
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::{pending, poll_fn};
use std::io::{SeekFrom, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use support::{PATIENCE, drain, pair, pattern, runtime};

/// Nobody's patience is to end: who waits for what does not come hangs.
const FOR_EVER: Duration = Duration::from_secs(3600);

async fn until(count: &AtomicUsize, so_many: usize) {
    while count.load(Ordering::Acquire) < so_many {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Ready when it is polled in a scope that is cancelled.
async fn cancelled() {
    poll_fn(|_| if is_cancelled() { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Ready after so many polls, which follow each other.
async fn turns(so_many: usize) {
    for _ in 0..so_many {
        yield_now().await;
    }
}

async fn say(mut to: &TcpStream, what: &[u8]) -> std::io::Result<()> {
    to.write_all(what).await
}

/// Reads so many bytes.
async fn hear(mut from: &TcpStream, so_many: usize) -> Vec<u8> {
    let mut all = vec![0; so_many];
    from.read_exact(&mut all).await.unwrap();
    all
}

/// A read that the kernel was asked to stop, and that was dropped before it had: by an abort, right behind the
/// cancel. Whoever reads next gets the bytes.
#[test]
fn a_read_that_was_to_stop_is_taken_over() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            for round in 0..100 {
                let (stream, mut peer) = pair();
                let stream = Arc::new(stream);
                let begun = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (stream, begun) = (stream.clone(), begun.clone());
                    async move {
                        begun.store(1, Ordering::Release);
                        let read = async {
                            let mut buf = [0; 8];
                            let read = pin!(stream.read(&mut buf));
                            // It is polled, and asked to stop, and dropped in the same poll.
                            if let Either::Left(_) = select(read, pin!(cancelled())).await {
                                unreachable!("nothing has come");
                            }
                        };
                        if round % 2 == 0 {
                            read.await
                        } else {
                            cancellable(read).await.unwrap()
                        }
                        // What is left of it holds up nobody.
                        pending::<()>().await;
                    }
                });
                until(&begun, 1).await;
                sleep(Duration::from_micros(100)).await;
                let next = stream.clone();
                task.cancel();
                let reader = filch::spawn(async move {
                    match round % 4 / 2 {
                        0 => hear(&next, 5).await,
                        _ => cancellable(hear(&next, 5)).await.unwrap(),
                    }
                });
                task.await.unwrap_err();
                peer.write_all(b"hello").unwrap();
                assert_eq!(reader.await.unwrap(), b"hello");
            }
        });
    }
}

/// A boundary does not wait for the future of an operation that was asked to stop, if that is gone or is not
/// polled.
#[test]
fn a_boundary_waits_for_no_future_that_is_gone() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            for kept in [false, true] {
                for _ in 0..50 {
                    let (stream, mut peer) = pair();
                    let stream = Arc::new(stream);
                    let begun = Arc::new(AtomicUsize::new(0));
                    let task = filch::spawn({
                        let (stream, begun) = (stream.clone(), begun.clone());
                        async move {
                            let mut buf = [0; 8];
                            let mut read = Some(Box::pin(stream.read(&mut buf)));
                            let work = async {
                                begun.store(1, Ordering::Release);
                                select(read.as_mut().unwrap(), pin!(cancelled())).await;
                                if !kept {
                                    read = None;
                                }
                                pending::<()>().await;
                            };
                            cancellable(work).grace(FOR_EVER).await.unwrap_err();
                        }
                    });
                    until(&begun, 1).await;
                    task.cancel();
                    task.await.unwrap();
                    peer.write_all(b"hello").unwrap();
                    assert_eq!(hear(&stream, 5).await, b"hello");
                }
            }
        });
    }
}

/// What did not begin, or was given up, in a scope that is cancelled begins behind a shield, though it is polled
/// there by one who polls only whom he was woken for.
#[test]
fn what_was_refused_begins_behind_a_shield() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            for round in 0..40 {
                let (streams, mut peers): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
                let begun = Arc::new(AtomicUsize::new(0));
                let drains = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (begun, drains) = (begun.clone(), drains.clone());
                    async move {
                        let mut all: FuturesUnordered<_> =
                            streams.iter().map(|stream| hear(stream, 5)).collect();
                        begun.store(1, Ordering::Release);
                        let rest = |drains: Arc<AtomicUsize>| {
                            drains.store(1, Ordering::Release);
                        };
                        match round % 4 {
                            // Behind the boundary.
                            0 => {
                                cancellable(all.next()).grace(FOR_EVER).await.unwrap_err();
                                rest(drains);
                                shielded(all.collect::<Vec<_>>()).await.len()
                            }
                            // In the midst of it.
                            1 => {
                                let work = async {
                                    select(all.next(), pin!(cancelled())).await;
                                    // Once more: now they are refused.
                                    select(all.next(), pin!(shielded(turns(50)))).await;
                                    rest(drains);
                                    shielded(all.collect::<Vec<_>>()).await.len()
                                };
                                cancellable(work).grace(FOR_EVER).await.unwrap()
                            }
                            // In its clean-up.
                            2 => {
                                let all = std::sync::Mutex::new(all);
                                let mut done = 0;
                                let work = async {
                                    poll_fn(|cx| all.lock().unwrap().poll_next_unpin(cx)).await
                                };
                                let clean_up = || async {
                                    rest(drains);
                                    let next =
                                        || poll_fn(|cx| all.lock().unwrap().poll_next_unpin(cx));
                                    while next().await.is_some() {
                                        done += 1;
                                    }
                                };
                                let work = cancellable(work).on_cancel(clean_up).grace(FOR_EVER);
                                work.await.unwrap_err();
                                done
                            }
                            // In the task itself.
                            _ => {
                                shielded(until(&drains, 1)).await;
                                // The peers write already: one may be heard.
                                let heard = {
                                    let turns = pin!(shielded(turns(50)));
                                    matches!(select(all.next(), turns).await, Either::Left(_))
                                };
                                usize::from(heard) + shielded(all.collect::<Vec<_>>()).await.len()
                            }
                        }
                    }
                });
                until(&begun, 1).await;
                task.cancel();
                if round % 4 == 3 {
                    drains.store(1, Ordering::Release);
                }
                until(&drains, 1).await;
                for peer in &mut peers {
                    peer.write_all(b"hello").unwrap();
                }
                assert_eq!(task.await.unwrap(), 5);
            }
        });
    }
}

/// A file's write that was cut, or did not begin, is not written by the next one.
#[test]
fn a_files_write_that_was_cut_does_not_happen_later() {
    let _watchdog = watchdog(PATIENCE);
    let folder = std::env::temp_dir().join(format!("filch-cut-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("file");
    let runtime = runtime(2);
    for next in 0..3 {
        runtime.block_on(async {
            let mut file = File::create(&path).await.unwrap();
            let (go, went) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let task = filch::spawn({
                let (go, went) = (go.clone(), went.clone());
                async move {
                    let work = async {
                        went.store(1, Ordering::Release);
                        while !go.load(Ordering::Acquire) {
                            std::thread::yield_now();
                        }
                        file.write_all(b"never").await.unwrap();
                    };
                    cancellable(work).await.unwrap_err();
                    let behind = async {
                        match next {
                            0 => file.write_all(b"good bye").await.unwrap(),
                            1 => file.flush().await.unwrap(),
                            _ => {
                                let mut all = Vec::new();
                                file.read_to_end(&mut all).await.unwrap_err();
                            }
                        }
                    };
                    shielded(behind).await;
                }
            });
            until(&went, 1).await;
            task.cancel();
            go.store(true, Ordering::Release);
            task.await.unwrap();
        });
        let expected: &[u8] = if next == 0 { b"good bye" } else { b"" };
        assert_eq!(std::fs::read(&path).unwrap(), expected);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A write that was to stop, and was dropped before it had, is not written by the next one: what it wrote is all of
/// it, and can be asked for.
#[test]
fn a_write_that_was_to_stop_is_not_begun_anew() {
    let _watchdog = watchdog(PATIENCE);
    let bytes = Arc::new(pattern(0, 8 * 1024 * 1024));
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            for _ in 0..10 {
                let (stream, peer) = pair();
                let written = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (bytes, written) = (bytes.clone(), written.clone());
                    async move {
                        let work = async {
                            loop {
                                let at = written.load(Ordering::Acquire);
                                let write = pin!(stream.write(&bytes[at..]));
                                match select(write, pin!(cancelled())).await {
                                    Either::Left((wrote, _)) => {
                                        written.fetch_add(wrote.unwrap(), Ordering::Release)
                                    }
                                    Either::Right(..) => pending().await,
                                };
                            }
                        };
                        let cut: Result<(), _> = cancellable(work).grace(FOR_EVER).await;
                        cut.unwrap_err();
                        let rest = shielded(async {
                            let rest = stream.settle().await.unwrap();
                            say(&stream, b"good bye").await.unwrap();
                            rest
                        });
                        written.fetch_add(rest.await, Ordering::Release);
                    }
                });
                // Until it has to wait: nobody reads.
                let mut before = 0;
                while before == 0 || before != written.load(Ordering::Acquire) {
                    before = written.load(Ordering::Acquire);
                    sleep(Duration::from_millis(5)).await;
                }
                task.cancel();
                let got = drain(&peer).await;
                task.await.unwrap();
                let written = written.load(Ordering::Acquire);
                assert_eq!(got.len(), written + b"good bye".len());
                assert_eq!(got[..written], bytes[..written]);
                assert_eq!(&got[written..], b"good bye");
            }
        });
    }
}

/// Each kind of scope, around each kind of operation, cancelled and dropped at every poll: the next one to use the
/// stream finds it whole, the task comes to its end.
#[test]
fn each_scope_may_be_dropped_at_every_poll_with_an_operation_in_it() {
    async fn scenario(kind: usize, cut: Cut) {
        let (stream, mut peer) = pair();
        let stream = Arc::new(stream);
        let begun = Arc::new(AtomicUsize::new(0));
        let task = filch::spawn({
            let (stream, begun) = (stream.clone(), begun.clone());
            let again = {
                let stream = stream.clone();
                move || async move {
                    yield_now().await;
                    match kind % 2 {
                        0 => assert!(hear(&stream, 1).await.len() == 1),
                        _ => say(&stream, b"c").await.unwrap(),
                    }
                }
            };
            let dropped = begun.clone();
            let operation = async move {
                begun.store(1, Ordering::Release);
                match kind % 2 {
                    _ if kind / 2 == 2 => pending().await,
                    0 => assert!(hear(&stream, 2).await.len() == 2),
                    _ => say(&stream, b"ab").await.unwrap(),
                }
            };
            async move {
                match kind / 2 {
                    0 => _ = cut.run(cancellable(operation).grace(FOR_EVER)).await,
                    1 => _ = cut.run(shielded(operation)).await,
                    _ => {
                        let both = cancellable(operation).on_cancel(again).grace(FOR_EVER);
                        _ = cut.run(both).await;
                    }
                }
                // Perhaps before its first poll.
                dropped.store(1, Ordering::Release);
            }
        });
        until(&begun, 1).await;
        task.cancel();
        peer.write_all(b"hello").unwrap();
        let _ = task.await;
        // What was read is gone, the rest is there, in order.
        let mut rest = Vec::new();
        while !rest.ends_with(b"o") {
            let mut buf = [0; 8];
            let read = stream.read(&mut buf).await.unwrap();
            rest.extend_from_slice(&buf[..read]);
        }
        assert!(b"hello".ends_with(&rest), "{rest:?}");
        say(&stream, b"end").await.unwrap();
        drop(stream);
        let got = drain(&peer).await;
        assert!(
            [&b"end"[..], b"abend", b"cend", b"abcend", b"aend"].contains(&&got[..]),
            "{got:?}"
        );
    }

    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        for kind in 0..8 {
            let summary = Runtime::builder()
                .workers(workers)
                .run(DropAtEveryPoll::new().run(|cut| scenario(kind, cut)))
                .expect("a runtime");
            assert!(summary.dropped >= 1, "{kind}: {summary:?}");
        }
    }
}

/// FS-2. A write that was dropped goes on, though somebody waits for its end in a scope that is cancelled: it is not
/// his.
#[test]
fn a_dropped_write_to_a_file_is_not_stopped_by_who_waits_for_its_end() {
    let _watchdog = watchdog(PATIENCE);
    // For once it may have ended before anybody waits.
    while !is_cut_while_it_waits_for_a_dropped_write() {}
}

/// Whether somebody waited for the end of a dropped write, and was cut.
fn is_cut_while_it_waits_for_a_dropped_write() -> bool {
    const LARGE: usize = 64 << 20;
    let temp = support::TempFile::new("dropped", b"-----");
    runtime(1).block_on(async {
        let file = filch::fs::OpenOptions::new().write(true).open(&temp.0).await.unwrap();
        let file = Arc::new(file);
        // Writes to one file come one after the other: this one keeps the next from beginning for a while.
        let (large, begun) = (file.clone(), Arc::new(AtomicUsize::new(0)));
        let large = filch::spawn(async move { large.write_at(vec![7; LARGE], 1 << 20).await });
        while std::fs::metadata(&temp.0).unwrap().len() <= 1 << 20 {
            sleep(Duration::from_millis(1)).await;
        }
        let (ours, is_begun) = (file.clone(), begun.clone());
        let waits = filch::spawn(async move {
            {
                let mut dropped = pin!(ours.write(b"write"));
                assert!(poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await);
                sleep(Duration::from_millis(2)).await;
            }
            is_begun.store(1, Ordering::Release);
            cancellable(ours.seek(SeekFrom::Start(3))).await.map(drop)
        });
        until(&begun, 1).await;
        waits.cancel();
        let is_cut = waits.await.unwrap().is_err();
        // Who seeks when it has ended has been told of it.
        assert_eq!(file.settle().await.unwrap(), if is_cut { 5 } else { 0 });
        assert_eq!(large.await.unwrap().0.unwrap(), LARGE);
        assert_eq!(&std::fs::read(&temp.0).unwrap()[..5], b"write");
        is_cut
    })
}

/// CANCEL-10. What runs on a thread for what blocks does not begin in a scope that is cancelled, nor later, and does
/// behind a shield.
#[test]
fn on_the_pool_nothing_begins_in_a_scope_that_is_cancelled() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = Runtime::builder().workers(1).max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (stays, goes) = (support::temp("stays"), support::temp("goes"));
        std::fs::create_dir(&stays).unwrap();
        for _ in 0..100 {
            std::fs::create_dir(&goes).unwrap();
            let (of_stays, of_goes) = (stays.clone(), goes.clone());
            let begun = Arc::new(AtomicUsize::new(0));
            let is_begun = begun.clone();
            let task = filch::spawn(async move {
                cancellable(async {
                    is_begun.store(1, Ordering::Release);
                    cancelled().await;
                    shielded(filch::fs::remove_dir_all(&of_goes)).await.unwrap();
                    filch::fs::remove_dir_all(&of_stays).await
                })
                .await
                .map(drop)
            });
            until(&begun, 1).await;
            task.cancel();
            let _cut = task.await;
            // One after the other: what began before has ended.
            filch::spawn_blocking(|| ()).await.unwrap();
            assert!(!goes.exists());
            assert!(stays.exists());
        }
        std::fs::remove_dir(&stays).unwrap();
    });
}

/// CANCEL-10. What has begun there ends before its boundary does.
#[test]
fn a_boundary_waits_for_what_runs_on_the_pool() {
    let _watchdog = watchdog(PATIENCE);
    const FILES: usize = 4000;
    runtime(2).block_on(async {
        let tree = support::temp("tree");
        std::fs::create_dir(&tree).unwrap();
        for number in 0..FILES {
            std::fs::write(tree.join(number.to_string()), b"x").unwrap();
        }
        let ours = tree.clone();
        let task = filch::spawn(async move {
            let removed = cancellable(filch::fs::remove_dir_all(&ours)).await;
            (removed.is_ok_and(|removed| removed.is_ok()), ours.exists())
        });
        // It has begun when some are gone.
        while std::fs::read_dir(&tree).is_ok_and(|tree| tree.count() == FILES) {
            yield_now().await;
        }
        task.cancel();
        let (is_delivered, exists) = task.await.unwrap();
        assert!(is_delivered && !exists, "delivered: {is_delivered}, there: {exists}");
    });
}
