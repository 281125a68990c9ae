//! Processes and pipes: wherever a future is dropped, no byte and no status is lost, and no child, descriptor or
//! thread stays (C1, PROC-2, PROC-6, PROC-7, PROC-8).

mod support;

use filch::io::{Read, pipe};
use filch::process::{Command, Stdio};
use filch_testkit::Cut;
use filch_testkit::leaks::has_children;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};
use support::asked::asked_everywhere;
use support::{Bytes, breathe, everywhere, pattern, read_some};

fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// Waits until this process has no children, waited for or not.
async fn no_children() {
    let mut tries = 0;
    while has_children() {
        tries += 1;
        assert!(tries < 20_000, "there are children left");
        filch::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

async fn starts_and_waits(cut: Cut) {
    cut.run(async {
        let mut child = sh("exit 3").spawn().await.expect("it starts");
        assert_eq!(child.wait().await.expect("it ends").code(), Some(3));
    })
    .await;
    no_children().await;
}

#[test]
fn a_child_of_nobody_is_reaped() {
    everywhere(3, starts_and_waits);
}

async fn starts_to_be_killed(cut: Cut) {
    // Whoever has it when it is dropped: nobody yet, the thread that starts it, or we.
    drop(cut.run(async { sh("exec sleep 1000").kill_on_drop(true).spawn().await }).await);
    no_children().await;
}

#[test]
fn a_start_that_nobody_wants_is_killed() {
    everywhere(2, starts_to_be_killed);
}

async fn waits_again(cut: Cut) {
    let mut command = sh("read line; exit 3");
    let mut child = command.stdin(Stdio::piped()).spawn().await.expect("it starts");
    let stdin = child.stdin.take().expect("it is a pipe");
    let child = Arc::new(filch::sync::Lock::new(child));
    let waiter = child.clone();
    let wait = async move {
        let mut child = waiter.lock().await;
        assert_eq!(child.wait().await.expect("it ends").code(), Some(3));
    };
    let go = async {
        breathe().await;
        stdin.write(b"\n").await.expect("it reads");
    };
    filch::join!(cut.run(wait), go);
    // Nobody has lost it.
    assert_eq!(child.lock().await.wait().await.expect("it ends").code(), Some(3));
    no_children().await;
}

#[test]
fn an_end_is_waited_for_again() {
    everywhere(3, waits_again);
}

async fn kills(cut: Cut) {
    let child = sh("exec sleep 1000").spawn().await.expect("it starts");
    let child = Arc::new(filch::sync::Lock::new(child));
    let killer = child.clone();
    let kill = async move { killer.lock().await.kill().await.expect("it may") };
    let done = cut.run(kill).await.is_some();
    let mut child = child.lock().await;
    if done {
        assert!(child.try_wait().expect("it knows").is_some());
    }
    child.kill().await.expect("it may");
    let status = child.wait().await.expect("it was killed");
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    no_children().await;
}

#[test]
fn a_kill_that_was_dropped_is_done_again() {
    everywhere(2, kills);
}

async fn outputs(cut: Cut) {
    let output = async {
        let mut command = sh("echo one; echo two >&2; read line; echo three");
        command.stdin(Stdio::null()).kill_on_drop(true).output().await
    };
    let output = cut.run(output).await;
    if let Some(output) = output {
        let output = output.expect("it starts");
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"one\nthree\n"[..], &b"two\n"[..]));
    }
    let mut command = sh("exit 6");
    assert_eq!(command.status().await.expect("it starts").code(), Some(6));
    no_children().await;
}

#[test]
fn an_output_that_nobody_wants_leaves_nothing() {
    everywhere(4, outputs);
}

async fn waits_with_output(cut: Cut) {
    let mut command = sh("echo one; echo two >&2; exit 4");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().await.expect("it starts");
    if let Some(output) = cut.run(child.wait_with_output()).await {
        let output = output.expect("it ends");
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"one\n"[..], &b"two\n"[..]));
        assert_eq!(output.status.code(), Some(4));
    }
    no_children().await;
}

#[test]
fn a_wait_for_output_that_is_dropped_leaves_nothing() {
    everywhere(3, waits_with_output);
}

async fn status(cut: Cut) {
    if let Some(status) = cut.run(async { sh("exit 9").status().await }).await {
        assert_eq!(status.expect("it starts").code(), Some(9));
    }
    no_children().await;
}

#[test]
fn a_status_that_nobody_wants_leaves_nothing() {
    everywhere(3, status);
}

async fn reads(cut: Cut) {
    let (from, to) = pipe().expect("a runtime");
    let (from, sent, got) = (Arc::new(from), pattern(0, 60), Bytes::default());
    let reader = {
        let (from, got) = (from.clone(), got.clone());
        async move {
            for size in [1, 8, 3] {
                read_some(&*from, size, &got).await;
            }
            let (read, buf) = from.read_owned(Vec::with_capacity(16)).await;
            got.add(&buf[..read.expect("it reads")]);
        }
    };
    let writer = async {
        for piece in sent.chunks(7) {
            breathe().await;
            assert_eq!(to.write(piece).await.expect("it fits"), piece.len());
        }
        to.finish().await.expect("it may");
    };
    filch::join!(cut.run(reader), writer);
    while read_some(&*from, 5, &got).await > 0 {}
    assert_eq!(got.take(), sent);
}

#[test]
fn a_pipe_loses_no_byte() {
    everywhere(5, reads);
}

