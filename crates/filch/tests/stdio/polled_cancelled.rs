//! Polls of which one takes away, or gives up, what another waits for: who is woken for that, and who is not.

use crate::kit::{
    Count, Gate, InPlace, counting, full_device, in_child, pause, pipe, run, set_nonblocking,
    take_sum, terminal, until,
};
use crate::support::{TempFile, watched};
use filch::io::{Stdout, stdout};
use filch::{cancellable, is_cancelled, shielded};
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Polls a write once.
fn write(to: &mut Stdout, waker: &Waker, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
    Pin::new(to).poll_write(&mut Context::from_waker(waker), bytes)
}

/// Polls a flush once.
fn flush(waker: &Waker) -> Poll<std::io::Result<()>> {
    AsyncWrite::poll_flush(Pin::new(&mut stdout()), &mut Context::from_waker(waker))
}

/// Runs a future in a scope that is cancelled already, and lasts until the future is ready. It waits only where it is
/// shielded.
async fn in_cancelled<F>(body: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    let (begun, has_begun) = mpsc::channel();
    let task = filch::spawn(async move {
        begun.send(()).unwrap();
        while !is_cancelled() {
            thread::yield_now();
        }
        cancellable(body).await.expect("it is shielded where it waits")
    });
    has_begun.recv().unwrap();
    task.cancel();
    task.await.unwrap()
}

/// STDIO-11, STDIO-12
#[test]
fn two_that_are_cancelled_do_not_wake_each_other() {
    in_child("polled_cancelled::two_that_are_cancelled_do_not_wake_each_other", || {
        let temp = TempFile::new("stdout", b"");
        let _in_place = InPlace::of(1, File::create(&temp.0).unwrap());
        run(2, async {
            let ((one_count, one_waker), (other_count, other_waker)) = (counting(), counting());
            let counts = [one_count.clone(), other_count.clone()];
            let own = in_cancelled(async move {
                let (mut one, mut other) = (stdout(), stdout());
                for _ in 0..5 {
                    assert!(write(&mut one, &one_waker, b"never").is_pending());
                    assert!(write(&mut other, &other_waker, b"not either").is_pending());
                }
                assert_eq!(counts.map(|count| count.woken()), [0, 0]);
                (one, other)
            });
            let (mut one, mut other) = own.await;
            // Not lost: they are when the scope is over.
            until(&one_count, 1).await;
            until(&other_count, 1).await;
            AsyncWriteExt::write_all(&mut one, b"now ").await.unwrap();
            AsyncWriteExt::write_all(&mut other, b"and then").await.unwrap();
        });
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"now and then");
    });
}

/// STDIO-11, STDIO-12
#[test]
fn who_was_refused_is_woken_by_who_takes_that_away_and_is_not() {
    let name = "polled_cancelled::who_was_refused_is_woken_by_who_takes_that_away_and_is_not";
    in_child(name, || {
        let temp = TempFile::new("stdout", b"");
        for is_file in [false, true] {
            let (_from, to) = pipe();
            let _in_place = match is_file {
                true => InPlace::of(1, File::create(&temp.0).unwrap()),
                false => InPlace::of(1, &to),
            };
            run(
                2,
                in_cancelled(async {
                    let (mut own, (count, waker)) = (stdout(), counting());
                    let mut refused = || assert!(write(&mut own, &waker, b"never").is_pending());
                    refused();
                    assert_eq!(count.woken(), 0);
                    // A flush begins nothing, wherever it is.
                    assert!(flush(Waker::noop()).is_ready());
                    assert_eq!(count.woken(), 1);
                    refused();
                    shielded(async { assert!(flush(Waker::noop()).is_ready()) }).await;
                    assert_eq!(count.woken(), 2);
                    refused();
                    shielded(async {
                        AsyncWriteExt::write_all(&mut stdout(), b"x").await.unwrap()
                    })
                    .await;
                    assert!(count.woken() > 2);
                }),
            );
        }
    });
}

/// A write of `bytes` that waits in the ring for room, of which it has found too little.
async fn wait_for_room(own: &mut Stdout, bytes: &[u8]) -> Arc<Count> {
    let (count, waker) = counting();
    let gate = Gate::new();
    assert!(write(own, &waker, bytes).is_pending());
    gate.open();
    until(&count, 1).await;
    assert!(write(own, &waker, bytes).is_pending());
    count
}

/// STDIO-1, STDIO-12
#[test]
fn who_waits_is_woken_when_that_is_given_up() {
    in_child("polled_cancelled::who_waits_is_woken_when_that_is_given_up", || {
        let (device, temp) = (full_device(), TempFile::new("stdout", b""));
        let _before = InPlace::of(1, &device);
        let main = async {
            let (mut own, one) = (stdout(), 1u64.to_ne_bytes());
            let count = wait_for_room(&mut own, &one).await;
            pause().await;
            assert_eq!(count.woken(), 1);
            let in_place = InPlace::of(1, File::create(&temp.0).unwrap());
            assert!(flush(Waker::noop()).is_ready());
            assert_eq!(count.woken(), 2);
            // Nothing of it was written: it begins anew.
            AsyncWriteExt::write_all(&mut own, &one).await.unwrap();
            drop(in_place);
            assert_eq!(std::fs::read(&temp.0).unwrap(), one);
            assert_eq!(take_sum(&device), u64::MAX - 1);
        };
        watched(1).max_blocking_threads(1).run(main).unwrap();
    });
}

/// STDIO-11, STDIO-12
#[test]
fn what_is_written_in_part_waits_on_though_its_scope_is_cancelled() {
    let name = "polled_cancelled::what_is_written_in_part_waits_on_though_its_scope_is_cancelled";
    in_child(name, || {
        let (mut master, slave) = terminal();
        set_nonblocking(&slave);
        let _in_place = InPlace::of(1, &slave);
        let main = async {
            let (mut own, much) = (stdout(), vec![b'x'; 100_000]);
            drop(wait_for_room(&mut own, &much).await);
            let on = in_cancelled(async move {
                let (count, waker) = counting();
                let mut is_quiet = false;
                // A terminal may come to take a little more, but not all.
                for _ in 0..50 {
                    let woken = count.woken();
                    // Where it was asked to stop, this begins it anew.
                    assert!(flush(Waker::noop()).is_pending());
                    assert!(write(&mut own, &waker, &much).is_pending());
                    shielded(async {
                        for _ in 0..5 {
                            pause().await;
                        }
                    })
                    .await;
                    is_quiet = count.woken() == woken;
                    if is_quiet {
                        break;
                    }
                }
                assert!(is_quiet, "it was asked to stop again and again");
                (own, much)
            });
            let (mut own, much) = on.await;
            let mut shown = vec![0; much.len()];
            let reader = thread::spawn(move || master.read_exact(&mut shown).map(|()| shown));
            AsyncWriteExt::write_all(&mut own, &much).await.unwrap();
            assert!(reader.join().unwrap().unwrap() == much);
        };
        watched(2).max_blocking_threads(1).run(main).unwrap();
    });
}
