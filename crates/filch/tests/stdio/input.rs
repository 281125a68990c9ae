//! Standard input.

use crate::kit::{
    InPlace, flags, in_child, is_pending, pipe, run, set_nonblocking, terminal, unread,
};
use crate::support::{TempFile, breathe, watched};
use filch::io::{BufRead, Read, stdin, stdout};
use filch::process::Command;
use filch::time::{Duration, sleep};
use filch::{is_cancelled, shielded};
use filch_testkit::exec;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

/// STDIO-4, STDIO-5
#[test]
fn lines_come_whole_and_the_end_each_time() {
    in_child("input::lines_come_whole_and_the_end_each_time", || {
        let (from, mut to) = pipe();
        let _in_place = InPlace::of(0, from);
        run(1, async {
            let mut lines = stdin().lines();
            let read = async {
                let mut all = Vec::new();
                while let Some(line) = lines.next_line().await.unwrap() {
                    all.push(line);
                }
                all
            };
            let write = async {
                for piece in ["one\ntw", "o\r\n", "\nthr", "ee"] {
                    breathe().await;
                    to.write_all(piece.as_bytes()).unwrap();
                }
                drop(to);
            };
            let (all, ()) = filch::join!(read, write);
            assert_eq!(all, ["one", "two", "", "three"]);
            assert_eq!(lines.next_line().await.unwrap(), None);
            assert_eq!(stdin().read(&mut [0; 4]).await.unwrap(), 0);
        });
    });
}

/// STDIO-4
#[test]
fn what_is_no_text_is_taken_and_the_lines_go_on() {
    in_child("input::what_is_no_text_is_taken_and_the_lines_go_on", || {
        let (from, mut to) = pipe();
        let _in_place = InPlace::of(0, from);
        to.write_all(b"\xff\nfine\n0,1;").unwrap();
        run(1, async {
            let mut line = String::from("> ");
            let error = stdin().read_line(&mut line).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(stdin().read_line(&mut line).await.unwrap(), 5);
            assert_eq!(line, "> fine\n");
            let mut piece = Vec::new();
            assert_eq!(stdin().read_until(b',', &mut piece).await.unwrap(), 2);
            assert_eq!(piece, b"0,");
            drop(to);
            let error = stdin().read_exact(&mut [0; 3]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            let mut last = [0; 2];
            stdin().read_exact(&mut last).await.unwrap();
            assert_eq!(&last, b"1;", "nothing was taken");
        });
    });
}

/// STDIO-2, STDIO-4
#[test]
fn tasks_share_the_lines() {
    in_child("input::tasks_share_the_lines", || {
        let (from, mut to) = pipe();
        let _in_place = InPlace::of(0, from);
        // Some of them longer than what is read ahead at a time.
        let line = |number: usize| format!("{number} {}", "x".repeat(number * 37 % 20_000));
        let writer = thread::spawn(move || {
            let all: String = (0..600).map(|number| line(number) + "\n").collect();
            for piece in all.as_bytes().chunks(3000) {
                to.write_all(piece).unwrap();
            }
        });
        let mut got = run(2, async {
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    filch::spawn(async {
                        let (mut lines, mut got) = (stdin().lines(), Vec::new());
                        while let Some(line) = lines.next_line().await.unwrap() {
                            got.push(line);
                        }
                        got
                    })
                })
                .collect();
            let mut got = Vec::new();
            for task in tasks {
                got.extend(task.await.unwrap());
            }
            got
        });
        writer.join().unwrap();
        let mut expected: Vec<_> = (0..600).map(line).collect();
        got.sort_unstable();
        expected.sort_unstable();
        assert!(got == expected, "{} lines", got.len());
    });
}

/// STDIO-2
#[test]
fn who_has_the_lock_reads_alone() {
    in_child("input::who_has_the_lock_reads_alone", || {
        let (from, mut to) = pipe();
        let _in_place = InPlace::of(0, from);
        to.write_all(b"a,b,cd\ne").unwrap();
        run(1, async {
            let mut lock = stdin().lock().await;
            let mut line = String::new();
            let mut other = Box::pin(stdin().read_line(&mut line));
            assert!(is_pending(&mut other).await);
            let mut piece = Vec::new();
            lock.read_until(b',', &mut piece).await.unwrap();
            assert_eq!(piece, b"a,");
            assert_eq!(lock.buffer(), b"b,cd\ne");
            let mut exactly = [0; 2];
            lock.read_exact(&mut exactly).await.unwrap();
            assert_eq!(&exactly, b"b,");
            assert!(is_pending(&mut other).await);
            drop(lock);
            other.await.unwrap();
            assert_eq!(line, "cd\n");
        });
    });
}

