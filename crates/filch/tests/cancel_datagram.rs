//! Datagrams: a receive that is dropped loses none, and cuts none off; a send that is dropped sends one at
//! most once (C1).

mod support;

use filch::net::{UdpSocket, UnixDatagram};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{PATIENCE, breathe, everywhere, pattern, runtime};

/// What both kinds do.
trait Socket: Send + Sync + 'static {
    fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send;
}

macro_rules! socket {
    ($type:ident) => {
        impl Socket for $type {
            async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                // By turns, for they are to take over from each other.
                match buf.len() % 2 {
                    0 => self.recv(buf).await,
                    _ => self.recv_from(buf).await.map(|(len, _)| len),
                }
            }
            async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.peek(buf).await
            }
            async fn send(&self, buf: &[u8]) -> io::Result<usize> {
                self.send(buf).await
            }
        }
    };
}

socket!(UdpSocket);
socket!(UnixDatagram);

/// One that is connected to nobody, and looks at each datagram before it takes it.
struct Addressed {
    socket: UnixDatagram,
    peer: unix::net::SocketAddr,
}

impl Socket for Addressed {
    async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut seen = vec![0; buf.len()];
        let (len, _) = self.socket.peek_from(&mut seen).await?;
        let (read, _) = self.socket.recv_from(buf).await?;
        assert_eq!(buf[..read], seen[..len]);
        Ok(read)
    }
    async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.peek_from(buf).await.map(|(len, _)| len)
    }
    async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.send_to_addr(buf, &self.peer).await
    }
}

fn addressed_pair() -> (Addressed, unix::net::UnixDatagram) {
    let bind = || {
        let name = support::temp("datagrams");
        let name = unix::net::SocketAddr::from_abstract_name(name.as_os_str().as_bytes());
        unix::net::UnixDatagram::bind_addr(&name.expect("a short name")).expect("a free name")
    };
    let (ours, theirs) = (bind(), bind());
    theirs.connect_addr(&ours.local_addr().unwrap()).unwrap();
    let peer = theirs.local_addr().unwrap();
    (Addressed { socket: UnixDatagram::from_std(ours).expect("a runtime"), peer }, theirs)
}

/// Two sockets connected to each other: ours, and one of the standard library.
async fn udp_pair() -> (UdpSocket, std::net::UdpSocket) {
    let ours = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let theirs = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    ours.connect(theirs.local_addr().unwrap()).await.unwrap();
    theirs.connect(ours.local_addr().unwrap()).unwrap();
    (ours, theirs)
}

fn unix_pair() -> (UnixDatagram, std::os::unix::net::UnixDatagram) {
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    (UnixDatagram::from_std(ours).expect("a runtime"), theirs)
}

/// Datagrams of which each can be told by its contents, and its place in it.
fn datagrams() -> Vec<Vec<u8>> {
    let lengths = [1, 700, 30, 9_000, 2, 64];
    lengths.iter().enumerate().map(|(number, &len)| pattern(number * 10_000, len)).collect()
}

async fn receives(cut: Cut, socket: impl Socket, send: impl Fn(&[u8]) -> io::Result<usize>) {
    let socket = Arc::new(socket);
    // What came, into how large a buffer.
    let got = Arc::new(Mutex::new(Vec::<(Vec<u8>, usize)>::new()));
    async fn one(socket: &impl Socket, size: usize, got: &Mutex<Vec<(Vec<u8>, usize)>>) {
        let mut buf = vec![0; size];
        let len = socket.recv(&mut buf).await.expect("it receives");
        buf.truncate(len);
        got.lock().unwrap().push((buf, size));
    }
    let receiver = {
        let (socket, got) = (socket.clone(), got.clone());
        async move {
            for size in [10, 10_000, 101, 16] {
                one(&*socket, size, &got).await;
            }
        }
    };
    let sent = datagrams();
    let sender = async {
        for datagram in &sent {
            breathe().await;
            assert_eq!(send(datagram).expect("it is sent"), datagram.len());
        }
    };
    filch::join!(cut.run(receiver), sender);
    // Into more room than the one may have had that is pending.
    while got.lock().unwrap().len() < sent.len() {
        let mut seen = vec![0; 20_000];
        let len = socket.peek(&mut seen).await.expect("it receives");
        assert_eq!(seen[..len], sent[got.lock().unwrap().len()], "looked at");
        one(&*socket, 20_000, &got).await;
    }
    let got = got.lock().unwrap();
    for ((datagram, size), sent) in got.iter().zip(&sent) {
        assert_eq!(datagram[..], sent[..sent.len().min(*size)], "as much as there was room for");
    }
    assert_eq!(got.len(), sent.len());
}

async fn receives_from_udp(cut: Cut) {
    let (socket, peer) = udp_pair().await;
    receives(cut, socket, |datagram| peer.send(datagram)).await;
}

#[test]
fn no_datagram_is_lost_at_any_poll() {
    everywhere(4, receives_from_udp);
}

async fn receives_from_unix(cut: Cut) {
    let (socket, peer) = unix_pair();
    receives(cut, socket, |datagram| peer.send(datagram)).await;
}

