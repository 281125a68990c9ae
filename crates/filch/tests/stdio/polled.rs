//! The poll-based traits: of tokio, and of the futures crates where they differ.

use crate::kit::{
    Gate, InPlace, counting, full_device, in_child, is_pending, pause, pipe, run, small_pipe,
    take_sum, terminal, unread, until,
};
use crate::support::{Bytes, TempFile, breathe, everywhere, pattern, watched};
use filch::io::{BufReader, Stdout, stderr, stdin, stdout};
use filch::sync::Lock;
use filch::{cancellable, is_cancelled};
use filch_testkit::{Cut, child};
use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// By the traits: methods of the same names of the type itself would come first.
fn via<T>(inner: T) -> Pin<Box<T>> {
    Box::pin(inner)
}

/// Polls a write once.
fn write(to: &mut Stdout, waker: &Waker, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
    Pin::new(to).poll_write(&mut Context::from_waker(waker), bytes)
}

fn reader(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut all = String::new();
        from.read_to_string(&mut all).unwrap();
        all
    })
}

async fn reads(cut: Cut) {
    let (from, mut to) = pipe();
    let _in_place = InPlace::of(0, from);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let got = got.clone();
        async move {
            for size in [1, 8, 3, 20] {
                let mut buf = vec![0; size];
                let read = via(stdin()).read(&mut buf).await.unwrap();
                got.add(&buf[..read]);
            }
        }
    };
    let writer = async {
        for piece in sent.chunks(7) {
            breathe().await;
            to.write_all(piece).unwrap();
        }
        drop(to);
    };
    filch::join!(cut.run(reader), writer);
    // A future takes over what a poll has begun, and the other way round.
    let mut buf = [0; 3];
    let read = stdin().read(&mut buf).await.unwrap();
    got.add(&buf[..read]);
    let mut rest = Vec::new();
    via(&stdin()).read_to_end(&mut rest).await.unwrap();
    got.add(&rest);
    assert_eq!(got.take(), sent);
}

/// STDIO-12
#[test]
fn a_dropped_read_loses_no_byte() {
    child::run("polled::a_dropped_read_loses_no_byte", || everywhere(4, reads));
}

async fn writes(cut: Cut) {
    let (from, to) = small_pipe();
    let in_place = InPlace::of(1, to);
    let all = Arc::new(pattern(0, 30_000));
    let own = Arc::new(Lock::new((stdout(), 0)));
    // The same bytes are offered again, in pieces of other sizes.
    let write_on = |most: usize| {
        let (all, own) = (all.clone(), own.clone());
        async move {
            let mut own = own.lock().await;
            while own.1 < all.len() {
                let end = all.len().min(own.1 + most);
                let from = own.1;
                own.1 += via(&mut own.0).write(&all[from..end]).await.unwrap();
            }
        }
    };
    let writing = async {
        cut.run(write_on(9000)).await;
        write_on(1700).await;
        drop(in_place);
    };
    let reading = async {
        breathe().await;
        let mut from = filch::io::PipeReader::from_std(from).unwrap();
        let mut received = Vec::new();
        from.read_to_end(&mut received).await.unwrap();
        received
    };
    let ((), received) = filch::join!(writing, reading);
    assert!(received == **all, "each byte once, in order");
}

/// STDIO-12
#[test]
fn a_dropped_write_is_told_of_or_comes_once() {
    child::run("polled::a_dropped_write_is_told_of_or_comes_once", || everywhere(4, writes));
}