/// STDIO-2
#[test]
fn a_read_that_is_kept_keeps_the_others_out_until_it_is_dropped() {
    in_child("input::a_read_that_is_kept_keeps_the_others_out_until_it_is_dropped", || {
        let (from, mut to) = pipe();
        let _in_place = InPlace::of(0, from);
        run(1, async {
            let mut buf = [0; 4];
            let mut kept = Box::pin(stdin().read(&mut buf));
            assert!(is_pending(&mut kept).await);
            let mut line = String::new();
            let mut other = Box::pin(stdin().read_line(&mut line));
            let mut lock = Box::pin(stdin().lock());
            to.write_all(b"come\n").unwrap();
            // It has come, for whoever has the turn.
            while unread(stdin()) > 0 {
                sleep(Duration::from_millis(1)).await;
            }
            for _ in 0..5 {
                assert!(is_pending(&mut other).await && is_pending(&mut lock).await);
                sleep(Duration::from_millis(1)).await;
            }
            drop(kept);
            assert!(is_pending(&mut lock).await, "the other was before it");
            assert_eq!(other.await.unwrap(), 5);
            assert_eq!(line, "come\n");
            drop(lock.await);
        });
    });
}

/// STDIO-3, STDIO-10
#[test]
fn what_comes_for_a_dropped_read_goes_to_the_next_runtime() {
    in_child("input::what_comes_for_a_dropped_read_goes_to_the_next_runtime", || {
        for comes_before_the_end in [false, true] {
            let (from, mut to) = pipe();
            let _in_place = InPlace::of(0, from);
            run(1, async {
                {
                    let mut line = String::new();
                    let mut read = Box::pin(stdin().read_line(&mut line));
                    assert!(is_pending(&mut read).await);
                    sleep(Duration::from_millis(1)).await;
                    assert!(is_pending(&mut read).await);
                }
                if comes_before_the_end {
                    to.write_all(b"first\nsec").unwrap();
                    while unread(stdin()) > 0 {
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            });
            if !comes_before_the_end {
                to.write_all(b"first\nsec").unwrap();
            }
            to.write_all(b"ond\n").unwrap();
            drop(to);
            run(2, async {
                let mut line = String::new();
                stdin().read_line(&mut line).await.unwrap();
                assert_eq!(line, "first\n");
            });
            run(1, async {
                let mut rest = String::new();
                stdin().read_to_string(&mut rest).await.unwrap();
                assert_eq!(rest, "second\n");
            });
        }
    });
}

/// STDIO-10
#[test]
fn a_call_that_never_began_is_begun_anew() {
    in_child("input::a_call_that_never_began_is_begun_anew", || {
        let (temp, sink) = (TempFile::new("stdin", b"a line\n"), TempFile::new("stdout", b""));
        let file = File::open(&temp.0).unwrap();
        let _input = InPlace::of(0, &file);
        let output = InPlace::of(1, File::create(&sink.0).unwrap());
        watched(1)
            .max_blocking_threads(1)
            .run(async {
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
                assert!(is_pending(&mut Box::pin(stdin().read(&mut buf))).await);
                assert!(is_pending(&mut Box::pin(stdout().write_all(b"never"))).await);
            })
            .unwrap();
        assert_eq!((&file).stream_position().unwrap(), 0);
        run(1, async {
            let mut line = String::new();
            stdin().read_line(&mut line).await.unwrap();
            assert_eq!(line, "a line\n");
            assert_eq!(stdout().settle().await.unwrap(), 0);
            stdout().write_all(b"written").await.unwrap();
        });
        drop(output);
        assert_eq!(std::fs::read(&sink.0).unwrap(), b"written");
    });
}

/// STDIO-3
#[test]
fn an_error_and_the_end_are_kept_as_well() {
    in_child("input::an_error_and_the_end_are_kept_as_well", || {
        for (name, is_error) in [("/", true), ("/dev/null", false)] {
            // One thread: what is begun later comes later.
            let builder = watched(1).max_blocking_threads(1);
            let main = async {
                {
                    let _in_place = InPlace::of(0, File::open(name).unwrap());
                    let (open, opened) = mpsc::channel::<()>();
                    drop(filch::spawn_blocking(move || opened.recv().unwrap_err()));
                    let mut buf = [0; 4];
                    let mut read = Box::pin(stdin().read(&mut buf));
                    // A device is waited for first.
                    for _ in 0..10 {
                        assert!(is_pending(&mut read).await);
                        sleep(Duration::from_millis(1)).await;
                    }
                    drop((read, open));
                    filch::spawn_blocking(|| {}).await.unwrap();
                }
                let _in_place = InPlace::of(0, File::open("/dev/zero").unwrap());
                let read = stdin().read(&mut [0; 4]).await;
                match is_error {
                    true => assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::EISDIR)),
                    false => assert_eq!(read.unwrap(), 0),
                }
                assert_eq!(stdin().read(&mut [0; 4]).await.unwrap(), 4, "that was all");
                // For the next round.
                let mut ahead = stdin().lock().await;
                let len = ahead.buffer().len();
                ahead.consume(len);
            };
            builder.run(main).unwrap();
        }
    });
}

