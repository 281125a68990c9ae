//! What runs out, and what is taken away: an error that says so, or a wait, and the runtime goes on.
//!
//! Each in a process of its own, whose descriptors nobody else opens or closes.

mod support;

use filch::Runtime;
use filch::io::AsyncFd;
use filch::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use filch::time::{sleep, timeout};
use filch_testkit::child;
use filch_testkit::leaks::descriptors;
use filch_testkit::limits::watchdog;
use socket2::SockRef;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::server::{Server, echo, read_all};
use support::{PATIENCE, pattern, runtime};

/// Takes all the descriptors that this process may have, after lowering how many that is.
fn take_all() -> Vec<File> {
    child::limit_descriptors(200).unwrap();
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                return taken;
            }
        }
    }
}

/// Waits until there are exactly so many: what was just ended may take a moment. The watchdog ends it if that
/// is never.
fn until_descriptors(count: usize) {
    while descriptors().len() != count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn says_so<T>(result: std::io::Result<T>) {
    let error = result.err().expect("there is no descriptor for it");
    let text = error.to_string();
    assert!(text.contains("open files"), "it does not say what has run out: {text}");
}

/// Clients wait in line while there are no descriptors for them; those that are there are served. The
/// listener neither dies nor spins, and goes on when there are some.
#[test]
fn a_listener_without_descriptors_waits_for_some() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_listener_without_descriptors_waits_for_some", || {
        for workers in [1, 2] {
            starve(workers);
        }
    });
}

fn starve(workers: usize) {
    const CLIENTS: usize = 8;
    let runtime = runtime(workers);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let before = descriptors().len();
    let mut taken = take_all();
    taken.truncate(taken.len() - 3);
    let errors = Arc::new(AtomicU32::new(0));
    let count = errors.clone();
    let start = Instant::now();
    runtime.handle().spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(filch::spawn(echo(stream))),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
                    // Relaxed: a number.
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let serve = |client: &std::net::TcpStream| {
        let mut client = client;
        client.write_all(b"ping").unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ping");
    };
    let waits = |client: &std::net::TcpStream| {
        client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let read = { client }.read(&mut [0; 8]).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::WouldBlock);
        client.set_read_timeout(None).unwrap();
    };
    while errors.load(Ordering::Relaxed) < 4 {
        clients[..3].iter().for_each(serve);
        clients[3..].iter().for_each(waits);
    }
    let (seen, waited) = (errors.load(Ordering::Relaxed), start.elapsed());
    let most = waited.as_millis() / 50 + 1;
    assert!(u128::from(seen) <= most, "{seen} errors in {waited:?}: it spins");
    // One client ends, and the next in line is served, until all have been.
    for gone in 0..CLIENTS - 3 {
        clients[gone].shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&clients[gone]), b"");
        clients[gone + 1..gone + 4].iter().for_each(serve);
    }
    drop(clients);
    while runtime.handle().metrics().tasks > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(taken);
    // Only the clients are gone.
    until_descriptors(before - CLIENTS);
}

/// Whatever needs a descriptor says that there is none; whatever does not goes on.
#[test]
fn a_runtime_without_descriptors_goes_on() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_runtime_without_descriptors_goes_on", || {
        for workers in [1, 2] {
            let runtime = runtime(workers);
            let handle = runtime.handle().clone();
            // Threads for it are there, and whatever they need.
            runtime.block_on(async { filch::spawn_blocking(|| ()).await.unwrap() });
            let (stream, other) = runtime.block_on(async { UnixStream::pair().unwrap() });
            let before = descriptors().len();
            let taken = take_all();
            runtime.block_on(handle.spawn(without(stream, other))).expect("it goes on");
            match Runtime::builder().workers(1).build() {
                Ok(_) => panic!("there is no descriptor for a ring"),
                Err(error) => assert!(error.to_string().contains("open files"), "{error}"),
            }
            drop(taken);
            until_descriptors(before - 2);
            // And as before when there are some.
            let server = Server::on(runtime);
            server.check();
        }
    });
}

async fn without(stream: UnixStream, other: UnixStream) {
    says_so(TcpListener::bind("127.0.0.1:0").await);
    says_so(TcpStream::connect("127.0.0.1:1").await);
    says_so(UdpSocket::bind("127.0.0.1:0").await);
    says_so(UnixStream::connect("/nowhere").await);
    says_so(UnixStream::pair());
    says_so(filch::fs::File::open("/dev/null").await);
    says_so(filch::fs::read("/dev/null").await);
    says_so(stream.send_with_fds(b"x", &[other.as_fd()]).await);
    says_so(AsyncFd::new(stream.as_fd()));
    sleep(Duration::from_millis(2)).await;
    assert_eq!(filch::spawn(async { 1 }).await.unwrap(), 1);
    assert_eq!(filch::spawn_blocking(|| 2).await.unwrap(), 2);
    assert!(timeout(Duration::from_millis(2), other.read(&mut [0; 8])).await.is_err());
    assert_eq!(stream.write(b"ping").await.unwrap(), 4);
    assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 4);
    // Handing on what is in use takes one more: it is refused, and comes back whole.
    drop(timeout(Duration::from_millis(2), other.read(&mut [0; 8])).await);
    match other.into_std().await {
        // It was not in use any more.
        Ok(other) => drop(other),
        Err(refused) => {
            assert_eq!(refused.error().raw_os_error(), Some(libc::EMFILE));
            let other = refused.into_inner();
            assert_eq!(stream.write(b"pong").await.unwrap(), 4);
            assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 4);
        }
    }
}

