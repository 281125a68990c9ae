//! What is asked to end stops, and what was done by then is delivered, at whichever poll it is asked (C2, CANCEL-3, CANCEL-10).
//! The tests of each kind of object ask it to end as well as drop it; here are combinations, and what the harness is worth.

mod support;

use filch::cancellable;
use filch::io::{Write, pipe};
use filch::net::{TcpListener, TcpStream, UdpSocket};
use filch::task::yield_now;
use filch_testkit::limits::alone;
use filch_testkit::{Asking, Cut, DropAtEveryPoll};
use socket2::SockRef;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::asked::{FOR_EVER, asked_everywhere, in_a_race, in_a_task};
use support::{Bytes, PATIENCE, breathe, drain, pair, pattern, read_some, runtime, send_pieces};

/// Reads, and waits with the bytes in hand.
async fn is_careless(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 20), Bytes::default());
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            let mut buf = [0; 8];
            let read = stream.read(&mut buf).await.expect("the connection holds");
            yield_now().await;
            got.add(&buf[..read]);
        }
    };
    let writer = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    while read_some(&*stream, 3, &got).await > 0 {}
    assert_eq!(got.take(), sent, "bytes are lost");
}

#[test]
fn the_harness_finds_what_is_lost() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        for asking in [in_a_race as Asking, in_a_task] {
            let harness = DropAtEveryPoll::new().asking(asking);
            let run = || runtime(workers).block_on(harness.run(is_careless));
            let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("some are lost");
            let text = panic.downcast::<String>().expect("a text");
            assert!(text.contains("bytes are lost"), "{text}");
        }
    }
}

/// C2, CANCEL-3. It is asked when its bytes have come and nobody has taken them.
#[test]
fn a_read_that_is_done_is_delivered() {
    let _alone = alone(PATIENCE);
    for asking in [in_a_race as Asking, in_a_task] {
        let read = Arc::new(Mutex::new(Vec::new()));
        let all = &read;
        runtime(1).block_on(DropAtEveryPoll::new().asking(asking).run(|cut| async move {
            let (stream, peer) = narrow_pair();
            std::io::Write::write_all(&mut &peer, b"hello").unwrap();
            let stream = Arc::new(stream);
            let reader = stream.clone();
            let read = cut.run(async move { reader.read(&mut [0; 8]).await.unwrap() }).await;
            if read.is_none() {
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 5, "they are there");
            }
            all.lock().unwrap().push(read);
        }));
        let read = read.lock().unwrap();
        assert_eq!(read[0], None, "nothing begins where it is cancelled");
        // Asked before the poll for which its bytes have woken it; and not at all.
        assert_eq!(read[2..], [Some(5); 4]);
    }
}

/// A connection that takes little before the writer has to wait: a Unix socket. To the stream they are the same.
fn narrow_pair() -> (TcpStream, std::net::TcpStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    (TcpStream::from_std(ours).expect("a runtime"), theirs)
}

/// Writes all, and counts what is acknowledged.
async fn write_on(stream: &TcpStream, all: &[u8], written: &AtomicUsize) {
    loop {
        let done = written.load(Ordering::Relaxed);
        if done == all.len() {
            return;
        }
        let wrote = stream.write(&all[done..]).await.expect("the connection holds");
        written.store(done + wrote, Ordering::Relaxed);
    }
}

async fn both_directions(cut: Cut) {
    let (stream, peer) = narrow_pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let (all, written) = (Arc::new(pattern(7, 60_000)), Arc::new(AtomicUsize::new(0)));
    let both = {
        let (stream, got) = (stream.clone(), got.clone());
        let (all, written) = (all.clone(), written.clone());
        async move {
            let reads = async {
                for size in [1, 16, 4, 2] {
                    read_some(&*stream, size, &got).await;
                }
            };
            filch::join!(reads, write_on(&stream, &all, &written));
        }
    };
    let ours = async {
        cut.run(both).await;
        (&*stream).write_all(b"the next write").await.expect("the connection holds");
        stream.shutdown(Shutdown::Write).await.unwrap();
    };
    let theirs = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(Shutdown::Write).unwrap();
        drain(&peer).await
    };
    let ((), received) = filch::join!(ours, theirs);
    while read_some(&*stream, 64, &got).await > 0 {}
    assert_eq!(got.take(), sent);
    let written = written.load(Ordering::Relaxed);
    assert!(received == [&all[..written], b"the next write"].concat(), "what it wrote it told");
}

