//! Processes where something is missing or in the way: descriptors at every step, pidfds, a signal that is ignored, a
//! debugger, a number that is another's, a start that stands still.

use filch::Runtime;
use filch::io::{BufRead, BufReader};
use filch::process::{Command, Stdio};
use filch_testkit::leaks::{descriptors, has_children};
use filch_testkit::limits::watchdog;
use filch_testkit::{child, pass_on_skips, skip};
use futures_util::FutureExt;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;
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

/// Waits for the end of a process that is a child of this one, by its number.
fn wait_for(id: u32) -> ExitStatus {
    let mut status = 0;
    // SAFETY: there is room for a number.
    let told = unsafe { libc::waitpid(id as i32, &raw mut status, 0) };
    assert_eq!(told, id as i32, "{}", std::io::Error::last_os_error());
    ExitStatus::from_raw(status)
}

/// PROC-5, PROC-7, PROC-9: of a tree that is killed midway no process and no zombie stays, and all that it has written is
/// there.
#[test]
fn a_tree_that_is_killed_midway_leaves_its_output() {
    child::run("a_tree_that_is_killed_midway_leaves_its_output", || {
        let _watchdog = watchdog(PATIENCE);
        // Those whose parents end are this process's then, which can tell how they ended, and whether any is left.
        // SAFETY: plain numbers.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
        run(async {
            for _ in 0..3 {
                let script = "echo $$; sh -c 'echo $$; sh -c \"echo \\$\\$; \
                    head -c 50000 /dev/zero; echo all >&2; exec sleep 1000\" & wait' & wait";
                let mut tree = Command::new("/bin/sh");
                tree.args(["-c", script]).process_group(0);
                let mut tree = tree.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().await;
                let tree = tree.as_mut().unwrap();
                let mut said = BufReader::new(tree.stderr.take().unwrap()).lines();
                assert_eq!(said.next_line().await.unwrap().as_deref(), Some("all"));
                // Nothing has been read so far of what they have written.
                tree.signal_group(libc::SIGKILL).unwrap();
                let output = tree.stdout.take().unwrap();
                let mut output = BufReader::new(output);
                let mut ids = Vec::new();
                for _ in 0..3 {
                    let mut line = String::new();
                    output.read_line(&mut line).await.unwrap();
                    ids.push(line.trim_end().parse::<u32>().unwrap());
                }
                let mut rest = Vec::new();
                filch::io::Read::read_to_end(&mut output, &mut rest).await.unwrap();
                assert!(rest == vec![0; 50_000], "{} bytes", rest.len());
                assert_eq!(ids[0], tree.id());
                assert_eq!(tree.wait().await.unwrap().signal(), Some(libc::SIGKILL));
                for &id in &ids[1..] {
                    assert_eq!(wait_for(id).signal(), Some(libc::SIGKILL));
                }
                assert!(!has_children());
            }
        });
    });
}

/// PROC-2: a debugger hears first of the end of who it has; until it has, a wait goes on, also on an executor that is not
/// ours.
#[test]
fn an_end_that_a_debugger_hears_of_first_is_waited_for() {
    child::run("an_end_that_a_debugger_hears_of_first_is_waited_for", || {
        let _watchdog = watchdog(PATIENCE);
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let mut child = runtime.block_on(async { cat().spawn().await.unwrap() });
        let (mut is_ready, ready) = std::io::pipe().unwrap();
        let (wait, go) = std::io::pipe().unwrap();
        // SAFETY: the child does nothing but system calls.
        let debugger = unsafe { libc::fork() };
        assert_ne!(debugger, -1);
        if debugger == 0 {
            let (go, nothing) = (go.as_raw_fd(), std::ptr::null_mut::<libc::c_void>());
            // SAFETY: plain calls; there is room for a byte.
            unsafe {
                libc::close(go);
                let id = child.id() as libc::pid_t;
                let has_it = libc::ptrace(libc::PTRACE_SEIZE, id, nothing, nothing) == 0;
                let mut byte = u8::from(has_it);
                libc::write(ready.as_raw_fd(), (&raw const byte).cast(), 1);
                libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1);
                libc::_exit(0);
            }
        }
        drop(ready);
        let mut has_it = [0];
        is_ready.read_exact(&mut has_it).unwrap();
        if has_it == [0] {
            skip("no process may be debugged here");
        }
        child.start_kill().unwrap();
        smol::block_on(async {
            let mut end = std::pin::pin!(child.wait());
            if has_it == [1] {
                let later = smol::Timer::after(Duration::from_millis(20));
                let first = smol::future::or(async { Some(end.as_mut().await) }, async {
                    later.await;
                    None
                });
                assert!(first.await.is_none(), "the debugger has not asked");
            }
            drop(go);
            assert_eq!(end.await.unwrap().signal(), Some(libc::SIGKILL));
        });
        assert!(wait_for(debugger as u32).success());
    });
}

