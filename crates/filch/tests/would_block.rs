//! Now and then the system answers that there is nothing yet, in place of waiting. Nobody is told: the operation
//! waits, and is begun anew.
//!
//! A ring waits for a socket until it is ready, and tries again. If somebody else is faster each time, it gives
//! that up after 128 tries and has a thread of the kernel's wait; and such a thread heeds what a ring does not:
//! time-outs of the socket (SO_RCVTIMEO), O_NONBLOCK where connections are accepted, and the signal by which it
//! is cancelled.

mod support;

use filch::net::{TcpListener, UdpSocket, UnixStream};
use filch::time::sleep;
use filch::{Runtime, cancellable};
use filch_testkit::leaks::threads;
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::future::Future;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::{PATIENCE, pair, runtime};

/// As often as a ring tries, but for a few.
const TRIES: usize = 120;
/// And those few, and some more.
const MORE: usize = 20;
/// How long a thread of the kernel's waits, where it heeds that.
const SHORT: Duration = Duration::from_millis(1);

/// With one worker, so that the ring tries only when the test lets it.
fn on_one_worker(main: impl Future<Output = ()>) {
    let _alone = alone(PATIENCE);
    Runtime::builder().workers(1).run(main).expect("a runtime");
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Has something come for `waits` again and again that is gone when the ring looks, and waits until time-outs
/// have passed. Gives the output if it ends all the same.
async fn tease<F: Future>(
    mut waits: Pin<&mut F>,
    mut comes_and_goes: impl FnMut(),
) -> Poll<F::Output> {
    assert!(poll(waits.as_mut()).is_pending());
    sleep(SHORT).await;
    for round in 0..TRIES + MORE {
        comes_and_goes();
        sleep(if round < TRIES { SHORT } else { 10 * SHORT }).await;
        if let Poll::Ready(output) = poll(waits.as_mut()) {
            return Poll::Ready(output);
        }
    }
    Poll::Pending
}

/// Somebody who is faster than a ring.
struct Thief(OwnedFd);

impl Thief {
    fn of(socket: &impl AsFd) -> Self {
        Self(socket.as_fd().try_clone_to_owned().expect("a descriptor"))
    }

    /// Takes what there is.
    fn take(&self) {
        let mut buf = [MaybeUninit::uninit(); 64];
        while SockRef::from(&self.0)
            .recv_with_flags(&mut buf, libc::MSG_DONTWAIT)
            .is_ok_and(|taken| taken > 0)
        {}
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        while SockRef::from(&self.0).send_with_flags(&[0; 512], flags).is_ok() {}
    }
}

/// Reads `socket`, to which `send` sends.
async fn reads<F: Future<Output = io::Result<usize>>>(
    socket: &impl AsFd,
    read: F,
    send: impl Fn(&[u8]),
) {
    SockRef::from(socket).set_read_timeout(Some(SHORT)).unwrap();
    let thief = Thief::of(socket);
    let mut read = pin!(read);
    let teased = tease(read.as_mut(), || {
        send(b"x");
        thief.take();
    });
    match teased.await {
        // For once it was faster.
        Poll::Ready(read) => assert_eq!(read.expect("no error of its own"), 1),
        Poll::Pending => {
            send(b"at last");
            assert!(read.await.expect("no error of its own") > 0);
        }
    }
}

#[test]
fn a_read_goes_on_waiting() {
    on_one_worker(async {
        let (stream, peer) = pair();
        peer.set_nodelay(true).unwrap();
        let mut buf = [0; 16];
        reads(&stream, stream.read(&mut buf), |bytes| (&peer).write_all(bytes).unwrap()).await;
    });
}

#[test]
fn a_read_into_a_buffer_that_was_handed_over_goes_on_waiting() {
    on_one_worker(async {
        let (stream, peer) = pair();
        peer.set_nodelay(true).unwrap();
        let read = async { stream.read_owned(vec![0; 16]).await.0 };
        reads(&stream, read, |bytes| (&peer).write_all(bytes).unwrap()).await;
    });
}

#[test]
fn a_receive_of_a_lease_goes_on_waiting() {
    on_one_worker(async {
        let (stream, peer) = pair();
        peer.set_nodelay(true).unwrap();
        let read = async { stream.recv().await.map(|lease| lease.len()) };
        reads(&stream, read, |bytes| (&peer).write_all(bytes).unwrap()).await;
    });
}

#[test]
fn a_read_of_a_unix_stream_goes_on_waiting() {
    on_one_worker(async {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let stream = UnixStream::from_std(ours).unwrap();
        let mut buf = [0; 16];
        reads(&stream, stream.read(&mut buf), |bytes| (&theirs).write_all(bytes).unwrap()).await;
    });
}

#[test]
fn a_receive_goes_on_waiting() {
    on_one_worker(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.connect(socket.local_addr().unwrap()).unwrap();
        let mut buf = [0; 16];
        let send = |bytes: &[u8]| assert_eq!(peer.send(bytes).unwrap(), bytes.len());
        reads(&socket, socket.recv(&mut buf), send).await;
    });
}

/// Everything that came for a socket that does not block.
fn take_all(mut peer: impl io::Read, to: &mut Vec<u8>) {
    let mut buf = [0; 4096];
    while let Ok(read @ 1..) = peer.read(&mut buf) {
        to.extend_from_slice(&buf[..read]);
    }
}

