//! What a cancel, or the end of a timeout, leaves of what was begun.

use crate::kit::{
    Gate, InPlace, full_device, in_child, is_pending, pause, pipe, run, small_pipe, take_sum,
    terminal, unread,
};
use crate::support::{TempFile, pattern, watched};
use filch::io::{stdin, stdout};
use filch::time::{Duration, Instant, sleep_until, timeout};
use filch::{Cancelled, cancellable};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{Read, Seek, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread::{self, JoinHandle};

/// As much as is handed over at a time.
const PIECE: usize = 128 * 1024;

/// Nobody's patience is to end: who waits for what does not come hangs.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Reads everything, on a thread.
fn reader(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).unwrap();
        all
    })
}

/// STDIO-7
#[test]
fn settle_tells_of_all_pieces_of_a_long_write() {
    in_child("cut::settle_tells_of_all_pieces_of_a_long_write", || {
        let (mut from, to) = pipe();
        let in_place = InPlace::of(1, to);
        let bytes = pattern(0, 3 * PIECE);
        let (read, has_read) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let reader = thread::spawn(move || {
            // Some of the second piece. The pipe does not keep the rest of that.
            let mut all = vec![0; PIECE + 1000];
            from.read_exact(&mut all).unwrap();
            read.send(()).unwrap();
            goes_on.recv().unwrap_err();
            from.read_to_end(&mut all).unwrap();
            all
        });
        run(1, async {
            let mut write = Box::pin(stdout().write_all(&bytes));
            while has_read.try_recv().is_err() {
                assert!(is_pending(&mut write).await);
                pause().await;
            }
            drop((write, go_on));
            stdout().flush().await.unwrap();
            assert_eq!(stdout().settle().await.unwrap(), 2 * PIECE);
            assert_eq!(stdout().settle().await.unwrap(), 0, "it was told");
            stdout().write_all(&bytes[2 * PIECE..]).await.unwrap();
            assert_eq!(stdout().settle().await.unwrap(), 0, "it was told by itself");
        });
        drop(in_place);
        assert!(reader.join().unwrap() == bytes);
    });
}

/// STDIO-7, STDIO-11
#[test]
fn a_long_write_to_a_file_is_cut_between_its_pieces() {
    in_child("cut::a_long_write_to_a_file_is_cut_between_its_pieces", || {
        let bytes = pattern(0, 3 * PIECE);
        for is_cancelled in [false, true] {
            let temp = TempFile::new("stdout", b"");
            let _in_place = InPlace::of(1, File::create(&temp.0).unwrap());
            let all = bytes.clone();
            let main = async {
                let first = Gate::new();
                let task = filch::spawn(async move {
                    cancellable(stdout().write_all(&all)).await.unwrap_err();
                });
                pause().await;
                let second = Gate::new();
                first.open();
                // The first piece is written, and the next one stands behind.
                second.wait();
                pause().await;
                match is_cancelled {
                    true => task.cancel(),
                    false => task.abort(),
                }
                assert_eq!(task.await.is_ok(), is_cancelled);
                second.open();
                let settled = stdout().settle().await.unwrap();
                // A call that is dropped goes on; one that is cancelled had not begun.
                assert_eq!(settled, if is_cancelled { PIECE } else { 2 * PIECE });
                stdout().write_all(&bytes[settled..]).await.unwrap();
            };
            watched(1).max_blocking_threads(1).run(main).unwrap();
            assert!(std::fs::read(&temp.0).unwrap() == bytes);
        }
    });
}

/// A line that is longer than a small pipe keeps, of which the beginning is written.
async fn until_begun(from: &std::io::PipeReader) {
    while unread(from) < 4096 {
        pause().await;
    }
    // The ring has told of it.
    for _ in 0..5 {
        pause().await;
    }
}

fn line() -> String {
    "x".repeat(6000) + "\n"
}

/// STDIO-7, STDIO-11
#[test]
fn a_line_that_was_begun_is_whole_though_it_is_cancelled() {
    in_child("cut::a_line_that_was_begun_is_whole_though_it_is_cancelled", || {
        let (from, to) = small_pipe();
        let in_place = InPlace::of(1, to);
        let reader = run(1, async {
            let task = filch::spawn(async {
                let write = async { stdout().write_all(line().as_bytes()).await.unwrap() };
                cancellable(write).grace(FOR_EVER).await
            });
            until_begun(&from).await;
            task.cancel();
            // Nobody reads: it is not waited for.
            let _cut: Cancelled = task.await.unwrap().unwrap_err();
            assert_eq!(unread(&from), 4096);
            let reader = reader(from);
            assert_eq!(stdout().settle().await.unwrap(), line().len());
            stdout().write_all(b"next\n").await.unwrap();
            drop(in_place);
            reader
        });
        assert!(reader.join().unwrap() == (line() + "next\n").as_bytes());
    });
}

