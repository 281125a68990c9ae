//! Large reads and writes of sockets, which go past the ring where they can: as exact as all others (C1).

mod support;

use filch::net::TcpStream;
use filch::{Runtime, cancellable, shielded};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{Bytes, PATIENCE, breathe, drain, everywhere, pattern, read_some};

/// What is large.
const LARGE: usize = 32 * 1024;

/// A connection with room for a few large pieces: a Unix socket, of which it is known when they have come. To the
/// stream they are the same.
fn wide_pair() -> (TcpStream, std::net::TcpStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    for end in [&ours, &theirs] {
        SockRef::from(end).set_send_buffer_size(200 * 1024).unwrap();
    }
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    (TcpStream::from_std(ours).expect("a runtime"), theirs)
}

async fn reads(cut: Cut) {
    let (stream, peer) = wide_pair();
    let stream = Arc::new(stream);
    let sent = pattern(0, 3 * LARGE + 100);
    let got = Bytes::default();
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            // One by the ring; large ones after it, with pauses, as long as much comes; and small ones.
            for size in [LARGE, LARGE + 1, 2 * LARGE, LARGE, LARGE, 7, LARGE] {
                read_some(&*stream, size, &got).await;
            }
        }
    };
    let writer = async {
        for piece in sent.chunks(LARGE) {
            breathe().await;
            (&peer).write_all(piece).expect("they fit");
        }
        peer.shutdown(Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    while read_some(&*stream, 2 * LARGE, &got).await > 0 {}
    assert!(got.take() == sent, "each byte once, in order");
}

#[test]
fn no_byte_is_lost_at_any_poll() {
    everywhere(3, reads);
}

fn submitted(runtime: &Runtime) -> u64 {
    runtime.handle().metrics().rings.iter().map(|ring| ring.submitted).sum()
}

/// What there is, and what there is room for, goes without an operation.
#[test]
fn what_need_not_wait_needs_no_operation() {
    let _alone = alone(PATIENCE);
    let runtime = support::runtime(1);
    runtime.block_on(async {
        let (stream, mut peer) = wide_pair();
        let (bytes, mut buf) = (pattern(0, LARGE), vec![0; 2 * LARGE]);
        // The first read does not know.
        peer.write_all(&bytes).unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), LARGE);
        peer.write_all(&bytes).unwrap();
        let before = submitted(&runtime);
        assert_eq!(stream.read(&mut buf).await.unwrap(), LARGE);
        assert!(buf[..LARGE] == bytes);
        assert_eq!(stream.write(&bytes).await.unwrap(), LARGE);
        assert_eq!(submitted(&runtime), before, "no operation");
        // Now a little comes, and then the next one may wait long: by the ring, with a buffer of the stream's own.
        peer.write_all(b"little").unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 6);
        peer.write_all(b"little").unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 6);
        assert!(submitted(&runtime) > before);
    });
}

/// In a scope that is cancelled nothing is sent, and nothing received, though there is room, or much to read (C2).
#[test]
fn nothing_begins_in_a_scope_that_is_cancelled() {
    let _alone = alone(PATIENCE);
    let runtime = support::runtime(2);
    for reads in [false, true] {
        runtime.block_on(async {
            let (stream, mut peer) = wide_pair();
            let bytes = pattern(0, LARGE);
            let mut buf = vec![0; LARGE];
            peer.write_all(&bytes).unwrap();
            assert_eq!(stream.read(&mut buf).await.unwrap(), LARGE);
            peer.write_all(&bytes).unwrap();
            let (go, went) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let task = filch::spawn({
                let (go, went) = (go.clone(), went.clone());
                async move {
                    let work = async {
                        went.store(true, Ordering::Release);
                        while !go.load(Ordering::Acquire) {
                            std::thread::yield_now();
                        }
                        match reads {
                            true => stream.read(&mut buf).await.map(drop),
                            false => stream.write(&bytes).await.map(drop),
                        }
                    };
                    cancellable(work).await.unwrap_err();
                    // Shielded it does.
                    shielded(stream.write(b"good bye")).await.unwrap();
                    assert_eq!(shielded(stream.read(&mut buf)).await.unwrap(), LARGE);
                    assert!(buf == pattern(0, LARGE), "it was there all the time");
                }
            });
            while !went.load(Ordering::Acquire) {
                filch::time::sleep(Duration::from_millis(1)).await;
            }
            task.cancel();
            go.store(true, Ordering::Release);
            task.await.unwrap();
            assert_eq!(drain(&peer).await, b"good bye");
        });
    }
}

/// C2, CANCEL-10.
#[test]
fn no_byte_is_lost_wherever_it_is_asked_to_end() {
    asked_everywhere(3, reads);
}