/// C2, CANCEL-10.
#[test]
fn both_directions_stop_and_tell_what_they_did() {
    asked_everywhere(6, both_directions);
}

async fn says_good_bye(cut: Cut) {
    let (stream, peer) = narrow_pair();
    let stream = Arc::new(stream);
    let (all, written) = (Arc::new(pattern(0, 200_000)), Arc::new(AtomicUsize::new(0)));
    let writer = {
        let (stream, all, written) = (stream.clone(), all.clone(), written.clone());
        async move {
            let good_bye = async || {
                (&*stream).write_all(b"good bye").await.expect("the connection holds");
            };
            let writes = cancellable(write_on(&stream, &all, &written));
            writes.on_cancel(good_bye).grace(FOR_EVER).await.is_err()
        }
    };
    let ours = async {
        let was_cut = cut.run(writer).await;
        stream.shutdown(Shutdown::Write).await.unwrap();
        was_cut
    };
    let theirs = async {
        breathe().await;
        drain(&peer).await
    };
    let (was_cut, received) = filch::join!(ours, theirs);
    let written = written.load(Ordering::Relaxed);
    let end: &[u8] = if was_cut == Some(true) { b"good bye" } else { b"" };
    assert!(received == [&all[..written], end].concat(), "what it wrote it told");
    // Only what never began says nothing.
    assert!(was_cut.is_some() || written == 0, "it has an output");
    assert!(was_cut != Some(false) || written == all.len());
}

/// C2, CANCEL-8, CANCEL-10.
#[test]
fn clean_up_writes_behind_what_was_written() {
    asked_everywhere(4, says_good_bye);
}

/// One of each, at once; what has not come by then comes to the next who asks.
async fn one_of_each(cut: Cut) {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let (from, to) = pipe().expect("a runtime");
    let (from, got) = (Arc::new(from), Arc::new(Mutex::new([0; 3])));
    let waits = |listener: Arc<TcpListener>, socket: Arc<UdpSocket>, from: Arc<_>| {
        let got = got.clone();
        async move {
            let note = |at: usize| got.lock().unwrap()[at] += 1;
            let lacks = |at: usize| got.lock().unwrap()[at] == 0;
            let accept = async {
                if lacks(0) {
                    listener.accept().await.expect("it accepts");
                    note(0);
                }
            };
            let receive = async {
                if lacks(1) {
                    assert_eq!(socket.recv(&mut [0; 8]).await.expect("it receives"), 1);
                    note(1);
                }
            };
            let read = async {
                if lacks(2) {
                    let from: &filch::io::PipeReader = &from;
                    assert_eq!(from.read(&mut [0; 8]).await.expect("it reads"), 1);
                    note(2);
                }
            };
            filch::join!(accept, receive, read);
        }
    };
    let sends = async {
        let address = listener.local_addr().unwrap();
        breathe().await;
        let client = std::net::TcpStream::connect(address).expect("it listens");
        breathe().await;
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        breathe().await;
        assert_eq!(to.write(b"x").await.expect("it fits"), 1);
        client
    };
    let under_test = waits(listener.clone(), socket.clone(), from.clone());
    let (_, _client) = filch::join!(cut.run(under_test), sends);
    waits(listener, socket, from).await;
    assert_eq!(*got.lock().unwrap(), [1; 3]);
}

/// C2, CANCEL-2, CANCEL-10.
#[test]
fn one_of_each_kind_stops_or_is_delivered() {
    asked_everywhere(4, one_of_each);
}
