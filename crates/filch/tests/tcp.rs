//! TCP sockets: what they are asked for, they do, and what they cannot do they say.

mod support;

use filch::io::{Read, Write};
use filch::net::{Keepalive, TcpListener, TcpSocket, TcpStream, lookup_host, tcp};
use filch_testkit::limits::watchdog;
use filch_testkit::skip;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;
use support::{PATIENCE, full, full_at, pair, pattern};

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = filch::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

#[filch::test]
async fn options_are_what_they_were_set_to() {
    let (stream, _other) = connected().await;
    for value in [true, false] {
        stream.set_nodelay(value).unwrap();
        assert_eq!(stream.nodelay().unwrap(), value);
    }
    stream.set_ttl(17).unwrap();
    assert_eq!(stream.ttl().unwrap(), 17);
    assert_eq!(stream.linger().unwrap(), None);
    stream.set_linger(Some(Duration::from_secs(3))).unwrap();
    assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(3)));
    stream.set_linger(None).unwrap();
    stream.set_recv_buffer_size(20_000).unwrap();
    stream.set_send_buffer_size(30_000).unwrap();
    assert!(stream.recv_buffer_size().unwrap() >= 20_000);
    assert!(stream.send_buffer_size().unwrap() >= 30_000);
    assert!(stream.take_error().unwrap().is_none());
    assert_eq!(stream.keepalive().unwrap(), None);
    let keepalive = Keepalive {
        time: Some(Duration::from_secs(40)),
        interval: Some(Duration::from_secs(5)),
        retries: Some(3),
    };
    stream.set_keepalive(keepalive).unwrap();
    assert_eq!(stream.keepalive().unwrap(), Some(keepalive));
    stream.set_keepalive(Keepalive::default()).unwrap();
    assert_eq!(stream.keepalive().unwrap(), Some(keepalive), "as they were");
    stream.set_keepalive(None).unwrap();
    assert_eq!(stream.keepalive().unwrap(), None);
    let never = Keepalive { time: Some(Duration::ZERO), ..Keepalive::default() };
    assert_eq!(stream.set_keepalive(never).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(stream.set_ttl(1_000).is_err());
}

#[filch::test]
async fn a_socket_is_bound_before_it_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let from = socket.local_addr().unwrap();
    assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 2));
    socket.set_nodelay(true).unwrap();
    let stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let (_server, peer) = listener.accept().await.unwrap();
    assert_eq!((stream.local_addr().unwrap(), peer), (from, from));
    assert!(stream.nodelay().unwrap());
}

#[filch::test]
async fn a_socket_that_fails_says_what_it_was_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = TcpSocket::new_v4().unwrap().connect(taken).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    let here: SocketAddr = "192.0.2.1:0".parse().unwrap();
    let error = TcpSocket::new_v4().unwrap().bind(here).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
    let error = TcpSocket::new_v4().unwrap().bind("[::1]:0".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("[::1]:0"), "{error}");
}