#[test]
fn no_unix_datagram_is_lost_at_any_poll() {
    everywhere(4, receives_from_unix);
}

async fn receives_by_address(cut: Cut) {
    let (socket, peer) = addressed_pair();
    receives(cut, socket, |datagram| peer.send(datagram)).await;
}

#[test]
fn no_datagram_that_is_looked_at_is_lost_at_any_poll() {
    everywhere(4, receives_by_address);
}

async fn sends(cut: Cut, socket: impl Socket, receive: impl Fn(&mut [u8]) -> io::Result<usize>) {
    let is_asking = cut.is_asking();
    let socket = Arc::new(socket);
    let acknowledged = Arc::new(Mutex::new(0));
    let sender = {
        let (socket, acknowledged) = (socket.clone(), acknowledged.clone());
        async move {
            for (number, datagram) in datagrams().iter().enumerate() {
                let sent = socket.send(datagram).await.expect("it sends");
                assert_eq!(sent, datagram.len());
                *acknowledged.lock().unwrap() = number + 1;
            }
        }
    };
    cut.run(sender).await;
    let acknowledged = *acknowledged.lock().unwrap();
    // It is cancelled or sent by the time that the next one is, but for one that a busy worker holds up.
    assert_eq!(socket.send(b"the last").await.unwrap(), 8);
    for _ in 0..10 {
        filch::time::sleep(Duration::from_millis(1)).await;
    }
    let mut received = Vec::new();
    let mut buf = vec![0; 20_000];
    while let Ok(len) = receive(&mut buf) {
        received.push(buf[..len].to_vec());
    }
    let all = datagrams();
    let last = received.iter().position(|datagram| datagram == b"the last");
    received.remove(last.expect("what was acknowledged has come"));
    let is_untold = received.len() == acknowledged + 1 && !is_asking;
    assert!(received.len() == acknowledged || is_untold, "{acknowledged}");
    assert_eq!(received[..], all[..received.len()], "each once, whole, in order");
}

async fn sends_by_udp(cut: Cut) {
    let (socket, peer) = udp_pair().await;
    peer.set_nonblocking(true).unwrap();
    sends(cut, socket, |buf| peer.recv(buf)).await;
}

#[test]
fn a_dropped_send_is_sent_once_or_not_at_all() {
    everywhere(2, sends_by_udp);
}

async fn sends_by_unix(cut: Cut) {
    let (socket, peer) = unix_pair();
    peer.set_nonblocking(true).unwrap();
    sends(cut, socket, |buf| peer.recv(buf)).await;
}

#[test]
fn a_dropped_send_by_a_unix_socket_is_sent_once_or_not_at_all() {
    everywhere(2, sends_by_unix);
}

async fn sends_by_address(cut: Cut) {
    let (socket, peer) = addressed_pair();
    peer.set_nonblocking(true).unwrap();
    sends(cut, socket, |buf| peer.recv(buf)).await;
}

#[test]
fn a_dropped_send_to_an_address_is_sent_once_or_not_at_all() {
    everywhere(2, sends_by_address);
}

