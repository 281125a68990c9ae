//! `recvmsg` and `sendmsg`, once through the ring and once as plain calls, on two equal sets of sockets: the
//! same result, the same error number, the same bytes, addresses and descriptors.

mod support;

use filch_uring::{Driver, Op, Operation, SharedFd, SockAddr, op};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixDatagram, UnixStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use support::{Dice, descriptors, driver, pair, poll, run};

/// Sockets of every kind with their peers, in one of two equal copies.
struct World {
    fds: Vec<(&'static str, SharedFd)>,
    udp: UdpSocket,
    udp_peer: UdpSocket,
    name: net::SocketAddr,
    datagram_peer: UnixDatagram,
    stream_peer: UnixStream,
    tcp_peer: TcpStream,
}

const NAMES: [&str; 9] = [
    "udp",
    "connected udp",
    "datagram",
    "datagram pair",
    "stream",
    "ended stream",
    "tcp",
    "no wait datagram",
    "file",
];

impl World {
    fn new(seed: u64, copy: &str) -> io::Result<Self> {
        let local = (Ipv4Addr::LOCALHOST, 0);
        let (udp, udp_peer) = (UdpSocket::bind(local)?, UdpSocket::bind(local)?);
        let connected = UdpSocket::bind(local)?;
        connected.connect(udp_peer.local_addr()?)?;
        let id = std::process::id();
        let name = |what| {
            let name = format!("filch-messages-{id}-{seed}-{copy}-{what}");
            net::SocketAddr::from_abstract_name(name)
        };
        let datagram = UnixDatagram::bind_addr(&name("bound")?)?;
        let datagram_peer = UnixDatagram::bind_addr(&name("peer")?)?;
        let (one, other) = UnixDatagram::pair()?;
        let (no_wait, no_wait_other) = UnixDatagram::pair()?;
        no_wait.set_nonblocking(true)?;
        let (stream, stream_peer) = UnixStream::pair()?;
        let (ended, _) = UnixStream::pair()?;
        let listener = TcpListener::bind(local)?;
        let tcp_peer = TcpStream::connect(listener.local_addr()?)?;
        let (tcp, _) = listener.accept()?;
        let fds = vec![
            ("udp", OwnedFd::from(udp.try_clone()?).into()),
            ("connected udp", OwnedFd::from(connected).into()),
            ("datagram", OwnedFd::from(datagram).into()),
            ("datagram pair", OwnedFd::from(one).into()),
            ("datagram pair's other", OwnedFd::from(other).into()),
            ("stream", OwnedFd::from(stream).into()),
            ("ended stream", OwnedFd::from(ended).into()),
            ("tcp", OwnedFd::from(tcp).into()),
            ("no wait datagram", OwnedFd::from(no_wait).into()),
            ("no wait datagram's other", OwnedFd::from(no_wait_other).into()),
            ("file", OwnedFd::from(File::open("/dev/null")?).into()),
        ];
        let name = name("bound")?;
        Ok(Self { fds, udp, udp_peer, name, datagram_peer, stream_peer, tcp_peer })
    }

    fn fd(&self, name: &str) -> SharedFd {
        self.fds.iter().find(|fd| fd.0 == name).expect("one of ours").1.clone()
    }

    /// Empties every queue, so that nothing that is sent has to wait.
    fn empty(&self) {
        let mut fds: Vec<i32> = self.fds.iter().map(|fd| fd.1.as_raw_fd()).collect();
        fds.extend([
            self.udp_peer.as_raw_fd(),
            self.datagram_peer.as_raw_fd(),
            self.stream_peer.as_raw_fd(),
            self.tcp_peer.as_raw_fd(),
        ]);
        let mut buffer = [0u8; 4_096];
        for fd in fds {
            // A datagram may be empty, and what has ended gives nothing for ever.
            for _ in 0..100 {
                let (pointer, flags) = (buffer.as_mut_ptr().cast(), libc::MSG_DONTWAIT);
                // SAFETY: the buffer is there.
                if unsafe { libc::recv(fd, pointer, buffer.len(), flags) } == -1 {
                    break;
                }
            }
        }
    }

