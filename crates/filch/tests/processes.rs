//! Processes: what `docs/semantics.md` promises of them.

mod support;

use filch::io::{BufRead, BufReader, Failed, Read, Write};
use filch::process::{Child, Command, Stdio};
use filch::time::sleep;
use filch_testkit::leaks::{Before, descriptors, has_children};
use filch_testkit::limits::{Alone, alone};
use filch_testkit::skip;
use futures_util::FutureExt;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::time::Duration;
use support::{PATIENCE, pattern, runtime, watched};

/// Runs as the only test, in a runtime with two workers, and finds no child, descriptor or thread left.
fn tidy(test: impl Future<Output = ()> + Send + 'static) {
    let _alone: Alone = alone(PATIENCE);
    let before = Before::now("filch");
    let runtime = runtime(2);
    let task = runtime.handle().spawn(test);
    runtime.block_on(task).expect("it does not panic");
    drop(runtime);
    no_children();
    before.check();
}

/// Waits until this process has no children, running or not waited for.
fn no_children() {
    let mut tries = 0;
    while has_children() {
        tries += 1;
        assert!(tries < 20_000, "there are children left");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

fn exists(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

async fn until_gone(id: u32) {
    let mut tries = 0;
    while exists(id) {
        tries += 1;
        assert!(tries < 20_000, "process {id} is still there");
        sleep(Duration::from_millis(1)).await;
    }
}

/// PROC-9, PROC-11: what the standard library says of the same program.
#[test]
fn it_is_as_the_standard_library_has_it() {
    tidy(async {
        let scripts = [
            "true",
            "exit 3",
            "echo out; echo err >&2; exit 1",
            "kill -TERM $$",
            "kill -KILL $$",
            "cat",
            "printf 'no end of line'",
            "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2",
            "echo $0 $1; pwd; echo ${FILCH_ONE-unset} ${HOME-unset}",
            "exec >&-; exec 2>&-; exit 7",
        ];
        for script in scripts {
            for (clear, directory) in [(false, "/"), (true, "/tmp")] {
                let set = |command: &mut std::process::Command| {
                    command.args(["-c", script, "zero", "one"]).current_dir(directory);
                    if clear {
                        command.env_clear().env("PATH", "/usr/bin:/bin").env("FILCH_ONE", "1");
                    }
                };
                let mut theirs = std::process::Command::new("/bin/sh");
                set(&mut theirs);
                let mut ours = std::process::Command::new("/bin/sh");
                set(&mut ours);
                let mut ours = Command::from(ours);
                // Twice: it can be used again.
                for _ in 0..2 {
                    let (theirs, ours) = (theirs.output().unwrap(), ours.output().await.unwrap());
                    assert_eq!(ours, theirs, "{script}");
                }
            }
        }
        for code in [0, 1, 255] {
            let status = sh(&format!("exit {code}")).status().await.unwrap();
            assert_eq!(status.code(), Some(code));
        }
        let mut named = Command::new("/bin/sh");
        let named = named.arg0("another name").args(["-c", "echo $0"]).output().await.unwrap();
        assert_eq!(named.stdout, b"another name\n");
        assert_eq!(format!("{:?}", Command::new("a").arg("b c")), r#""a" "b c""#);
    });
}

/// PROC-1: nothing was started, and the error says of what.
#[test]
fn what_cannot_be_started_is_named() {
    tidy(async {
        let error = Command::new("no-such-program").spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().starts_with("cannot start no-such-program: "), "{error}");
        let system = error.get_ref().unwrap().downcast_ref::<Failed>().unwrap().system();
        assert_eq!(system.raw_os_error(), Some(libc::ENOENT));

        let error = Command::new("/etc/passwd").output().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().starts_with("cannot start /etc/passwd: "), "{error}");

        let error = sh("true").current_dir("/no/such").status().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().starts_with("cannot start /bin/sh in /no/such: "), "{error}");

        let error = Command::new("true").arg("x".repeat(4 << 20)).spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentListTooLong);
        assert!(error.to_string().starts_with("cannot start true: "), "{error}");

        let error = Command::new("tr\0ue").spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);

        let mut refuses = sh("true");
        // SAFETY: it makes a number.
        unsafe { refuses.pre_exec(|| Err(std::io::Error::from_raw_os_error(libc::EDOM))) };
        let error = refuses.spawn_here().unwrap_err();
        let system = error.get_ref().unwrap().downcast_ref::<Failed>().unwrap().system();
        assert_eq!(system.raw_os_error(), Some(libc::EDOM));
    });
    let error = sh("true").spawn_here().unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}

