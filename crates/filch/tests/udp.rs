//! UDP sockets: what they are asked for, they do, and what they cannot do they say.

use filch::net::UdpSocket;
use filch::time::{sleep, timeout};
use filch_testkit::limits::watchdog;
use filch_testkit::skip;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

async fn local() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("a free port")
}

#[filch::test]
async fn options_are_what_they_were_set_to() {
    let socket = local().await;
    for value in [true, false] {
        socket.set_broadcast(value).unwrap();
        socket.set_multicast_loop_v4(value).unwrap();
        assert_eq!(socket.broadcast().unwrap(), value);
        assert_eq!(socket.multicast_loop_v4().unwrap(), value);
    }
    for interface in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        socket.set_multicast_if_v4(interface).unwrap();
        assert_eq!(socket.multicast_if_v4().unwrap(), interface);
    }
    socket.set_ttl(17).unwrap();
    socket.set_multicast_ttl_v4(5).unwrap();
    assert_eq!((socket.ttl().unwrap(), socket.multicast_ttl_v4().unwrap()), (17, 5));
    socket.set_recv_buffer_size(30_000).unwrap();
    socket.set_send_buffer_size(40_000).unwrap();
    assert!(socket.recv_buffer_size().unwrap() >= 30_000);
    assert!(socket.send_buffer_size().unwrap() >= 40_000);
    assert!(socket.take_error().unwrap().is_none());
    assert_eq!(socket.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    match UdpSocket::bind("[::1]:0").await {
        Ok(socket) => {
            socket.set_multicast_loop_v6(false).unwrap();
            assert!(!socket.multicast_loop_v6().unwrap());
            for interface in [interfaces()[0], 0] {
                socket.set_multicast_if_v6(interface).unwrap();
                assert_eq!(socket.multicast_if_v6().unwrap(), interface);
            }
        }
        Err(error) => skip(error),
    }
}

/// The indices of this machine's interfaces, the loopback's first.
fn interfaces() -> Vec<u32> {
    // SAFETY: a text that ends with a NUL.
    let loopback = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    assert_ne!(loopback, 0, "there is one");
    let others = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let others = others.lines().filter_map(|line| line.split_whitespace().nth(1));
    let others = others.map(|index| u32::from_str_radix(index, 16).expect("an index"));
    std::iter::once(loopback).chain(others.filter(|&index| index != loopback)).collect()
}

#[filch::test]
async fn datagrams_of_all_lengths() {
    let (one, other) = (local().await, local().await);
    let address = other.local_addr().unwrap();
    let mut buf = vec![0; 65_536];
    for len in [0, 1, 1_472, 9_000, 65_507] {
        let datagram: Vec<u8> = (0..len).map(|place| place as u8).collect();
        assert_eq!(one.send_to(&datagram, address).await.unwrap(), len);
        let (seen, from) = other.peek_from(&mut buf[..100]).await.unwrap();
        assert_eq!((seen, from), (len.min(100), one.local_addr().unwrap()));
        let (got, from) = other.recv_from(&mut buf).await.unwrap();
        assert_eq!((got, from), (len, one.local_addr().unwrap()));
        assert_eq!(buf[..got], datagram);
    }
    let error = one.send_to(&buf, address).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    // What does not fit is gone, and only that.
    for datagram in [&b"first"[..], b"second", b"third"] {
        one.send_to(datagram, address).await.unwrap();
    }
    assert_eq!(other.recv(&mut buf[..2]).await.unwrap(), 2);
    assert_eq!(&buf[..2], b"fi");
    assert_eq!(other.recv(&mut []).await.unwrap(), 0);
    assert_eq!(other.recv(&mut buf).await.unwrap(), 5);
    assert_eq!(&buf[..5], b"third");
}