/// STDIO-11
#[test]
fn nothing_is_read_where_it_is_cancelled() {
    in_child("input::nothing_is_read_where_it_is_cancelled", || {
        let temp = TempFile::new("stdin", &[b'x'; 20_000]);
        let file = File::open(&temp.0).unwrap();
        let _in_place = InPlace::of(0, &file);
        let position = || (&file).stream_position().unwrap();
        run(2, async {
            let (begun, has_begun) = mpsc::channel();
            let task = filch::spawn(async move {
                begun.send(()).unwrap();
                while !is_cancelled() {
                    thread::yield_now();
                }
                let mut buf = [0; 8192];
                shielded(stdin().read_exact(&mut buf)).await.unwrap();
                stdin().read_exact(&mut buf).await.unwrap();
                unreachable!("it is cut");
            });
            has_begun.recv().unwrap();
            task.cancel();
            assert!(task.await.is_err());
            sleep(Duration::from_millis(2)).await;
            assert_eq!(position(), 8192);
            let mut rest = Vec::new();
            stdin().read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest.len(), 20_000 - 8192);
        });
    });
}

/// STDIO-8, STDIO-5
#[test]
fn a_file_is_read_where_it_is_and_as_it_grows() {
    in_child("input::a_file_is_read_where_it_is_and_as_it_grows", || {
        let temp = TempFile::new("stdin", b"skip\nfor a child\nmine\nrest");
        let mut file = File::open(&temp.0).unwrap();
        file.seek(SeekFrom::Start(5)).unwrap();
        let _in_place = InPlace::of(0, &file);
        run(1, async {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "read line; test \"$line\" = 'for a child'"]);
            // Its shell takes no more than the line.
            assert!(command.status().await.unwrap().success());
            let mut line = String::new();
            stdin().read_line(&mut line).await.unwrap();
            assert_eq!(line, "mine\n");
            let mut rest = String::new();
            stdin().read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "rest");
            let mut more = OpenOptions::new().append(true).open(&temp.0).unwrap();
            let large = "y".repeat(300_000);
            more.write_all(large.as_bytes()).unwrap();
            rest.clear();
            stdin().read_to_string(&mut rest).await.unwrap();
            assert!(rest == large);
            assert_eq!(file.stream_position().unwrap(), 26 + 300_000, "it is the common one");
        });
    });
}

