//! Runtimes that end while a terminal is read or written (STDIO-8, STDIO-10).

use crate::kit::{
    Gate, InPlace, counting, in_child, is_pending, pause, run, set_nonblocking, terminal, unread,
    until, until_a_thread_is_in,
};
use crate::support::confined::refuse;
use crate::support::watched;
use filch::io::{stdin, stdout};
use filch::task::Report;
use filch::time::Duration;
use filch::{Builder, Handle, is_cancelled, shielded};
use filch_testkit::skip;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

/// A runtime with one thread for what blocks, which is not waited for for long; and what was left behind in it.
fn impatient() -> (Builder, Arc<Mutex<Vec<String>>>) {
    let reports = Arc::<Mutex<Vec<String>>>::default();
    let all = reports.clone();
    let builder = watched(1).max_blocking_threads(1).grace(Duration::from_millis(50));
    let builder = builder.on_error(move |report| match report {
        Report::ShutdownStuck { what, .. } => all.lock().unwrap().push(what.clone()),
        report => eprintln!("filch: {report}"),
    });
    (builder, reports)
}

/// STDIO-3, STDIO-8
#[test]
fn a_thread_that_waits_for_who_types_is_left_behind_and_brings_the_line() {
    let name = "stuck::a_thread_that_waits_for_who_types_is_left_behind_and_brings_the_line";
    in_child(name, || {
        let (mut master, slave) = terminal();
        let _in_place = InPlace::of(0, &slave);
        let (builder, reports) = impatient();
        let main = async {
            let gate = Gate::new();
            gate.wait();
            let mut buf = [0; 8];
            let mut read = Box::pin(stdin().read(&mut buf));
            assert!(is_pending(&mut read).await);
            master.write_all(b"taken\n").unwrap();
            while unread(&slave) < 6 {
                pause().await;
            }
            // The wait is over, and the call stands behind the gate.
            for _ in 0..5 {
                pause().await;
                assert!(is_pending(&mut read).await);
            }
            // Another program is faster.
            let mut line = [0; 8];
            let mut other = File::from(slave.try_clone().unwrap());
            assert_eq!(other.read(&mut line).unwrap(), 6);
            gate.open();
            until_a_thread_is_in(libc::SYS_read, 0).await;
        };
        builder.run(main).unwrap();
        let reports = std::mem::take(&mut *reports.lock().unwrap());
        assert!(reports.len() == 1 && reports[0].contains("clos"), "{reports:?}");
        run(1, async {
            let mut line = String::new();
            let mut read = Box::pin(stdin().read_line(&mut line));
            assert!(is_pending(&mut read).await);
            master.write_all(b"typed\n").unwrap();
            read.await.unwrap();
            assert_eq!(line, "typed\n");
        });
        assert_eq!(unread(&slave), 0);
    });
}

/// STDIO-7, STDIO-8
#[test]
fn a_thread_that_waits_for_a_terminal_is_left_behind_and_tells_the_next_runtime() {
    let name =
        "stuck::a_thread_that_waits_for_a_terminal_is_left_behind_and_tells_the_next_runtime";
    in_child(name, || {
        let (mut master, slave) = terminal();
        let _in_place = InPlace::of(1, &slave);
        let much = vec![b'x'; 100_000];
        let (builder, reports) = impatient();
        let main = async {
            let mut write = Box::pin(stdout().write_all(&much));
            assert!(is_pending(&mut write).await);
            // Then a thread is at it, and nobody looks.
            while unread(&master) == 0 {
                pause().await;
            }
        };
        builder.run(main).unwrap();
        let reports = std::mem::take(&mut *reports.lock().unwrap());
        assert!(reports.len() == 1 && reports[0].contains("clos"), "{reports:?}");
        let mut shown = vec![0; much.len() + 6];
        let reader = thread::spawn(move || master.read_exact(&mut shown).map(|()| shown));
        run(1, async {
            assert_eq!(stdout().settle().await.unwrap(), much.len());
            stdout().write_all(b"next\n").await.unwrap();
        });
        let shown = reader.join().unwrap().unwrap();
        assert!(shown == [&much[..], b"next\r\n"].concat());
    });
}

