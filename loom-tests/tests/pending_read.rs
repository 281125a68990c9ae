//! The read that a stream keeps: pending x adopted x dropped x closed (`filch::half`, by way of the real
//! operation's cell).
#![cfg(filch_loom)]

mod kernel;
mod stream;
#[allow(dead_code, reason = "each model uses its part")]
mod waiting;

use filch::models::disposed;
use kernel::{Kernel, modelled};
use loom::thread;
use std::future::poll_fn;
use std::task::Poll;
use stream::with_a_pending_read;
use waiting::{Waiting, wait};

fn completed(kernel: &mut Kernel) {
    assert!(kernel.complete(|| 7), "it was pending");
}

/// The bytes come while one read is dropped and another begins: they go to that.
#[test]
fn bytes_of_a_dropped_read_go_to_the_next() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        let reader = thread::spawn({
            let stream = stream.clone();
            move || wait(modelled(stream.read()))
        });
        completed(&mut kernel);
        assert_eq!(reader.join().unwrap(), 7);
        assert_eq!(wait(modelled(stream.read())), 8, "what did not fit is there still");
        drop(stream);
        kernel.end();
        assert_eq!(disposed(), 0);
    });
}

/// Two readers wait for what comes at once: each has its part, whoever is first.
#[test]
fn two_readers_share_what_comes() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        let readers = [(); 2].map(|()| {
            let stream = stream.clone();
            thread::spawn(move || wait(modelled(stream.read())))
        });
        completed(&mut kernel);
        let mut bytes = readers.map(|reader| reader.join().unwrap());
        bytes.sort_unstable();
        assert_eq!(bytes, [7, 8]);
        drop(stream);
        kernel.end();
        assert_eq!(disposed(), 0);
    });
}

/// A reader that is dropped at whatever point leaves its turn and the bytes to another.
#[test]
fn a_reader_that_goes_leaves_its_turn() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        let goes = thread::spawn({
            let stream = stream.clone();
            move || match Waiting::new(modelled(stream.read())).poll() {
                Poll::Ready(byte) => Some(byte),
                Poll::Pending => None,
            }
        });
        let stays = thread::spawn({
            let stream = stream.clone();
            move || wait(modelled(stream.read()))
        });
        completed(&mut kernel);
        let (gone, stayed) = (goes.join().unwrap(), stays.join().unwrap());
        match gone {
            None => assert_eq!(stayed, 7),
            Some(gone) => assert_eq!(gone + stayed, 7 + 8),
        }
        drop(stream);
        kernel.end();
        assert_eq!(disposed(), 0);
    });
}

/// One that reads by polls has lent its operation to a future, which is dropped: it is woken all the same.
#[test]
fn who_polls_is_told_when_a_future_goes() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(true);
        let goes = thread::spawn({
            let stream = stream.clone();
            move || Waiting::new(modelled(stream.read())).poll()
        });
        let polls = thread::spawn({
            let stream = stream.clone();
            move || wait(modelled(poll_fn(|cx| stream.poll_read(cx))))
        });
        completed(&mut kernel);
        let polled = polls.join().unwrap();
        match goes.join().unwrap() {
            Poll::Pending => assert_eq!(polled, 7),
            Poll::Ready(read) => assert_eq!(read + polled, 7 + 8),
        }
        drop(stream);
        kernel.end();
        assert_eq!(disposed(), 0);
    });
}

/// The stream is closed while bytes come: they are disposed of once, or the read is cancelled.
#[test]
fn a_stream_that_closes_gives_its_read_up() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        let reader = thread::spawn({
            let stream = stream.clone();
            move || match Waiting::new(modelled(stream.read())).poll() {
                Poll::Ready(_) => 1,
                Poll::Pending => 0,
            }
        });
        let closer = thread::spawn(move || drop(stream));
        kernel.look();
        let came = usize::from(kernel.complete(|| 7));
        let taken = reader.join().unwrap();
        closer.join().unwrap();
        kernel.end();
        // Of what was taken the second byte goes with the stream.
        assert_eq!(taken + disposed(), came, "taken or disposed of, once");
    });
}

/// Nothing comes, and the stream is closed while somebody else polls its read: it is given up.
#[test]
fn a_stream_that_closes_waits_for_nothing() {
    loom::model(|| {
        let (stream, kernel) = with_a_pending_read(false);
        let reader = thread::spawn({
            let stream = stream.clone();
            move || assert!(Waiting::new(modelled(stream.read())).poll().is_pending())
        });
        drop(stream);
        reader.join().unwrap();
        kernel.end();
        assert_eq!(disposed(), 0);
    });
}