#[filch::test]
async fn sockets_share_a_port() {
    let listen = |address: SocketAddr| {
        let socket = TcpSocket::new_v4().unwrap();
        assert!(!socket.reuseport().unwrap() && !socket.reuseaddr().unwrap());
        socket.set_reuseport(true).unwrap();
        socket.set_reuseaddr(true).unwrap();
        assert!(socket.reuseport().unwrap() && socket.reuseaddr().unwrap());
        socket.bind(address).unwrap();
        socket.listen(16).unwrap()
    };
    let first = listen("127.0.0.1:0".parse().unwrap());
    let address = first.local_addr().unwrap();
    let second = listen(address);
    // Each connection goes to one of them; sooner or later both have had one.
    let mut seen = [0, 0];
    while seen.contains(&0) {
        let _client = TcpStream::connect(address).await.unwrap();
        filch::select! {
            accepted = first.accept() => { accepted.unwrap(); seen[0] += 1; }
            accepted = second.accept() => { accepted.unwrap(); seen[1] += 1; }
        }
    }
    let alone = TcpSocket::new_v4().unwrap();
    assert_eq!(alone.bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[filch::test]
async fn several_buffers_are_one_stream() {
    let (stream, mut other) = connected().await;
    let pieces = [&b"one "[..], b"", b"two ", b"three"];
    let sent = stream.write_vectored(&pieces.map(IoSlice::new)).await.unwrap();
    assert_eq!(sent, 13);
    assert_eq!(stream.write_vectored(&[]).await.unwrap(), 0);
    let mut all = [0; 13];
    other.read_exact(&mut all).await.unwrap();
    assert_eq!(&all, b"one two three");
    // More than one write takes: the beginning of it.
    let large = pattern(0, 100_000);
    let sent = stream.write_vectored(&[IoSlice::new(&large), IoSlice::new(&large)]).await.unwrap();
    assert!(sent > 0 && sent <= 128 * 1024);
    let mut got = vec![0; sent];
    other.read_exact(&mut got).await.unwrap();
    assert!(got == [&large[..], &large[..]].concat()[..sent]);

    stream.write(b"abcdefgh").await.unwrap();
    let (mut a, mut b, mut c) = ([0; 3], [0; 0], [0; 4]);
    let mut bufs = [&mut a[..], &mut b, &mut c].map(IoSliceMut::new);
    let read = other.read_vectored(&mut bufs).await.unwrap();
    assert_eq!(read, 7);
    assert_eq!((&a, &c), (b"abc", b"defg"));
    assert_eq!(other.read_vectored(&mut []).await.unwrap(), 0);
    assert_eq!(other.read(&mut c).await.unwrap(), 1);
}

/// Peeking sees more when more has come, also behind what was received already.
#[filch::test]
async fn a_look_sees_what_has_come_since() {
    let (stream, mut peer) = pair();
    let mut buf = [0; 8];
    for (number, byte) in (1..).zip(b"abcd") {
        peer.write_all(&[*byte]).unwrap();
        // Through a network it may take a moment.
        let mut seen = 0;
        while seen < number {
            seen = stream.peek(&mut buf).await.unwrap();
        }
        assert_eq!(buf[..seen], b"abcd"[..number]);
    }
    assert_eq!(stream.peek(&mut []).await.unwrap(), 0);
    assert_eq!(stream.peek(&mut buf[..2]).await.unwrap(), 2);
    assert_eq!(stream.read(&mut buf[..1]).await.unwrap(), 1);
    let mut rest = Vec::new();
    while rest.len() < 3 {
        let read = stream.read(&mut buf).await.unwrap();
        rest.extend_from_slice(&buf[..read]);
    }
    assert_eq!(rest, b"bcd");
}

#[filch::test]
async fn halves_are_two_and_become_one() {
    let (mut stream, other) = connected().await;
    let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    {
        let (mut reader, mut writer) = stream.split();
        assert_eq!((reader.local_addr().unwrap(), writer.peer_addr().unwrap()), (local, peer));
        writer.write_all(b"ping").await.unwrap();
        other.write(b"pong").await.unwrap();
        let mut buf = [0; 4];
        assert_eq!(reader.peek(&mut buf[..2]).await.unwrap(), 2);
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"pong");
    }
    let (reader, writer): (tcp::OwnedReadHalf, tcp::OwnedWriteHalf) = stream.into_split();
    assert_eq!(reader.as_ref().as_raw_fd(), writer.as_ref().as_raw_fd());
    let (strange, strangers) = connected().await.0.into_split();
    let error = reader.reunite(strangers).unwrap_err();
    assert!(error.to_string().contains("different"), "{error}");
    let tcp::ReuniteError { 0: reader, 1: strangers } = error;
    let error = writer.reunite(strange).unwrap_err();
    let stream = reader.reunite(error.1).unwrap();
    drop((error.0, strangers));
    // No half was dropped on the way: it still writes.
    stream.write(b"!").await.unwrap();
    let (reader, writer) = stream.into_split();
    writer.forget();
    other.write(b"to the one that is left").await.unwrap();
    let mut buf = [0; 64];
    assert_eq!(reader.read(&mut buf).await.unwrap(), 23);
    assert_eq!(other.read(&mut buf).await.unwrap(), 5, "ping! and no end");
    drop(reader);
    assert_eq!(other.read(&mut buf).await.unwrap(), 0);
}

#[filch::test]
async fn a_half_that_is_shut_down_sends_the_end() {
    let (stream, mut other) = connected().await;
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(b"all").await.unwrap();
    writer.shutdown().await.unwrap();
    let mut got = Vec::new();
    other.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"all");
    assert_eq!(writer.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    other.write(b"yes").await.unwrap();
    drop(other);
    got.clear();
    reader.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"yes");
}

