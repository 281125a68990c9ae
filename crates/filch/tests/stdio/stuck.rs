//! Runtimes that end while a terminal is read or written (STDIO-8, STDIO-10).

use crate::kit::{
    Gate, InPlace, counting, in_child, is_pending, pause, run, set_nonblocking, terminal, unread,
    until, until_a_thread_is_in,
};
use crate::support::watched;
use filch::io::{stdin, stdout};
use filch::task::Report;
use filch::time::Duration;
use filch::{Builder, is_cancelled};
use std::future::Future;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Context;
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
            let mut other = std::fs::File::from(slave.try_clone().unwrap());
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

/// STDIO-7, STDIO-10
#[test]
fn the_rest_of_a_line_does_not_go_with_a_call_that_never_began() {
    let name = "stuck::the_rest_of_a_line_does_not_go_with_a_call_that_never_began";
    in_child(name, || {
        let (mut master, slave) = terminal();
        set_nonblocking(&slave);
        let _in_place = InPlace::of(1, &slave);
        let much = vec![b'x'; 100_000];
        let mut shown = 0;
        let main = async {
            let (count, waker) = counting();
            let mut cx = Context::from_waker(&waker);
            let mut write = Box::pin(stdout().write_all(&much));
            // The call does not end before it is waited for.
            let gate = Gate::new();
            assert!(write.as_mut().poll(&mut cx).is_pending());
            gate.open();
            // It has written as much as there was room for.
            until(&count, 1).await;
            assert!(write.as_mut().poll(&mut cx).is_pending());
            // Has the only thread until the end of the runtime asks it, and all that wait for the thread.
            let (begun, has_begun) = mpsc::channel();
            drop(filch::spawn_blocking(move || {
                begun.send(()).unwrap();
                while !is_cancelled() {
                    thread::yield_now();
                }
            }));
            has_begun.recv().unwrap();
            while count.woken() < 2 {
                if unread(&master) > 0 {
                    shown += master.read(&mut [0; 1000]).unwrap();
                }
                pause().await;
            }
            // There is room, and the next call stands behind that.
            assert!(write.as_mut().poll(&mut cx).is_pending());
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
        let mut rest = vec![0; much.len() - shown + 6];
        let reader = thread::spawn(move || master.read_exact(&mut rest).map(|()| rest));
        run(1, async {
            assert_eq!(stdout().settle().await.unwrap(), much.len());
            stdout().write_all(b"next\n").await.unwrap();
        });
        let rest = reader.join().unwrap().unwrap();
        assert!(rest == [&much[shown..], b"next\r\n"].concat());
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
        run(1, async {
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
        });
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
