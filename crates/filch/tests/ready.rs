//! Sockets for those who wait first, and then read or write without waiting: in turn with all that waits, and
//! nothing lost between the two.

mod support;

use filch::io::{Interest, Write as _};
use filch::net::{Batch, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::future::Future;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{Bytes, PATIENCE, drain, everywhere, pair, pattern, runtime, send_pieces};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Begins it, and drops it.
fn begin<F: Future>(future: F) {
    assert!(poll(pin!(future)).is_pending());
}

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn reading_without_waiting() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (stream, mut peer) = pair();
        let mut buf = [0; 4];
        would_block(stream.try_read(&mut buf));
        assert_eq!(stream.try_read(&mut []).unwrap(), 0);
        begin(stream.readable());
        peer.write_all(b"012345").unwrap();
        // As often as one likes.
        stream.readable().await.unwrap();
        stream.readable().await.unwrap();
        assert_eq!((stream.try_read(&mut buf).unwrap(), &buf), (4, b"0123"));
        stream.readable().await.unwrap();
        assert_eq!((stream.try_read(&mut buf).unwrap(), &buf[..2]), (2, &b"45"[..]));
        would_block(stream.try_read(&mut buf));
        // A wait that was dropped is taken over by a read.
        begin(stream.readable());
        peer.write_all(b"67").unwrap();
        assert_eq!((stream.read(&mut buf).await.unwrap(), &buf[..2]), (2, &b"67"[..]));
        peer.shutdown(Shutdown::Write).unwrap();
        stream.readable().await.unwrap();
        assert_eq!(stream.try_read(&mut buf).unwrap(), 0, "the end");
    });
}

/// What a read that was dropped has begun comes first.
#[test]
fn reading_without_waiting_behind_a_read_that_was_dropped() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (stream, mut peer) = pair();
        let mut buf = [0; 4];
        begin(stream.read(&mut [0; 2]));
        would_block(stream.try_read(&mut buf));
        peer.write_all(b"012345").unwrap();
        let mut got = Vec::new();
        while got.len() < 6 {
            stream.readable().await.unwrap();
            match stream.try_read(&mut buf) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                Ok(read) => got.extend_from_slice(&buf[..read]),
            }
        }
        assert_eq!(got, b"012345");
        // Whoever waits has the turn.
        let mut reads = Box::pin(stream.read(&mut buf));
        assert!(poll(reads.as_mut()).is_pending());
        would_block(stream.try_read(&mut [0; 4]));
        would_block(stream.try_io(Interest::READABLE, || Ok(())));
        stream.try_io(Interest::WRITABLE, || Ok(())).unwrap();
        drop(reads);
        // Bytes that are left come before what others read.
        begin(stream.read(&mut [0; 4]));
        peer.write_all(b"6789").unwrap();
        stream.readable().await.unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let busy = stream.try_io(both, || -> io::Result<()> { panic!("not called") });
        assert_eq!(busy.unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert_eq!((stream.try_read(&mut buf).unwrap(), &buf), (4, b"6789"));
        assert_eq!(stream.try_io(both, || Ok(7)).unwrap(), 7);
    });
}

/// Nothing is taken past an operation, which would have come first.
#[test]
fn nothing_is_read_past_an_operation() {
    let _alone = alone(PATIENCE);
    // On the only worker: what the kernel has for it comes when it looks, not before.
    let main = async {
        let (stream, mut peer) = pair();
        let mut buf = [0; 8];
        for _ in 0..10 {
            begin(stream.read(&mut [0; 3]));
            filch::time::sleep(Duration::from_millis(2)).await;
            peer.write_all(b"01234").unwrap();
            would_block(stream.try_read(&mut buf));
            would_block(stream.try_io(Interest::READABLE, || Ok(())));
            stream.readable().await.unwrap();
            let mut read = stream.try_read(&mut buf).unwrap();
            while read < 5 {
                read += stream.read(&mut buf[read..]).await.unwrap();
            }
            assert_eq!(&buf[..read], b"01234");
        }
    };
    support::watched(1).run(main).expect("a runtime");
}

#[test]
fn writing_without_waiting() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (stream, peer) = pair();
        SockRef::from(&stream).set_send_buffer_size(16 * 1024).unwrap();
        let all = Arc::new(pattern(0, 3_000_000));
        let sending = async {
            let (mut at, mut waits) = (0, 0);
            while at < all.len() {
                match stream.try_write(&all[at..]) {
                    Ok(written) => at += written,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        waits += 1;
                        stream.writable().await.unwrap();
                    }
                }
            }
            assert_eq!(stream.try_write(&[]).unwrap(), 0);
            stream.shutdown(Shutdown::Write).await.unwrap();
            assert_eq!(stream.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
            waits
        };
        let (got, waits) = filch::join!(drain(&peer), sending);
        assert!(got == *all && waits > 0);
    });
}