/// STDIO-1, STDIO-8
#[test]
fn each_kind_is_read_and_none_is_made_non_blocking() {
    in_child("input::each_kind_is_read_and_none_is_made_non_blocking", || {
        run(1, async {
            let mut buf = [1; 8];
            {
                let _in_place = InPlace::of(0, File::open("/dev/null").unwrap());
                assert_eq!(stdin().read(&mut buf).await.unwrap(), 0);
            }
            {
                let _in_place = InPlace::of(0, File::open("/dev/zero").unwrap());
                stdin().read_exact(&mut buf).await.unwrap();
                assert_eq!(buf, [0; 8]);
                // What was read ahead of it is not lost: it comes before what is there next.
                let mut ahead = stdin().lock().await;
                let len = ahead.buffer().len();
                ahead.consume(len);
            }
            {
                let _in_place = InPlace::of(0, File::open("/").unwrap());
                let error = stdin().read(&mut buf).await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EISDIR));
            }
            let ((from, to), (near, far), (master, slave)) =
                (pipe(), UnixStream::pair().unwrap(), terminal());
            let kinds: [(OwnedFd, Box<dyn Write>); 3] = [
                (from.into(), Box::new(to)),
                (near.into(), Box::new(far)),
                (slave, Box::new(master)),
            ];
            for (from, mut to) in kinds {
                let _in_place = InPlace::of(0, from);
                let before = flags(0);
                let mut line = String::new();
                let mut read = Box::pin(stdin().read_line(&mut line));
                assert!(is_pending(&mut read).await);
                sleep(Duration::from_millis(1)).await;
                assert!(is_pending(&mut read).await);
                assert_eq!(flags(0), before);
                to.write_all(b"come\n").unwrap();
                read.await.unwrap();
                assert_eq!(line, "come\n");
                assert_eq!(flags(0), before);
                assert_eq!(before & libc::O_NONBLOCK, 0);
            }
        });
    });
}

/// STDIO-1
#[test]
fn one_that_somebody_made_non_blocking_is_waited_for() {
    in_child("input::one_that_somebody_made_non_blocking_is_waited_for", || {
        let (from, mut to) = pipe();
        let (mut master, slave) = terminal();
        for (from, to) in [
            (OwnedFd::from(from), &mut to as &mut dyn Write),
            (slave, &mut master as &mut dyn Write),
        ] {
            set_nonblocking(&from);
            let _in_place = InPlace::of(0, &from);
            run(1, async {
                let mut line = String::new();
                let read = stdin().read_line(&mut line);
                let write = async {
                    breathe().await;
                    to.write_all(b"at last\n").unwrap();
                };
                filch::join!(async { read.await.unwrap() }, write);
                assert_eq!(line, "at last\n");
            });
        }
    });
}

/// STDIO-9
#[test]
fn a_closed_input_is_an_error() {
    in_child("input::a_closed_input_is_an_error", || {
        let (from, mut to) = pipe();
        run(1, async {
            {
                let _in_place = InPlace::closed(0);
                for _ in 0..3 {
                    let error = stdin().read(&mut [0; 4]).await.unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
                    let error = stdin().lines().next_line().await.unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
                }
            }
            let _in_place = InPlace::of(0, from);
            to.write_all(b"open\n").unwrap();
            assert_eq!(stdin().lines().next_line().await.unwrap().unwrap(), "open");
        });
    });
}

/// STDIO-9
#[test]
fn without_a_runtime_there_is_an_error() {
    in_child("input::without_a_runtime_there_is_an_error", || {
        let error = exec::block_on(stdin().read(&mut [0; 4])).unwrap_err();
        assert!(error.to_string().contains("runtime"), "{error}");
        let error = exec::block_on(stdout().write_all(b"x")).unwrap_err();
        assert!(error.to_string().contains("runtime"), "{error}");
        exec::block_on(stdout().flush()).unwrap_err();
        assert_eq!(exec::block_on(stdin().read(&mut [])).unwrap(), 0);
    });
}

/// STDIO-9
#[test]
fn what_was_read_ahead_takes_no_runtime() {
    in_child("input::what_was_read_ahead_takes_no_runtime", || {
        let (from, mut to) = pipe();
        let _in_place = InPlace::of(0, from);
        to.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(run(1, stdin().lines().next_line()).unwrap().unwrap(), "one");
        exec::block_on(async {
            assert_eq!(stdin().lines().next_line().await.unwrap().unwrap(), "two");
            let mut buf = [0; 2];
            stdin().read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"th");
            let error = stdin().lines().next_line().await.unwrap_err();
            assert!(error.to_string().contains("runtime"), "{error}");
            assert_eq!(stdin().read(&mut buf).await.unwrap(), 1, "it was not taken");
        });
    });
}
