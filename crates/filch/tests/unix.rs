//! Unix sockets: what they are asked for, they do, and what they cannot do they say.

mod support;

use filch::io::{Read, Write};
use filch::net::unix::SocketAddr;
use filch::net::{UnixDatagram, UnixListener, UnixStream};
use filch_testkit::child;
use filch_testkit::limits::watchdog;
use socket2::{Domain, SockRef, Socket, Type};
use std::future::Future;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;
use support::{PATIENCE, file, pattern, runtime, temp, texts};

/// A path for a socket, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(temp("unix"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[filch::test]
async fn a_path_is_bound_and_stays() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.0).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*place.0));
    let (client, server) = filch::join!(UnixStream::connect(&place.0), listener.accept());
    let (client, (server, from)) = (client.unwrap(), server.unwrap());
    assert!(from.is_unnamed() && client.local_addr().unwrap().is_unnamed());
    assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*place.0));
    for end in [&client, &server] {
        let peer = end.peer_cred().unwrap();
        assert_eq!(peer.pid(), Some(std::process::id() as i32));
        // SAFETY: no pointers.
        assert_eq!((peer.uid(), peer.gid()), unsafe { (libc::geteuid(), libc::getegid()) });
    }
    drop(listener);
    let shown = place.0.display().to_string();
    let error = UnixListener::bind(&place.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&shown), "{error}");
    let error = UnixStream::connect(&place.0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    std::fs::remove_file(&place.0).unwrap();
    let error = UnixStream::connect(&place.0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&shown), "{error}");
    UnixListener::bind(&place.0).unwrap();
}

#[filch::test]
async fn an_abstract_name_is_bound_and_vanishes() {
    let name = format!("filch-abstract-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let error = UnixListener::bind(format!("\0{name}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&format!("@{name}")), "{error}");
    assert_eq!(listener.local_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
    UnixStream::connect_addr(&address).await.unwrap();
    UnixStream::connect(format!("\0{name}")).await.unwrap();
    assert!(listener.take_error().unwrap().is_none());
    drop(listener);
    assert!(UnixStream::connect_addr(&address).await.is_err());
    UnixDatagram::bind_addr(&address).unwrap();
}

/// A path that fills the whole of an address, with no room for a NUL behind it: the standard library does not
/// bind one, and others do.
#[filch::test]
async fn a_peer_whose_path_is_as_long_as_can_be() {
    /// Of so many bytes, in the directory for such things.
    fn long(what: &str) -> PathBuf {
        let mut path = temp(what).into_os_string();
        path.push("x".repeat(108 - path.len()));
        path.into()
    }
    fn bind(kind: libc::c_int, path: &Path) -> OwnedFd {
        // SAFETY: all zeroes is a value of it.
        let mut address = unsafe { std::mem::zeroed::<libc::sockaddr_un>() };
        address.sun_family = libc::AF_UNIX as _;
        for (place, byte) in address.sun_path.iter_mut().zip(path.as_os_str().as_bytes()) {
            *place = *byte as _;
        }
        let socket = Socket::new(Domain::UNIX, Type::from(kind), None).unwrap();
        let len = std::mem::size_of_val(&address) as _;
        // SAFETY: so long is the address.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
        assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
        socket.into()
    }
    let (place, server) = (Place::new(), Place::new());
    let (client, sender) = (Place(long("client")), Place(long("sender")));
    let listener = UnixListener::bind(&server.0).unwrap();
    let standard = std::os::unix::net::UnixStream::from(bind(libc::SOCK_STREAM, &client.0));
    let address = SocketAddr::from_pathname(&server.0).unwrap();
    SockRef::from(&standard).connect(&socket2::SockAddr::unix(&server.0).unwrap()).unwrap();
    let (accepted, from) = listener.accept().await.unwrap();
    assert_eq!(from.as_pathname(), Some(&*client.0));
    assert_eq!(accepted.peer_addr().unwrap().as_pathname(), Some(&*client.0));
    let theirs = UnixStream::from_std(standard).unwrap();
    assert_eq!(theirs.local_addr().unwrap().as_pathname(), Some(&*client.0));
    assert_eq!(theirs.peer_addr().unwrap().as_pathname(), address.as_pathname());

    let receiver = UnixDatagram::bind(&place.0).unwrap();
    let standard = std::os::unix::net::UnixDatagram::from(bind(libc::SOCK_DGRAM, &sender.0));
    standard.send_to(b"not lost", &place.0).unwrap();
    let mut buf = [0; 16];
    // The standard library's addresses have no other way in.
    let (len, from) = receiver.peek_from(&mut buf).await.unwrap();
    assert_eq!((&buf[..len], from.is_unnamed()), (&b"not lost"[..], true));
    let (len, from) = receiver.recv_from(&mut buf).await.unwrap();
    assert_eq!((&buf[..len], from.is_unnamed()), (&b"not lost"[..], true));
    // What it has read itself is as good as any.
    let address = standard.local_addr().unwrap();
    assert_eq!(address.as_pathname(), Some(&*sender.0));
    assert_eq!(receiver.send_to_addr(b"back", &address).await.unwrap(), 4);
    assert_eq!(standard.recv(&mut buf).unwrap(), 4);
    assert_eq!(receiver.connect_addr(&address).unwrap_err().kind(), ErrorKind::InvalidInput);
    let error = UnixStream::connect_addr(&address).await.unwrap_err();
    assert!(error.to_string().contains(&sender.0.display().to_string()), "{error}");
}

