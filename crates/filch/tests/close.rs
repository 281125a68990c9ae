//! Closing sockets: when `close` returns it is done, and what was to be told is.

mod support;

use filch::cancellable;
use filch::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{PATIENCE, breathe, drain, everywhere, pair, pattern, runtime, temp, until_closed};

/// Begins it, and drops it.
fn begin<F: Future>(future: F) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Whether the descriptor is open. Somebody else's may have the number, where others are at work.
fn is_open(fd: RawFd) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

#[test]
fn a_closed_listener_gives_its_address_free() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        runtime(workers).block_on(async {
            for round in 0..50 {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let (address, fd) = (listener.local_addr().unwrap(), listener.as_raw_fd());
                if round % 2 == 0 {
                    begin(listener.accept());
                }
                SockRef::from(&listener).set_nonblocking(round % 3 == 0).unwrap();
                if round % 4 < 2 {
                    begin(listener.accept());
                }
                listener.close().await.unwrap();
                assert!(!is_open(fd));
                std::net::TcpListener::bind(address).expect("the address is free");
            }
        });
    }
}

#[test]
fn a_connection_that_nobody_took_is_closed_with_its_listener() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let path = temp("close");
        for _ in 0..20 {
            let listener = UnixListener::bind(&path).unwrap();
            begin(listener.accept());
            let mut clients: Vec<_> = (0..3)
                .map(|_| std::os::unix::net::UnixStream::connect(&path).expect("it listens"))
                .collect();
            breathe().await;
            listener.close().await.unwrap();
            for client in &mut clients {
                // The end, or a reset.
                assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
            }
            std::fs::remove_file(&path).unwrap();
        }
    });
}

#[test]
fn a_closed_udp_socket_gives_its_address_free() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        for round in 0..50 {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let (address, fd) = (socket.local_addr().unwrap(), socket.as_raw_fd());
            SockRef::from(&socket).set_nonblocking(round % 3 == 0).unwrap();
            begin(socket.recv(&mut [0; 8]));
            socket.close().await.unwrap();
            assert!(!is_open(fd));
            std::net::UdpSocket::bind(address).expect("the address is free");
        }
        let (one, other) = UnixDatagram::pair().unwrap();
        begin(other.recv(&mut [0; 8]));
        other.close().await.unwrap();
        let refused = one.send(b"x").await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

/// Nothing of a write that was dropped is given up.
#[test]
fn a_stream_is_closed_when_all_is_written() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        for blocks in [true, false] {
            let (stream, peer) = pair();
            SockRef::from(&stream).set_nonblocking(!blocks).unwrap();
            SockRef::from(&stream).set_send_buffer_size(16 * 1024).unwrap();
            let (all, fd) = (pattern(0, 2_000_000), stream.as_raw_fd());
            begin(stream.write_all_owned(all.clone()));
            begin(stream.read(&mut [0; 8]));
            let closing = async {
                stream.close().await.unwrap();
                assert!(!is_open(fd));
            };
            let (got, ()) = filch::join!(drain(&peer), closing);
            assert!(got == all);
        }
    });
}

#[test]
fn closing_tells_what_went_wrong_with_a_write_that_was_dropped() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (stream, other) = UnixStream::pair().unwrap();
        drop(other);
        begin(stream.write(b"x"));
        let error = stream.close().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        let (stream, _other) = UnixStream::pair().unwrap();
        stream.close().await.unwrap();
    });
}

/// In a boundary that is cancelled it is not waited for, and closed all the same: the peer finds the end. How much of
/// the write the kernel still takes before it hears that nobody wants it is its own business.
#[test]
fn a_close_that_is_cut_closes() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        for _ in 0..20 {
            let (stream, mut peer) = pair();
            begin(stream.write_all_owned(vec![1; 10_000_000]));
            let task = filch::spawn(async move { cancellable(stream.close()).await.is_err() });
            while peer.peek(&mut [0]).is_err() {
                filch::time::sleep(Duration::from_millis(1)).await;
            }
            task.cancel();
            assert!(task.await.unwrap(), "nobody reads: it had to wait");
            let drained = drain(&peer).await;
            assert!(drained.len() <= 10_000_000 && drained.iter().all(|byte| *byte == 1));
            let _ = peer.write(b"x");
        }
    });
}

async fn closing(cut: Cut) {
    let (stream, peer) = pair();
    begin(stream.read(&mut [0; 8]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    begin(listener.accept());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    begin(socket.recv(&mut [0; 8]));
    let ending = async move {
        let _ = stream.write(&[1; 100]).await;
        stream.close().await.expect("the connection holds");
        listener.close().await.expect("it closes");
        socket.close().await.expect("it closes");
    };
    let done = cut.run(ending).await.is_some();
    let got = drain(&peer).await;
    assert!(got.len() == 100 || !done && got.is_empty(), "{}", got.len());
}

#[test]
fn a_close_may_be_dropped_at_every_poll() {
    everywhere(4, closing);
}

/// What still holds the descriptor, because its future was dropped, closes it when it is over.
#[test]
fn whoever_is_the_last_closes() {
    let _alone = alone(PATIENCE);
    let before = filch_testkit::leaks::descriptors().len();
    let runtime = runtime(2);
    runtime.block_on(async {
        let with = filch_testkit::leaks::descriptors().len();
        for _ in 0..20 {
            let (stream, peer) = pair();
            begin(stream.shutdown(Shutdown::Read));
            stream.close().await.unwrap();
            drain(&peer).await;
            let stream: TcpStream = pair().0;
            stream.close().await.unwrap();
        }
        until_closed(with).await;
    });
    drop(runtime);
    assert!(filch_testkit::leaks::descriptors().len() <= before);
}

/// C2, CANCEL-10.
#[test]
fn a_close_may_be_asked_to_end_at_every_poll() {
    asked_everywhere(4, closing);
}
