//! A read that is dropped loses no byte (C1).

mod support;

use filch::net::TcpStream;
use filch_testkit::limits::alone;
use filch_testkit::{Cut, Hooks};
use std::future::Future;
use std::io::{IoSliceMut, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::thread;
use support::asked::asked_everywhere;
use support::{
    Bytes, PATIENCE, breathe, drain, everywhere, pair, pattern, pattern_at, read_some, runtime,
    send_pieces,
};

async fn reads_of_all_sizes(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let sent = pattern(0, 60);
    let got = Bytes::default();
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for size in [1, 4, 2, 16, 1] {
                read_some(&*stream, size, &got).await;
            }
        }
    };
    let writer = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    // Of another size than the one that may be pending.
    while read_some(&*stream, 3, &got).await > 0 {}
    assert_eq!(got.take(), sent);
}

#[test]
fn no_byte_is_lost_at_any_poll() {
    everywhere(8, reads_of_all_sizes);
}

async fn the_stream_goes_too(cut: Cut) {
    let (stream, mut peer) = pair();
    let reader = async move {
        let mut buf = [0; 8];
        stream.read(&mut buf).await.expect("the connection holds")
    };
    let writer = async {
        breathe().await;
        // The stream may be gone.
        let _ = peer.write(b"x");
    };
    filch::join!(cut.run(reader), writer);
    // Its operation is cancelled and the connection closed, while the runtime runs (D6).
    drain(&peer).await;
}

#[test]
fn a_stream_that_goes_with_its_read_closes() {
    everywhere(3, the_stream_goes_too);
}

/// A waker is anybody's code.
#[test]
fn a_waker_that_panics_leaves_the_stream_whole() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (stream, mut peer) = pair();
        let mut buf = [0; 8];
        let waker = Hooks::new().on_clone(|| panic!("not today")).waker();
        for _ in 0..2 {
            let mut read = Box::pin(stream.read(&mut buf));
            let polled = catch_unwind(AssertUnwindSafe(|| {
                read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            }));
            assert!(polled.is_err(), "there is no waker to be kept");
        }
        peer.write_all(b"all is well").unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 8);
        assert_eq!(&buf, b"all is w");
    });
}

async fn two_readers(cut: Cut) {
    let (stream, mut peer) = pair();
    let stream = Arc::new(stream);
    let sent = pattern(0, 40);
    let got = Bytes::default();
    let reader = |size: usize| {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for _ in 0..4 {
                read_some(&*stream, size, &got).await;
            }
        }
    };
    let writer = async {
        for piece in sent.chunks(4) {
            breathe().await;
            peer.write_all(piece).expect("it fits");
        }
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    };
    // The second is in line behind the first; whichever is dropped, the other gets its turn.
    filch::join!(reader(3), cut.run(reader(2)), writer);
    while read_some(&*stream, 64, &got).await > 0 {}
    let (mut got, mut expected) = (got.take(), sent);
    // Two readers on two threads may note what they got in either order.
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected);
}

async fn reads_into_several(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    async fn one(stream: &TcpStream, sizes: [usize; 2], to: &Bytes) -> usize {
        let [mut first, mut second] = sizes.map(|size| vec![0; size]);
        let bufs = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let read = stream.read_vectored(bufs).await.expect("the connection holds");
        to.add(&[first, second].concat()[..read]);
        read
    }
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for sizes in [[1, 4], [0, 2], [20, 3], [1, 0]] {
                one(&stream, sizes, &got).await;
            }
        }
    };
    let writer = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    while one(&stream, [2, 3], &got).await > 0 {}
    assert_eq!(got.take(), sent);
}

#[test]
fn no_byte_is_lost_between_several_buffers() {
    everywhere(6, reads_into_several);
}

#[test]
fn readers_queue_and_leave_the_queue() {
    everywhere(6, two_readers);
}

#[test]
fn readers_in_line_are_served_in_order() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (stream, mut peer) = pair();
        let stream = Arc::new(stream);
        let got = Bytes::default();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (stream, got) = (stream.clone(), got.clone());
                filch::spawn(async move { read_some(&*stream, 1, &got).await })
            })
            .collect();
        // Every third goes before its turn comes.
        let mut left = Vec::new();
        for (number, task) in tasks.into_iter().enumerate() {
            if number % 3 == 1 {
                task.abort();
                assert!(task.await.is_err());
            } else {
                left.push(task);
            }
        }
        let sent = pattern(0, left.len());
        peer.write_all(&sent).unwrap();
        for task in left {
            assert_eq!(task.await.unwrap(), 1);
        }
        assert_eq!(got.take(), sent);
    });
}

/// Cancels a read so many times while a thread sends all the time, and checks every byte.
async fn cancel_against_a_steady_sender(cancels: usize, seed: usize) {
    let (stream, mut peer) = pair();
    peer.set_nonblocking(false).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = {
        let stop = stop.clone();
        thread::spawn(move || {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let piece = pattern(sent, 1 + (sent + seed) % 700);
                peer.write_all(&piece).expect("the connection holds");
                sent += piece.len();
            }
            sent
        })
    };
    let mut buf = vec![0; 4096];
    let (mut got, mut cancelled) = (0, 0);
    let mut round = seed;
    while cancelled < cancels {
        round += 1;
        let size = 1 + round * 7 % 1500;
        filch::select! {
            biased;
            read = stream.read(&mut buf[..size]) => {
                let read = read.expect("the connection holds");
                check(&buf[..read], got);
                got += read;
            }
            () = filch_testkit::exec::yield_now() => cancelled += 1,
        }
    }
    stop.store(true, Ordering::Relaxed);
    loop {
        let read = stream.read(&mut buf).await.expect("the connection holds");
        if read == 0 {
            break;
        }
        check(&buf[..read], got);
        got += read;
    }
    assert_eq!(got, sender.join().expect("it sends"));
}

fn check(bytes: &[u8], from: usize) {
    for (place, &byte) in bytes.iter().enumerate() {
        assert_eq!(byte, pattern_at(from + place), "byte {} of the stream", from + place);
    }
}

fn cancel_many(total: usize) {
    for (workers, tasks) in [(1, 1), (2, 4)] {
        let runtime = runtime(workers);
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let cancels = total / 2 / tasks;
                runtime.handle().spawn(cancel_against_a_steady_sender(cancels, task))
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).expect("no byte is lost");
        }
    }
}

#[test]
fn a_hundred_thousand_cancels_lose_no_byte() {
    let _alone = alone(PATIENCE);
    cancel_many(100_000);
}

#[test]
#[ignore = "a soak test: takes a minute"]
fn soak_a_million_cancels_lose_no_byte() {
    let _alone = alone(20 * PATIENCE);
    cancel_many(1_000_000);
}

/// C2, CANCEL-10.
#[test]
fn no_byte_is_lost_wherever_a_read_is_asked_to_end() {
    asked_everywhere(8, reads_of_all_sizes);
    asked_everywhere(3, the_stream_goes_too);
    asked_everywhere(6, two_readers);
    asked_everywhere(6, reads_into_several);
}