async fn writes(cut: Cut) {
    let (from, to) = pipe().expect("a runtime");
    let (to, all) = (Arc::new(to), Arc::new(pattern(0, 300_000)));
    let acknowledged = Arc::new(Mutex::new(0));
    let writer = {
        let (to, all, acknowledged) = (to.clone(), all.clone(), acknowledged.clone());
        async move {
            let mut rest = &all[..];
            while !rest.is_empty() {
                let written = to.write(rest).await.expect("it is read");
                *acknowledged.lock().unwrap() += written;
                rest = &rest[written..];
            }
        }
    };
    let next = async {
        cut.run(writer).await;
        let settled = to.settle().await.expect("it is read");
        let known = *acknowledged.lock().unwrap() + settled;
        let rest = all[known..].to_vec();
        // Known to the byte, and so gone on with.
        to.write_all_owned(rest).await.0.expect("it is read");
        to.finish().await.expect("it may");
    };
    let reader = async {
        breathe().await;
        let (mut from, mut received) = (from, Vec::new());
        from.read_to_end(&mut received).await.expect("it reads");
        received
    };
    let ((), received) = filch::join!(next, reader);
    assert!(received == **all, "each byte once");
}

#[test]
fn what_a_dropped_write_has_written_is_known() {
    everywhere(4, writes);
}

async fn writes_to_a_child(cut: Cut) {
    let mut command = Command::new("cat");
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().await;
    let mut child = started.expect("it starts");
    let (to, mut from) =
        (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (to, all) = (Arc::new(to), Arc::new(pattern(0, 200_000)));
    let acknowledged = Arc::new(Mutex::new(0));
    let writer = {
        let (to, all, acknowledged) = (to.clone(), all.clone(), acknowledged.clone());
        async move {
            for _ in 0..2 {
                let known = *acknowledged.lock().unwrap();
                let written = to.write(&all[known..]).await.expect("it is read");
                *acknowledged.lock().unwrap() += written;
            }
        }
    };
    let next = async {
        cut.run(writer).await;
        let settled = to.settle().await.expect("it is read");
        let known = *acknowledged.lock().unwrap() + settled;
        to.write_all_owned(all[known..].to_vec()).await.0.expect("it is read");
        to.finish().await.expect("it may");
    };
    let mut received = Vec::new();
    let ((), read) = filch::join!(next, from.read_to_end(&mut received));
    read.expect("it reads");
    assert!(received == **all, "each byte once");
    assert!(child.wait().await.expect("it ends").success());
}

#[test]
fn what_a_dropped_write_to_a_child_has_written_is_known() {
    everywhere(2, writes_to_a_child);
}

async fn writes_owned(cut: Cut) {
    let is_asking = cut.is_asking();
    let (from, to) = pipe().expect("a runtime");
    let (to, all) = (Arc::new(to), pattern(0, 300_000));
    let writer = {
        let (to, all) = (to.clone(), all.clone());
        async move { to.write_all_owned(all).await.0.expect("it is read") }
    };
    let next = async {
        cut.run(writer).await;
        to.finish().await.expect("it may");
        assert_eq!(to.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        to.finish().await.expect("it is finished");
    };
    let reader = async {
        breathe().await;
        let (mut from, mut received) = (from, Vec::new());
        from.read_to_end(&mut received).await.expect("it reads");
        received
    };
    let ((), received) = filch::join!(next, reader);
    // One that was asked to end stops where it is.
    assert!(all.starts_with(&received), "each byte once");
    assert!(received.is_empty() || received == all || is_asking, "whole, once it has begun");
}

#[test]
fn a_write_that_has_its_buffer_goes_on() {
    everywhere(3, writes_owned);
}

async fn is_handed_on(cut: Cut) {
    let (from, to) = pipe().expect("a runtime");
    let (from, to) = (Arc::new(from), Arc::new(to));
    let reader = {
        let from = from.clone();
        async move { drop(from.read(&mut [0; 4]).await) }
    };
    cut.run(async {
        let nobody = filch::time::timeout(std::time::Duration::from_millis(2), reader);
        assert!(nobody.await.is_err());
    })
    .await;
    let to = Arc::into_inner(to).expect("nobody else has it").into_fd().await.expect("it is idle");
    let from = Arc::into_inner(from).expect("nobody else has it").into_fd().await;
    let (mut from, mut to) =
        (std::io::PipeReader::from(from.expect("nothing has come")), std::io::PipeWriter::from(to));
    std::io::Write::write_all(&mut to, b"on").expect("it fits");
    drop(to);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut from, &mut rest).expect("it reads");
    assert_eq!(rest, "on");
}

#[test]
fn a_pipe_is_handed_on_with_every_byte() {
    everywhere(2, is_handed_on);
}

/// C2, CANCEL-10.
#[test]
fn no_child_is_left_wherever_it_is_asked_to_end() {
    asked_everywhere(3, starts_and_waits);
    asked_everywhere(2, starts_to_be_killed);
    asked_everywhere(3, waits_again);
    asked_everywhere(2, kills);
    asked_everywhere(4, outputs);
    asked_everywhere(3, waits_with_output);
    asked_everywhere(3, status);
}

/// C2, CANCEL-10.
#[test]
fn no_byte_is_lost_wherever_it_is_asked_to_end() {
    asked_everywhere(5, reads);
    asked_everywhere(4, writes);
    asked_everywhere(2, writes_to_a_child);
    asked_everywhere(3, writes_owned);
    asked_everywhere(2, is_handed_on);
}
