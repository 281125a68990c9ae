//! Several buffers in one operation, through the ring and as plain calls: the same result, the same bytes.

mod support;

use filch_uring::{Op, Operation, SharedFd, op};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use support::{Dice, descriptors, driver, pair, poll, run};

fn tcp() -> (SharedFd, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    (OwnedFd::from(ours).into(), theirs)
}

/// Held by each test, since one of them counts the descriptors that the process has.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As a plain call.
fn called<T: Operation>(mut operation: T) -> T::Output {
    let result = operation.check().and_then(|()| operation.call());
    operation.complete(result)
}

#[test]
fn several_are_sent_one_after_the_other() {
    let _alone = alone();
    let (mut driver, mut dice) = (driver(), Dice(7));
    for round in 0..60 {
        let (fd, mut peer) = tcp();
        // Beyond 1024, what is behind is left out.
        let count = if round == 0 { 1100 } else { dice.below(6) };
        let bufs: Vec<Vec<u8>> =
            (0..count).map(|at| vec![at as u8; (at + round) % 4 * dice.below(9)]).collect();
        let nonempty = bufs.iter().filter(|buf| !buf.is_empty()).take(1024);
        let expected: Vec<u8> = nonempty.flatten().copied().collect();
        let send = op::SendVectored::new(fd.clone(), bufs.clone());
        let (sent, back) = if round % 2 == 0 { run(&mut driver, send) } else { called(send) };
        assert_eq!((sent.unwrap(), back), (expected.len(), bufs));
        drop(fd);
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert_eq!(got, expected);
    }
}

#[test]
fn several_are_filled_one_after_the_other() {
    let _alone = alone();
    let mut driver = driver();
    for (round, most) in [usize::MAX, 7, 3].into_iter().cycle().take(30).enumerate() {
        let (fd, mut peer) = tcp();
        peer.write_all(b"0123456789").unwrap();
        // All of it is there: what a plain call sees, a ring does too.
        while fd_has(&fd) < 10 {}
        let bufs = vec![Vec::with_capacity(2), Vec::new(), Vec::with_capacity(4), vec![1; 3]];
        let receive = op::RecvVectored::new(fd, bufs).at_most(most);
        let (received, bufs) =
            if round % 2 == 0 { run(&mut driver, receive) } else { called(receive) };
        let len = received.unwrap().len;
        assert_eq!(len, most.min(9));
        let expected: [&[u8]; 4] = match most {
            3 => [b"01", b"", b"2", &[1; 3]],
            7 => [b"01", b"", b"2345", &[b'6', 1, 1]],
            _ => [b"01", b"", b"2345", b"678"],
        };
        assert_eq!(bufs, expected);
    }
}

fn fd_has(fd: &SharedFd) -> usize {
    let mut buf = [0u8; 64];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    let fd = std::os::fd::AsRawFd::as_raw_fd(fd);
    // SAFETY: there is room for as many bytes.
    let seen = unsafe { libc::recv(fd, buf.as_mut_ptr().cast(), buf.len(), flags) };
    usize::try_from(seen).unwrap_or(0)
}

/// Dropped in flight, and cancelled in flight: the buffers live until the kernel is done with them (D1).
#[test]
fn they_stay_until_the_kernel_is_done() {
    let _alone = alone();
    let (mut driver, before) = (driver(), descriptors());
    for round in 0..20 {
        let (fd, peer) = pair();
        let bufs = [vec![1u8; 40_000], vec![2; 400_000]];
        let mut send = Op::new(op::SendVectored::new(fd.clone(), bufs));
        let bufs = vec![Vec::with_capacity(9), Vec::with_capacity(9)];
        let mut receive = Op::new(op::RecvVectored::new(fd.clone(), bufs).descriptors(4));
        assert!(poll(&mut send).is_pending() && poll(&mut receive).is_pending());
        driver.turn().unwrap();
        if round % 2 == 0 {
            receive.cancel();
            let (received, bufs) = support::block_on(&mut driver, receive);
            assert_eq!(received.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            assert_eq!(bufs, [b"", b""]);
            drop(peer);
        } else {
            drop(receive);
        }
        drop(send);
        while fd.holders() > 1 {
            driver.park(None).unwrap();
        }
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn errors_give_the_buffers_back() {
    let _alone = alone();
    let mut driver = driver();
    let file = SharedFd::from(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
    let send = || op::SendVectored::new(file.clone(), ("head", vec![1u8, 2]));
    for (sent, bufs) in [run(&mut driver, send()), called(send())] {
        assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
        assert_eq!(bufs, ("head", vec![1, 2]));
    }
    let receive = || op::RecvVectored::new(file.clone(), [vec![0u8; 4], vec![1; 2]]);
    for (received, bufs) in [run(&mut driver, receive()), called(receive())] {
        assert_eq!(received.unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
        assert_eq!(bufs, [vec![0; 4], vec![1; 2]]);
    }
    let (fd, _peer) = pair();
    let refused = op::SendVectored::new(fd, vec![vec![1u8]]).flags(libc::MSG_ZEROCOPY);
    let (sent, _) = run(&mut driver, refused);
    assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
