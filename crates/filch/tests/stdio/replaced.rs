//! Something else comes in a descriptor's place while something is left of an operation (STDIO-1).

use crate::kit::{
    Gate, InPlace, full_device, in_child, is_pending, pause, pipe, run, set_nonblocking,
    small_pipe, take_sum, terminal, unread, until_a_thread_is_in,
};
use crate::support::{TempFile, watched};
use filch::io::{stdin, stdout};
use filch_testkit::leaks::threads;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::task::Poll;
use std::thread;

/// Polls a read once that finds nothing, and drops it.
async fn leave_a_read() {
    let mut buf = [0; 4];
    let mut read = Box::pin(stdin().read(&mut buf));
    assert!(is_pending(&mut read).await);
    // The ring has it.
    pause().await;
    assert!(is_pending(&mut read).await);
}

/// STDIO-1
#[test]
fn what_a_dropped_read_waits_for_is_given_up() {
    in_child("replaced::what_a_dropped_read_waits_for_is_given_up", || {
        let ((master, slave), (plain, to_plain), (other, to_other)) = (terminal(), pipe(), pipe());
        set_nonblocking(&other);
        let kinds: [(OwnedFd, Box<dyn Write>); 3] = [
            (slave, Box::new(master)),
            (plain.into(), Box::new(to_plain)),
            (other.into(), Box::new(to_other)),
        ];
        for (old, mut to_old) in kinds {
            run(1, async {
                let before = InPlace::of(0, &old);
                leave_a_read().await;
                let (from, mut to) = pipe();
                to.write_all(b"new\n").unwrap();
                let in_place = InPlace::of(0, from);
                let mut line = String::new();
                stdin().read_line(&mut line).await.unwrap();
                assert_eq!(line, "new\n");
                // Nobody takes away what comes there.
                to_old.write_all(b"old\n").unwrap();
                while unread(&old) < 4 {
                    pause().await;
                }
                for _ in 0..5 {
                    pause().await;
                }
                assert_eq!(unread(&old), 4);
                drop(in_place);
                line.clear();
                stdin().read_line(&mut line).await.unwrap();
                assert_eq!(line, "old\n");
                drop(before);
            });
        }
    });
}

/// STDIO-1, STDIO-3
#[test]
fn what_it_has_brought_by_then_stays() {
    in_child("replaced::what_it_has_brought_by_then_stays", || {
        let ((old, mut to_old), (new, mut to_new)) = (pipe(), pipe());
        let _before = InPlace::of(0, &old);
        run(1, async {
            leave_a_read().await;
            to_old.write_all(b"old ").unwrap();
            while unread(&old) > 0 {
                pause().await;
            }
            let _in_place = InPlace::of(0, new);
            to_new.write_all(b"new\n").unwrap();
            let mut line = String::new();
            stdin().read_line(&mut line).await.unwrap();
            assert_eq!(line, "old new\n");
        });
    });
}

/// STDIO-1, STDIO-8
#[test]
fn no_thread_reads_what_nobody_has_waited_for() {
    in_child("replaced::no_thread_reads_what_nobody_has_waited_for", || {
        let ((mut master, slave), (from, mut to)) = (terminal(), pipe());
        let _before = InPlace::of(0, &slave);
        run(1, async {
            let mut line = String::new();
            let mut read = Box::pin(stdin().read_line(&mut line));
            assert!(is_pending(&mut read).await);
            pause().await;
            // The wait is over, and nobody has looked.
            master.write_all(b"typed\n").unwrap();
            for _ in 0..5 {
                pause().await;
            }
            let _in_place = InPlace::of(0, from);
            for _ in 0..5 {
                assert!(is_pending(&mut read).await);
                assert_eq!(threads("filch-blocking").len(), 0);
                pause().await;
            }
            to.write_all(b"sent\n").unwrap();
            read.await.unwrap();
            assert_eq!(line, "sent\n");
        });
    });
}

/// STDIO-1, STDIO-7
#[test]
fn the_rest_of_a_line_does_not_go_elsewhere() {
    in_child("replaced::the_rest_of_a_line_does_not_go_elsewhere", || {
        let ((mut from, to), (mut master, slave)) = (small_pipe(), terminal());
        set_nonblocking(&slave);
        let copies = [from.as_fd(), master.as_fd()].map(|fd| fd.try_clone_to_owned().unwrap());
        let kinds: [(OwnedFd, &mut (dyn Read + Send)); 2] =
            [(to.into(), &mut from), (slave, &mut master)];
        for ((old, from), copy) in kinds.into_iter().zip(copies) {
            let temp = TempFile::new("stdout", b"");
            let _before = InPlace::of(1, &old);
            let written = run(1, async {
                // Neither takes so much at once.
                let line = [b'x'; 100_000];
                let mut write = Box::pin(stdout().write_all(&line));
                let mut looks = 0;
                while looks < 10 {
                    assert!(is_pending(&mut write).await);
                    pause().await;
                    looks += usize::from(unread(&copy) > 0);
                }
                drop(write);
                let _in_place = InPlace::of(1, File::create(&temp.0).unwrap());
                let written = stdout().settle().await.unwrap();
                assert!((1..line.len()).contains(&written), "{written}");
                stdout().write_all(b"next\n").await.unwrap();
                written
            });
            assert_eq!(std::fs::read(&temp.0).unwrap(), b"next\n");
            // All that was told, and no more.
            let mut beginning = vec![0; written];
            from.read_exact(&mut beginning).unwrap();
            run(1, stdout().write_all(b"|")).unwrap();
            let mut last = [0];
            from.read_exact(&mut last).unwrap();
            assert_eq!(&last, b"|");
            assert!(beginning == vec![b'x'; written]);
        }
    });
}