#[filch::test]
async fn what_was_received_is_not_lost_when_a_stream_is_handed_on() {
    let (stream, mut peer) = pair();
    peer.write_all(b"abc").unwrap();
    assert!(stream.peek(&mut [0; 8]).await.unwrap() > 0);
    let refused = stream.into_std().await.unwrap_err();
    assert_eq!(refused.error().kind(), ErrorKind::ResourceBusy);
    assert!(refused.to_string().contains("nobody has read"), "{refused}");
    let mut stream = refused.into_inner();
    stream.read_exact(&mut [0; 3]).await.unwrap();
    let mut standard = stream.into_std().await.unwrap();
    peer.write_all(b"def").unwrap();
    let mut buf = [0; 3];
    standard.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"def");
    // It blocks, as it should: a read of a socket that does not would fail at once.
    let reader = std::thread::spawn(move || standard.read(&mut [0; 8]));
    drop(peer);
    assert_eq!(reader.join().unwrap().unwrap(), 0);
}

#[filch::test]
async fn a_listener_goes_back_and_forth() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_ttl(9).unwrap();
    assert_eq!(listener.ttl().unwrap(), 9);
    assert!(listener.take_error().unwrap().is_none());
    let given_up = filch::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(given_up.is_err());
    let standard = listener.into_std().await.unwrap();
    let client = std::net::TcpStream::connect(address).unwrap();
    assert_eq!(standard.accept().unwrap().1, client.local_addr().unwrap());
    let listener = TcpListener::from_std(standard).unwrap();
    let _client = TcpStream::connect(address).await.unwrap();
    listener.accept().await.unwrap();
}