/// PROC-4, PROC-13: another process has the number of a child that somebody else has waited for. It gets no signal, and its
/// status is not taken away.
#[test]
fn a_number_that_another_has_by_now_is_left_alone() {
    const INSIDE: &str = "FILCH_NUMBERS_OF_ITS_OWN";
    let test = "a_number_that_another_has_by_now_is_left_alone";
    if std::env::var_os(INSIDE).is_none() {
        // Where nobody else takes one.
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--"]);
        unshare.arg(std::env::current_exe().unwrap());
        unshare.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
        let output = unshare.output();
        match output {
            Ok(output) if child::text(&output).contains("running 1 test") => {
                assert!(output.status.success(), "{}", child::text(&output));
                pass_on_skips(&output);
            }
            other => skip(format_args!("no numbers of its own to be had: {other:?}")),
        }
        return;
    }
    let _watchdog = watchdog(PATIENCE);
    run(async {
        let start = || async {
            let mut command = Command::new("true");
            command.process_group(0).kill_on_drop(true).spawn().await.unwrap()
        };
        // One that nobody asks for before the number is another's, and one that is.
        for is_asked_for in [false, true] {
            let mut gone = start().await;
            assert!(wait_for(gone.id()).success());
            if is_asked_for {
                gone.try_wait().unwrap_err();
            }
            let mut other = loop {
                let last = (gone.id() - 1).to_string();
                if let Err(error) = std::fs::write("/proc/sys/kernel/ns_last_pid", last) {
                    return skip(format_args!("numbers cannot be chosen: {error}"));
                }
                let mut other = std::process::Command::new("sleep");
                let mut other = other.arg("1000").process_group(0).spawn().unwrap();
                if other.id() == gone.id() {
                    break other;
                }
                other.kill().unwrap();
                other.wait().unwrap();
            };
            for sent in [gone.signal(libc::SIGKILL), gone.signal_group(libc::SIGKILL)] {
                assert!(sent.unwrap_err().to_string().contains("os error 3"));
            }
            gone.start_kill().unwrap();
            assert_eq!(other.try_wait().unwrap(), None);
            if is_asked_for {
                let error = gone.wait().await.unwrap_err().to_string();
                assert!(error.contains("os error 10"), "{error}");
            }
            drop(gone);
            assert_eq!(other.try_wait().unwrap(), None);
            // It ends by us, and so we are told.
            other.kill().unwrap();
            assert_eq!(other.wait().unwrap().signal(), Some(libc::SIGKILL));
        }
    });
}

/// PROC-1: a start that was dropped stands still in its midst. What is set then is set at once, and for the next start.
#[test]
fn a_command_is_set_while_a_dropped_start_stands_still() {
    let _watchdog = watchdog(PATIENCE);
    run(async {
        let (mut has_begun, begins) = std::io::pipe().unwrap();
        let (wait, mut go) = std::io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $NAME $0"]);
        let stand_still = move || {
            let mut byte = 0u8;
            // SAFETY: there is room for a byte.
            unsafe {
                libc::write(begins.as_raw_fd(), (&raw const byte).cast(), 1);
                libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1);
            }
            Ok(())
        };
        // SAFETY: those calls are fine there.
        unsafe { command.env("NAME", "one").pre_exec(stand_still) };
        let mut start = Box::pin(command.output());
        assert!((&mut start).now_or_never().is_none());
        has_begun.read_exact(&mut [0]).unwrap();
        drop(start);
        // None of this waits.
        command.env("NAME", "two").arg("zero").current_dir("/");
        assert_eq!(format!("{command:?}"), "a command that is being started");
        let mut given_up = Box::pin(command.output());
        assert!((&mut given_up).now_or_never().is_none());
        drop(given_up);
        command.env("NAME", "three");
        go.write_all(&[0; 2]).unwrap();
        assert_eq!(command.output().await.unwrap().stdout, b"three zero\n");
        has_begun.read_exact(&mut [0]).unwrap();
        assert!(format!("{command:?}").contains("three"));
        // The one that was given up before it had its turn has not begun, or there would be a third.
        drop(command);
        assert_eq!(has_begun.read(&mut [0]).unwrap(), 0);
    });
}

/// The time slice of a process, or of this thread, in nanoseconds; 0 where there is no such thing.
fn slice_of(id: u32) -> u64 {
    // SAFETY: all zeroes is a value of it.
    let mut attributes = unsafe { std::mem::zeroed::<libc::sched_attr>() };
    let (size, call) = (size_of::<libc::sched_attr>(), libc::SYS_sched_getattr);
    // SAFETY: it writes to a whole `sched_attr`, whose size it is told.
    assert_eq!(unsafe { libc::syscall(call, id, &raw mut attributes, size, 0) }, 0);
    attributes.sched_runtime
}

/// PROC-11: a worker's short time slices are not a child's, whoever starts it; and the worker keeps them.
#[test]
fn a_child_has_the_slice_that_the_program_was_given() {
    let given = slice_of(0);
    if given == 0 {
        return skip("this kernel has no slices of a thread's own");
    }
    let _watchdog = watchdog(PATIENCE);
    run(async move {
        let worker = slice_of(0);
        assert_ne!(worker, given, "a worker asks for another");
        let inherited = filch::spawn_blocking(|| slice_of(0)).await.unwrap();
        assert_eq!(inherited, worker, "threads have that, too");
        let mut copies = Command::new("cat");
        // SAFETY: it does nothing. With it the child is made by a fork.
        unsafe { copies.pre_exec(|| Ok(())) };
        for mut command in [Command::new("cat"), copies] {
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            let children = [command.spawn().await.unwrap(), command.spawn_here().unwrap()];
            for mut child in children {
                assert_eq!(slice_of(child.id()), given);
                assert!(child.wait().await.unwrap().success());
            }
            assert_eq!(slice_of(0), worker);
        }
    });
}
