//! Reading and writing without waiting, beside what others have left in flight (`filch::half`, by way of the real
//! operation's cell).
#![cfg(filch_loom)]

mod kernel;
mod stream;
#[allow(dead_code, reason = "each model uses its part")]
mod waiting;

use filch::models::{Sink, Stream, disposed};
use kernel::{Kernel, descriptor, modelled};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::future::poll_fn;
use stream::with_a_pending_read;
use waiting::{Waiting, wait};

/// The system's next byte: those of the read that is in flight come before.
const NEXT: u8 = 9;

/// Reads one byte, if it is there.
fn tried(stream: &Arc<Stream>) -> thread::JoinHandle<Option<u8>> {
    let stream = stream.clone();
    thread::spawn(move || stream.try_read(|| NEXT))
}

/// What is left: nothing is in flight any more.
fn rest(stream: &Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.last() != Some(&NEXT) {
        bytes.push(stream.try_read(|| NEXT).expect("nobody else reads"));
    }
    bytes
}

fn end(stream: Arc<Stream>, kernel: Kernel) {
    drop(stream);
    kernel.end();
    assert_eq!(disposed(), 0);
}

/// The bytes of the pending read come while somebody tries: they are before those that the system has.
#[test]
fn what_is_in_flight_comes_first() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        let tried = tried(&stream);
        assert!(kernel.complete(|| 7), "it was pending");
        let mut bytes: Vec<u8> = tried.join().unwrap().into_iter().collect();
        bytes.extend(rest(&stream));
        assert_eq!(bytes, [7, 8, NEXT]);
        end(stream, kernel);
    });
}

/// Two try at once: each byte goes to one of them.
#[test]
fn two_who_try_share_what_comes() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        let both = [tried(&stream), tried(&stream)];
        assert!(kernel.complete(|| 7), "it was pending");
        let mut bytes: Vec<u8> = both.into_iter().filter_map(|it| it.join().unwrap()).collect();
        bytes.extend(rest(&stream));
        bytes.sort_unstable();
        assert_eq!(bytes, [7, 8, NEXT]);
        end(stream, kernel);
    });
}

/// Who has waited until there is something, and is alone, finds it.
#[test]
fn who_waits_finds_something() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        let waits = thread::spawn({
            let stream = stream.clone();
            move || {
                wait(modelled(stream.readable()));
                stream.try_read(|| NEXT)
            }
        });
        assert!(kernel.complete(|| 7), "it was pending");
        assert_eq!(waits.join().unwrap(), Some(7));
        end(stream, kernel);
    });
}

/// One that reads by polls waits for what is in flight, and another tries: whoever of them takes it, the one that
/// polls hears of it.
#[test]
fn who_polls_hears_of_who_tries() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(true);
        let tried = tried(&stream);
        let polls = thread::spawn({
            let stream = stream.clone();
            move || wait(modelled(poll_fn(|cx| stream.poll_read(cx))))
        });
        assert!(kernel.complete(|| 7), "it was pending");
        let polled = polls.join().unwrap();
        match tried.join().unwrap() {
            None => assert_eq!(polled, 7),
            Some(tried) => assert_eq!(tried + polled, 7 + 8),
        }
        end(stream, kernel);
    });
}

/// The same beside one that waits until there is something, and goes.
#[test]
fn who_polls_hears_of_who_waited_and_went() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(true);
        let goes = thread::spawn({
            let stream = stream.clone();
            move || _ = Waiting::new(modelled(stream.readable())).poll()
        });
        let polls = thread::spawn({
            let stream = stream.clone();
            move || wait(modelled(poll_fn(|cx| stream.poll_read(cx))))
        });
        assert!(kernel.complete(|| 7), "it was pending");
        goes.join().unwrap();
        assert_eq!(polls.join().unwrap(), 7, "waiting takes nothing");
        end(stream, kernel);
    });
}

/// Calls of others are made in turn, and not beside a read that is under way.
#[test]
fn calls_have_the_turn() {
    loom::model(|| {
        let (stream, mut kernel) = with_a_pending_read(false);
        // loom finds two that touch it at once.
        let socket = Arc::new(UnsafeCell::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let call = |stream: &Stream, socket: &UnsafeCell<i32>, is_over: &AtomicBool| {
            stream.try_io(|| {
                assert!(is_over.load(Ordering::Relaxed), "a read is under way");
                // SAFETY: the socket is whose turn it is.
                socket.with_mut(|calls| unsafe { *calls += 1 });
            })
        };
        let others = [(); 2].map(|()| {
            let (stream, socket, is_over) = (stream.clone(), socket.clone(), is_over.clone());
            thread::spawn(move || {
                let taken = stream.try_read(|| NEXT);
                call(&stream, &socket, &is_over);
                taken
            })
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(kernel.complete(|| 7), "it was pending");
        let mut bytes: Vec<u8> = others.into_iter().filter_map(|it| it.join().unwrap()).collect();
        bytes.extend(rest(&stream));
        bytes.sort_unstable();
        assert_eq!(bytes, [7, 8, NEXT]);
        assert!(call(&stream, &socket, &is_over).is_some(), "nothing is in the way");
        end(stream, kernel);
    });
}

/// A write that was dropped is under way while somebody tries: nothing is sent before it is over.
#[test]
fn what_is_being_sent_comes_first() {
    loom::model(|| {
        let mut kernel = Kernel::new();
        let sink = Arc::new(Sink::new(descriptor().0, kernel.remote()));
        assert!(Waiting::new(modelled(sink.write(b"ab"))).poll().is_pending());
        kernel.look();
        let is_over = Arc::new(AtomicBool::new(false));
        let tried = thread::spawn({
            let (sink, is_over) = (sink.clone(), is_over.clone());
            move || sink.try_write(|| assert!(is_over.load(Ordering::Relaxed), "mixed"))
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(kernel.complete(|| 2), "it was pending");
        // These bytes are others: of the first ones nobody is told any more.
        let told = if tried.join().unwrap().is_some() { 0 } else { 2 };
        assert_eq!(wait(modelled(sink.settle())), told);
        assert!(sink.try_write(|| ()).is_some(), "nothing is in the way");
        drop(sink);
        kernel.end();
    });
}