#[filch::test]
async fn an_address_that_never_answers() {
    let (_listener, hangs, _waiting) = full();
    let connect = TcpStream::connect_timeout(hangs, Duration::from_millis(20));
    let error = connect.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains(&hangs.to_string()), "{error}");
    // It does not hold up one that does, nor hide one that refuses.
    let answers = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = answers.local_addr().unwrap();
    let patience = Duration::from_secs(60);
    let stream = TcpStream::connect_timeout([hangs, address], patience).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    let refuses = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stream = TcpStream::connect([refuses, hangs, refuses, address]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

/// RFC 8305. Of a name with an address of each family that one is connected to which answers, whichever it is.
#[filch::test]
async fn a_family_that_does_not_answer_does_not_keep_from_the_other() {
    let _watchdog = watchdog(PATIENCE);
    let loopback = IpAddr::from(Ipv6Addr::LOCALHOST);
    // Bound, and not listening: it refuses, and is nobody else's meanwhile.
    let closed = Socket::new(Domain::IPV6, Type::STREAM, None)
        .and_then(|socket| socket.bind(&SocketAddr::from((loopback, 0)).into()).map(|()| socket));
    let closed = match closed {
        Ok(closed) => closed,
        Err(error) => return skip(error),
    };
    let refuses = closed.local_addr().unwrap().as_socket().unwrap();
    let (_listener, hangs, _waiting) = full_at(loopback);
    let answers = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = answers.local_addr().unwrap();
    for silent in [refuses, hangs] {
        let stream = TcpStream::connect([silent, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address, "after {silent}");
        let (_accepted, peer) = answers.accept().await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
    }
    let error = TcpStream::connect(refuses).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    // The other way round.
    let (_listener, hangs, _waiting) = full();
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    closed.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let refuses = closed.local_addr().unwrap().as_socket().unwrap();
    let answers = TcpListener::bind("[::1]:0").await.unwrap();
    let address = answers.local_addr().unwrap();
    for silent in [refuses, hangs] {
        let stream = TcpStream::connect([silent, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address, "after {silent}");
    }
}

/// A listener that was handed over may be somebody else's, too: that of whoever started the process, say.
#[filch::test]
async fn a_listener_that_is_shared_goes_on_without_us() {
    let _watchdog = watchdog(PATIENCE);
    let standard = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = standard.local_addr().unwrap();
    let listener = TcpListener::from_std(standard.try_clone().unwrap()).unwrap();
    let accept = listener.accept();
    assert!(filch::time::timeout(Duration::from_millis(5), accept).await.is_err());
    drop(listener);
    standard.set_nonblocking(true).unwrap();
    loop {
        let client = TcpStream::connect(address).await.expect("somebody listens");
        filch::time::sleep(Duration::from_millis(5)).await;
        // The accept that was left may have got one more, before it was given up.
        if let Ok((_, peer)) = standard.accept() {
            assert_eq!(peer, client.local_addr().unwrap());
            break;
        }
    }
}

/// Nor does it begin to block for others.
#[filch::test]
async fn a_listener_that_is_shared_blocks_or_not_as_before() {
    let _watchdog = watchdog(PATIENCE);
    let standard = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    standard.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(standard.try_clone().unwrap()).unwrap();
    assert_eq!(standard.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    for _ in 0..3 {
        let (accepted, client) = filch::join!(listener.accept(), async {
            // Until it waits.
            filch::time::sleep(Duration::from_millis(2)).await;
            TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
        });
        assert_eq!(accepted.unwrap().1, client.local_addr().unwrap());
    }
    assert_eq!(standard.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// To end both directions again is no error, as the documentation says, when the other side has ended, too.
#[filch::test]
async fn a_shutdown_that_was_dropped_may_be_asked_for_again() {
    for how in [Shutdown::Both, Shutdown::Write] {
        let (one, other) = connected().await;
        let shutdown = one.shutdown(how);
        assert!(filch::time::timeout(Duration::ZERO, shutdown).await.is_err(), "dropped");
        assert_eq!(other.read(&mut [0]).await.unwrap(), 0);
        other.shutdown(Shutdown::Write).await.unwrap();
        // Until the end has come here, and there is no connection any more.
        filch::time::sleep(Duration::from_millis(5)).await;
        one.shutdown(how).await.unwrap();
    }
}

#[filch::test]
async fn names_are_looked_up() {
    let found: Vec<_> = lookup_host("127.0.0.1:80").await.unwrap().collect();
    assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 80))]);
    let found: Vec<_> = lookup_host(("localhost", 7)).await.unwrap().collect();
    assert!(!found.is_empty());
    assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7));
    let known = vec![SocketAddr::from(([1, 2, 3, 4], 5)), SocketAddr::from(([0; 16], 6))];
    assert_eq!(lookup_host(&known).await.unwrap().collect::<Vec<_>>(), known);
    assert!(lookup_host("no-such-host.invalid:1").await.is_err());
    let error = lookup_host("no port").await.unwrap_err();
    assert!(error.to_string().contains("no port"), "{error}");
    assert_eq!(lookup_host(Vec::new()).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn without_a_runtime_there_is_no_socket() {
    use filch_testkit::exec::block_on;
    let no_runtime =
        |error: std::io::Error| error.get_ref().is_some_and(|e| e.is::<filch::NoRuntime>());
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    assert!(no_runtime(block_on(TcpStream::connect(address)).unwrap_err()));
    let patience = Duration::from_secs(1);
    assert!(no_runtime(block_on(TcpStream::connect_timeout(address, patience)).unwrap_err()));
    assert!(no_runtime(block_on(TcpListener::bind(address)).unwrap_err()));
    assert!(no_runtime(TcpSocket::new_v4().unwrap().listen(1).unwrap_err()));
    let socket = TcpSocket::new_v4().unwrap();
    assert!(no_runtime(block_on(socket.connect(address)).unwrap_err()));
}
