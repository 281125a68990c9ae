//! The accept that a listener keeps: adopted x dropped x the listener goes (`filch::net`, by way of the real
//! operation's cell). The connections are real descriptors.
#![cfg(filch_loom)]

mod kernel;
#[allow(dead_code, reason = "each model uses its part")]
mod waiting;

use filch::models::Listener;
use kernel::{Kernel, descriptor, modelled};
use loom::sync::Arc;
use loom::thread;
use std::io::{ErrorKind, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use waiting::{Waiting, wait};

/// A listener, and a kernel that has its first accept, which nobody waits for.
fn with_a_pending_accept() -> (Arc<Listener>, Kernel) {
    let mut kernel = Kernel::new();
    let listener = Arc::new(Listener::new(descriptor().0, kernel.remote()));
    assert!(Waiting::new(modelled(listener.accept())).poll().is_pending());
    kernel.look();
    (listener, kernel)
}

/// Whether the other end of a connection is closed.
fn is_closed(mut theirs: &UnixStream) -> bool {
    match theirs.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("it cannot be told: {error}"),
    }
}

/// A connection comes while one accept is gone and another begins: it goes to that.
#[test]
fn a_connection_goes_to_the_next_accept() {
    loom::model(|| {
        let (listener, mut kernel) = with_a_pending_accept();
        let accepts = thread::spawn({
            let listener = listener.clone();
            move || wait(modelled(listener.accept())).0
        });
        let (ours, theirs) = descriptor();
        assert!(kernel.complete(|| ours.into_raw_fd()), "it was pending");
        let accepted = accepts.join().unwrap();
        assert!(!is_closed(&theirs));
        drop(accepted);
        assert!(is_closed(&theirs), "the one that came");
        drop(listener);
        kernel.end();
    });
}

/// Of two that accept, one is dropped at whatever point: the other has the connection, if that one has not.
#[test]
fn an_accept_that_goes_leaves_its_turn() {
    loom::model(|| {
        let (listener, mut kernel) = with_a_pending_accept();
        let goes = thread::spawn({
            let listener = listener.clone();
            move || Waiting::new(modelled(listener.accept())).poll().is_ready()
        });
        let (ours, theirs) = descriptor();
        assert!(kernel.complete(|| ours.into_raw_fd()), "it was pending");
        if goes.join().unwrap() {
            assert!(is_closed(&theirs), "it was taken, and dropped");
        } else {
            drop(wait(modelled(listener.accept())));
            assert!(is_closed(&theirs));
        }
        drop(listener);
        kernel.end();
    });
}

/// The listener goes while a connection comes and somebody accepts: the connection is closed, whoever had it.
#[test]
fn a_listener_that_goes_closes_what_comes() {
    loom::model(|| {
        let (listener, mut kernel) = with_a_pending_accept();
        let accepts = thread::spawn({
            let listener = listener.clone();
            move || drop(Waiting::new(modelled(listener.accept())).poll())
        });
        let closes = thread::spawn(move || drop(listener));
        kernel.look();
        let mut came = None;
        kernel.complete(|| {
            let (ours, theirs) = descriptor();
            came = Some(theirs);
            ours.into_raw_fd()
        });
        accepts.join().unwrap();
        closes.join().unwrap();
        kernel.end();
        if let Some(theirs) = came {
            assert!(is_closed(&theirs), "left open, and nobody has it");
        }
    });
}
