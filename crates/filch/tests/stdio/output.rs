//! Standard output and error.

use crate::kit::{
    InPlace, flags, in_child, is_pending, pipe, run, set_nonblocking, small_pipe, terminal,
};
use crate::support::{TempFile, breathe, pattern};
use filch::io::{BufWriter, Write, stderr, stdout};
use filch::process::Command;
use filch::{is_cancelled, shielded};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Writes in each way.
async fn hello(mut to: impl Write + Clone, number: i32, by: BorrowedFd<'_>) {
    let _in_place = InPlace::of(number, by);
    let before = flags(number);
    assert_eq!(to.write(b"").await.unwrap(), 0);
    assert_eq!(to.write(b"hel").await.unwrap(), 3);
    to.write_all(b"lo\n").await.unwrap();
    to.flush().await.unwrap();
    to.finish().await.unwrap();
    assert_eq!(to.settle().await.unwrap(), 0, "it was told");
    let mut buffered = BufWriter::new(to.clone());
    buffered.write_all(b"and").await.unwrap();
    buffered.write_all(b" so on\n").await.unwrap();
    buffered.flush().await.unwrap();
    assert_eq!(flags(number), before);
    assert_eq!(before & libc::O_NONBLOCK, 0);
}

/// STDIO-1, STDIO-6, STDIO-8
#[test]
fn each_kind_is_written_and_none_is_made_non_blocking() {
    in_child("output::each_kind_is_written_and_none_is_made_non_blocking", || {
        let temp = TempFile::new("stdout", b"");
        run(1, async {
            for number in [1, 2] {
                let ((mut from, to), (mut near, far)) = (pipe(), UnixStream::pair().unwrap());
                let (mut master, slave) = terminal();
                let file = File::create(&temp.0).unwrap();
                let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
                let kinds = [to.as_fd(), far.as_fd(), slave.as_fd(), file.as_fd(), null.as_fd()];
                for fd in kinds {
                    match number {
                        1 => hello(stdout(), 1, fd).await,
                        _ => hello(stderr(), 2, fd).await,
                    }
                }
                drop((to, far));
                let expected = "hello\nand so on\n";
                let mut text = String::new();
                from.read_to_string(&mut text).unwrap();
                assert_eq!(text, expected);
                text.clear();
                near.read_to_string(&mut text).unwrap();
                assert_eq!(text, expected);
                let mut shown = vec![0; expected.len() + 2];
                master.read_exact(&mut shown).unwrap();
                assert_eq!(shown, expected.replace('\n', "\r\n").as_bytes());
                assert_eq!(std::fs::read(&temp.0).unwrap(), expected.as_bytes());
            }
        });
    });
}

/// STDIO-6, STDIO-8
#[test]
fn the_file_is_shared_with_children_and_with_println() {
    in_child("output::the_file_is_shared_with_children_and_with_println", || {
        let temp = TempFile::new("stdout", b"");
        for append in [false, true] {
            let file = OpenOptions::new().write(!append).append(append).open(&temp.0).unwrap();
            let _in_place = InPlace::of(1, file);
            run(1, async {
                for number in 0..20 {
                    println!("printed {number}");
                    stdout().write_all(format!("written {number}\n").as_bytes()).await.unwrap();
                    let mut command = Command::new("/bin/sh");
                    command.args(["-c", &format!("echo child {number}")]);
                    assert!(command.status().await.unwrap().success());
                }
            });
            let line = |number| format!("printed {number}\nwritten {number}\nchild {number}\n");
            let once: String = (0..20).map(line).collect();
            let text = std::fs::read_to_string(&temp.0).unwrap();
            assert_eq!(text, once.repeat(1 + usize::from(append)));
        }
    });
}