async fn the_socket_goes_too(cut: Cut) {
    let (udp, udp_peer) = udp_pair().await;
    let (unix, unix_peer) = unix_pair();
    let address: SocketAddr = udp.local_addr().unwrap();
    let receiver = async move {
        let (mut one, mut other) = ([0; 4], [0; 4]);
        let _ = filch::join!(udp.recv(&mut one), unix.recv(&mut other));
    };
    let sender = async {
        breathe().await;
        // They may be gone.
        let _ = (udp_peer.send(b"x"), unix_peer.send(b"x"));
    };
    filch::join!(cut.run(receiver), sender);
    // What is in flight is cancelled, and the sockets closed, while the runtime runs (D6).
    let mut tries = 0;
    while UdpSocket::bind(address).await.is_err() || unix_peer.send(b"y").is_ok() {
        tries += 1;
        assert!(tries < 20_000, "they are still there");
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn sockets_that_go_with_their_receives_close() {
    everywhere(3, the_socket_goes_too);
}

async fn is_handed_on(cut: Cut) {
    let (socket, peer) = udp_pair().await;
    let socket = Arc::new(socket);
    let got = Arc::new(Mutex::new(Vec::new()));
    let receive = async |socket: &UdpSocket, got: &Mutex<Vec<Vec<u8>>>| {
        let mut buf = vec![0; 10_000];
        let len = socket.recv(&mut buf).await.expect("it receives");
        got.lock().unwrap().push(buf[..len].to_vec());
    };
    let receiver = {
        let (socket, got) = (socket.clone(), got.clone());
        async move {
            let mut buf = vec![0; 10_000];
            for _ in 0..2 {
                let len = socket.recv(&mut buf).await.expect("it receives");
                got.lock().unwrap().push(buf[..len].to_vec());
            }
        }
    };
    let sent = datagrams();
    let sender = async {
        for datagram in &sent {
            breathe().await;
            peer.send(datagram).unwrap();
        }
    };
    let handing = async {
        cut.run(receiver).await;
        let mut socket = Arc::into_inner(socket).expect("the receiver is gone");
        loop {
            match socket.into_std().await {
                Ok(socket) => break socket,
                Err(refused) => {
                    assert_eq!(refused.error().kind(), io::ErrorKind::ResourceBusy, "{refused}");
                    socket = refused.into_inner();
                    receive(&socket, &got).await;
                }
            }
        }
    };
    let (standard, ()) = filch::join!(handing, sender);
    let mut got = std::mem::take(&mut *got.lock().unwrap());
    let mut buf = vec![0; 10_000];
    while got.len() < sent.len() {
        let len = standard.recv(&mut buf).expect("it waits");
        got.push(buf[..len].to_vec());
    }
    assert_eq!(got, sent);
}

#[test]
fn a_socket_is_handed_on_with_every_datagram() {
    everywhere(3, is_handed_on);
}

#[test]
fn cancelled_receives_in_a_loop_lose_no_datagram() {
    const DATAGRAMS: u32 = 20_000;
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        runtime(workers).block_on(async {
            let (socket, peer) = unix_pair();
            let sending = filch::spawn_blocking(move || {
                for number in 0..DATAGRAMS {
                    peer.send(&number.to_ne_bytes()).expect("it is connected");
                }
            });
            let receiving = filch::spawn(async move {
                let (mut expected, mut cancelled) = (0u32, 0);
                while expected < DATAGRAMS {
                    // A small buffer, or a large one: the pending receive will do for either.
                    let mut buf = vec![0; if cancelled % 2 == 0 { 4 } else { 1_500 }];
                    filch::select! {
                        biased;
                        len = socket.recv(&mut buf) => {
                            assert_eq!(len.expect("it receives"), 4);
                            assert_eq!(buf[..4], expected.to_ne_bytes());
                            expected += 1;
                        }
                        () = filch_testkit::exec::yield_now() => cancelled += 1,
                    }
                }
                cancelled
            });
            sending.await.unwrap();
            assert!(receiving.await.unwrap() > 0, "some were cancelled");
        });
    }
}

async fn descriptors_come(cut: Cut) {
    let (socket, peer) = unix_pair();
    let peer = UnixDatagram::from_std(peer).expect("a runtime");
    let socket = Arc::new(socket);
    let got = Arc::new(Mutex::new(Vec::new()));
    let receiver = {
        let (socket, got) = (socket.clone(), got.clone());
        async move {
            for _ in 0..3 {
                let mut buf = [0; 8];
                let (len, files) = socket.recv_with_fds(&mut buf).await.expect("it receives");
                got.lock().unwrap().push((buf[..len].to_vec(), support::texts(files)));
            }
        }
    };
    let sender = async {
        for number in 0..5 {
            breathe().await;
            let files: Vec<_> = (0..number).map(|file| support::file(&file.to_string())).collect();
            let files: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
            peer.send_with_fds(number.to_string().as_bytes(), &files).await.expect("it sends");
        }
    };
    filch::join!(cut.run(receiver), sender);
    while got.lock().unwrap().len() < 5 {
        let mut buf = [0; 8];
        let (len, files) = socket.recv_with_fds(&mut buf).await.expect("it receives");
        got.lock().unwrap().push((buf[..len].to_vec(), support::texts(files)));
    }
    for (number, (bytes, files)) in got.lock().unwrap().iter().enumerate() {
        assert_eq!(*bytes, number.to_string().as_bytes());
        assert_eq!(*files, (0..number).map(|file| file.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn descriptors_come_with_their_datagrams() {
    everywhere(3, descriptors_come);
}

async fn descriptors_for_nobody(cut: Cut) {
    let (socket, peer) = unix_pair();
    let peer = UnixDatagram::from_std(peer).expect("a runtime");
    let before = filch_testkit::leaks::descriptors().len();
    let receiver = async move { socket.recv_with_fds(&mut [0; 8]).await.map(drop) };
    let sender = async {
        breathe().await;
        let file = support::file("nobody reads this");
        // The socket may be gone.
        let _ = peer.send_with_fds(b"x", &[file.as_fd(), file.as_fd()]).await;
    };
    filch::join!(cut.run(receiver), sender);
    // One less: the socket itself.
    support::until_closed(before - 1).await;
}

#[test]
fn descriptors_that_come_for_nobody_are_closed() {
    everywhere(2, descriptors_for_nobody);
}

/// C2, CANCEL-10.
#[test]
fn no_datagram_is_lost_wherever_a_receive_is_asked_to_end() {
    asked_everywhere(4, receives_from_udp);
    asked_everywhere(4, receives_from_unix);
    asked_everywhere(4, receives_by_address);
    asked_everywhere(3, the_socket_goes_too);
    asked_everywhere(3, is_handed_on);
    asked_everywhere(3, descriptors_come);
    asked_everywhere(2, descriptors_for_nobody);
}

/// C2, CANCEL-10.
#[test]
fn a_send_that_is_asked_to_end_is_told_of_or_did_not_happen() {
    asked_everywhere(2, sends_by_udp);
    asked_everywhere(2, sends_by_unix);
    asked_everywhere(2, sends_by_address);
}
