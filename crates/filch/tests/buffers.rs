//! Owned buffers and leases: what goes in comes out, and nothing waits for a lease.

mod support;

use filch::net::{Lease, TcpStream, UnixStream};
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::future::Future;
use std::io::{ErrorKind, Write as _};
use std::mem::MaybeUninit;
use std::task::{Context, Waker};
use std::thread;
use support::{PATIENCE, breathe, pair, pattern, runtime, watched};

fn is_lent(lease: &Lease) -> bool {
    format!("{lease:?}").contains("is_lent: true")
}

#[test]
fn owned_buffers_come_back() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (stream, mut peer) = pair();
        peer.write_all(b"some bytes").unwrap();
        let buf = Vec::with_capacity(64);
        let place = buf.as_ptr();
        let (read, buf) = stream.read_owned(buf).await;
        assert_eq!((read.unwrap(), &buf[..], buf.as_ptr()), (10, &b"some bytes"[..], place));
        let (read, buf) = stream.read_owned(Vec::new()).await;
        assert_eq!((read.unwrap(), buf.capacity()), (0, 0), "no room, no read");
        let (written, buf) = stream.write_all_owned(Vec::new()).await;
        assert_eq!((written.unwrap(), buf.len()), ((), 0));
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let (read, buf) = stream.read_owned(vec![1; 4]).await;
        assert_eq!((read.unwrap(), buf), (0, vec![1; 4]), "the end");
        assert!(stream.recv().await.unwrap().is_empty(), "the end stays the end");
    });
}

#[test]
fn owned_buffers_come_back_with_errors() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        drop(other);
        let (written, buf) = one.write_all_owned(vec![1, 2, 3].into_boxed_slice()).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(*buf, [1, 2, 3]);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let no_stream = std::net::TcpStream::from(std::os::fd::OwnedFd::from(socket));
        no_stream.shutdown(std::net::Shutdown::Both).unwrap_err();
        let no_stream = TcpStream::from_std(no_stream).unwrap();
        let (written, buf) = no_stream.write_all_owned("text").await;
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EDESTADDRREQ));
        assert_eq!(buf, "text");
    });
}

#[test]
fn several_buffers_come_back() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let (written, bufs) = one.write_all_vectored_owned(["", "pi", "", "ng"]).await;
        written.unwrap();
        assert_eq!(bufs, ["", "pi", "", "ng"]);
        let bufs = (Vec::with_capacity(3), Box::new([9; 4]));
        let (read, bufs) = other.read_vectored_owned(bufs).await;
        assert_eq!((read.unwrap(), bufs), (4, (b"pin".to_vec(), Box::new([b'g', 9, 9, 9]))));
        // Nothing to write, no room to read: nothing is waited for.
        one.write_all_vectored_owned(Vec::<Vec<u8>>::new()).await.0.unwrap();
        one.write_all_vectored_owned(["", ""]).await.0.unwrap();
        let (read, _) = other.read_vectored_owned([Vec::new(), Vec::new()]).await;
        assert_eq!(read.unwrap(), 0);
        // What an earlier read left is copied, in the same order.
        one.write_all_owned("0123456789").await.0.unwrap();
        assert_eq!(other.read(&mut [0; 2]).await.unwrap(), 2);
        let mut left = Box::pin(other.read_owned(Vec::with_capacity(64)));
        let _ = left.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(left);
        let bufs = vec![Vec::with_capacity(1), Vec::with_capacity(3), Vec::with_capacity(9)];
        let mut got = Vec::new();
        let (read, bufs) = other.read_vectored_owned(bufs).await;
        assert!(read.unwrap() > 0 && bufs[0] == b"2");
        got.extend(bufs.concat());
        while got.len() < 8 {
            got.extend_from_slice(&other.recv().await.unwrap());
        }
        assert_eq!(got, b"23456789");
        drop(other);
        let (written, bufs) = one.write_all_vectored_owned(("head", vec![1u8; 9])).await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(bufs, ("head", vec![1; 9]));
        assert_eq!(one.read_vectored_owned([vec![0; 4]]).await.0.unwrap(), 0, "the end");
    });
}

