//! What a stuck thread has not heard of: operations, and cancels, that lie in its inbox.

#[path = "support/stuck.rs"]
mod stuck;
mod support;

use filch_uring::{Config, Op, Position, Remote, SharedFd, op};
use std::io::{Read, Write};
use std::task::{Context, Poll, Wake, Waker};
use stuck::{Release, Stuck, poll_with, recv, stuck, wait_until};
use support::pair;

/// Polls an operation on a thread without a driver: it is sent to that of `remote`, or begun elsewhere.
fn sent<T: filch_uring::Operation>(op: &mut Op<T>, remote: &Remote) -> Poll<T::Output> {
    op.poll_or(&mut Context::from_waker(Waker::noop()), || Some(remote.clone()))
}

/// A write that is polled and then dropped runs to its end, also if a rescuer gave it back in between, for its
/// future to begin it elsewhere.
#[test]
fn a_write_that_is_given_back_and_dropped_is_written() {
    let release = Release::after(1);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let writer = SharedFd::new(writer.into());
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |_| (),
        |remote, ()| {
            let mut write = Op::new(op::Write::new(writer, "x", Position::Current));
            assert!(sent(&mut write, remote).is_pending());
            wait_until("it is given back", || remote.rescue().is_ok() && write.is_done());
            drop(write);
            release.clone().wake();
        },
        |_| (),
    );
    let mut written = String::new();
    reader.read_to_string(&mut written).expect("a pipe whose other end is closed");
    assert_eq!((written.as_str(), counts.completed), ("x", 1));
}

/// What was sent, and dropped before its thread heard of it, does not wait for that thread: its descriptor
/// closes. Nor does it take a signal.
#[test]
fn what_is_dropped_before_it_is_begun_is_disposed_of() {
    let release = Release::after(1);
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |_| (),
        |remote, ()| {
            let mut peers = Vec::new();
            for here in [false, true] {
                let (fd, peer) = pair();
                let recv = op::Recv::new(fd, Vec::with_capacity(16));
                if here {
                    let mut recv = Op::with_remote(recv, remote.clone());
                    assert!(support::poll(&mut recv).is_pending());
                } else {
                    assert!(sent(&mut Op::new(recv), remote).is_pending());
                }
                peers.push(peer);
            }
            assert_eq!(remote.rescue().expect("no signal"), 2);
            for mut peer in peers {
                peer.set_nonblocking(true).expect("a socket");
                assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
            }
            release.clone().wake();
        },
        |_| (),
    );
    assert_eq!((counts.signals_sent, counts.messages), (0, 0));
}

/// A signal that gained nothing makes signals rare, but only those for the same: a cancel that nobody can
/// help with, since its operation is in the inbox still, does not hold up a completion.
#[test]
fn what_nobody_can_help_with_holds_up_nothing_else() {
    let release = Release::after(1);
    let (fd, mut peer) = pair();
    stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |driver| {
            let mut op = recv(&fd);
            assert!(poll_with(&mut op, &release).is_pending());
            driver.turn().expect("the ring works");
            op
        },
        |remote, op| {
            let recv = op::Recv::new(fd.clone(), Vec::with_capacity(16));
            let mut early = Op::with_remote(recv, remote.clone());
            assert!(support::poll(&mut early).is_pending());
            early.cancel();
            let rescue = || {
                let before = remote.counts().signals_sent;
                remote.rescue().expect("it can be signalled");
                remote.counts().signals_sent - before
            };
            let mut without = 0;
            wait_until("patience", || {
                without = if rescue() == 0 { without + 1 } else { 0 };
                without > 4
            });
            peer.write_all(b"x").expect("it has room");
            // Or by an earlier signal, if that comes very late.
            assert!(rescue() > 0 || op.is_done(), "at once");
            wait_until("recv", || remote.rescue().is_ok() && op.is_done());
            drop(early);
        },
        |_| (),
    );
}