/// Polls a write of more than a terminal takes until its second call stands in line for the only thread, which is busy
/// until the end of the runtime. How much was shown by then.
async fn stand_in_line(mut write: Pin<&mut (impl Future + Send)>, master: &mut File) -> usize {
    let (count, waker) = counting();
    let mut waits = || write.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
    // The call does not end before it is waited for.
    let gate = Gate::new();
    assert!(waits());
    gate.open();
    // It has written as much as there was room for.
    until(&count, 1).await;
    assert!(waits());
    // Has the only thread until the end of the runtime asks it, and all that wait for the thread.
    let (begun, has_begun) = mpsc::channel();
    drop(filch::spawn_blocking(move || {
        begun.send(()).unwrap();
        while !is_cancelled() {
            thread::yield_now();
        }
    }));
    has_begun.recv().unwrap();
    let mut shown = 0;
    while count.woken() < 2 {
        if unread(&*master) > 0 {
            shown += master.read(&mut [0; 1000]).unwrap();
        }
        pause().await;
    }
    // There is room, and the next call stands behind that.
    assert!(waits());
    shown
}

/// Has the rest shown, of which so much is expected.
fn show(mut master: File, len: usize) -> thread::JoinHandle<std::io::Result<Vec<u8>>> {
    let mut rest = vec![0; len];
    thread::spawn(move || master.read_exact(&mut rest).map(|()| rest))
}

/// On this thread, with the runtime of `handle`, which has ended.
fn flush_is_refused(handle: &Handle) {
    let _entered = handle.enter();
    for _ in 0..2 {
        let flushed = pin!(stdout().flush()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(flushed, Poll::Ready(Err(_))), "{flushed:?}");
    }
}

/// Refused, as no thread can be had from this one.
async fn write_without_a_thread() {
    // Of this thread alone.
    for call in [libc::SYS_clone3, libc::SYS_clone] {
        if let Err(error) = refuse(call, libc::EAGAIN) {
            return skip(format_args!("no filter of system calls: {error}"));
        }
    }
    for _ in 0..2 {
        stdout().write_all(b"too early\n").await.unwrap_err();
    }
}

/// STDIO-7, STDIO-10
#[test]
fn the_rest_of_a_line_does_not_go_with_a_call_that_never_began() {
    let name = "stuck::the_rest_of_a_line_does_not_go_with_a_call_that_never_began";
    in_child(name, || {
        let (mut master, slave) = terminal();
        set_nonblocking(&slave);
        let in_place = InPlace::of(1, &slave);
        let much = vec![b'x'; 100_000];
        let main = async {
            let mut write = Box::pin(stdout().write_all(&much));
            (stand_in_line(write.as_mut(), &mut master).await, Handle::current())
        };
        let (shown, ended) = watched(1).max_blocking_threads(1).run(main).unwrap();
        flush_is_refused(&ended);
        let no_thread = thread::spawn(|| run(1, write_without_a_thread()));
        no_thread.join().unwrap();
        let rest = show(master, much.len() - shown + 6);
        run(1, async {
            assert_eq!(stdout().settle().await.unwrap(), much.len());
            stdout().write_all(b"next\n").await.unwrap();
        });
        drop((in_place, slave));
        let rest = rest.join().unwrap().unwrap();
        assert!(rest == [&much[shown..], b"next\r\n"].concat());
    });
}