/// STDIO-7
#[test]
fn a_line_that_was_begun_is_whole_though_its_time_is_over() {
    in_child("cut::a_line_that_was_begun_is_whole_though_its_time_is_over", || {
        for in_boundary in [false, true] {
            let (from, to) = small_pipe();
            let in_place = InPlace::of(1, to);
            let reader = run(1, async {
                let text = line();
                let limit = Duration::from_millis(100);
                let end = Instant::now() + limit;
                let write = async {
                    match in_boundary {
                        true => {
                            cancellable(stdout().write_all(text.as_bytes())).await.unwrap_or(Ok(()))
                        }
                        false => stdout().write_all(text.as_bytes()).await,
                    }
                };
                let mut timed = Box::pin(timeout(limit, write));
                assert!(is_pending(&mut timed).await);
                until_begun(&from).await;
                sleep_until(end + Duration::from_millis(5)).await;
                // The beginning is written, and the time over: both are seen in one poll.
                assert!(timed.await.is_err());
                let reader = reader(from);
                assert_eq!(stdout().settle().await.unwrap(), text.len());
                stdout().write_all(b"next\n").await.unwrap();
                drop(in_place);
                reader
            });
            assert!(reader.join().unwrap() == (line() + "next\n").as_bytes());
        }
    });
}

/// STDIO-11
#[test]
fn a_call_that_no_thread_has_begun_is_taken_back() {
    in_child("cut::a_call_that_no_thread_has_begun_is_taken_back", || {
        for is_timed in [false, true] {
            let (input, output) =
                (TempFile::new("stdin", b"a line\n"), TempFile::new("stdout", b""));
            let file = File::open(&input.0).unwrap();
            let _in = InPlace::of(0, &file);
            let _out = InPlace::of(1, File::create(&output.0).unwrap());
            let main = async {
                let gate = Gate::new();
                gate.wait();
                let write = async || stdout().write_all(b"never").await.unwrap();
                let read = async || assert_ne!(stdin().read(&mut [0; 4]).await.unwrap(), 0);
                if is_timed {
                    let limit = Duration::from_millis(3);
                    assert!(timeout(limit, write()).await.is_err());
                    assert!(timeout(limit, read()).await.is_err());
                } else {
                    let both = [
                        filch::spawn(async move { cancellable(write()).await.is_err() }),
                        filch::spawn(async move { cancellable(read()).await.is_err() }),
                    ];
                    pause().await;
                    for task in both {
                        task.cancel();
                        assert!(task.await.unwrap());
                    }
                }
                gate.open();
                filch::spawn_blocking(|| {}).await.unwrap();
                assert_eq!((&file).stream_position().unwrap(), 0);
                assert_eq!(stdout().settle().await.unwrap(), 0);
                stdout().write_all(b"written").await.unwrap();
                let mut line = String::new();
                stdin().read_line(&mut line).await.unwrap();
                assert_eq!(line, "a line\n");
            };
            watched(1).max_blocking_threads(1).run(main).unwrap();
            assert_eq!(std::fs::read(&output.0).unwrap(), b"written");
        }
    });
}

/// STDIO-7, STDIO-11
#[test]
fn who_is_cancelled_takes_back_nothing_of_others() {
    in_child("cut::who_is_cancelled_takes_back_nothing_of_others", || {
        let temp = TempFile::new("stdout", b"");
        let _in_place = InPlace::of(1, File::create(&temp.0).unwrap());
        let main = async {
            let gate = Gate::new();
            gate.wait();
            // Dropped in its turn: it goes on.
            assert!(is_pending(&mut Box::pin(stdout().write_all(b"first\n"))).await);
            // They wait for it.
            let limit = Duration::from_millis(3);
            assert!(timeout(limit, stdout().write_all(b"never\n")).await.is_err());
            assert!(timeout(limit, stdout().write(b"never\n")).await.is_err());
            gate.open();
            assert_eq!(stdout().settle().await.unwrap(), 6);
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"first\n");
    });
}