/// PROC-1: who has given up before it began has started nothing.
#[test]
fn a_start_that_is_given_up_does_not_begin() {
    let _alone = alone(PATIENCE);
    let path = support::temp("given-up");
    let runtime = watched(1).max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = filch::spawn_blocking(move || wait.recv().unwrap_err());
        let mut touch = Command::new("touch");
        let mut start = Box::pin(touch.arg(&path).spawn());
        assert!((&mut start).now_or_never().is_none());
        drop(start);
        drop(go);
        busy.await.unwrap();
        assert!(sh("true").status().await.unwrap().success());
        assert!(!path.exists());
        // It can still be started.
        assert!(touch.status().await.unwrap().success());
        std::fs::remove_file(&path).unwrap();
    });
    drop(runtime);
    no_children();
}

/// PROC-1: starts that find no thread in their runtime hold up nobody in another.
#[test]
fn each_runtime_starts_its_own() {
    let _alone = alone(PATIENCE);
    let (busy, other) =
        (watched(1).max_blocking_threads(1).build().unwrap(), watched(1).build().unwrap());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let blocks = busy.handle().spawn_blocking(move || wait.recv().unwrap_err());
    let mut commands: Vec<_> = (0..40).map(|_| Command::new("true")).collect();
    let mut starts: Vec<_> = commands.iter_mut().map(|true_| Box::pin(true_.status())).collect();
    busy.block_on(async {
        for start in &mut starts {
            assert!(start.now_or_never().is_none(), "its only thread is not free");
        }
    });
    assert!(other.block_on(sh("true").status()).unwrap().success());
    drop(go);
    busy.block_on(async {
        for start in starts {
            assert!(start.await.unwrap().success());
        }
        blocks.await.unwrap();
    });
    drop((busy, other));
    no_children();
}

/// PROC-1: what is set for a start that was dropped is there for the next one, and each has what was set for it.
#[test]
fn each_start_has_what_was_set_before_it() {
    tidy(async {
        let mut shard = sh("echo $SHARD");
        for number in 0..3 {
            shard.env("SHARD", "none");
            let mut dropped = Box::pin(shard.output());
            assert!((&mut dropped).now_or_never().is_none());
            drop(dropped);
            let output = shard.env("SHARD", number.to_string()).output().await.unwrap();
            assert_eq!(output.stdout, format!("{number}\n").into_bytes());
        }
        // Whether it is a pipe, too.
        drop(shard.spawn());
        let mut child = shard.stdout(Stdio::piped()).spawn().await.unwrap();
        let mut line = String::new();
        child.stdout.take().unwrap().read_to_string(&mut line).await.unwrap();
        assert_eq!(line, "2\n");
        assert!(child.wait().await.unwrap().success());
    });
}

/// PROC-2, PROC-3: the status is kept, and the input closed.
#[test]
fn the_end_is_told_as_often_as_it_is_asked_for() {
    tidy(async {
        let mut child = sh("cat; exit 5").stdin(Stdio::piped()).spawn().await.unwrap();
        assert!(exists(child.id()));
        assert_eq!(child.try_wait().unwrap(), None);
        for _ in 0..2 {
            assert_eq!(child.wait().await.unwrap().code(), Some(5));
            assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(5));
        }
        assert!(child.stdin.is_none());
        assert!(!exists(child.id()), "it was waited for");
        let error = child.signal(libc::SIGTERM).unwrap_err();
        let system = error.get_ref().unwrap().downcast_ref::<Failed>().unwrap().system();
        assert_eq!(system.raw_os_error(), Some(libc::ESRCH));
        assert!(child.signal_group(libc::SIGTERM).is_err());
        child.kill().await.unwrap();
        child.start_kill().unwrap();
    });
}

