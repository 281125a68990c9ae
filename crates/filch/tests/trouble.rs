//! Peers that do as they please. Each costs its own connection, at most, and the server goes on.

mod support;

use filch::net::{TcpStream, UnixListener, UnixStream};
use filch::time::timeout;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::thread;
use std::time::Duration;
use support::server::{Server, read_all};
use support::{PATIENCE, full, pattern, runtime, temp};

/// Runs a test with one worker and with two, and looks for what it left behind.
fn each(test: impl Fn(Server)) {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let before = Before::now("filch");
        test(Server::new(workers));
        before.check();
    }
}

/// A connection that its peer reset: whether it was read or written next.
#[track_caller]
fn was_reset(ended: std::io::Result<u64>) {
    let error = ended.expect_err("it was reset");
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kinds.contains(&error.kind()), "{error}");
}

#[test]
fn peers_that_reset() {
    each(|server| {
        for round in 0..60 {
            let mut peer = server.connect();
            match round % 3 {
                // With nothing sent.
                0 => {}
                // With bytes on their way, both ways.
                1 => peer.write_all(&[1; 10_000]).unwrap(),
                // In the midst of an answer.
                _ => {
                    peer.write_all(&[1; 10_000]).unwrap();
                    peer.read_exact(&mut [0; 100]).unwrap();
                }
            }
            SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
        }
        for _ in 0..60 {
            was_reset(server.next());
        }
        server.check();
    });
}

#[test]
fn peers_that_end_their_half() {
    each(|server| {
        for len in [0, 1, 300_000] {
            let peer = server.connect();
            let all = pattern(len, len);
            thread::scope(|scope| {
                let answer = scope.spawn(|| read_all(&peer));
                (&peer).write_all(&all).unwrap();
                peer.shutdown(Shutdown::Write).unwrap();
                assert!(answer.join().unwrap() == all, "all of it comes back");
            });
            assert_eq!(server.next().unwrap(), len as u64);
        }
        // One that does not want the answer either.
        let mut peer = server.connect();
        peer.write_all(&[1; 1000]).unwrap();
        peer.shutdown(Shutdown::Both).unwrap();
        drop(peer);
        // The system may have taken the answer before it heard.
        let _either = server.next();
        server.check();
    });
}

#[test]
fn peers_that_send_one_byte_at_a_time() {
    const PEERS: usize = 8;
    const BYTES: usize = 300;
    each(|server| {
        thread::scope(|scope| {
            for number in 0..PEERS {
                let mut peer = server.connect();
                peer.set_nodelay(true).unwrap();
                scope.spawn(move || {
                    let mut answer = [0];
                    for byte in pattern(number, BYTES) {
                        peer.write_all(&[byte]).unwrap();
                        peer.read_exact(&mut answer).unwrap();
                        assert_eq!(answer, [byte]);
                    }
                });
            }
        });
        for _ in 0..PEERS {
            assert_eq!(server.next().unwrap(), BYTES as u64);
        }
        server.check();
    });
}