/// Writes a word to `socket`, which `peer` reads.
async fn writes<F: Future<Output = io::Result<usize>>>(
    socket: &impl AsFd,
    write: F,
    peer: impl io::Read + Copy,
) {
    SockRef::from(socket).set_write_timeout(Some(SHORT)).unwrap();
    let thief = Thief::of(socket);
    thief.fill();
    let (mut write, mut all) = (pin!(write), Vec::new());
    let teased = tease(write.as_mut(), || {
        take_all(peer, &mut all);
        thief.fill();
    });
    match teased.await {
        Poll::Ready(written) => assert_eq!(written.expect("no error of its own"), 4),
        Poll::Pending => {
            let mut written = Poll::Pending;
            while written.is_pending() {
                take_all(peer, &mut all);
                sleep(SHORT).await;
                written = poll(write.as_mut());
            }
            let Poll::Ready(written) = written else { unreachable!("it is over") };
            assert_eq!(written.expect("no error of its own"), 4);
        }
    }
    // Behind all that the other one has sent.
    while !all.ends_with(b"word") {
        sleep(SHORT).await;
        take_all(peer, &mut all);
    }
    assert!(all[..all.len() - 4].iter().all(|&byte| byte == 0), "once");
}

#[test]
fn a_write_goes_on_waiting() {
    on_one_worker(async {
        let (stream, peer) = pair();
        SockRef::from(&stream).set_send_buffer_size(4096).unwrap();
        SockRef::from(&peer).set_recv_buffer_size(4096).unwrap();
        writes(&stream, stream.write(b"word"), &peer).await;
    });
}

#[test]
fn a_write_to_a_unix_stream_goes_on_waiting() {
    on_one_worker(async {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let stream = UnixStream::from_std(ours).unwrap();
        SockRef::from(&stream).set_send_buffer_size(4096).unwrap();
        writes(&stream, stream.write(b"word"), &theirs).await;
    });
}

/// CANCEL-10. A write that waits for room and is cut is not begun by whoever writes next. The ring gives up after
/// about 128 tries, and then it is that which waits: somewhere in between.
#[test]
fn a_write_that_is_cut_while_it_waits_does_not_happen_later() {
    on_one_worker(async {
        for rounds in (TRIES..TRIES + MORE).step_by(2) {
            cut_after(rounds).await;
        }
    });
}

async fn cut_after(rounds: usize) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let stream = Arc::new(UnixStream::from_std(ours).unwrap());
    SockRef::from(&*stream).set_send_buffer_size(4096).unwrap();
    SockRef::from(&*stream).set_write_timeout(Some(SHORT)).unwrap();
    let waits = Arc::new(AtomicBool::new(false));
    let task = filch::spawn({
        let (stream, waits) = (stream.clone(), waits.clone());
        let theirs = theirs.try_clone().unwrap();
        async move {
            let (thief, mut all) = (Thief::of(&*stream), Vec::new());
            thief.fill();
            let write = cancellable(stream.write(b"word"));
            let mut write = pin!(write.grace(Duration::from_secs(PATIENCE)));
            for round in 0..rounds + 3 {
                if let Poll::Ready(written) = poll(write.as_mut()) {
                    waits.store(true, Ordering::Release);
                    return written.is_err();
                }
                if round < rounds {
                    take_all(&theirs, &mut all);
                    thief.fill();
                }
                sleep(if round < TRIES { SHORT } else { 5 * SHORT }).await;
            }
            waits.store(true, Ordering::Release);
            write.await.is_err()
        }
    });
    while !waits.load(Ordering::Acquire) {
        sleep(SHORT).await;
    }
    task.cancel();
    if !task.await.expect("the boundary is around all it waits for") {
        // For once it was faster.
        return;
    }
    // Nobody reads: a write that is still to come would be waited for.
    assert_eq!(stream.settle().await.unwrap(), 0);
    let mut all = Vec::new();
    take_all(&theirs, &mut all);
    assert!(all.iter().all(|&byte| byte == 0));
}

/// With a socket that somebody has told not to block after it was handed over.
#[test]
fn an_accept_goes_on_waiting() {
    on_one_worker(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let thief = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned().unwrap());
        thief.set_nonblocking(true).unwrap();
        let mut accept = pin!(listener.accept());
        let teased = tease(accept.as_mut(), || {
            let _client = std::net::TcpStream::connect(address).unwrap();
            let _ = thief.accept();
        });
        let accepted = match teased.await {
            Poll::Ready(accepted) => accepted,
            Poll::Pending => {
                let _client = std::net::TcpStream::connect(address).unwrap();
                accept.await
            }
        };
        accepted.expect("no error of its own");
    });
}

/// A read that was begun in the ring of another runtime, which then ends. In a thread of the kernel's it is
/// cancelled by a signal.
#[test]
fn a_read_outlives_a_ring_whose_thread_waits_for_it() {
    let _alone = alone(PATIENCE);
    let home = runtime(1);
    let (stream, peer) = home.block_on(async { pair() });
    peer.set_nodelay(true).unwrap();
    let (stream, peer) = (Arc::new(stream), Arc::new(peer));
    let guest = runtime(1);
    let begun = {
        let (stream, peer) = (stream.clone(), peer.clone());
        guest.handle().spawn(async move {
            let (thief, mut buf) = (Thief::of(&stream), [0; 16]);
            let mut read = pin!(stream.read(&mut buf));
            assert!(poll(read.as_mut()).is_pending());
            // Until there is such a thread, or the kernel needs none.
            for _ in 0..TRIES + MORE {
                if !threads("iou-wrk").is_empty() {
                    break;
                }
                (&*peer).write_all(b"x").unwrap();
                thief.take();
                sleep(SHORT).await;
            }
            poll(read.as_mut()).map(|read| read.expect("no error of its own"))
        })
    };
    let begun = guest.block_on(begun).unwrap();
    drop(guest);
    if begun.is_pending() {
        (&*peer).write_all(b"at last").unwrap();
        let mut buf = [0; 16];
        assert!(home.block_on(stream.read(&mut buf)).expect("no error of another runtime's") > 0);
    }
}