/// STDIO-12
#[test]
fn lines_are_read_ahead_by_whoever_is_to_have_them() {
    in_child("polled::lines_are_read_ahead_by_whoever_is_to_have_them", || {
        let temp = TempFile::new("stdin", b"one\ntwo\nthree\nfour\nfive\n");
        let _in_place = InPlace::of(0, File::open(&temp.0).unwrap());
        run(1, async {
            // Into what is common to all.
            let mut line = String::new();
            let mut lock = stdin().lock().await;
            assert_eq!(AsyncBufReadExt::read_line(&mut lock, &mut line).await.unwrap(), 4);
            let mut two = [0; 2];
            AsyncReadExt::read_exact(&mut lock, &mut two).await.unwrap();
            assert_eq!((&line[..], &two), ("one\n", b"tw"));
            drop(lock);
            assert_eq!(stdin().lines().next_line().await.unwrap().unwrap(), "o");
            let mut lines = AsyncBufReadExt::lines(stdin().lock().await);
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "three");
            drop(lines);
            // For itself alone.
            let mut lines = tokio::io::BufReader::new(BufReader::new(stdin())).lines();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "four");
            assert_eq!(stdin().lines().next_line().await.unwrap(), None);
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "five");
            assert_eq!(lines.next_line().await.unwrap(), None);
        });
    });
}

/// STDIO-12
#[test]
fn any_number_of_tasks_wait_for_what_comes() {
    in_child("polled::any_number_of_tasks_wait_for_what_comes", || {
        let ((plain, to_plain), (master, slave)) = (pipe(), terminal());
        let kinds: [(std::os::fd::OwnedFd, Box<dyn Write>); 2] =
            [(plain.into(), Box::new(to_plain)), (slave, Box::new(master))];
        for (from, mut to) in kinds {
            let _in_place = InPlace::of(0, from);
            let got = run(2, async {
                let tasks: Vec<_> = (0..8)
                    .map(|_| {
                        filch::spawn(async {
                            let mut two = [0; 2];
                            via(stdin()).read_exact(&mut two[..1]).await.unwrap();
                            via(stdin()).read_exact(&mut two[1..]).await.unwrap();
                            two
                        })
                    })
                    .collect();
                for piece in [&b"ab\n"[..], b"cdefg\n", b"hijkl\n", b"m\n"] {
                    pause().await;
                    to.write_all(piece).unwrap();
                }
                let mut got = Vec::new();
                for task in tasks {
                    got.extend(task.await.unwrap());
                }
                got
            });
            let mut got = got;
            got.sort_unstable();
            assert_eq!(got, b"\n\n\nabcdefghijklm");
            run(1, stdin().read_exact(&mut [0])).unwrap();
        }
    });
}