#[filch::test]
async fn paths_that_are_none() {
    let long = "x".repeat(200);
    for bad in [Path::new(""), Path::new(&long), Path::new("a\0b")] {
        for error in [
            UnixListener::bind(bad).unwrap_err(),
            UnixDatagram::bind(bad).unwrap_err(),
            UnixStream::connect(bad).await.unwrap_err(),
            UnixDatagram::unbound().unwrap().connect(bad).unwrap_err(),
            UnixDatagram::unbound().unwrap().send_to(b"x", bad).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}: {error}");
        }
    }
    let error = UnixListener::bind("/no/such/directory/socket").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let unnamed = UnixStream::pair().unwrap().0.local_addr().unwrap();
    assert!(UnixStream::connect_addr(&unnamed).await.is_err());
    assert!(UnixListener::bind_addr(&unnamed).is_err());
}

#[filch::test]
async fn a_stream_is_split_and_whole_again() {
    let (one, mut other) = UnixStream::pair().unwrap();
    let (mut reader, mut writer) = one.into_split();
    writer.write_all(b"ping").await.unwrap();
    other.write_all(b"pong").await.unwrap();
    let mut buf = [0; 4];
    reader.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"pong");
    assert!(reader.local_addr().unwrap().is_unnamed());
    let mut one = reader.reunite(writer).unwrap();
    let (_, mut writer) = one.split();
    writer.write_all(b"!").await.unwrap();
    writer.shutdown().await.unwrap();
    let mut all = Vec::new();
    other.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"ping!");
    let (reader, writer) = other.into_split();
    drop(writer);
    assert_eq!(one.read(&mut buf).await.unwrap(), 0, "the end is sent");
    drop(reader);
    assert_eq!(one.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[filch::test]
async fn as_many_descriptors_as_the_system_passes() {
    let (stream, receiver) = UnixStream::pair().unwrap();
    let (datagram, datagram_receiver) = UnixDatagram::pair().unwrap();
    let file = file("the same");
    let mut buf = [0; 16];
    for count in [1, 2, 253] {
        let files = vec![file.as_fd(); count];
        assert_eq!(stream.send_with_fds(b"stream", &files).await.unwrap(), 6);
        let (len, got) = receiver.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((len, got.len()), (6, count));
        assert!(texts(got).iter().all(|text| text == "the same"));
        assert_eq!(datagram.send_with_fds(b"datagram", &files).await.unwrap(), 8);
        let (len, got) = datagram_receiver.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((len, got.len()), (8, count));
        assert!(texts(got).iter().all(|text| text == "the same"));
    }
    for (bytes, count) in [(&b"x"[..], 254), (b"", 1)] {
        let files = vec![file.as_fd(); count];
        let error = stream.send_with_fds(bytes, &files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let error = datagram.send_with_fds(bytes, &files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    // None at all is a plain write.
    assert_eq!(stream.send_with_fds(b"", &[]).await.unwrap(), 0);
    assert_eq!(stream.send_with_fds(b"plain", &[]).await.unwrap(), 5);
    let (len, got) = receiver.recv_with_fds(&mut buf).await.unwrap();
    assert_eq!((len, got.len()), (5, 0));
    assert_eq!(receiver.recv_with_fds(&mut []).await.unwrap().0, 0);
}

/// What a socket may have been told to say of the sender takes room beside a message, too.
#[filch::test]
async fn who_is_told_of_the_sender_gets_all_descriptors_too() {
    let (one, other) = UnixStream::pair().unwrap();
    let on: libc::c_int = 1;
    for option in [libc::SO_PASSCRED, libc::SO_PASSPIDFD] {
        let (place, len) = ((&raw const on).cast(), std::mem::size_of_val(&on) as _);
        // SAFETY: so long is the number.
        unsafe { libc::setsockopt(other.as_raw_fd(), libc::SOL_SOCKET, option, place, len) };
    }
    let file = file("the same");
    let files = vec![file.as_fd(); 253];
    assert_eq!(one.send_with_fds(b"all", &files).await.unwrap(), 3);
    let (len, got) = other.recv_with_fds(&mut [0; 8]).await.unwrap();
    assert_eq!((len, got.len()), (3, 253));
    assert!(texts(got).iter().all(|text| text == "the same"), "and nothing else");
}

#[filch::test]
async fn a_client_that_is_gone_when_it_is_accepted() {
    let name = format!("\0filch-gone-{}", std::process::id());
    let listener = UnixListener::bind(&name).unwrap();
    let client = UnixStream::connect(&name).await.unwrap();
    client.write(b"bye").await.unwrap();
    drop(client);
    let (accepted, _) = listener.accept().await.unwrap();
    let mut all = Vec::new();
    (&accepted).read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"bye");
}

/// Two ends of a pipe, of which the writing one can be passed on.
fn pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    std::io::pipe().unwrap()
}

/// Waits until nobody has the writing end any more.
async fn until_ended(reader: std::io::PipeReader) {
    let ended = move || std::io::Read::read(&mut &reader, &mut [0]);
    assert_eq!(filch::spawn_blocking(ended).await.unwrap().unwrap(), 0);
}

#[filch::test]
async fn who_reads_without_asking_for_descriptors_gets_none() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut buf = [0; 16];
    // Once before anybody asked for any, and once after.
    for _ in 0..2 {
        let (reader, writer) = pipe();
        one.send_with_fds(b"bytes", &[writer.as_fd()]).await.unwrap();
        drop(writer);
        assert_eq!(other.read(&mut buf).await.unwrap(), 5);
        until_ended(reader).await;
        one.write(b"x").await.unwrap();
        assert_eq!(other.recv_with_fds(&mut buf).await.unwrap().0, 1);
    }
    // They stay while one only looks, and come with the first byte.
    let file = file("here");
    one.send_with_fds(b"bytes", &[file.as_fd()]).await.unwrap();
    assert_eq!(other.peek(&mut buf).await.unwrap(), 5);
    let (len, files) = other.recv_with_fds(&mut buf[..2]).await.unwrap();
    assert_eq!((len, texts(files)), (2, vec!["here".to_owned()]));
    let (len, files) = other.recv_with_fds(&mut buf).await.unwrap();
    assert_eq!((len, files.len()), (3, 0));
}

/// Leaves something behind that has begun.
fn begin_and_drop(begun: impl Future) {
    let mut begun = pin!(begun);
    assert!(begun.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[filch::test]
async fn asking_for_descriptors_takes_over_from_a_plain_read() {
    let (one, other) = UnixStream::pair().unwrap();
    begin_and_drop(other.read(&mut [0; 4]));
    let file = file("late");
    let mut buf = [0; 16];
    let (received, ()) = filch::join!(other.recv_with_fds(&mut buf), async {
        // Until the kernel has heard that the read is given up.
        filch::time::sleep(Duration::from_millis(20)).await;
        one.send_with_fds(b"bytes", &[file.as_fd()]).await.unwrap();
    });
    let (len, files) = received.unwrap();
    assert_eq!((len, texts(files)), (5, vec!["late".to_owned()]));
    // And back: bytes that came for the plain read are not lost.
    let (one, other) = UnixStream::pair().unwrap();
    begin_and_drop(other.read(&mut [0; 4]));
    one.write(b"early").await.unwrap();
    let mut got = Vec::new();
    while got.len() < 5 {
        let (len, _) = other.recv_with_fds(&mut buf).await.unwrap();
        got.extend_from_slice(&buf[..len]);
    }
    assert_eq!(got, b"early");
}

/// A header by a plain read, and a body with descriptors, whatever was read before.
#[filch::test]
async fn a_plain_read_leaves_the_descriptors_of_later_bytes() {
    let (one, other) = UnixStream::pair().unwrap();
    let mut buf = [0; 64];
    for number in ["first", "second"] {
        let file = file(number);
        one.write(b"head").await.unwrap();
        one.send_with_fds(b"body", &[file.as_fd()]).await.unwrap();
        assert_eq!(other.read(&mut buf[..4]).await.unwrap(), 4);
        assert_eq!(&buf[..4], b"head");
        let (len, files) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((&buf[..len], texts(files)), (&b"body"[..], vec![number.to_owned()]));
    }
    // Also when they have come along already, for a read that was dropped, or for a look.
    for looks in [false, true] {
        let file = file("late");
        if looks {
            one.write(b"head").await.unwrap();
        } else {
            begin_and_drop(other.read(&mut buf));
            filch::time::sleep(Duration::from_millis(5)).await;
        }
        // In one go.
        if !looks {
            one.send_with_fds(b"headbody", &[file.as_fd()]).await.unwrap();
        } else {
            one.send_with_fds(b"body", &[file.as_fd()]).await.unwrap();
            assert_eq!(other.peek(&mut buf).await.unwrap(), 8);
        }
        assert_eq!(other.read(&mut buf[..4]).await.unwrap(), 4);
        assert_eq!(&buf[..4], b"head");
        let (len, files) = other.recv_with_fds(&mut buf).await.unwrap();
        assert_eq!((&buf[..len], texts(files)), (&b"body"[..], vec!["late".to_owned()]));
    }
}

#[test]
fn without_room_for_descriptors_the_bytes_come_alone() {
    let _watchdog = watchdog(PATIENCE);
    child::run("without_room_for_descriptors_the_bytes_come_alone", || {
        child::limit_descriptors(64).unwrap();
        runtime(1).block_on(async {
            let (one, other) = UnixStream::pair().unwrap();
            let file = file("x");
            let mut held = Vec::new();
            one.send_with_fds(b"bytes", &[file.as_fd(); 3]).await.unwrap();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                held.push(file);
            }
            // There is room for one of the three.
            held.pop();
            let mut buf = [0; 16];
            let (len, files) = other.recv_with_fds(&mut buf).await.unwrap();
            assert_eq!((len, files.len()), (5, 1));
            let error = one.send_with_fds(b"x", &[file.as_fd()]).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            drop(files);
            assert_eq!(one.write(b"y").await.unwrap(), 1);
            assert_eq!(other.read(&mut buf).await.unwrap(), 1);
        });
    });
}

#[filch::test]
async fn datagrams_have_senders() {
    let (place, other_place) = (Place::new(), Place::new());
    let server = UnixDatagram::bind(&place.0).unwrap();
    let named = UnixDatagram::bind(&other_place.0).unwrap();
    let unnamed = UnixDatagram::unbound().unwrap();
    named.send_to(b"from a name", &place.0).await.unwrap();
    unnamed.send_to(b"from nobody", &place.0).await.unwrap();
    let mut buf = [0; 32];
    let (len, from) = server.peek_from(&mut buf).await.unwrap();
    assert_eq!((&buf[..len], from.as_pathname()), (&b"from a name"[..], Some(&*other_place.0)));
    let (len, from) = server.recv_from(&mut buf).await.unwrap();
    assert_eq!((&buf[..len], from.as_pathname()), (&b"from a name"[..], Some(&*other_place.0)));
    server.send_to_addr(b"back", &from).await.unwrap();
    assert_eq!(named.recv(&mut buf).await.unwrap(), 4);
    let (len, from) = server.recv_from(&mut buf).await.unwrap();
    assert_eq!(&buf[..len], b"from nobody");
    assert!(from.is_unnamed());
    assert!(server.send_to_addr(b"back", &from).await.is_err());

    unnamed.connect(&place.0).unwrap();
    assert_eq!(unnamed.peer_addr().unwrap().as_pathname(), Some(&*place.0));
    unnamed.send(b"again").await.unwrap();
    assert_eq!(server.recv(&mut buf).await.unwrap(), 5);
    drop(server);
    let error = unnamed.send(b"gone").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset));
    std::fs::remove_file(&place.0).unwrap();
    let error = named.send_to(b"x", &place.0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&place.0.display().to_string()), "{error}");
}