/// STDIO-7, STDIO-11
#[test]
fn what_waits_for_room_is_written_if_it_is_dropped_and_not_if_it_is_cancelled() {
    let name = "cut::what_waits_for_room_is_written_if_it_is_dropped_and_not_if_it_is_cancelled";
    in_child(name, || {
        for how in ["is dropped", "is cancelled", "loses a race"] {
            let device = full_device();
            let _in_place = InPlace::of(1, &device);
            let main = async {
                let polls = Arc::new(AtomicUsize::new(0));
                let write = {
                    let polls = polls.clone();
                    async move {
                        let one = 1u64.to_ne_bytes();
                        let mut write = Box::pin(stdout().write_all(&one));
                        poll_fn(|cx| {
                            polls.fetch_add(1, Ordering::SeqCst);
                            write.as_mut().poll(cx)
                        })
                        .await
                        .unwrap();
                    }
                };
                let gate = Gate::new();
                let waits = async {
                    // The first begins a call, which does not end before. The second finds that there was no room.
                    while polls.load(Ordering::SeqCst) < 1 {
                        pause().await;
                    }
                    gate.open();
                    while polls.load(Ordering::SeqCst) < 2 {
                        pause().await;
                    }
                };
                if how == "loses a race" {
                    filch::race((waits, write)).await;
                } else {
                    let task = filch::spawn(cancellable(write));
                    waits.await;
                    if how == "is cancelled" {
                        task.cancel();
                        let _cut: Cancelled = task.await.unwrap().unwrap_err();
                    } else {
                        task.abort();
                        assert!(task.await.is_err());
                    }
                }
                let mut settle = Box::pin(stdout().settle());
                let settled = poll_fn(|cx| Poll::Ready(settle.as_mut().poll(cx))).await;
                assert_eq!(take_sum(&device), u64::MAX - 1);
                if how == "is dropped" {
                    assert!(settled.is_pending());
                    assert_eq!(settle.await.unwrap(), 8);
                } else {
                    assert!(matches!(settled, Poll::Ready(Ok(0))), "{how}: {settled:?}");
                }
                stdout().write_all(&2u64.to_ne_bytes()).await.unwrap();
                assert_eq!(take_sum(&device), if how == "is dropped" { 3 } else { 2 }, "{how}");
            };
            watched(1).max_blocking_threads(1).run(main).unwrap();
        }
    });
}

/// STDIO-11
#[test]
fn a_call_that_has_begun_goes_on_and_nobody_waits_for_it() {
    in_child("cut::a_call_that_has_begun_goes_on_and_nobody_waits_for_it", || {
        let (mut master, slave) = terminal();
        let _in_place = InPlace::of(1, slave);
        let much = "x".repeat(100_000);
        run(1, async {
            let task = filch::spawn({
                let much = much.clone();
                async move {
                    let write = async { stdout().write_all(much.as_bytes()).await.unwrap() };
                    cancellable(write).grace(FOR_EVER).await
                }
            });
            // Then a thread is at it, and nobody looks.
            while unread(&master) == 0 {
                pause().await;
            }
            task.cancel();
            let _cut: Cancelled = task.await.unwrap().unwrap_err();
            let mut shown = vec![0; much.len()];
            let reader = thread::spawn(move || master.read_exact(&mut shown).map(|()| shown));
            assert_eq!(stdout().settle().await.unwrap(), much.len());
            assert!(reader.join().unwrap().unwrap() == much.as_bytes());
        });
    });
}

/// STDIO-11
#[test]
fn what_a_ring_waits_for_is_stopped() {
    in_child("cut::what_a_ring_waits_for_is_stopped", || {
        let ((from, mut to), (mut full, filled)) = (pipe(), small_pipe());
        let _in = InPlace::of(0, from);
        let out = InPlace::of(1, filled);
        run(1, async {
            assert_eq!(stdout().write(&[b'x'; 4096]).await.unwrap(), 4096);
            let both = [
                filch::spawn(async {
                    let read = async { stdin().read(&mut [0; 4]).await.map(drop) };
                    cancellable(read).grace(FOR_EVER).await.is_err()
                }),
                filch::spawn(async {
                    let write = async { stdout().write(b"never").await.map(drop) };
                    cancellable(write).grace(FOR_EVER).await.is_err()
                }),
            ];
            pause().await;
            for task in both {
                task.cancel();
                assert!(task.await.unwrap());
            }
            // They were waited for: nobody reads any more, nor writes.
            to.write_all(b"come\n").unwrap();
            let mut all = vec![0; 4096];
            full.read_exact(&mut all).unwrap();
            for _ in 0..5 {
                pause().await;
            }
            assert_eq!((unread(stdin()), unread(&full)), (5, 0));
            assert_eq!(stdout().settle().await.unwrap(), 0);
            let mut line = String::new();
            stdin().read_line(&mut line).await.unwrap();
            assert_eq!(line, "come\n");
            stdout().write_all(b"next").await.unwrap();
            drop(out);
            all.clear();
            full.read_to_end(&mut all).unwrap();
            assert_eq!(all, b"next");
        });
    });
}

/// STDIO-2
#[test]
fn a_write_that_is_kept_keeps_the_others_out_until_it_is_dropped() {
    in_child("cut::a_write_that_is_kept_keeps_the_others_out_until_it_is_dropped", || {
        let (from, to) = small_pipe();
        let in_place = InPlace::of(1, to);
        let reader = run(1, async {
            let text = line();
            let mut kept = Box::pin(stdout().write_all(text.as_bytes()));
            assert!(is_pending(&mut kept).await);
            let reader = reader(from);
            let mut flush = Box::pin(stdout().flush());
            let mut settle = Box::pin(stdout().settle());
            for _ in 0..5 {
                assert!(is_pending(&mut flush).await && is_pending(&mut settle).await);
                pause().await;
            }
            drop(kept);
            flush.await.unwrap();
            assert_eq!(settle.await.unwrap(), text.len());
            drop(in_place);
            reader
        });
        assert!(reader.join().unwrap() == line().as_bytes());
    });
}