/// PROC-4: signals.
#[test]
fn a_child_may_be_signalled_and_killed() {
    tidy(async {
        let mut child = sh("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
        let mut child = child.stdout(Stdio::piped()).spawn().await.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
        child.signal(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(9));

        let mut child = sh("exec sleep 1000").spawn().await.unwrap();
        assert!(child.signal(12345).is_err(), "there is no such signal");
        child.kill().await.unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGKILL));

        // It has ended, and nobody has waited for it: there is nothing to be killed, and that is no error.
        let mut child = sh("exit 1").stdout(Stdio::piped()).spawn().await.unwrap();
        child.stdout.take().unwrap().read_to_string(&mut String::new()).await.unwrap();
        child.start_kill().unwrap();
        child.kill().await.unwrap();
    });
}

/// Starts a tree: a child, its child, and the child of that. Gives the numbers of those two.
async fn tree(kill_on_drop: bool) -> (Child, [u32; 2]) {
    let mut command = sh("sh -c 'sleep 1000 & echo $$ $!; wait' & wait");
    command.process_group(0).kill_on_drop(kill_on_drop).stdout(Stdio::piped());
    let mut child = command.spawn().await.unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let mut ids = line.split(' ').map(|id| id.parse().unwrap());
    let ids = [ids.next().unwrap(), ids.next().unwrap()];
    assert!(exists(ids[0]) && exists(ids[1]));
    (child, ids)
}

/// Whether it runs; in a container nobody may ask how it went with a process whose parent is gone.
fn runs(id: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'),
        Err(_) => false,
    }
}

async fn until_stopped(ids: [u32; 2]) {
    let mut tries = 0;
    while ids.into_iter().any(runs) {
        tries += 1;
        assert!(tries < 20_000, "they still run");
        sleep(Duration::from_millis(1)).await;
    }
}

/// PROC-5: a tree goes as a whole, midway.
#[test]
fn a_tree_is_killed_as_a_group() {
    tidy(async {
        let (mut child, ids) = tree(false).await;
        child.signal_group(libc::SIGKILL).unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGKILL));
        until_stopped(ids).await;
    });
}

/// PROC-6: a child that is dropped goes on; or it is killed, and it alone.
#[test]
fn a_dropped_child_goes_on_or_is_killed() {
    tidy(async {
        let mut command = sh("read line; exit 0");
        let mut child = command.stdin(Stdio::piped()).spawn().await.unwrap();
        let (id, stdin) = (child.id(), child.stdin.take().unwrap());
        drop(child);
        sleep(Duration::from_millis(20)).await;
        assert!(runs(id));
        stdin.write(b"\n").await.unwrap();
        until_gone(id).await;

        let mut child = command.kill_on_drop(true).spawn().await.unwrap();
        let (id, _stdin) = (child.id(), child.stdin.take());
        drop(child);
        until_gone(id).await;

        let (child, ids) = tree(true).await;
        let id = child.id();
        drop(child);
        until_gone(id).await;
        assert!(ids.into_iter().all(runs));
        for id in ids {
            // SAFETY: plain numbers; nobody has waited for these, and they run.
            assert_eq!(unsafe { libc::kill(id as libc::pid_t, libc::SIGKILL) }, 0);
        }
        until_stopped(ids).await;
    });
}

/// PROC-7: thousands of children, waited for and not, and none is left.
#[test]
fn thousands_of_children_leave_nothing() {
    tidy(async {
        let start = || async { Command::new("/bin/true").spawn().await };
        for round in 0..30 {
            let children: Vec<_> = (0..50).map(|_| filch::spawn(start())).collect();
            let mut last = 0;
            for (number, child) in children.into_iter().enumerate() {
                let mut child = child.await.unwrap().unwrap();
                last = child.id();
                match number % 3 {
                    0 => assert!(child.wait().await.unwrap().success()),
                    1 => drop(child),
                    _ => child.start_kill().unwrap(),
                }
            }
            if round % 10 == 0 {
                until_gone(last).await;
            }
        }
    });
}

/// PROC-7, PROC-12: a child may outlive its runtime, and leaves nothing behind either.
#[test]
fn a_child_outlives_its_runtime() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    let runtime = runtime(1);
    let (to_us, from_it) = std::sync::mpsc::channel();
    runtime.handle().spawn(async move {
        let mut child = sh("read line").stdin(Stdio::piped()).spawn().await.unwrap();
        let stdin = child.stdin.take().unwrap().into_fd().await.unwrap();
        to_us.send((child.id(), stdin)).unwrap();
        child.wait().await
    });
    let (id, stdin) = from_it.recv().unwrap();
    drop(runtime);
    assert!(runs(id), "a runtime ends no process");
    drop(stdin);
    no_children();
    before.check();
}