#[filch::test]
async fn datagrams_that_cannot_be_sent() {
    let (one, other) = UnixDatagram::pair().unwrap();
    let error = one.send(&vec![0; 10 << 20]).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    let nobody = UnixDatagram::unbound().unwrap();
    assert_eq!(nobody.send(b"x").await.unwrap_err().kind(), ErrorKind::NotConnected);
    one.shutdown(Shutdown::Write).unwrap();
    assert_eq!(one.send(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut buf = [0; 4];
    let (len, ()) = filch::join!(one.recv(&mut buf), async {
        other.send(b"ok").await.unwrap();
    });
    assert_eq!(len.unwrap(), 2);
    one.set_recv_buffer_size(10_000).unwrap();
    assert!(one.recv_buffer_size().unwrap() >= 10_000);
}

#[filch::test]
async fn a_larger_buffer_gets_more_of_a_datagram_than_the_one_before_had_room_for() {
    let (socket, peer) = UnixDatagram::pair().unwrap();
    peer.set_send_buffer_size(400_000).unwrap();
    let datagram = pattern(0, 300_000);
    begin_and_drop(socket.recv(&mut [0; 1]));
    let mut buf = vec![0; 310_000];
    let (len, ()) = filch::join!(socket.recv(&mut buf), async {
        // Until the kernel has heard that the first one is given up.
        filch::time::sleep(Duration::from_millis(20)).await;
        peer.send(&datagram).await.unwrap();
    });
    assert_eq!(len.unwrap(), datagram.len());
    assert!(buf[..datagram.len()] == datagram);
    // What was too small for one is none the worse for the next.
    begin_and_drop(socket.recv(&mut [0; 1]));
    peer.send(b"whole").await.unwrap();
    assert_eq!(socket.recv(&mut buf[..3]).await.unwrap(), 3);
    assert_eq!(&buf[..3], b"who");
    peer.send(b"next").await.unwrap();
    assert_eq!(socket.recv(&mut buf[..64]).await.unwrap(), 4);
}

/// A peer that takes nothing holds up only what is sent to it.
#[filch::test]
async fn a_full_peer_holds_up_nobody_else() {
    let path = |what: &str| format!("\0filch-{what}-{}", std::process::id());
    let full = UnixDatagram::bind(path("full")).unwrap();
    let free = UnixDatagram::bind(path("free")).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    // By somebody else: its own datagrams would tell the sender when they are taken.
    let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    let address = full.local_addr().unwrap();
    let mut sent = 0;
    while other.send_to_addr(b"x", &address).is_ok() {
        sent += 1;
    }
    for _ in 0..3 {
        let send = socket.send_to(b"given up", path("full"));
        assert!(filch::time::timeout(Duration::from_millis(2), send).await.is_err());
    }
    let mut waits = pin!(socket.send_to(b"waits", path("full")));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    socket.send_to(b"y", path("free")).await.unwrap();
    assert_eq!(free.recv(&mut [0; 8]).await.unwrap(), 1);
    let mut buf = [0; 8];
    for _ in 0..sent {
        assert_eq!(full.recv(&mut buf).await.unwrap(), 1);
    }
    waits.await.unwrap();
    // What was given up is not there, and what waited is there whole.
    assert_eq!(full.recv(&mut buf).await.unwrap(), 5);
    assert_eq!(&buf[..5], b"waits");
}

/// Nor does the peer that it is connected to, when it sends to another.
#[filch::test]
async fn a_full_peer_that_it_is_connected_to_holds_up_nobody_else() {
    let _watchdog = watchdog(PATIENCE);
    let path = |what: &str| format!("\0filch-connected-{what}-{}", std::process::id());
    let (one, other) = (path("one"), path("other"));
    let connected = UnixDatagram::bind(&one).unwrap();
    let receiver = UnixDatagram::bind(&other).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(&one).unwrap();
    let filler = std::os::unix::net::UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    let mut sent = 0;
    for full in [&connected, &receiver] {
        sent = 0;
        while filler.send_to_addr(b"x", &full.local_addr().unwrap()).is_ok() {
            sent += 1;
        }
    }
    let mut waits = pin!(socket.send_to(b"waits", &other));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // Until it waits for room.
    filch::time::sleep(Duration::from_millis(5)).await;
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut buf = [0; 8];
    for _ in 0..sent {
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), 1);
    }
    assert_eq!(waits.await.unwrap(), 5);
    assert_eq!(receiver.recv(&mut buf).await.unwrap(), 5);
}