#[test]
fn writing_without_waiting_behind_a_write_that_was_dropped() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let all = pattern(0, 1_000_000);
        begin(one.write_all_owned(all.clone()));
        would_block(one.try_write(b"behind"));
        would_block(one.try_io(Interest::WRITABLE, || Ok(())));
        begin(one.writable());
        let sending = async {
            one.writable().await.unwrap();
            while one.try_write(b"behind").is_err() {
                one.writable().await.unwrap();
            }
            one.shutdown(Shutdown::Write).await.unwrap();
        };
        let reading = async {
            let mut got = Vec::new();
            loop {
                let lease = other.recv().await.unwrap();
                if lease.is_empty() {
                    return got;
                }
                got.extend_from_slice(&lease);
            }
        };
        let ((), got) = filch::join!(sending, reading);
        assert!(got[..all.len()] == all && &got[all.len()..] == b"behind");
        // What went wrong with one that was dropped is told.
        let (one, other) = UnixStream::pair().unwrap();
        drop(other);
        begin(one.write(b"x"));
        assert_eq!(one.writable().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn halves_and_others_wait_as_well() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let (from, _to) = one.into_split();
        let (_from, to) = other.into_split();
        to.writable().await.unwrap();
        assert_eq!(to.try_write(b"ping").unwrap(), 4);
        from.readable().await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(from.try_read(&mut buf).unwrap(), 4);
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut sent = 0;
        while one.try_send(b"datagram").is_ok() {
            sent += 1;
        }
        would_block(one.try_send(b"datagram"));
        begin(one.writable());
        for _ in 0..sent {
            other.readable().await.unwrap();
            let (len, from) = other.try_recv_from(&mut buf).unwrap();
            assert!((len, &buf) == (8, b"datagram") && from.is_unnamed());
        }
        would_block(other.try_recv(&mut buf));
        one.writable().await.unwrap();
        assert_eq!(one.try_send(b"x").unwrap(), 1);
    });
}

async fn udp_pair() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.connect(one.local_addr().unwrap()).await.unwrap();
    (one, other)
}

#[test]
fn datagrams_without_waiting() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (one, other) = udp_pair().await;
        let mut buf = [0; 8];
        would_block(one.try_recv(&mut buf));
        begin(one.recv(&mut buf));
        would_block(one.try_recv_from(&mut buf));
        let from = other.local_addr().unwrap();
        for text in ["one", "two", "three"] {
            assert_eq!(other.try_send(text.as_bytes()).unwrap(), text.len());
        }
        for text in ["one", "two", "thr"] {
            one.readable().await.unwrap();
            assert_eq!(one.try_recv_from(&mut buf[..3]).unwrap(), (3, from));
            assert_eq!(&buf[..3], text.as_bytes());
        }
        one.writable().await.unwrap();
        assert_eq!(one.try_send_to(b"back", from).unwrap(), 4);
        assert_eq!(other.recv(&mut buf).await.unwrap(), 4);
    });
}

#[test]
fn many_datagrams_at_once() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (one, other) = udp_pair().await;
        let (to, from) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut batch = Batch::new(8, 4);
        assert!(batch.is_empty());
        begin(one.recv_many_from(&mut batch));
        begin(one.recv(&mut [0; 64]));
        let texts: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
        let to_each: Vec<_> = texts.iter().map(|text| (text, to)).collect();
        let sent = other.send_many(&texts[..10]).await.unwrap();
        let more = other.send_many_to(&to_each[sent..]).await.unwrap();
        assert_eq!((sent, more), (10, 10), "there is room");
        let (mut got, mut calls) = (Vec::new(), 0);
        while got.len() < 20 {
            let came = one.recv_many_from(&mut batch).await.unwrap();
            assert!((1..=8).contains(&came) && came == batch.len());
            calls += 1;
            for datagram in batch.iter() {
                assert_eq!((datagram.from(), datagram.is_truncated()), (Some(from), false));
                got.push(String::from_utf8(datagram.bytes().to_vec()).unwrap());
            }
        }
        assert_eq!(got, texts);
        assert!(calls < 20, "several at a time: {calls}");
        // One that is too long, one that is empty, and no room at all.
        begin(one.recv(&mut [0; 64]));
        other.send(b"too long").await.unwrap();
        while one.recv_many_from(&mut batch).await.unwrap() == 0 {}
        let lost = batch.iter().next().unwrap();
        assert_eq!((lost.bytes(), lost.is_truncated()), (&b"too "[..], true));
        other.send_many(&["too long", ""]).await.unwrap();
        let mut came = Vec::new();
        while came.len() < 2 {
            one.recv_many_from(&mut batch).await.unwrap();
            came.extend(batch.iter().map(|one| (one.bytes().len(), one.is_truncated())));
        }
        assert_eq!(came, [(4, true), (0, false)]);
        assert_eq!(one.recv_many_from(&mut Batch::new(0, 9)).await.unwrap(), 0);
        assert_eq!(other.send_many::<&[u8]>(&[]).await.unwrap(), 0);
        let mut nothing = Batch::new(3, 0);
        other.send(b"x").await.unwrap();
        assert_eq!(one.recv_many_from(&mut nothing).await.unwrap(), 1);
        assert!(nothing.iter().all(|one| one.bytes().is_empty() && one.is_truncated()));
    });
}