/// STDIO-7, STDIO-10
#[test]
fn what_is_refused_keeps_the_count_of_all_pieces() {
    const PIECE: usize = 128 * 1024;
    in_child("stuck::what_is_refused_keeps_the_count_of_all_pieces", || {
        let (mut master, slave) = terminal();
        set_nonblocking(&slave);
        let in_place = InPlace::of(1, &slave);
        // The last piece is more than a terminal takes.
        let much = vec![b'x'; 2 * PIECE + 100_000];
        let main = async {
            let mut write = Box::pin(stdout().write_all(&much));
            let mut shown = 0;
            while shown <= 2 * PIECE {
                assert!(is_pending(&mut write).await);
                match unread(&master) {
                    0 => pause().await,
                    _ => shown += master.read(&mut [0; 4096]).unwrap(),
                }
            }
            (shown, Handle::current())
        };
        let (shown, ended) = run(1, main);
        flush_is_refused(&ended);
        let rest = show(master, much.len() - shown + 6);
        let no_thread = thread::spawn(|| run(1, write_without_a_thread()));
        no_thread.join().unwrap();
        run(1, async {
            assert_eq!(stdout().settle().await.unwrap(), much.len());
            stdout().write_all(b"next\n").await.unwrap();
        });
        drop((in_place, slave));
        let rest = rest.join().unwrap().unwrap();
        assert!(rest == [&much[shown..], b"next\r\n"].concat());
    });
}

/// STDIO-7, STDIO-10
#[test]
fn a_line_goes_on_in_a_clean_up_though_its_call_never_began() {
    let name = "stuck::a_line_goes_on_in_a_clean_up_though_its_call_never_began";
    in_child(name, || {
        let (mut master, slave) = terminal();
        set_nonblocking(&slave);
        let in_place = InPlace::of(1, &slave);
        let (told, shown) = mpsc::channel();
        let main = async move {
            let much = vec![b'x'; 100_000];
            let stands = Arc::new(AtomicBool::new(false));
            let also_stands = stands.clone();
            drop(filch::spawn(shielded(async move {
                let mut write = Box::pin(stdout().write_all(&much));
                let shown = stand_in_line(write.as_mut(), &mut master).await;
                told.send((shown, show(master, much.len() - shown + 5))).unwrap();
                also_stands.store(true, Ordering::SeqCst);
                write.await.unwrap();
                stdout().write_all(b"bye\n").await.unwrap();
            })));
            while !stands.load(Ordering::SeqCst) {
                pause().await;
            }
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
        drop((in_place, slave));
        let (shown, rest) = shown.recv().unwrap();
        let rest = rest.join().unwrap().unwrap();
        assert!(rest == [&vec![b'x'; 100_000 - shown][..], b"bye\r\n"].concat());
    });
}

/// STDIO-10
#[test]
fn a_wait_for_a_terminal_is_begun_anew_in_the_next_runtime() {
    in_child("stuck::a_wait_for_a_terminal_is_begun_anew_in_the_next_runtime", || {
        let (mut master, slave) = terminal();
        set_nonblocking(&slave);
        let (_in, _out) = (InPlace::of(0, &slave), InPlace::of(1, &slave));
        let much = vec![b'x'; 100_000];
        let ended = run(1, async {
            let mut buf = [0; 8];
            let mut read = Box::pin(stdin().read(&mut buf));
            assert!(is_pending(&mut read).await);
            let mut write = Box::pin(stdout().write_all(&much));
            let mut looks = 0;
            while looks < 10 {
                assert!(is_pending(&mut write).await && is_pending(&mut read).await);
                pause().await;
                looks += usize::from(unread(&master) > 0);
            }
            Handle::current()
        });
        flush_is_refused(&ended);
        let echo = b"typed\r\n".len();
        let mut shown = vec![0; much.len() + echo];
        let all = much.len();
        let user = thread::spawn(move || {
            // A terminal that has no room for the echo shows it never: so nothing is typed before all is read.
            let (first, last) = shown.split_at_mut(all);
            master.read_exact(first)?;
            master.write_all(b"typed\n")?;
            master.read_exact(last)?;
            // Where it closes, what was typed and not yet read is gone.
            Ok::<_, std::io::Error>((shown, master))
        });
        run(1, async {
            assert_eq!(stdout().settle().await.unwrap(), much.len());
            let mut line = String::new();
            stdin().read_line(&mut line).await.unwrap();
            assert_eq!(line, "typed\n");
        });
        let (shown, _master) = user.join().unwrap().unwrap();
        assert!(shown == [&much[..], b"typed\r\n"].concat());
    });
}
