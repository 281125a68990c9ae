//! Processes where something is missing: descriptors at every step, pidfds, a signal that is ignored.

use filch::Runtime;
use filch::process::{Command, Stdio};
use filch_testkit::child;
use filch_testkit::leaks::{descriptors, has_children};
use filch_testkit::limits::watchdog;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::time::Duration;

const PATIENCE: u64 = 120;

fn run<F: Future<Output = ()>>(test: F) {
    Runtime::builder().workers(1).run(test).expect("a runtime");
}

fn cat() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// PROC-1, PROC-14: however many descriptors are left, a child is started whole, or none is, and that is told.
#[test]
fn descriptors_run_out_at_every_step() {
    child::run("descriptors_run_out_at_every_step", || {
        let _watchdog = watchdog(PATIENCE);
        run(async {
            // Everything that comes with the first child: threads, and what they open.
            assert!(cat().output().await.unwrap().status.success());
            let begin = descriptors().len();
            let most = begin as u64 + 40;
            child::limit_descriptors(most).unwrap();
            let (mut failures, mut successes) = (0, 0);
            for left in 0..20 {
                let mut kept = Vec::new();
                while let Ok(file) = File::open("/dev/null") {
                    kept.push(file);
                }
                kept.truncate(kept.len() - left);
                // What of it is left behind shows in the next round.
                match cat().kill_on_drop(true).spawn().await {
                    Err(error) => {
                        failures += 1;
                        let text = error.to_string();
                        assert!(text.starts_with("cannot start cat: "), "{left}: {text}");
                        assert!(text.contains("os error 24"), "{left}: {text}");
                        assert!(!has_children(), "{left}: nothing was started");
                    }
                    Ok(mut child) => {
                        successes += 1;
                        // It has all it needs to be used and waited for.
                        let (to, from) =
                            (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                        to.write(b"ping").await.unwrap();
                        let mut buf = [0; 8];
                        assert_eq!(from.read(&mut buf).await.unwrap(), 4);
                        drop(to);
                        assert!(child.wait().await.unwrap().success());
                    }
                }
                drop(kept);
                let mut tries = 0;
                while descriptors().len() > begin {
                    tries += 1;
                    assert!(tries < 10_000, "{left}: {:?}", descriptors());
                    filch::time::sleep(Duration::from_millis(1)).await;
                }
            }
            assert!(failures >= 5 && successes >= 5, "{failures} failures, {successes} successes");
        });
    });
}

/// PROC-7: there is no descriptor for those who look after children that nobody waits for; the next one does it.
#[test]
fn a_child_is_reaped_later_where_there_is_no_descriptor() {
    child::run("a_child_is_reaped_later_where_there_is_no_descriptor", || {
        let _watchdog = watchdog(PATIENCE);
        run(async {
            let mut child = cat().spawn().await.unwrap();
            let stdin = child.stdin.take().unwrap();
            child::limit_descriptors(descriptors().len() as u64 + 20).unwrap();
            let mut kept = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                kept.push(file);
            }
            // No room for the reaper's own.
            child.stdout.take();
            child.stderr.take();
            while let Ok(file) = File::open("/dev/null") {
                kept.push(file);
            }
            drop(child);
            while let Ok(file) = File::open("/dev/null") {
                kept.push(file);
            }
            drop((kept, stdin));
            assert!(has_children());
            while has_children() {
                assert!(Command::new("true").status().await.unwrap().success());
            }
        });
    });
}

/// PROC-7: the reaper forgets the descriptor of a child that it has waited for, also if that is still open somewhere;
/// it would be woken by it for ever.
#[test]
fn the_reaper_forgets_who_is_reaped() {
    child::run("the_reaper_forgets_who_is_reaped", || {
        let _watchdog = watchdog(PATIENCE);
        run(async {
            let watched = || -> usize {
                let reapers =
                    descriptors().into_iter().filter(|(_, what)| what.contains("eventpoll"));
                let info = reapers
                    .map(|(fd, _)| std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")));
                let lines =
                    |info: String| info.lines().filter(|line| line.starts_with("tfd:")).count();
                info.map(|info| info.map_or(0, lines)).sum()
            };
            let mut reads = Command::new("cat");
            reads.stdin(Stdio::piped());
            let mut stays = reads.spawn().await.unwrap();
            let stays_until = stays.stdin.take();
            drop(stays);
            let before = descriptors();
            let mut ends = reads.spawn().await.unwrap();
            let mut new = descriptors().into_iter().filter(|(fd, _)| !before.contains_key(fd));
            let (pidfd, _) = new.find(|(_, what)| what.contains("pidfd")).expect("it has one");
            // SAFETY: it is open, and stays open for the call.
            let pidfd = unsafe { BorrowedFd::borrow_raw(pidfd) }.try_clone_to_owned().unwrap();
            let ends_then = ends.stdin.take();
            drop(ends);
            assert_eq!(watched(), 2);
            drop(ends_then);
            let mut tries = 0;
            while watched() > 1 {
                tries += 1;
                assert!(tries < 10_000, "it is still watched");
                filch::time::sleep(Duration::from_millis(1)).await;
            }
            drop((pidfd, stays_until));
        });
    });
}

/// PROC-14: nothing is started where its end could not be waited for.
#[test]
fn without_pidfds_nothing_is_started() {
    child::run("without_pidfds_nothing_is_started", || {
        let _watchdog = watchdog(PATIENCE);
        run(async {
            child::refuse_system_call(libc::SYS_pidfd_open, libc::ENOSYS).unwrap();
            let error = Command::new("true").status().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().starts_with("cannot start true: "), "{error}");
        });
    });
}