/// More buffers than the kernel takes at once, and more bytes than the socket does.
#[test]
fn many_buffers_take_several_operations() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (stream, mut peer) = pair();
        peer.set_nonblocking(false).unwrap();
        let all = pattern(0, 3_000_000);
        let bufs: Vec<_> = all.chunks(997).map(<[u8]>::to_vec).collect();
        assert!(bufs.len() > 2 * 1024);
        let expected = all.clone();
        let reader = thread::spawn(move || {
            let mut got = vec![0; expected.len()];
            std::io::Read::read_exact(&mut peer, &mut got).unwrap();
            assert!(got == expected);
            peer.write_all(&got).unwrap();
        });
        let (written, bufs) = stream.write_all_vectored_owned(bufs).await;
        written.unwrap();
        assert!(bufs.concat() == all);
        let mut got = Vec::new();
        while got.len() < all.len() {
            let bufs: Vec<_> = (0..2000).map(|_| Vec::with_capacity(31)).collect();
            let (read, bufs) = stream.read_vectored_owned(bufs).await;
            let read = read.unwrap();
            let came = bufs.concat();
            assert_eq!(came.len(), read);
            got.extend(came);
        }
        assert!(got == all);
        reader.join().unwrap();
    });
}

/// More than a socket takes, in one buffer and back, while the other side echoes leases.
#[test]
fn large_transfers_by_owned_buffers_and_leases() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let listener = filch::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let echo = filch::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            loop {
                let lease = stream.recv().await.unwrap();
                if lease.is_empty() {
                    return;
                }
                stream.write_all_owned(lease).await.0.unwrap();
            }
        });
        let (reader, writer) = TcpStream::connect(address).await.unwrap().into_split();
        let all = pattern(0, 5_000_000);
        let sending = all.clone();
        let sender = filch::spawn(async move { writer.write_all_owned(sending).await.0.unwrap() });
        let (mut got, mut buf) = (Vec::new(), vec![0; 100_000]);
        loop {
            let read;
            (read, buf) = reader.read_owned(buf).await;
            match read.unwrap() {
                0 => break,
                read => got.extend_from_slice(&buf[..read]),
            }
        }
        assert!(got == all);
        sender.await.unwrap();
        echo.await.unwrap();
    });
}

/// The same through a Unix socket, which takes a part at a time.
#[test]
fn large_transfers_between_unix_sockets() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let all = pattern(0, 3_000_000);
        let sending = all.clone().into_boxed_slice();
        let sender = filch::spawn(async move {
            let (written, back) = one.write_all_owned(sending).await;
            (written.unwrap(), back.len())
        });
        let mut got = Vec::new();
        while got.len() < all.len() {
            got.extend_from_slice(&other.recv().await.unwrap());
            let (read, buf) = other.read_owned(Box::new([0; 9_000])).await;
            got.extend_from_slice(&buf[..read.unwrap()]);
        }
        assert!(got == all);
        assert_eq!(sender.await.unwrap(), ((), all.len()));
    });
}