/// The whole system has no descriptors, no buffers, no memory for a socket: opening one fails so.
fn nothing_to_give(test: &str, errno: i32) {
    let _watchdog = watchdog(PATIENCE);
    child::run(test, || {
        let server = Server::new(2);
        let mut peer = server.connect();
        child::refuse_system_call(libc::SYS_socket, errno).unwrap();
        server.runtime.block_on(async {
            let reason = std::io::Error::from_raw_os_error(errno).to_string();
            let reason = reason.split(" (").next().unwrap();
            let refused = [
                TcpStream::connect("127.0.0.1:1").await.unwrap_err(),
                TcpListener::bind("127.0.0.1:1").await.unwrap_err(),
                UdpSocket::bind("127.0.0.1:1").await.unwrap_err(),
            ];
            for error in refused.map(|error| error.to_string()) {
                assert!(error.contains("127.0.0.1:1") && error.contains(reason), "{error}");
            }
        });
        // It was connected before.
        peer.write_all(b"ping").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&peer), b"ping");
        assert_eq!(server.next().unwrap(), 4);
    });
}

#[test]
fn a_system_without_descriptors() {
    nothing_to_give("a_system_without_descriptors", libc::ENFILE);
}

#[test]
fn a_system_without_buffers() {
    nothing_to_give("a_system_without_buffers", libc::ENOBUFS);
}

#[test]
fn a_system_without_memory() {
    nothing_to_give("a_system_without_memory", libc::ENOMEM);
}

/// The kernel runs out of buffers for one socket in the midst of a datagram (ENOBUFS).
#[test]
fn a_datagram_without_buffers_is_an_error() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(1);
    runtime.block_on(async {
        let receiver = UdpSocket::bind("[::1]:0").await.unwrap();
        let to = receiver.local_addr().unwrap();
        let sender = UdpSocket::bind("[::1]:0").await.unwrap();
        // Many pieces, each with a buffer of its own, and room for few.
        let mtu: libc::c_int = 1280;
        // SAFETY: the value is there, and as long as is said.
        let set = unsafe {
            let (value, len) = ((&raw const mtu).cast(), size_of_val(&mtu) as libc::socklen_t);
            libc::setsockopt(sender.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_MTU, value, len)
        };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        SockRef::from(&sender).set_send_buffer_size(1).unwrap();
        for round in 0..20 {
            let error = sender.send_to(&[7; 60_000], to).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "{error}");
            let datagram = pattern(round, 1000);
            assert_eq!(sender.send_to(&datagram, to).await.unwrap(), 1000);
            let mut got = [0; 2000];
            let (len, _) = receiver.recv_from(&mut got).await.unwrap();
            assert!(got[..len] == datagram, "it, and nothing of the other");
        }
        // Groups are bounded, too.
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let joined = (0..=255).find_map(|number| {
            socket.join_multicast_v4(Ipv4Addr::new(239, 1, 1, number), Ipv4Addr::LOCALHOST).err()
        });
        // A system may allow more.
        assert!(joined.is_none_or(|error| error.raw_os_error() == Some(libc::ENOBUFS)));
    });
}

/// Puts another thing in a descriptor's place, as code with a bug in it does.
fn replace(fd: RawFd) {
    let null = File::open("/dev/null").unwrap().into_raw_fd();
    if null != fd {
        // SAFETY: it is open. The number goes on being its owner's.
        assert_eq!(unsafe { libc::dup2(null, fd) }, fd);
        close(null);
    }
}

/// Closes a descriptor under its owner.
fn close(fd: RawFd) {
    // SAFETY: nothing else of this process opens descriptors meanwhile; the owner is given one again.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

#[test]
fn a_descriptor_that_is_closed_elsewhere() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_descriptor_that_is_closed_elsewhere", || {
        for workers in [1, 2] {
            let server = Server::new(workers);
            let before = descriptors().len();
            let task = server.runtime.handle().spawn(closed_elsewhere());
            server.runtime.block_on(task).expect("it goes on");
            server.check();
            until_descriptors(before);
        }
    });
}

/// Two ends of a connection.
async fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (stream, listener.accept().await.unwrap().0)
}