/// STDIO-6
#[test]
fn the_order_is_that_of_println() {
    in_child("output::the_order_is_that_of_println", || {
        let (mut from, to) = pipe();
        {
            let _in_place = InPlace::of(1, to);
            run(2, async {
                for number in 0..50 {
                    println!("{number} printed");
                    stdout().write_all(format!("{number} written\n").as_bytes()).await.unwrap();
                }
                print!("the beginning, ");
                stdout().write_all(b"before the beginning; ").await.unwrap();
                println!("the end");
            });
        }
        let mut expected: String =
            (0..50).map(|number| format!("{number} printed\n{number} written\n")).collect();
        expected.push_str("before the beginning; the beginning, the end\n");
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    });
}

/// STDIO-7
#[test]
fn lines_of_tasks_are_not_mixed() {
    in_child("output::lines_of_tasks_are_not_mixed", || {
        let (mut from, to) = small_pipe();
        let in_place = InPlace::of(1, to);
        // Longer than the pipe, and than what is handed over at a time.
        let line = |task: usize, number: usize| {
            let letter = char::from(b'a' + task as u8);
            let len = if number == 7 { 300_000 } else { 1 + number * 977 % 20_000 };
            letter.to_string().repeat(len) + "\n"
        };
        let reader = thread::spawn(move || {
            let mut text = String::new();
            from.read_to_string(&mut text).unwrap();
            text
        });
        run(2, async {
            let tasks: Vec<_> = (0..4)
                .map(|task| {
                    filch::spawn(async move {
                        for number in 0..20 {
                            stdout().write_all(line(task, number).as_bytes()).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        drop(in_place);
        let text = reader.join().unwrap();
        let mut next = [0; 4];
        for got in text.split_inclusive('\n') {
            let task = usize::from(got.as_bytes()[0] - b'a');
            assert!(got == line(task, next[task]), "task {task}, line {}", next[task]);
            next[task] += 1;
        }
        assert_eq!(next, [20; 4]);
    });
}

/// STDIO-9
#[test]
fn what_goes_wrong_is_told_each_time() {
    in_child("output::what_goes_wrong_is_told_each_time", || {
        run(1, async {
            for number in [1, 2] {
                let write = async |by: &[u8]| match number {
                    1 => stdout().write(by).await.map(drop),
                    _ => stderr().write(by).await.map(drop),
                };
                let write_all = async |by: &[u8]| match number {
                    1 => stdout().write_all(by).await,
                    _ => stderr().write_all(by).await,
                };
                let flush = async || match number {
                    1 => stdout().flush().await,
                    _ => stderr().flush().await,
                };
                // Nobody reads.
                let (from, to) = pipe();
                let (socket, other) = UnixStream::pair().unwrap();
                drop((from, other));
                for fd in [to.as_fd(), socket.as_fd()] {
                    let _in_place = InPlace::of(number, fd);
                    for _ in 0..2 {
                        assert_eq!(write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
                        assert_eq!(
                            write_all(b"x").await.unwrap_err().kind(),
                            ErrorKind::BrokenPipe
                        );
                    }
                    flush().await.unwrap();
                }
                // Full.
                {
                    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
                    let _in_place = InPlace::of(number, full);
                    for _ in 0..2 {
                        assert_eq!(write(b"x").await.unwrap_err().kind(), ErrorKind::StorageFull);
                        let error = write_all(b"x").await.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::StorageFull);
                    }
                }
                // For reading only.
                {
                    let _in_place = InPlace::of(number, File::open("/proc/self/comm").unwrap());
                    let error = write_all(b"x").await.unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
                }
                // Closed.
                {
                    let _in_place = InPlace::closed(number);
                    for _ in 0..2 {
                        let error = write(b"x").await.unwrap_err();
                        let error_too = write_all(b"x").await.unwrap_err();
                        let errors = [error, error_too].map(|error| error.raw_os_error());
                        assert_eq!(errors, [Some(libc::EBADF); 2]);
                        flush().await.unwrap();
                    }
                }
                // And on it goes.
                let (mut from, to) = pipe();
                {
                    let _in_place = InPlace::of(number, to);
                    write_all(b"fine").await.unwrap();
                }
                let mut text = String::new();
                from.read_to_string(&mut text).unwrap();
                assert_eq!(text, "fine");
            }
        });
    });
}

/// STDIO-9
#[test]
fn a_pipe_that_breaks_in_the_midst_is_told() {
    in_child("output::a_pipe_that_breaks_in_the_midst_is_told", || {
        let (from, to) = small_pipe();
        let _in_place = InPlace::of(1, to);
        run(1, async {
            let large = pattern(0, 100_000);
            let mut write = Box::pin(stdout().write_all(&large));
            assert!(is_pending(&mut write).await);
            drop(from);
            assert_eq!(write.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(stdout().settle().await.unwrap(), 0, "it was told");
        });
    });
}

/// STDIO-1
#[test]
fn one_that_somebody_made_non_blocking_is_waited_for() {
    in_child("output::one_that_somebody_made_non_blocking_is_waited_for", || {
        let (mut from, to) = small_pipe();
        let (mut master, slave) = terminal();
        let kinds: [(BorrowedFd<'_>, &mut (dyn Read + Send)); 2] =
            [(to.as_fd(), &mut from), (slave.as_fd(), &mut master)];
        for (to, from) in kinds {
            set_nonblocking(to);
            let _in_place = InPlace::of(1, to);
            // Neither takes so much at once.
            let sent = "z".repeat(100_000);
            let mut got = vec![0; sent.len()];
            thread::scope(|scope| {
                scope.spawn(|| from.read_exact(&mut got).unwrap());
                run(1, async { stdout().write_all(sent.as_bytes()).await.unwrap() });
            });
            assert!(got == sent.as_bytes());
        }
    });
}

/// STDIO-7
#[test]
fn a_line_that_was_begun_is_written_whole() {
    in_child("output::a_line_that_was_begun_is_written_whole", || {
        let (from, to) = small_pipe();
        let in_place = InPlace::of(1, to);
        let line = "x".repeat(50_000) + "\n";
        let mut from = from;
        let reader = run(1, async {
            {
                let mut write = Box::pin(stdout().write_all(line.as_bytes()));
                assert!(is_pending(&mut write).await);
                breathe().await;
            }
            // One that never had its turn.
            drop(Box::pin(stdout().write_all(b"never")));
            let reader = thread::spawn(move || {
                let mut text = String::new();
                from.read_to_string(&mut text).unwrap();
                text
            });
            assert_eq!(stdout().settle().await.unwrap(), line.len());
            stdout().write_all(b"next\n").await.unwrap();
            drop(in_place);
            reader
        });
        assert!(reader.join().unwrap() == line + "next\n");
    });
}

/// STDIO-11
#[test]
fn nothing_is_written_where_it_is_cancelled() {
    in_child("output::nothing_is_written_where_it_is_cancelled", || {
        for is_file in [false, true] {
            let temp = TempFile::new("stdout", b"");
            let (from, to) = pipe();
            let file = OpenOptions::new().write(true).open(&temp.0).unwrap();
            let in_place = if is_file { InPlace::of(1, file) } else { InPlace::of(1, to.as_fd()) };
            drop(to);
            run(2, async {
                let begun = Arc::new(AtomicBool::new(false));
                let says = begun.clone();
                let task = filch::spawn(async move {
                    says.store(true, Ordering::Relaxed);
                    while !is_cancelled() {
                        thread::yield_now();
                    }
                    shielded(stdout().write_all(b"shielded\n")).await.unwrap();
                    stdout().write_all(b"cancelled\n").await.unwrap();
                    unreachable!("it is cut");
                });
                while !begun.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                task.cancel();
                assert!(task.await.is_err());
                stdout().write_all(b"after\n").await.unwrap();
            });
            drop(in_place);
            let mut text = String::new();
            let mut from: Box<dyn Read> =
                if is_file { Box::new(File::open(&temp.0).unwrap()) } else { Box::new(from) };
            from.read_to_string(&mut text).unwrap();
            assert_eq!(text, "shielded\nafter\n");
        }
    });
}