/// The connection goes while buffers are in flight: they come back, with the reason.
#[test]
fn buffers_come_back_from_a_connection_that_is_reset() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        for way in 0..4 {
            let (stream, peer) = pair();
            socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            let all = pattern(0, 10_000_000);
            let reset = async {
                support::breathe().await;
                drop(peer);
            };
            let reading = async {
                match way {
                    0 => stream.recv().await.map(drop),
                    1 => stream.read_vectored_owned(vec![vec![1; 8], vec![2; 8]]).await.0.map(drop),
                    2 => stream.readable().await,
                    _ => {
                        let (read, buf) = stream.read_owned(vec![1; 8]).await;
                        assert_eq!(buf, [1; 8]);
                        read.map(drop)
                    }
                }
            };
            let writing = async {
                if way % 2 == 0 {
                    let (written, buf) = stream.write_all_owned(all.clone()).await;
                    assert!(buf == all);
                    written
                } else {
                    let bufs: Vec<_> = all.chunks(100_000).map(<[u8]>::to_vec).collect();
                    let (written, bufs) = stream.write_all_vectored_owned(bufs).await;
                    assert!(bufs.concat() == all);
                    written
                }
            };
            let (read, written, ()) = filch::join!(reading, writing, reset);
            // Each error is told once, by the system, to whoever comes first.
            let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(kinds.contains(&written.unwrap_err().kind()));
            assert!(read.is_ok() || kinds.contains(&read.unwrap_err().kind()));
        }
    });
}

/// All leases are out, one of them for ever: other connections, and the same one, go on.
#[test]
fn nobody_waits_for_a_lease() {
    let _alone = alone(PATIENCE);
    let runtime = watched(1).leases(2).build().unwrap();
    runtime.block_on(async {
        let pairs: Vec<_> = (0..8).map(|_| pair()).collect();
        let mut kept = Vec::new();
        for round in 0..3u8 {
            for (number, (stream, peer)) in pairs.iter().enumerate() {
                let number = number as u8;
                (&*peer).write_all(&[round, number]).unwrap();
                let lease = stream.recv().await.unwrap();
                assert_eq!(*lease, [round, number]);
                assert_eq!(is_lent(&lease), kept.len() < 2, "two are lent, and no more");
                kept.push(lease);
            }
        }
        for (place, lease) in kept.iter().enumerate() {
            assert_eq!(**lease, [(place / 8) as u8, (place % 8) as u8], "nobody else writes to it");
        }
        let (stream, peer) = &pairs[0];
        std::mem::forget(kept.remove(0));
        for (place, lent) in [(0, false), (0, true)] {
            (&*peer).write_all(b"x").unwrap();
            assert_eq!(is_lent(&stream.recv().await.unwrap()), lent);
            kept.remove(place);
        }
    });
}

/// A buffer goes back from wherever it is dropped, and is used again.
#[test]
fn a_lease_is_returned_by_any_thread() {
    let _alone = alone(PATIENCE);
    let runtime = watched(2).leases(1).build().unwrap();
    runtime.block_on(async {
        let (stream, mut peer) = pair();
        let mut places = Vec::new();
        for round in 0..20 {
            peer.write_all(&pattern(round, 100)).unwrap();
            let lease = stream.recv().await.unwrap();
            assert!(is_lent(&lease), "the one there is came back");
            assert_eq!(*lease, pattern(round, 100));
            places.push(lease.as_ptr());
            match round % 3 {
                0 => drop(lease),
                1 => thread::spawn(move || drop(lease)).join().unwrap(),
                _ => filch::spawn(async move { drop(lease) }).await.unwrap(),
            }
        }
        assert!(places.iter().all(|&place| place == places[0]), "one buffer is enough");
    });
}

/// Leases are counted, so each has to be of the size that is said.
#[test]
fn a_large_read_makes_no_large_lease() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (stream, mut peer) = pair();
        peer.write_all(b"first").unwrap();
        assert_eq!(stream.read(&mut vec![0; 64 * 1024]).await.unwrap(), 5);
        let bytes = pattern(0, 60_000);
        peer.write_all(&bytes).unwrap();
        let mut space = vec![MaybeUninit::uninit(); bytes.len()];
        let look = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        while !matches!(SockRef::from(&stream).recv_with_flags(&mut space, look), Ok(60_000)) {
            breathe().await;
        }
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            let lease = stream.recv().await.unwrap();
            assert!(lease.len() <= 16 * 1024, "{}", lease.len());
            got.extend_from_slice(&lease);
        }
        assert!(got == bytes);
    });
}