    /// Sends `payload`, beside it `count` descriptors, to the socket called `to`.
    fn feed(&self, to: &str, payload: &[u8], count: usize) {
        let send = |fd: OwnedFd, address: Option<SockAddr>, count: usize| {
            let op = op::SendMsg::new(fd.into(), payload.to_vec()).descriptors(files(count));
            let op = match address {
                Some(address) => op.to(address),
                None => op,
            };
            assert_eq!(call(op).0.expect("it has room"), payload.len());
        };
        match to {
            "udp" => {
                let address = self.udp.local_addr().expect("it is bound");
                send(clone(&self.udp_peer), Some(address.into()), 0);
            }
            "connected udp" => {
                // SAFETY: borrowed for a call; the descriptor stays open.
                let socket = unsafe { UdpSocket::from_raw_fd(self.fd(to).as_raw_fd()) };
                let address = socket.local_addr().expect("it is bound");
                std::mem::forget(socket);
                send(clone(&self.udp_peer), Some(address.into()), 0);
            }
            "datagram" => send(clone(&self.datagram_peer), Some((&self.name).into()), count),
            "datagram pair" | "no wait datagram" => {
                send(clone(&self.fd(&format!("{to}'s other"))), None, count);
            }
            "stream" => send(clone(&self.stream_peer), None, count),
            "tcp" => {
                (&self.tcp_peer).write_all(payload).expect("it has room");
                let mut waiting = 0;
                while waiting < payload.len() as i32 {
                    let fd = self.fd(to).as_raw_fd();
                    // SAFETY: FIONREAD writes one int.
                    assert_eq!(unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut waiting) }, 0);
                }
            }
            _ => {}
        }
    }
}

fn clone<T: std::os::fd::AsFd>(socket: &T) -> OwnedFd {
    socket.as_fd().try_clone_to_owned().expect("a descriptor")
}

/// These tests count descriptors, so one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Temporary files that say which they are.
fn files(count: usize) -> Vec<OwnedFd> {
    (0..count)
        .map(|number| {
            // SAFETY: the name ends with a NUL; the descriptor is new and ours.
            let mut file = unsafe {
                File::from_raw_fd(libc::memfd_create(c"filch".as_ptr(), libc::MFD_CLOEXEC))
            };
            write!(file, "{number}").expect("it has room");
            file.into()
        })
        .collect()
}

/// What the files say, each of them close-on-exec.
fn texts(files: Vec<OwnedFd>) -> Vec<String> {
    files
        .into_iter()
        .map(|fd| {
            // SAFETY: no pointers.
            let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
            assert_eq!(flags, libc::FD_CLOEXEC);
            let (mut file, mut text) = (File::from(fd), String::new());
            file.seek(SeekFrom::Start(0)).expect("it can");
            file.read_to_string(&mut text).expect("it says");
            text
        })
        .collect()
}

/// What of an address is the same in both copies.
fn kind(address: &SockAddr) -> String {
    match (address.to_inet(), address.to_unix()) {
        (Some(inet), _) => inet.ip().to_string(),
        (None, Some(unix)) if unix.is_unnamed() => "unnamed".into(),
        (None, Some(unix)) => {
            let name = unix.as_abstract_name().expect("an abstract name");
            String::from_utf8_lossy(name).rsplit('-').next().unwrap_or_default().into()
        }
        (None, None) => format!("{address:?}"),
    }
}

/// The plain call.
fn call<T: Operation>(mut operation: T) -> T::Output {
    let result = match operation.check() {
        Ok(()) => operation.call(),
        Err(refused) => Err(refused),
    };
    operation.complete(result)
}

fn number<T>(result: io::Result<T>) -> Result<T, i32> {
    result.map_err(|error| error.raw_os_error().expect("an error number"))
}