/// Sends until nothing more goes, and gives what went.
fn stuff(peer: &mut std::net::TcpStream) -> Vec<u8> {
    peer.set_nonblocking(true).unwrap();
    let mut sent = Vec::new();
    let mut quiet = 0;
    // Nothing goes for a while: the server is stuck, too, and reads no more.
    while quiet < 20 {
        let piece = pattern(sent.len(), 64 * 1024);
        match peer.write(&piece) {
            Ok(more) => {
                sent.extend_from_slice(&piece[..more]);
                quiet = 0;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                quiet += 1;
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    peer.set_nonblocking(false).unwrap();
    sent
}

#[test]
fn peers_that_never_read() {
    const PEERS: usize = 4;
    each(|server| {
        let mut peers: Vec<_> = (0..PEERS).map(|_| server.connect()).collect();
        let sent: Vec<_> = peers.iter_mut().map(stuff).collect();
        // All of them wait, and hold up nobody.
        server.until_tasks(PEERS + 1);
        server.check();
        // Those that read after all get what they are owed. Those that go are gone.
        for (number, (peer, sent)) in peers.into_iter().zip(sent).enumerate() {
            if number % 2 == 0 {
                peer.shutdown(Shutdown::Write).unwrap();
                assert!(read_all(&peer) == sent, "all of it comes back");
                assert_eq!(server.next().unwrap(), sent.len() as u64);
            } else {
                drop(peer);
                was_reset(server.next());
            }
        }
        server.check();
    });
}

/// A server that ends with peers that never read: their connections end, too.
#[test]
fn a_runtime_ends_under_peers_that_never_read() {
    each(|server| {
        let mut peers: Vec<_> = (0..4).map(|_| server.connect()).collect();
        peers.iter_mut().for_each(|peer| drop(stuff(peer)));
        drop(server);
        for mut peer in peers {
            // It was not read to the end, so it is a reset, behind what was on its way.
            let ended = std::io::copy(&mut peer, &mut std::io::sink());
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_line_that_is_full_is_a_wait() {
    each(|server| {
        let (listener, address, waiting) = full();
        server.runtime.block_on(async {
            let patience = Duration::from_millis(20);
            assert!(timeout(patience, TcpStream::connect(address)).await.is_err());
            let error = TcpStream::connect_timeout(address, patience).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(error.to_string().contains(&address.to_string()), "{error}");
        });
        let connecting = server.runtime.handle().spawn(TcpStream::connect(address));
        server.check();
        assert!(!connecting.is_finished());
        // Those in line are let in, and the others when the system asks again for them.
        thread::scope(|scope| {
            let accepting = scope.spawn(|| {
                let mut accepted = Vec::new();
                while let Ok((socket, _)) = listener.accept() {
                    // One that was given up may be among them.
                    let _gone = socket.send(b"x");
                    accepted.push(socket);
                }
                accepted
            });
            server.runtime.block_on(async {
                let stream = connecting.await.unwrap().expect("there is room now");
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
            });
            listener.shutdown(Shutdown::Both).unwrap();
            assert!(!accepting.join().unwrap().is_empty());
        });
        drop(waiting);
        server.check();
    });
}

/// A Unix socket that listens and has a full line.
fn full_unix() -> (Socket, SocketAddr, Vec<Socket>) {
    let path = temp("full");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&address) {
            Ok(()) => waiting.push(socket),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return (listener, SocketAddr::from_pathname(path).unwrap(), waiting);
            }
        }
    }
}

#[test]
fn a_line_that_is_full_is_a_wait_for_unix_sockets_too() {
    each(|server| {
        let (listener, address, waiting) = full_unix();
        let path = address.as_pathname().unwrap().to_owned();
        server.runtime.block_on(async {
            let patience = Duration::from_millis(20);
            assert!(timeout(patience, UnixStream::connect(&path)).await.is_err());
        });
        let connecting = server.runtime.handle().spawn({
            let path = path.clone();
            async move { UnixStream::connect(path).await }
        });
        server.check();
        assert!(!connecting.is_finished());
        for _ in &waiting {
            listener.accept().unwrap();
        }
        let stream = server.runtime.block_on(connecting).unwrap().expect("there is room now");
        let (socket, _) = listener.accept().unwrap();
        socket.send(b"x").unwrap();
        let read = server.runtime.block_on(stream.read(&mut [0; 8])).unwrap();
        assert_eq!(read, 1);
        server.check();
        // And a runtime that ends does not wait for it.
        drop((waiting, listener));
        std::fs::remove_file(&path).unwrap();
        let (_listener, address, _waiting) = full_unix();
        let path = address.as_pathname().unwrap().to_owned();
        let connecting = server.runtime.handle().spawn({
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(drop) }
        });
        server.check();
        assert!(!connecting.is_finished());
        drop(server);
        std::fs::remove_file(path).unwrap();
    });
}

/// Connections that are gone before anybody accepts them.
#[test]
fn peers_that_do_not_wait_for_the_accept() {
    let _alone = alone(PATIENCE);
    let runtime = runtime(1);
    let path = temp("impatient");
    runtime.block_on(async {
        let listener = filch::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..10 {
            let peer = std::net::TcpStream::connect(address).unwrap();
            SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let last = std::net::TcpStream::connect(address).unwrap();
        let mut seen = 0;
        loop {
            let (stream, peer) = listener.accept().await.expect("that is the peer's business");
            if peer == last.local_addr().unwrap() {
                break;
            }
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            seen += 1;
        }
        assert_eq!(seen, 10);

        let listener = UnixListener::bind(&path).unwrap();
        for _ in 0..3 {
            drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        }
    });
    std::fs::remove_file(path).unwrap();
}