/// STDIO-12
#[test]
fn each_task_has_its_lines_written_once() {
    in_child("polled::each_task_has_its_lines_written_once", || {
        let temp = TempFile::new("stdout", b"");
        for is_file in [false, true] {
            let (from, to) = small_pipe();
            let in_place = match is_file {
                true => InPlace::of(1, File::create(&temp.0).unwrap()),
                false => InPlace::of(1, &to),
            };
            drop(to);
            let reader = reader(from);
            run(2, async {
                let tasks: Vec<_> = (0..6)
                    .map(|task| {
                        filch::spawn(async move {
                            let mut own = stdout();
                            for number in 0..20 {
                                let text = format!("{task} {}\n", "x".repeat(number * 977 % 9000));
                                match task % 3 {
                                    // Futures among them.
                                    0 => stdout().write_all(text.as_bytes()).await.unwrap(),
                                    1 => via(&mut own).write_all(text.as_bytes()).await.unwrap(),
                                    _ => {
                                        via(stdout()).write_all(text.as_bytes()).await.unwrap();
                                        via(stdout()).flush().await.unwrap();
                                    }
                                }
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            drop(in_place);
            let mut text = reader.join().unwrap();
            if is_file {
                text = std::fs::read_to_string(&temp.0).unwrap();
            }
            let mut next = [0; 6];
            for line in text.lines() {
                let task = usize::from(line.as_bytes()[0] - b'0');
                let expected = "x".repeat(next[task] * 977 % 9000);
                assert!(line[2..] == expected, "task {task}, line {}", next[task]);
                next[task] += 1;
            }
            assert_eq!(next, [20; 6]);
        }
    });
}

/// STDIO-12
#[test]
fn who_offers_the_same_again_is_told_whoever_writes_meanwhile() {
    in_child("polled::who_offers_the_same_again_is_told_whoever_writes_meanwhile", || {
        let temp = TempFile::new("stdout", b"");
        for is_file in [false, true] {
            let (from, to) = small_pipe();
            let in_place = match is_file {
                true => InPlace::of(1, File::create(&temp.0).unwrap()),
                false => InPlace::of(1, &to),
            };
            drop(to);
            let main = async {
                // A thread might be done before it is asked.
                let gate = || is_file.then(Gate::new);
                let (mut one, mut other) = (stdout(), stdout());
                let ((count, waker), (_, noop)) = (counting(), counting());
                let closed = gate();
                assert!(write(&mut one, &waker, b"first ").is_pending());
                // These wait for it, and see it to its end.
                assert!(write(&mut other, &noop, b"first ").is_pending());
                drop(closed);
                stdout().write_all(b"second ").await.unwrap();
                via(&mut other).write_all(b"third ").await.unwrap();
                until(&count, 1).await;
                assert!(matches!(write(&mut one, &waker, b"fir"), Poll::Ready(Ok(3))));
                assert_eq!(stdout().settle().await.unwrap(), 0, "it is not for others");
                via(&mut one).flush().await.unwrap();
                assert!(matches!(write(&mut one, &waker, b"st and"), Poll::Ready(Ok(3))));
                let bufs = [IoSlice::new(b""), IoSlice::new(b"fourth "), IoSlice::new(b"fifth ")];
                let all =
                    std::future::poll_fn(|cx| Pin::new(&mut one).poll_write_vectored(cx, &bufs));
                assert_eq!(all.await.unwrap(), 13);
                // Other bytes come behind those that were begun.
                let closed = gate();
                assert!(write(&mut one, &waker, b"sixth ").is_pending());
                drop(closed);
                via(&mut one).write_all(b"seventh ").await.unwrap();
                // Of one that is dropped it is for whoever asks.
                let closed = gate();
                assert!(write(&mut one, &waker, b"eighth").is_pending());
                drop((one, closed));
                assert_eq!(stdout().settle().await.unwrap(), 6);
                // To be another one is to know nothing.
                let closed = gate();
                assert!(write(&mut other, &waker, b"!").is_pending());
                drop(closed);
                via(other.clone()).write_all(b"!").await.unwrap();
                assert_eq!(via(&mut other).write(b"!").await.unwrap(), 1);
                via(&mut other).shutdown().await.unwrap();
                via(stderr()).shutdown().await.unwrap();
                via(&mut other).write_all(b"?").await.unwrap();
            };
            watched(1).max_blocking_threads(1).run(main).unwrap();
            drop(in_place);
            let text = match is_file {
                true => std::fs::read_to_string(&temp.0).unwrap(),
                false => reader(from).join().unwrap(),
            };
            assert_eq!(text, "first second third fourth fifth sixth seventh eighth!!?");
        }
    });
}

/// STDIO-12
#[test]
fn ready_is_the_systems_and_pending_keeps_nobody_out() {
    in_child("polled::ready_is_the_systems_and_pending_keeps_nobody_out", || {
        let (from, to) = small_pipe();
        let in_place = InPlace::of(1, to);
        let mut from = from;
        run(1, async {
            let (mut kept, mut other) = (stdout(), stdout());
            let (count, waker) = counting();
            // More than the pipe keeps: nothing is told of it before somebody reads.
            let line = "x".repeat(6000) + "\n";
            for _ in 0..10 {
                assert!(write(&mut kept, &waker, line.as_bytes()).is_pending());
                pause().await;
            }
            let mut all = vec![0; 4096];
            from.read_exact(&mut all).unwrap();
            // Another one sees to it, though nobody polls this one.
            via(&mut other).write_all(b"next\n").await.unwrap();
            until(&count, 1).await;
            assert_eq!(unread(&from), line.len() - 4096 + 5);
            assert!(matches!(write(&mut kept, &waker, line.as_bytes()), Poll::Ready(Ok(6001))));
        });
        drop(in_place);
        let mut rest = String::new();
        from.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "x".repeat(6000 - 4096) + "\nnext\n");
    });
}

/// STDIO-9, STDIO-12
#[test]
fn an_error_is_told_to_whose_bytes_it_is() {
    in_child("polled::an_error_is_told_to_whose_bytes_it_is", || {
        let (from, to) = small_pipe();
        let _in_place = InPlace::of(1, to);
        run(1, async {
            let (mut own, large) = (stdout(), [b'x'; 10_000]);
            let (count, waker) = counting();
            assert!(write(&mut own, &waker, &large).is_pending());
            drop(from);
            stdout().flush().await.unwrap();
            until(&count, 1).await;
            let Poll::Ready(told) = write(&mut own, &waker, &large) else { panic!("it failed") };
            assert_eq!(told.unwrap_err().kind(), ErrorKind::BrokenPipe);
            let error = via(&mut own).write(b"x").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            via(&mut own).flush().await.unwrap();
            // Of one that is gone it is for whoever comes next.
            let (from, to) = small_pipe();
            let _in_place = InPlace::of(1, to);
            assert!(write(&mut own, &waker, &large).is_pending());
            drop((own, from));
            let error = via(stdout()).flush().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            via(stdout()).flush().await.unwrap();
            let _closed = InPlace::closed(1);
            let error = via(stdout()).write(b"x").await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        });
        let mut cx = Context::from_waker(Waker::noop());
        let polled = Pin::new(&mut stdout()).poll_write(&mut cx, b"x");
        assert!(matches!(polled, Poll::Ready(Err(_))), "there is no runtime");
    });
}

/// STDIO-1, STDIO-12
#[test]
fn the_rest_does_not_go_elsewhere() {
    in_child("polled::the_rest_does_not_go_elsewhere", || {
        let ((full, filled), (mut from, to)) = (small_pipe(), pipe());
        let _before = InPlace::of(1, filled);
        let in_place = run(1, async {
            let mut own = stdout();
            let line = [b'x'; 5000];
            for _ in 0..5 {
                assert!(write(&mut own, Waker::noop(), &line).is_pending());
                pause().await;
            }
            assert_eq!(unread(&full), 4096);
            let in_place = InPlace::of(1, to);
            assert_eq!(via(&mut own).write(&line).await.unwrap(), 4096);
            via(&mut own).write_all(&line[4096..]).await.unwrap();
            in_place
        });
        drop(in_place);
        let mut rest = Vec::new();
        from.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [b'x'; 5000 - 4096]);
    });
}

/// STDIO-11, STDIO-12
#[test]
fn nothing_is_written_where_it_is_cancelled() {
    in_child("polled::nothing_is_written_where_it_is_cancelled", || {
        let temp = TempFile::new("stdout", b"");
        for is_file in [false, true] {
            let (from, to) = pipe();
            let in_place = match is_file {
                true => InPlace::of(1, File::create(&temp.0).unwrap()),
                false => InPlace::of(1, &to),
            };
            drop(to);
            run(2, async {
                let (begun, has_begun) = mpsc::channel();
                let task = filch::spawn(async move {
                    begun.send(()).unwrap();
                    while !is_cancelled() {
                        thread::yield_now();
                    }
                    let mut own = stdout();
                    cancellable(via(&mut own).write_all(b"never")).await.unwrap_err();
                    own
                });
                has_begun.recv().unwrap();
                task.cancel();
                let mut own = task.await.unwrap();
                via(stdout()).write_all(b"after ").await.unwrap();
                via(&mut own).write_all(b"never? now").await.unwrap();
            });
            drop(in_place);
            let text = match is_file {
                true => std::fs::read_to_string(&temp.0).unwrap(),
                false => reader(from).join().unwrap(),
            };
            assert_eq!(text, "after never? now");
        }
    });
}

/// STDIO-10, STDIO-12
#[test]
fn a_call_that_never_began_is_begun_anew() {
    in_child("polled::a_call_that_never_began_is_begun_anew", || {
        let (input, output) = (TempFile::new("stdin", b"a line\n"), TempFile::new("stdout", b""));
        let _in = InPlace::of(0, File::open(&input.0).unwrap());
        let out = InPlace::of(1, File::create(&output.0).unwrap());
        let mut own = stdout();
        let main = async {
            // Has the only thread until the end of the runtime asks it, and all that wait for the thread.
            let (begun, has_begun) = mpsc::channel();
            drop(filch::spawn_blocking(move || {
                begun.send(()).unwrap();
                while !is_cancelled() {
                    thread::yield_now();
                }
            }));
            has_begun.recv().unwrap();
            let mut buf = [0; 4];
            assert!(is_pending(&mut Box::pin(async { via(stdin()).read(&mut buf).await })).await);
            assert!(write(&mut own, Waker::noop(), b"written").is_pending());
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
        run(1, async {
            via(&mut own).write_all(b"written").await.unwrap();
            let mut all = String::new();
            via(stdin()).read_to_string(&mut all).await.unwrap();
            assert_eq!(all, "a line\n");
        });
        drop(out);
        assert_eq!(std::fs::read(&output.0).unwrap(), b"written");
    });
}

/// STDIO-12
#[test]
fn no_worker_waits_for_a_file_or_a_terminal() {
    in_child("polled::no_worker_waits_for_a_file_or_a_terminal", || {
        let temp = TempFile::new("stdout", b"");
        let out = InPlace::of(1, File::create(&temp.0).unwrap());
        let main = async {
            let gate = Gate::new();
            gate.wait();
            let mut own = stdout();
            let (count, waker) = counting();
            for _ in 0..5 {
                assert!(write(&mut own, &waker, b"by a thread").is_pending());
                pause().await;
            }
            assert_eq!(count.woken(), 0);
            gate.open();
            until(&count, 1).await;
            assert!(matches!(write(&mut own, &waker, b"by a thread"), Poll::Ready(Ok(11))));
            assert_eq!(std::fs::read(&temp.0).unwrap(), b"by a thread");
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
        drop(out);
    });
}

/// STDIO-12
#[test]
fn what_waits_for_room_goes_on_though_others_flush() {
    in_child("polled::what_waits_for_room_goes_on_though_others_flush", || {
        let device = full_device();
        let _in_place = InPlace::of(1, &device);
        let main = async {
            let (mut own, one) = (stdout(), 1u64.to_ne_bytes());
            let (count, waker) = counting();
            assert!(write(&mut own, &waker, &one).is_pending());
            // Its call finds no room.
            filch::spawn_blocking(|| {}).await.unwrap();
            assert!(write(&mut own, &waker, &one).is_pending());
            let woken = count.woken();
            let mut flush = Box::pin(async { via(stdout()).flush().await });
            for _ in 0..5 {
                assert!(is_pending(&mut flush).await);
                pause().await;
            }
            assert_eq!(take_sum(&device), u64::MAX - 1);
            until(&count, woken + 1).await;
            // Another one sees to it, though nobody polls this one.
            flush.await.unwrap();
            assert_eq!(take_sum(&device), 1);
            assert!(matches!(write(&mut own, &waker, &one), Poll::Ready(Ok(8))));
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
    });
}

/// STDIO-12
#[cfg(feature = "futures-io")]
#[test]
fn the_futures_crates_have_them_as_well() {
    use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    in_child("polled::the_futures_crates_have_them_as_well", || {
        let ((from, mut to), (mut shown, out)) = (pipe(), pipe());
        let _in = InPlace::of(0, from);
        let out = InPlace::of(1, out);
        to.write_all(b"one\ntwo\nthree").unwrap();
        drop(to);
        run(1, async {
            let mut lock = stdin().lock().await;
            let mut line = String::new();
            AsyncBufReadExt::read_line(&mut lock, &mut line).await.unwrap();
            let mut two = [0; 2];
            AsyncReadExt::read_exact(&mut lock, &mut two).await.unwrap();
            drop(lock);
            let mut rest = String::new();
            AsyncReadExt::read_to_string(&mut via(stdin()), &mut rest).await.unwrap();
            assert_eq!((&line[..], &two, &rest[..]), ("one\n", b"tw", "o\nthree"));
            AsyncWriteExt::write_all(&mut via(stdout()), b"shown").await.unwrap();
            AsyncWriteExt::close(&mut via(stdout())).await.unwrap();
            AsyncWriteExt::close(&mut via(stderr())).await.unwrap();
        });
        drop(out);
        let mut all = String::new();
        shown.read_to_string(&mut all).unwrap();
        assert_eq!(all, "shown");
    });
}