fn receives(dice: &mut Dice, driver: &mut Driver, worlds: &[World; 2]) {
    let from = dice.pick(&NAMES);
    let len = dice.pick(&[1, 7, 64, 3_000]);
    let count = dice.pick(&[0, 0, 1, 3]);
    let room = dice.pick(&[0, 1, 7, 64, 4_096]);
    let places = dice.pick(&[0, 1, 3, 253, 100_000]);
    let flags = dice.pick(&[0, libc::MSG_PEEK, libc::MSG_DONTWAIT, libc::MSG_NOSIGNAL]);
    let what = format!("recvmsg {from} {len}+{count} in {room}+{places} {flags:#x}");
    let payload: Vec<u8> = (0..len).map(|_| dice.roll() as u8).collect();
    let make = |world: &World| {
        world.feed(from, &payload, count);
        let op = op::RecvMsg::new(world.fd(from), Vec::with_capacity(room)).flags(flags);
        if places > 0 { op.descriptors(places) } else { op }
    };
    let see = |(received, buffer): (io::Result<op::Received>, Vec<u8>)| {
        let received = number(received).map(|received| {
            assert_eq!(received.len, buffer.len());
            let (truncated, lacks) = (received.is_truncated(), received.lacks_descriptors());
            (kind(received.address()), texts(received.descriptors), truncated, lacks)
        });
        (received, buffer)
    };
    let before = descriptors();
    let by_ring = see(run(driver, make(&worlds[0])));
    let by_call = see(call(make(&worlds[1])));
    assert_eq!(by_ring, by_call, "left by the ring, right by the call: {what}");
    worlds.iter().for_each(World::empty);
    assert_eq!(descriptors(), before, "after {what}");
}

fn sends(dice: &mut Dice, driver: &mut Driver, worlds: &[World; 2]) {
    let from = dice.pick(&NAMES);
    let to = dice.pick(&["peer", "nobody", "nothing", "of another kind"]);
    let len = dice.pick(&[0, 1, 500, 70_000]);
    let count = dice.pick(&[0, 0, 1, 253, 254]);
    // Reading what comes here is `receives`' business.
    let (len, count) = if len == 70_000 { (len, 0) } else { (len, count) };
    let flags = dice.pick(&[0, libc::MSG_DONTWAIT, libc::MSG_OOB, libc::MSG_EOR]);
    let what = format!("sendmsg {from} to {to} {len}+{count} {flags:#x}");
    let make = |world: &World| {
        let op = op::SendMsg::new(world.fd(from), vec![7; len]).flags(flags);
        let op = op.descriptors(files(count));
        let is_inet = from.contains("udp") || from == "tcp";
        let unix = |name: &str| {
            SockAddr::from(&net::SocketAddr::from_abstract_name(name).expect("a short name"))
        };
        match (to, is_inet) {
            ("peer", true) => op.to(world.udp_peer.local_addr().expect("it is bound")),
            ("peer", false) => op.to(&world.datagram_peer.local_addr().expect("it is bound")),
            ("nobody", true) => op.to(SocketAddr::from(([240, 0, 0, 1], 9))),
            ("nobody", false) => op.to(unix("filch: nobody has this name")),
            ("of another kind", true) => op.to(unix("x")),
            ("of another kind", false) => op.to(SocketAddr::from(([127, 0, 0, 1], 9))),
            _ => op,
        }
    };
    let see = |(sent, buffer, files): (io::Result<usize>, Vec<u8>, Vec<OwnedFd>)| {
        (number(sent), buffer.len(), files.len())
    };
    let before = descriptors();
    let by_ring = see(run(driver, make(&worlds[0])));
    let by_call = see(call(make(&worlds[1])));
    assert_eq!(by_ring, by_call, "left by the ring, right by the call: {what}");
    worlds.iter().for_each(World::empty);
    assert_eq!(descriptors(), before, "after {what}");
}