/// PROC-8: hundreds of megabytes there and back, each byte in its place.
#[test]
fn hundreds_of_megabytes_go_through_a_child() {
    tidy(async {
        const PIECE: usize = 1 << 20;
        const PIECES: usize = 256;
        let mut cat = Command::new("cat");
        let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().await.unwrap();
        let (to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let writer = filch::spawn(async move {
            let mut piece = pattern(0, PIECE);
            for number in 0..PIECES {
                piece[..8].copy_from_slice(&number.to_le_bytes());
                let (written, back) = to.write_all_owned(piece).await;
                written.unwrap();
                piece = back;
            }
            to.finish().await.unwrap();
            assert_eq!(to.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
        let (mut piece, mut expected) = (vec![0; PIECE], pattern(0, PIECE));
        for number in 0..PIECES {
            from.read_exact(&mut piece).await.unwrap();
            expected[..8].copy_from_slice(&number.to_le_bytes());
            assert!(piece == expected, "piece {number}");
        }
        assert_eq!(from.read(&mut piece).await.unwrap(), 0);
        writer.await.unwrap();
        assert!(child.wait().await.unwrap().success());
    });
}

/// PROC-9: what is written to both at once, by `sha256sum` and by us.
#[test]
fn both_outputs_are_read_to_their_ends() {
    tidy(async {
        let script = "for i in 1 2 3 4; do head -c 20000000 /dev/zero | tr '\\0' $i; \
                      head -c 10000000 /dev/zero | tr '\\0' $i >&2; done";
        let output = sh(script).output().await.unwrap();
        assert!(output.status.success());
        let all = |each: usize| [b'1', b'2', b'3', b'4'].map(|byte| vec![byte; each]).concat();
        assert!(output.stdout == all(20_000_000) && output.stderr == all(10_000_000));
    });
}

/// PROC-8: children that do not read, and those that close.
#[test]
fn children_that_do_not_listen() {
    tidy(async {
        // It never reads: the write waits, and is given up with the pipe.
        let mut sleeps = Command::new("sleep");
        sleeps.arg("1000").stdin(Stdio::piped()).kill_on_drop(true);
        let mut child = sleeps.spawn().await.unwrap();
        let stdin = child.stdin.take().unwrap();
        let much = vec![7; 1 << 20];
        let short = Duration::from_millis(20);
        assert!(filch::time::timeout(short, (&stdin).write_all(&much)).await.is_err());
        drop(stdin);
        child.kill().await.unwrap();

        // It closes its input at once.
        let mut closes = sh("exec <&-; echo closed; exec sleep 1000");
        closes.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = closes.spawn().await.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("closed"));
        let mut stdin = child.stdin.take().unwrap();
        let error = stdin.write_all(&much).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        child.kill().await.unwrap();

        // It closes its output, and goes on.
        let mut closes = sh("exec >&-; read line; exit 4");
        closes.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = closes.spawn().await.unwrap();
        let mut stdout = child.stdout.take().unwrap();
        assert_eq!(stdout.read_to_string(&mut String::new()).await.unwrap(), 0);
        assert_eq!(child.wait().await.unwrap().code(), Some(4));

        // Its output is closed by us.
        let mut yes = Command::new("yes");
        let mut child = yes.stdout(Stdio::piped()).spawn().await.unwrap();
        let stdout = child.stdout.take().unwrap();
        assert_eq!(stdout.read(&mut [0; 4]).await.unwrap(), 4);
        drop(stdout);
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGPIPE));
    });
}

/// Whether every process that is started gets that descriptor.
fn is_inherited(fd: i32) -> bool {
    // SAFETY: a plain number.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    // One that was listed and is closed by now, as that of a completed operation, is nobody's.
    flags != -1 && flags & libc::FD_CLOEXEC == 0
}

/// Those that every process gets.
fn inherited() -> Vec<i32> {
    descriptors().into_keys().filter(|&fd| is_inherited(fd)).collect()
}

/// PROC-10: a child has what it was given, and nothing else of ours, whatever is open.
#[test]
fn nothing_is_inherited_that_was_not_given() {
    use filch::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
    let _alone = alone(PATIENCE);
    // Whoever started this test may have left something open for everybody.
    let (all_before, before) = (descriptors().len(), inherited());
    let runtime = runtime(2);
    runtime.block_on(async {
        let pipe = filch::io::pipe().unwrap();
        let pair = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = filch::try_join!(TcpStream::connect(address), listener.accept()).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let file = filch::fs::File::open("/dev/null").await.unwrap();
        let directory = filch::fs::read_dir("/").await.unwrap();
        let signals = filch::signal::signal(filch::signal::SignalKind::window_change()).unwrap();
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let cat = cat.spawn().await.unwrap();
        // One that the reaper has, and so what the reaper has.
        let mut orphan = Command::new("cat").stdin(Stdio::piped()).spawn().await.unwrap();
        let keeps_it = orphan.stdin.take();
        drop(orphan);
        assert!(descriptors().len() >= all_before + 15, "{:?}", descriptors());
        assert_eq!(inherited(), before, "{:?}", descriptors());
        // The same as a child has it, that was started by a fork.
        let mut sees = sh("for fd in /proc/$$/fd/*; do [ -L $fd ] && echo ${fd##*/}; done; true");
        // SAFETY: it does nothing.
        unsafe { sees.pre_exec(|| Ok(())) };
        let seen = String::from_utf8(sees.output().await.unwrap().stdout).unwrap();
        let mut seen: Vec<i32> = seen.lines().map(|fd| fd.parse().unwrap()).collect();
        seen.sort_unstable();
        let mut given = [&[0, 1, 2], &before[..]].concat();
        given.sort_unstable();
        given.dedup();
        assert_eq!(seen, given);
        drop((pipe, pair, listener, near, far, datagrams, file, directory, signals, cat));
        drop(keeps_it);
        // One that would be found.
        // SAFETY: plain numbers.
        let open_to_all = unsafe { libc::fcntl(2, libc::F_DUPFD, 3) };
        assert!(inherited().contains(&open_to_all) && !before.contains(&open_to_all));
        // SAFETY: it is the test's own.
        assert_eq!(unsafe { libc::close(open_to_all) }, 0);
    });
    drop(runtime);
    no_children();
}

/// PROC-13: children of others are left alone, and where others do not, that is told.
#[test]
fn children_of_others() {
    tidy(async {
        let mut theirs = std::process::Command::new("true").spawn().unwrap();
        drop(sh("exit 0").spawn().await.unwrap());
        assert!(sh("exit 0").status().await.unwrap().success());
        assert!(theirs.wait().unwrap().success(), "nobody else has waited for it");

        let mut ours = sh("exit 0").spawn().await.unwrap();
        // SAFETY: no memory is involved.
        unsafe { libc::waitpid(ours.id() as libc::pid_t, std::ptr::null_mut(), 0) };
        for _ in 0..2 {
            let error = ours.wait().await.unwrap_err();
            let system = error.get_ref().unwrap().downcast_ref::<Failed>().unwrap().system();
            assert_eq!(system.raw_os_error(), Some(libc::ECHILD));
        }
        assert!(ours.signal(libc::SIGTERM).is_err());
        ours.start_kill().unwrap();
    });
}

/// PROC-11: who runs it, and what is set by way of the standard library.
#[test]
fn everything_of_the_standard_library_is_there() {
    tidy(async {
        let mut command = sh("id -u; id -g; umask");
        // SAFETY: it only tells.
        if unsafe { libc::geteuid() } == 0 {
            command.uid(65534).gid(65534);
            let mask = || {
                // SAFETY: a number.
                unsafe { libc::umask(0o27) };
                Ok(())
            };
            // SAFETY: that call is fine there.
            unsafe { command.pre_exec(mask) };
            let output = command.output().await.unwrap();
            assert_eq!(output.stdout, b"65534\n65534\n0027\n");
        } else {
            skip("only root may run something as somebody else");
        }
        let mut command = Command::new("/bin/sh");
        command.with_std(|command| command.args(["-c", "echo $A"]).envs([("A", "b")]).arg0("x"));
        assert_eq!(command.output().await.unwrap().stdout, b"b\n");
    });
}
