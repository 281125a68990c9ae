//! Terminals.

use crate::kit::{InPlace, in_child, is_pending, run, terminal};
use filch::io::{stderr, stdin, stdout};
use filch::time::{Duration, sleep};
use filch_testkit::leaks::threads;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;

/// STDIO-5, STDIO-8
#[test]
fn lines_are_typed_and_an_end_is_not_the_last() {
    in_child("terminal::lines_are_typed_and_an_end_is_not_the_last", || {
        let (mut master, slave) = terminal();
        let _in_place = InPlace::of(0, slave);
        run(1, async {
            let mut lines = stdin().lines();
            {
                let mut next = Box::pin(lines.next_line());
                assert!(is_pending(&mut next).await);
                // Half a line is not there yet, and no thread waits for it.
                master.write_all(b"on").unwrap();
                for _ in 0..10 {
                    sleep(Duration::from_millis(1)).await;
                    assert!(is_pending(&mut next).await);
                    assert_eq!(threads("filch-blocking").len(), 0);
                }
            }
            master.write_all(b"e\ntwo\n").unwrap();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "one");
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "two");
            // Ctrl-D.
            master.write_all(b"\x04").unwrap();
            assert_eq!(lines.next_line().await.unwrap(), None);
            master.write_all(b"three\n").unwrap();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "three");
        });
    });
}

/// STDIO-8
#[test]
fn a_terminal_that_stands_still_holds_up_nobody() {
    in_child("terminal::a_terminal_that_stands_still_holds_up_nobody", || {
        let (mut master, slave) = terminal();
        let _in_place = InPlace::of(1, &slave);
        run(1, async {
            let flow = |action| {
                // SAFETY: no pointers.
                assert_eq!(unsafe { libc::tcflow(slave.as_raw_fd(), action) }, 0);
            };
            // As by Ctrl-S, and then Ctrl-Q.
            flow(libc::TCOOFF);
            let mut write = Box::pin(stdout().write_all(b"shown\n"));
            for _ in 0..10 {
                assert!(is_pending(&mut write).await);
                sleep(Duration::from_millis(1)).await;
            }
            flow(libc::TCOON);
            write.await.unwrap();
            let mut shown = [0; 7];
            master.read_exact(&mut shown).unwrap();
            assert_eq!(&shown, b"shown\r\n");
            // More than it takes while nobody looks.
            let much = vec![b'x'; 300_000];
            let mut write = Box::pin(stdout().write_all(&much));
            for _ in 0..10 {
                assert!(is_pending(&mut write).await);
                sleep(Duration::from_millis(1)).await;
            }
            let mut shown = vec![0; much.len()];
            let reader = thread::spawn(move || master.read_exact(&mut shown).map(|()| shown));
            write.await.unwrap();
            assert!(reader.join().unwrap().unwrap() == much);
        });
    });
}

/// What the job is to do.
const JOB: &str = "FILCH_TEST_JOB";

/// STDIO-8
#[test]
fn a_job_in_the_background_is_stopped() {
    const NAME: &str = "terminal::a_job_in_the_background_is_stopped";
    if let Ok(what) = std::env::var(JOB) {
        job(&what);
        // The harness would take what follows for the shell's part.
        std::process::exit(0);
    }
    in_child(NAME, || {
        let (mut master, slave) = terminal();
        lead_a_session_at(&slave);
        for (what, signal) in [("reads", libc::SIGTTIN), ("writes", libc::SIGTTOU)] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env(JOB, what);
            command.process_group(0).stdout(Stdio::piped());
            // Not its output: the harness prints something there.
            match what {
                "reads" => command.stdin(slave.try_clone().unwrap()),
                _ => command.stderr(slave.try_clone().unwrap()),
            };
            let mut job = command.spawn().unwrap();
            let group = job.id().cast_signed();
            if what == "reads" {
                master.write_all(b"typed\n").unwrap();
            }
            let mut status = 0;
            // SAFETY: there is room for the status.
            let stopped = unsafe { libc::waitpid(group, &raw mut status, libc::WUNTRACED) };
            assert_eq!(stopped, group);
            assert!(libc::WIFSTOPPED(status), "{what}: {status:#x}");
            assert_eq!(libc::WSTOPSIG(status), signal, "{what}");
            // To the foreground.
            give_terminal(&slave, group);
            // SAFETY: no pointers.
            assert_eq!(unsafe { libc::kill(-group, libc::SIGCONT) }, 0);
            let mut said = String::new();
            job.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(said.contains("it said: typed\n") == (what == "reads"), "{what}: {said}");
            assert!(job.wait().unwrap().success());
            // SAFETY: no pointers.
            give_terminal(&slave, unsafe { libc::getpgrp() });
        }
        // Its end would be that of the session.
        // SAFETY: no handler.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        let mut shown = [0; 14];
        master.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"typed\r\nshown\r\n", "the first is what was typed");
    });
}

/// What a shell's job does.
fn job(what: &str) {
    run(1, async {
        if what == "writes" {
            return stderr().write_all(b"shown\n").await.unwrap();
        }
        let mut line = String::new();
        stdin().read_line(&mut line).await.unwrap();
        println!("it said: {line}");
    });
}

/// Makes this process what a shell is at a terminal where jobs in the background are stopped for their output, too.
fn lead_a_session_at(terminal: &OwnedFd) {
    let number = terminal.as_raw_fd();
    // SAFETY: all zeroes is a value of the modes, which are filled in before they are used.
    unsafe {
        assert_ne!(libc::setsid(), -1, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::ioctl(number, libc::TIOCSCTTY, 0), 0);
        let mut modes = std::mem::zeroed::<libc::termios>();
        assert_eq!(libc::tcgetattr(number, &raw mut modes), 0);
        modes.c_lflag |= libc::TOSTOP;
        assert_eq!(libc::tcsetattr(number, libc::TCSANOW, &raw const modes), 0);
    }
}

/// Has a group be the one in the foreground, from wherever.
fn give_terminal(terminal: &OwnedFd, group: i32) {
    // SAFETY: no handlers. It is not ignored for longer: a job would inherit that.
    unsafe {
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        assert_eq!(libc::tcsetpgrp(terminal.as_raw_fd(), group), 0);
        libc::signal(libc::SIGTTOU, libc::SIG_DFL);
    }
}