/// PROC-13: who ignores `SIGCHLD` has told the system to forget how children ended.
#[test]
fn an_end_that_the_system_forgets_is_an_error() {
    child::run("an_end_that_the_system_forgets_is_an_error", || {
        let _watchdog = watchdog(PATIENCE);
        // SAFETY: no handler.
        assert_ne!(unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) }, libc::SIG_ERR);
        run(async {
            let mut child = cat().spawn().await.unwrap();
            let error = child.wait().await.unwrap_err().to_string();
            let expected = format!("cannot wait for process {}: ", child.id());
            assert!(error.starts_with(&expected) && error.contains("os error 10"), "{error}");
            child.kill().await.unwrap_err();
            drop(cat().spawn().await.unwrap());
        });
        let mut tries = 0;
        while has_children() {
            tries += 1;
            assert!(tries < 10_000, "there are children left");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// PROC-4, PROC-13: a child that somebody else has waited for is asked for once, and never again by its number, which
/// may be another child's by then.
#[test]
fn a_child_that_is_gone_is_not_asked_for_by_number() {
    child::run("a_child_that_is_gone_is_not_asked_for_by_number", || {
        let _watchdog = watchdog(PATIENCE);
        run(async {
            let mut children = Vec::new();
            for _ in 0..2 {
                let gone = Command::new("true").process_group(0).spawn().await.unwrap();
                // SAFETY: no memory is involved.
                let told = unsafe { libc::waitpid(gone.id() as i32, std::ptr::null_mut(), 0) };
                assert_eq!(told, gone.id() as i32);
                children.push(gone);
            }
            let forgotten = |error: std::io::Error| error.to_string().contains("os error 10");
            let [first, other] = &mut children[..] else { unreachable!() };
            assert!(forgotten(first.wait().await.unwrap_err()));
            // Whoever asks the system once more is told something else.
            child::refuse_system_call(libc::SYS_wait4, libc::EDOM).unwrap();
            // The first time too it is this one that is asked for, and not the number.
            assert!(forgotten(other.try_wait().unwrap_err()));
            child::refuse_system_call(libc::SYS_waitid, libc::EDOM).unwrap();
            child::refuse_system_call(libc::SYS_pidfd_open, libc::EDOM).unwrap();
            child::refuse_system_call(libc::SYS_kill, libc::EDOM).unwrap();
            for gone in &mut children {
                assert!(forgotten(gone.try_wait().unwrap_err()));
                assert!(forgotten(gone.wait().await.unwrap_err()));
                for sent in [gone.signal(libc::SIGTERM), gone.signal_group(libc::SIGTERM)] {
                    let error = sent.unwrap_err().to_string();
                    assert!(error.contains("os error 3"), "{error}");
                }
                gone.start_kill().unwrap();
            }
        });
    });
}

/// PROC-4: to kill what has ended is no error, also if somebody else has waited for it and nobody knows of that yet;
/// and a signal to its group goes to no other that has the number now.
#[test]
fn a_child_that_is_gone_is_not_killed_by_number() {
    child::run("a_child_that_is_gone_is_not_killed_by_number", || {
        let _watchdog = watchdog(PATIENCE);
        run(async {
            let mut gone = Command::new("true").process_group(0).spawn().await.unwrap();
            // SAFETY: no memory is involved.
            let told = unsafe { libc::waitpid(gone.id() as i32, std::ptr::null_mut(), 0) };
            assert_eq!(told, gone.id() as i32);
            child::refuse_system_call(libc::SYS_kill, libc::EDOM).unwrap();
            let error = gone.signal_group(libc::SIGTERM).unwrap_err().to_string();
            assert!(error.contains("os error 3"), "{error}");
            gone.start_kill().unwrap();
            let error = gone.kill().await.unwrap_err().to_string();
            assert!(error.contains("os error 10"), "{error}");
        });
    });
}