async fn closed_elsewhere() {
    let code = |error: std::io::Error| error.raw_os_error().expect("the system's");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();

    // With nothing in flight: the next operation finds it out.
    let (stream, peer) = connect(&listener).await;
    close(stream.as_raw_fd());
    assert_eq!(code(stream.read(&mut [0; 8]).await.unwrap_err()), libc::EBADF);
    assert_eq!(code(stream.write(b"x").await.unwrap_err()), libc::EBADF);
    assert_eq!(code(stream.shutdown(Shutdown::Both).await.unwrap_err()), libc::EBADF);
    assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);
    // Buffers that were handed over come back.
    let (read, buf) = stream.read_owned(vec![7; 8]).await;
    assert_eq!((code(read.unwrap_err()), buf), (libc::EBADF, vec![7; 8]));
    let (read, bufs) = stream.read_vectored_owned([vec![7], vec![8]]).await;
    assert_eq!((code(read.unwrap_err()), bufs), (libc::EBADF, [vec![7], vec![8]]));
    let (written, buf) = stream.write_all_owned("text").await;
    assert_eq!((code(written.unwrap_err()), buf), (libc::EBADF, "text"));
    let (written, bufs) = stream.write_all_vectored_owned(("a", "b")).await;
    assert_eq!((code(written.unwrap_err()), bufs), (libc::EBADF, ("a", "b")));
    assert_eq!(code(stream.recv().await.unwrap_err()), libc::EBADF);
    assert_eq!(code(stream.readable().await.unwrap_err()), libc::EBADF);
    assert_eq!(code(stream.writable().await.unwrap_err()), libc::EBADF);
    assert_eq!(code(stream.try_read(&mut [0; 8]).unwrap_err()), libc::EBADF);
    assert_eq!(code(stream.try_write(b"x").unwrap_err()), libc::EBADF);
    // And closing it tells.
    assert_eq!(code(stream.close().await.unwrap_err()), libc::EBADF);

    // With a read in flight, which has the socket: it ends as if nothing were, and the next one finds out.
    for gone in [close as fn(RawFd), replace] {
        let (stream, peer) = connect(&listener).await;
        drop(timeout(Duration::from_millis(5), stream.read(&mut [0; 8])).await);
        gone(stream.as_raw_fd());
        peer.write(b"late").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 4);
        let found = code(stream.read(&mut [0; 8]).await.unwrap_err());
        assert!([libc::EBADF, libc::ENOTSOCK].contains(&found), "{found}");
        // Nobody has it any more.
        assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);
        // Its owner has to have something to close.
        replace(stream.as_raw_fd());
        drop(stream);

        // And given up with the stream.
        let (stream, peer) = connect(&listener).await;
        drop(timeout(Duration::from_millis(5), stream.read(&mut [0; 8])).await);
        gone(stream.as_raw_fd());
        // Its owner has to have something to close.
        replace(stream.as_raw_fd());
        drop(stream);
        assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);
    }

    // Ended elsewhere, which is not closed.
    let (stream, peer) = connect(&listener).await;
    let other = stream.as_fd().try_clone_to_owned().unwrap();
    let end = async {
        sleep(Duration::from_millis(5)).await;
        SockRef::from(&other).shutdown(Shutdown::Both).unwrap();
    };
    let mut buf = [0; 8];
    let (read, ()) = filch::join!(stream.read(&mut buf), end);
    assert_eq!(read.unwrap(), 0);
    assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 0);

    // A listener, with an accept in flight.
    drop(timeout(Duration::from_millis(5), listener.accept()).await);
    let address = listener.local_addr().unwrap();
    replace(listener.as_raw_fd());
    let _late = std::net::TcpStream::connect(address).unwrap();
    listener.accept().await.expect("it had the socket");
    assert_eq!(code(listener.accept().await.unwrap_err()), libc::ENOTSOCK);
    // Nobody listens there any more.
    let error = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// Rings with hardly any room: everything overflows, and every byte comes back.
#[test]
fn queues_that_overflow() {
    const CONNECTIONS: usize = 300;
    let _watchdog = watchdog(PATIENCE);
    child::run("queues_that_overflow", || {
        for workers in [1, 2] {
            let builder = Runtime::builder().workers(workers);
            let server = Server::on(builder.ring_entries(2).ring_completions(2).build().unwrap());
            let peers: Vec<_> = (0..CONNECTIONS).map(|_| server.connect()).collect();
            for round in 0..5 {
                // All at once, as nearly as may be: while both workers do something else.
                let block = Arc::new(Mutex::new(()));
                let held = block.lock().unwrap();
                for _ in 0..workers {
                    let block = block.clone();
                    server.runtime.handle().spawn(async move { drop(block.lock().unwrap()) });
                }
                for (number, mut peer) in peers.iter().enumerate() {
                    peer.write_all(&pattern(number + round, 100)).unwrap();
                }
                drop(held);
                for (number, mut peer) in peers.iter().enumerate() {
                    let mut answer = [0; 100];
                    peer.read_exact(&mut answer).unwrap();
                    assert!(answer[..] == pattern(number + round, 100), "its own bytes");
                }
            }
            let rings = server.runtime.handle().metrics().rings;
            let sum = |count: fn(&filch::RingMetrics) -> u64| rings.iter().map(count).sum::<u64>();
            assert!(sum(|ring| ring.overflows) > 0, "else this test shows nothing: {rings:?}");
            drop(peers);
            (0..CONNECTIONS).for_each(|_| assert_eq!(server.next().unwrap(), 500));
            server.check();
        }
    });
}
