//! A task that waits says for what, and where in the program.

use filch::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use filch_atomic::current::{WaitKind, WaitRecord, enter};
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Waker};

/// Polls once, and tells what was noted.
fn noted(future: impl Future) -> (WaitKind, &'static Location<'static>) {
    let record = WaitRecord::new();
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    let poll = || assert!(future.as_mut().poll(&mut cx).is_pending());
    // SAFETY: null.
    unsafe { enter(std::ptr::null(), &record, poll) };
    let (kind, _, location) = record.get().expect("it waits");
    (kind, location)
}

#[filch::test]
async fn operations_are_waited_for_where_the_program_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (kind, at) = noted(listener.accept());
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Accept, file!(), line!() - 1));
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_server, _) = listener.accept().await.unwrap();
    let mut buf = [0; 4];
    let (kind, at) = noted(client.read(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    // The operation was kept: it is waited for somewhere else now.
    let (kind, at) = noted(client.read(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let file = filch::fs::File::open("/proc/self/comm").await.unwrap();
    let (_, at) = noted(file.read_at(Vec::with_capacity(8), 0));
    assert_eq!((at.file(), at.line()), (file!(), line!() - 1));
}

#[filch::test]
async fn every_kind_of_socket_says_so() {
    let mut buf = [0; 4];
    let (mut stream, _other) = UnixStream::pair().unwrap();
    let (kind, at) = noted(stream.recv_with_fds(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let (reader, _writer) = stream.split();
    let (kind, at) = noted(reader.peek(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (kind, at) = noted(udp.recv_from(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let address = udp.local_addr().unwrap();
    let (kind, at) = noted(udp.send_to(b"x", address));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Write, file!(), line!() - 1));
    let (datagram, _peer) = UnixDatagram::pair().unwrap();
    let (kind, at) = noted(datagram.peek_from(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let listener = UnixListener::bind(format!("\0filch-noted-{}", std::process::id())).unwrap();
    let (kind, at) = noted(listener.accept());
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Accept, file!(), line!() - 1));
    let (_, at) = noted(listener.into_std());
    assert_eq!((at.file(), at.line()), (file!(), line!() - 1));
}