#[test]
fn a_lease_outlives_its_stream_and_its_runtime() {
    let _alone = alone(PATIENCE);
    let runtime = runtime(1);
    let mut lease = runtime.block_on(async {
        let (stream, mut peer) = pair();
        peer.write_all(b"0123456789").unwrap();
        stream.recv().await.unwrap()
    });
    drop(runtime);
    lease.advance(2);
    lease.truncate(5);
    lease[0] = b'x';
    assert_eq!(&*lease, b"x3456");
    lease.truncate(9);
    lease.advance(9);
    assert!(lease.is_empty());
}

/// Buffers of operations that were given up are poisoned and kept. Those that are lent, or were, are not: nobody
/// writes to a lease, and one that came back is as good as new.
#[test]
fn leases_and_the_quarantine_leave_each_other_alone() {
    let _alone = alone(PATIENCE);
    let runtime = watched(1).leases(4).build().unwrap();
    runtime.block_on(async {
        let mut kept: Vec<(Lease, Vec<u8>)> = Vec::new();
        for round in 0..300 {
            let (stream, mut peer) = pair();
            let bytes = pattern(round, 1000);
            peer.write_all(&bytes).unwrap();
            let lease = stream.recv().await.unwrap();
            assert!(*lease == bytes);
            kept.push((lease, bytes));
            let lent = kept.iter().filter(|(lease, _)| is_lent(lease)).count();
            assert!(lent <= 4 && (round > 0 || lent == 1), "{lent} in round {round}");
            // A receive, or a write of what was lent, is left to the kernel with the stream.
            let mut receive = Box::pin(stream.recv());
            assert!(receive.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(receive);
            if kept.len() == 6 {
                let (lease, _) = kept.remove(round % 6);
                let mut write = Box::pin(stream.write_all_owned(lease));
                assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                drop(write);
                kept.truncate(2);
            }
            drop(stream);
            filch::task::yield_now().await;
            assert!(kept.iter().all(|(lease, bytes)| **lease == **bytes), "round {round}");
        }
    });
    drop(runtime);
}

/// A stream that goes while its buffer is lent, and while another is in flight.
#[test]
fn a_lease_stays_when_its_stream_goes() {
    let _alone = alone(PATIENCE);
    let runtime = watched(2).leases(2).build().unwrap();
    runtime.block_on(async {
        let mut leases = Vec::new();
        for round in 0..50 {
            let (stream, mut peer) = pair();
            peer.write_all(&pattern(round, 64)).unwrap();
            leases.push(stream.recv().await.unwrap());
            let mut next = Box::pin(stream.recv());
            assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(next);
            drop(stream);
            // Its other bytes, if any come, go nowhere.
            let _ = peer.write_all(&[0xff; 64]);
        }
        for (round, lease) in leases.iter().enumerate() {
            assert_eq!(**lease, pattern(round, 64));
        }
    });
}

#[cfg(feature = "bytes")]
#[test]
fn a_lease_becomes_bytes_without_a_copy() {
    let _alone = alone(PATIENCE);
    let runtime = watched(1).leases(1).build().unwrap();
    runtime.block_on(async {
        let (stream, mut peer) = pair();
        peer.write_all(b"0123456789").unwrap();
        let mut lease = stream.recv().await.unwrap();
        lease.advance(1);
        let place = lease.as_ptr();
        let all = bytes::Bytes::from(lease);
        assert_eq!((&all[..], all.as_ptr()), (&b"123456789"[..], place));
        let part = all.slice(3..5);
        drop(all);
        peer.write_all(b"x").unwrap();
        assert!(!is_lent(&stream.recv().await.unwrap()), "a part of it is still there");
        assert_eq!(&part[..], b"45");
        drop(part);
        peer.write_all(b"x").unwrap();
        assert!(is_lent(&stream.recv().await.unwrap()), "it went back with the last part");
    });
}