#[filch::test]
async fn they_go_back_and_forth() {
    let (one, other) = UnixStream::pair().unwrap();
    one.write(b"ab").await.unwrap();
    assert_eq!(other.peek(&mut [0; 4]).await.unwrap(), 2);
    let refused = other.into_std().await.unwrap_err();
    assert_eq!(refused.error().kind(), ErrorKind::ResourceBusy);
    let other = refused.into_inner();
    assert_eq!(other.read(&mut [0; 4]).await.unwrap(), 2);
    let standard = other.into_std().await.unwrap();
    assert!(UnixStream::from_std(standard).unwrap().as_raw_fd() >= 0);

    let (one, other) = UnixDatagram::pair().unwrap();
    one.send(b"ab").await.unwrap();
    let standard = other.into_std().await.unwrap();
    assert_eq!(standard.recv(&mut [0; 4]).unwrap(), 2, "nobody had taken it from the system");

    let place = Place::new();
    let standard = UnixListener::bind(&place.0).unwrap().into_std().await.unwrap();
    let listener = UnixListener::from_std(standard).unwrap();
    let (client, server) = filch::join!(UnixStream::connect(&place.0), listener.accept());
    assert!(client.is_ok() && server.is_ok());
}

/// A socket of another kind than its type says.
#[filch::test]
async fn a_socket_of_another_kind_says_so() {
    let (unix, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let tcp = std::net::TcpStream::from(std::os::fd::OwnedFd::from(unix));
    let stream = filch::net::TcpStream::from_std(tcp).unwrap();
    assert_eq!(stream.local_addr().unwrap_err().kind(), ErrorKind::InvalidInput);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(listener));
    let listener = UnixListener::from_std(unix).unwrap();
    assert_eq!(listener.local_addr().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn without_a_runtime_there_is_no_socket() {
    use filch_testkit::exec::block_on;
    let place = Place::new();
    for error in [
        UnixListener::bind(&place.0).unwrap_err(),
        UnixDatagram::bind(&place.0).unwrap_err(),
        UnixDatagram::unbound().unwrap_err(),
        UnixDatagram::pair().unwrap_err(),
        UnixStream::pair().unwrap_err(),
        block_on(UnixStream::connect(&place.0)).unwrap_err(),
    ] {
        // Inside of what says what was tried, or alone.
        assert!(error.to_string().contains("runtime"), "{error}");
    }
    assert!(!place.0.exists(), "nothing was bound");
}