#[test]
fn an_error_of_a_batch_is_told() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (one, other) = udp_pair().await;
        let to = one.local_addr().unwrap();
        let too_long = vec![0; 70_000];
        let mixed = [(&b"fits"[..], to), (&too_long[..], to), (&b"behind"[..], to)];
        assert_eq!(other.send_many_to(&mixed).await.unwrap(), 1);
        let error = other.send_many_to(&mixed[1..]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        // Nobody is there any more: the system says so when it is next asked.
        drop(one);
        let mut batch = Batch::new(4, 16);
        let mut refused = false;
        while !refused {
            let _ = other.send_many(&["x"]).await;
            refused =
                filch::time::timeout(Duration::from_millis(50), other.recv_many_from(&mut batch))
                    .await
                    .is_ok_and(|came| came.unwrap_err().kind() == ErrorKind::ConnectionRefused);
        }
    });
}

/// Waits, tries, and reads, in turn.
async fn step(stream: &TcpStream, way: usize, to: &Bytes) -> usize {
    let mut buf = vec![0; 1 + way % 5];
    let read = match way % 3 {
        0 => stream.read(&mut buf).await,
        1 => loop {
            stream.readable().await.expect("the connection holds");
            match stream.try_read(&mut buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => break read,
            }
        },
        _ => {
            let _ = stream.try_read(&mut []);
            stream.readable().await.expect("the connection holds");
            let (read, back) = stream.read_owned(buf).await;
            buf = back;
            read
        }
    };
    let read = read.expect("the connection holds");
    to.add(&buf[..read]);
    read
}

async fn waits_and_reads(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for way in 0..6 {
                step(&stream, way, &got).await;
            }
        }
    };
    let writer = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    let mut way = 1;
    while step(&stream, way, &got).await > 0 {
        way += 1;
    }
    assert_eq!(got.take(), sent);
}

#[test]
fn waits_and_reads_may_be_dropped_at_every_poll() {
    everywhere(6, waits_and_reads);
}

async fn batches(cut: Cut) {
    let (one, other) = udp_pair().await;
    let one = Arc::new(one);
    let got = Bytes::default();
    let receiver = {
        let (one, got) = (one.clone(), got.clone());
        async move {
            let mut batch = Batch::new(4, 8);
            for _ in 0..3 {
                one.recv_many_from(&mut batch).await.expect("no error of its own");
                batch.iter().for_each(|datagram| got.add(datagram.bytes()));
            }
        }
    };
    let sender = async {
        for number in 0..6u8 {
            support::breathe().await;
            assert_eq!(other.send_many(&[[number], [number + 100]]).await.unwrap(), 2);
        }
    };
    filch::join!(cut.run(receiver), sender);
    while got.len() < 12 {
        let mut buf = [0; 8];
        let len = one.recv(&mut buf).await.unwrap();
        got.add(&buf[..len]);
    }
    let expected: Vec<u8> = (0..6).flat_map(|number| [number, number + 100]).collect();
    assert_eq!(got.take(), expected, "each once, in order");
}

#[test]
fn a_batch_may_be_dropped_at_every_poll() {
    everywhere(2, batches);
}

/// Both directions without waiting, with somebody else at the other end who does.
#[test]
fn a_proxy_that_never_waits_in_a_read() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (stream, mut peer) = pair();
        peer.set_nonblocking(false).unwrap();
        let all = pattern(0, 500_000);
        let sent = all.clone();
        let client = std::thread::spawn(move || {
            let mut from = peer.try_clone().unwrap();
            let reader = std::thread::spawn(move || {
                let mut got = Vec::new();
                from.read_to_end(&mut got).unwrap();
                got
            });
            peer.write_all(&sent).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            reader.join().unwrap()
        });
        let mut buf = [0; 4096];
        loop {
            stream.readable().await.unwrap();
            match stream.try_read(&mut buf) {
                Ok(0) => break,
                Ok(read) => (&stream).write_all(&buf[..read]).await.unwrap(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        stream.shutdown(Shutdown::Write).await.unwrap();
        assert!(client.join().unwrap() == all);
    });
}

/// C2, CANCEL-10.
#[test]
fn nothing_is_lost_wherever_a_wait_is_asked_to_end() {
    asked_everywhere(6, waits_and_reads);
    asked_everywhere(2, batches);
}