#[filch::test]
async fn a_connected_socket_hears_its_peer_alone() {
    let (one, other, stranger) = (local().await, local().await, local().await);
    one.connect(other.local_addr().unwrap()).await.unwrap();
    assert_eq!(one.peer_addr().unwrap(), other.local_addr().unwrap());
    stranger.send_to(b"not this", one.local_addr().unwrap()).await.unwrap();
    assert_eq!(one.send(b"ping").await.unwrap(), 4);
    let mut buf = [0; 16];
    let (len, from) = other.recv_from(&mut buf).await.unwrap();
    assert_eq!(&buf[..len], b"ping");
    other.send_to(b"pong", from).await.unwrap();
    assert_eq!(one.peek(&mut buf).await.unwrap(), 4);
    assert_eq!(one.recv(&mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"pong");
}

#[filch::test]
async fn a_port_where_nobody_listens() {
    let socket = local().await;
    let gone = local().await.local_addr().unwrap();
    socket.connect(gone).await.unwrap();
    socket.send(b"anybody?").await.unwrap();
    // The answer comes to whoever asks next, and once.
    let error = socket.recv(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let other = local().await;
    socket.connect(other.local_addr().unwrap()).await.unwrap();
    other.send_to(b"yes", socket.local_addr().unwrap()).await.unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 3);
}

#[filch::test]
async fn what_cannot_be_done_is_said() {
    let socket = local().await;
    let address = socket.local_addr().unwrap();
    let error = UdpSocket::bind(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let error = UdpSocket::bind("192.0.2.1:0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let error = socket.send(b"to nobody").await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EDESTADDRREQ));
    let error = socket.send_to(b"x", "255.255.255.255:9").await.unwrap_err();
    // Which of them depends on whether there is a network to broadcast to.
    let possible = [ErrorKind::PermissionDenied, ErrorKind::NetworkUnreachable];
    assert!(possible.contains(&error.kind()), "{error}");
    assert!(socket.send_to(b"x", "no-such-host.invalid:9").await.is_err());
    assert!(socket.connect("no-such-host.invalid:9").await.is_err());
    let none: [SocketAddr; 0] = [];
    assert_eq!(socket.send_to(b"x", &none[..]).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let error = socket.connect("[::1]:9").await.unwrap_err();
    assert!(error.to_string().contains("[::1]:9"), "{error}");
    assert!(socket.join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED).is_err());
    assert!(socket.join_multicast_v6(&Ipv6Addr::LOCALHOST, 0).is_err());
    let error = socket.set_multicast_if_v4(Ipv4Addr::new(192, 0, 2, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    if let Ok(socket) = UdpSocket::bind("[::1]:0").await {
        let error = socket.set_multicast_if_v6(i32::MAX as u32).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
    assert!(socket.leave_multicast_v4(Ipv4Addr::new(239, 1, 2, 3), Ipv4Addr::LOCALHOST).is_err());
    // It is none the worse for all that.
    socket.send_to(b"to itself", address).await.unwrap();
    assert_eq!(socket.recv(&mut [0; 16]).await.unwrap(), 9);
}

#[filch::test]
async fn a_group_is_joined_and_left() {
    let group = Ipv4Addr::new(239, 192, 17, 4);
    let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let to = SocketAddr::from((group, member.local_addr().unwrap().port()));
    let sender = local().await;
    sender.set_multicast_if_v4(Ipv4Addr::LOCALHOST).unwrap();
    let mut buf = [0; 16];
    member.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
    sender.send_to(b"to all", to).await.unwrap();
    assert_eq!(member.recv(&mut buf).await.unwrap(), 6);
    member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
    sender.send_to(b"to all but one", to).await.unwrap();
    sender.send_to(b"bye", ("127.0.0.1".parse::<Ipv4Addr>().unwrap(), to.port())).await.unwrap();
    assert_eq!(member.recv(&mut buf).await.unwrap(), 3, "what comes next is for it alone");
}

#[filch::test]
async fn a_group_of_ipv6_is_joined_and_left() {
    let _watchdog = watchdog(120);
    let member = match UdpSocket::bind("[::]:0").await {
        Ok(member) => member,
        Err(error) => return skip(error),
    };
    // Of one interface's, so that nothing leaves this machine; and nobody else's.
    let own = std::process::id();
    let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0x17, (own >> 16) as u16, own as u16);
    let sender = UdpSocket::bind("[::]:0").await.unwrap();
    let port = member.local_addr().unwrap().port();
    let mut buf = [0; 16];
    for interface in interfaces() {
        assert!(!is_joined(&group, interface));
        member.join_multicast_v6(&group, interface).unwrap();
        assert!(is_joined(&group, interface));
        assert!(member.join_multicast_v6(&group, interface).is_err(), "once is enough");
        sender.set_multicast_if_v6(interface).unwrap();
        // Not every interface has a way to groups: the loopback's, as a rule, has none. The system's own table, which
        // the test is for, has it all the same.
        let has_way = sender.send_to(b"to all", (group, port)).await.is_ok();
        if has_way {
            assert_eq!(member.recv(&mut buf).await.unwrap(), 6);
        }
        member.leave_multicast_v6(&group, interface).unwrap();
        assert!(!is_joined(&group, interface));
        assert!(member.leave_multicast_v6(&group, interface).is_err(), "it has left");
        if has_way {
            sender.send_to(b"to all but one", (group, port)).await.unwrap();
        }
        sender.send_to(b"bye", (Ipv6Addr::LOCALHOST, port)).await.unwrap();
        assert_eq!(member.recv(&mut buf).await.unwrap(), 3, "what comes next is for it alone");
    }
}

/// Whether somebody on this machine is in the group, on that interface, as the system tells.
fn is_joined(group: &Ipv6Addr, interface: u32) -> bool {
    let (group, interface) = (format!("{:032x}", group.to_bits()), interface.to_string());
    let all = std::fs::read_to_string("/proc/net/igmp6").expect("there is IPv6");
    all.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(&*interface) && words.nth(1) == Some(&*group)
    })
}

#[filch::test]
async fn it_goes_back_and_forth() {
    let (one, other) = (local().await, local().await);
    let address = one.local_addr().unwrap();
    assert!(timeout(Duration::from_millis(1), one.recv(&mut [0; 4])).await.is_err());
    let standard = one.into_std().await.unwrap();
    other.send_to(b"a", address).await.unwrap();
    assert_eq!(standard.recv(&mut [0; 4]).unwrap(), 1);
    // Made not to wait by somebody else: it waits all the same.
    standard.set_nonblocking(true).unwrap();
    let one = UdpSocket::from_std(standard).unwrap();
    let mut buf = [0; 4];
    let (len, ()) = filch::join!(one.recv(&mut buf), async {
        sleep(Duration::from_millis(2)).await;
        other.send_to(b"bc", address).await.unwrap();
    });
    assert_eq!(len.unwrap(), 2);
    // A datagram that has come is not lost, be it empty.
    other.send_to(b"", address).await.unwrap();
    assert_eq!(one.peek(&mut buf).await.unwrap(), 0);
    let refused = one.into_std().await.unwrap_err();
    assert_eq!(refused.error().kind(), ErrorKind::ResourceBusy);
    assert!(refused.to_string().contains("nobody has received"), "{refused}");
    let one = refused.into_inner();
    assert_eq!(one.recv(&mut buf).await.unwrap(), 0);
    one.into_std().await.unwrap();
}

#[filch::test]
async fn several_tasks_share_a_socket() {
    const TASKS: u32 = 8;
    let (server, client) = (Arc::new(local().await), Arc::new(local().await));
    client.connect(server.local_addr().unwrap()).await.unwrap();
    // An echo with several hands.
    let servers: Vec<_> = (0..3)
        .map(|_| {
            let server = server.clone();
            filch::spawn(async move {
                let mut buf = [0; 64];
                loop {
                    let (len, from) = server.recv_from(&mut buf).await.unwrap();
                    server.send_to(&buf[..len], from).await.unwrap();
                }
            })
        })
        .collect();
    let clients: Vec<_> = (0..TASKS)
        .map(|task| {
            let client = client.clone();
            filch::spawn(async move {
                let mut sum = 0;
                for number in 0..50 {
                    client.send(&(task * 1_000 + number).to_ne_bytes()).await.unwrap();
                    let mut buf = [0; 4];
                    assert_eq!(client.recv(&mut buf).await.unwrap(), 4);
                    sum += u64::from(u32::from_ne_bytes(buf));
                }
                sum
            })
        })
        .collect();
    let mut sum = 0;
    for client in clients {
        sum += client.await.unwrap();
    }
    servers.iter().for_each(|server| server.abort());
    // Each answer came to one of them, once.
    let expected = (0..TASKS).flat_map(|task| (0..50).map(move |number| task * 1_000 + number));
    assert_eq!(sum, expected.map(u64::from).sum());
}

#[test]
fn without_a_runtime_there_is_no_socket() {
    let bind = UdpSocket::bind("127.0.0.1:0");
    let error = filch_testkit::exec::block_on(bind).unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<filch::NoRuntime>()));
}