/// STDIO-1
#[test]
fn a_call_that_no_thread_has_begun_is_taken_back() {
    in_child("replaced::a_call_that_no_thread_has_begun_is_taken_back", || {
        let temps = ["old", "new"].map(|text| TempFile::new("file", text.as_bytes()));
        let open = |temp: &TempFile| File::options().read(true).write(true).open(&temp.0).unwrap();
        let [old, new] = [open(&temps[0]), open(&temps[1])];
        let (_in, _out) = (InPlace::of(0, &old), InPlace::of(1, &old));
        let main = async {
            let gate = Gate::new();
            let mut buf = [0; 8];
            assert!(is_pending(&mut Box::pin(stdin().read(&mut buf))).await);
            assert!(is_pending(&mut Box::pin(stdout().write_all(b"never"))).await);
            let in_place = (InPlace::of(0, &new), InPlace::of(1, &new));
            let mut line = String::new();
            let mut read = Box::pin(stdin().read_line(&mut line));
            let mut settle = Box::pin(stdout().settle());
            assert!(is_pending(&mut read).await && is_pending(&mut settle).await);
            drop(in_place);
            gate.open();
            assert_eq!((read.await.unwrap(), settle.await.unwrap()), (3, 0));
            assert_eq!(line, "old");
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
        assert_eq!(std::fs::read(&temps[0].0).unwrap(), b"old");
        assert_eq!(std::fs::read(&temps[1].0).unwrap(), b"new");
    });
}

/// STDIO-1
#[test]
fn a_call_that_a_thread_is_in_goes_on() {
    in_child("replaced::a_call_that_a_thread_is_in_goes_on", || {
        let ((mut master, slave), temp) = (terminal(), TempFile::new("stdout", b""));
        let _before = InPlace::of(1, &slave);
        let much = vec![b'x'; 100_000];
        run(1, async {
            assert!(is_pending(&mut Box::pin(stdout().write_all(&much))).await);
            // It stands still in the midst of it.
            until_a_thread_is_in(libc::SYS_write, 1).await;
            let _in_place = InPlace::of(1, File::create(&temp.0).unwrap());
            let mut settle = Box::pin(stdout().settle());
            assert!(is_pending(&mut settle).await);
            let mut shown = vec![0; much.len()];
            let reader = thread::spawn(move || master.read_exact(&mut shown).map(|()| shown));
            assert_eq!(settle.await.unwrap(), much.len());
            stdout().write_all(b"next\n").await.unwrap();
            assert!(reader.join().unwrap().unwrap() == much);
        });
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"next\n");
    });
}

/// STDIO-1
#[test]
fn what_is_given_up_waits_for_no_room_elsewhere() {
    in_child("replaced::what_is_given_up_waits_for_no_room_elsewhere", || {
        let (device, (_from, mut to)) = (full_device(), small_pipe());
        to.write_all(&[b'x'; 4096]).unwrap();
        let _before = InPlace::of(1, &device);
        let main = async {
            let one = 1u64.to_ne_bytes();
            let gate = Gate::new();
            assert!(is_pending(&mut Box::pin(stdout().write_all(&one))).await);
            gate.open();
            // Its call has found no room, and nobody has looked.
            filch::spawn_blocking(|| {}).await.unwrap();
            let in_place = InPlace::of(1, &to);
            let mut settle = Box::pin(stdout().settle());
            let settled = poll_fn(|cx| Poll::Ready(settle.as_mut().poll(cx))).await;
            assert!(matches!(settled, Poll::Ready(Ok(0))), "{settled:?}");
            drop(in_place);
            assert_eq!(take_sum(&device), u64::MAX - 1);
            stdout().write_all(&one).await.unwrap();
            assert_eq!(take_sum(&device), 1);
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
    });
}

/// STDIO-1, STDIO-9
#[test]
fn what_was_closed_is_not_waited_for() {
    in_child("replaced::what_was_closed_is_not_waited_for", || {
        let ((from, _to), (full, filled)) = (pipe(), small_pipe());
        let (_in, _out) = (InPlace::of(0, &from), InPlace::of(1, &filled));
        run(1, async {
            leave_a_read().await;
            let line = [b'x'; 10_000];
            let mut write = Box::pin(stdout().write_all(&line));
            while unread(&full) < 4096 {
                assert!(is_pending(&mut write).await);
                pause().await;
            }
            drop(write);
            let (_no_input, _no_output) = (InPlace::closed(0), InPlace::closed(1));
            let error = stdin().read(&mut [0; 4]).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
            assert_eq!(stdout().settle().await.unwrap(), 4096);
            let error = stdout().write_all(b"x").await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        });
    });
}