#[test]
fn the_ring_does_what_the_calls_do() {
    let _alone = alone();
    let steps =
        std::env::var("FILCH_DIFFERENTIAL_STEPS").map_or(300, |n| n.parse().expect("steps"));
    for seed in 0..4 {
        let mut driver = driver();
        let worlds = ["ring", "call"].map(|copy| World::new(seed, copy).expect("sockets"));
        let mut dice = Dice(seed);
        for _ in 0..steps {
            match dice.below(2) {
                0 => receives(&mut dice, &mut driver, &worlds),
                _ => sends(&mut dice, &mut driver, &worlds),
            }
        }
    }
}

#[test]
fn flags_that_break_a_promise_are_refused() {
    let _alone = alone();
    let mut driver = driver();
    let (fd, _peer) = pair();
    for flags in [libc::MSG_TRUNC, libc::MSG_WAITALL, libc::MSG_ERRQUEUE, 1 << 30] {
        let receive = op::RecvMsg::new(fd.clone(), vec![0; 8]).flags(flags);
        let (received, buffer) = run(&mut driver, receive);
        assert_eq!(received.expect_err("refused").kind(), io::ErrorKind::InvalidInput);
        assert_eq!(buffer.len(), 8, "the buffer comes back");
    }
    let send = op::SendMsg::new(fd, vec![0; 8]).flags(libc::MSG_ZEROCOPY);
    let (sent, buffer, _) = run(&mut driver, send);
    assert_eq!(sent.expect_err("refused").kind(), io::ErrorKind::InvalidInput);
    assert_eq!(buffer.len(), 8, "the buffer comes back");
}

#[test]
fn descriptors_for_nobody_are_closed() {
    let _alone = alone();
    let mut driver = driver();
    let (fd, peer) = pair();
    let peer = SharedFd::from(OwnedFd::from(peer));
    let before = descriptors();
    for is_done in [true, false] {
        let receive = op::RecvMsg::new(fd.clone(), Vec::with_capacity(8)).descriptors(8);
        let mut receive = Op::new(receive);
        assert!(poll(&mut receive).is_pending());
        let send = op::SendMsg::new(peer.clone(), b"files".to_vec()).descriptors(files(5));
        let (sent, _, files) = run(&mut driver, send);
        assert_eq!((sent.expect("it has room"), files.len()), (5, 5));
        drop(files);
        while is_done && !receive.is_done() {
            driver.park(None).expect("the ring works");
        }
        drop(receive);
        while fd.holders() > 1 {
            driver.park(None).expect("the ring works");
        }
        // It was received and closed, or it is still there.
        let late = op::RecvMsg::new(fd.clone(), Vec::with_capacity(8)).flags(libc::MSG_DONTWAIT);
        let (late, _) = run(&mut driver, late.descriptors(8));
        assert!(!is_done || late.is_err());
        drop(late);
        assert_eq!(descriptors(), before);
    }
}

#[test]
fn descriptors_wait_with_their_message() {
    let _alone = alone();
    let mut driver = driver();
    let (fd, peer) = pair();
    let peer = SharedFd::from(OwnedFd::from(peer));
    // Until it does not fit: so the last of them waits in the kernel, and has its descriptors then.
    let mut sent = Vec::new();
    loop {
        let send = op::SendMsg::new(peer.clone(), vec![7; 50_000]).descriptors(files(2));
        let mut send = Op::new(send);
        assert!(poll(&mut send).is_pending());
        for _ in 0..3 {
            driver.turn().expect("the ring works");
        }
        if !send.is_done() {
            sent.push(send);
            break;
        }
        let (result, ..) = support::block_on(&mut driver, send);
        assert!(result.expect("it is taken") > 0);
    }
    let mut last = sent.pop().expect("one waits");
    let (mut bytes, mut found) = (0, 0);
    while poll(&mut last).is_pending() {
        let receive = op::RecvMsg::new(fd.clone(), Vec::with_capacity(50_000)).descriptors(8);
        let (received, _) = run(&mut driver, receive);
        let received = received.expect("there is something");
        bytes += received.len;
        let texts = texts(received.descriptors);
        assert!(texts.is_empty() || texts == ["0", "1"], "{texts:?}");
        found += texts.len();
    }
    assert!(bytes > 0 && found > 0);
}
