//! Owned and leased buffers: a read that is dropped loses no byte, whatever kind the next one is; a write that
//! is dropped is finished, or was not begun (C1).

mod support;

use filch::io::{IoBuf, IoBufMut, Write};
use filch::net::{TcpStream, UnixStream};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::future::Future;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use support::asked::asked_everywhere;
use support::{Bytes, PATIENCE, breathe, drain, everywhere, pair, pattern, runtime, send_pieces};

/// As long as one record of the writes is: more than the socket takes at once.
const RECORD: usize = 60_000;

/// Reads once, in one of the ways, and keeps what came.
async fn read_by(stream: &TcpStream, way: usize, to: &Bytes) -> usize {
    let size = 1 + way * 5 % 7;
    let (read, bytes) = match way % 6 {
        0 => {
            let (read, buf) = stream.read_owned(Vec::with_capacity(size)).await;
            (read, buf)
        }
        1 => {
            let lease = stream.recv().await.expect("the connection holds");
            (Ok(lease.len()), lease.to_vec())
        }
        2 => {
            let mut buf = vec![0; size];
            (stream.read(&mut buf).await, buf)
        }
        3 => {
            let (read, buf) = stream.read_owned(Box::new([0; 3])).await;
            (read, buf.to_vec())
        }
        4 => {
            let bufs = vec![Vec::with_capacity(2), Vec::new(), Vec::with_capacity(size)];
            let (read, bufs) = stream.read_vectored_owned(bufs).await;
            (read, bufs.concat())
        }
        _ => {
            let part = vec![7; 16].slice(4..4 + size);
            let (read, part) = stream.read_owned(part).await;
            let all = part.into_inner();
            assert_eq!((&all[..4], &all[4 + size..]), (&[7; 4][..], &[7; 12][size..]), "not ours");
            (read, all[4..].to_vec())
        }
    };
    let read = read.expect("the connection holds");
    to.add(&bytes[..read]);
    read
}

async fn reads_of_all_kinds(cut: Cut, first: usize, blocks: bool) {
    let (stream, peer) = pair();
    SockRef::from(&stream).set_nonblocking(!blocks).unwrap();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 80), Bytes::default());
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for way in first..first + 6 {
                read_by(&stream, way, &got).await;
            }
        }
    };
    let writer = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    // In another way than that of the read that may be pending.
    let mut way = first + 2;
    while read_by(&stream, way, &got).await > 0 {
        way += 1;
    }
    assert_eq!(got.take(), sent);
}

#[test]
fn no_byte_is_lost_from_one_kind_to_another() {
    everywhere(8, |cut| reads_of_all_kinds(cut, 0, true));
}

#[test]
fn no_byte_is_lost_from_one_kind_to_another_in_another_order() {
    everywhere(8, |cut| reads_of_all_kinds(cut, 3, true));
}

#[test]
fn no_byte_is_lost_where_the_socket_does_not_block() {
    everywhere(8, |cut| reads_of_all_kinds(cut, 1, false));
}

async fn the_stream_goes_too(cut: Cut) {
    let (stream, mut peer) = pair();
    let reader = async move {
        let (read, _) = stream.read_owned(vec![0; 8].into_boxed_slice()).await;
        read.expect("the connection holds");
        stream.recv().await.expect("the connection holds");
    };
    let writer = async {
        for _ in 0..2 {
            breathe().await;
            // The stream may be gone.
            let _ = std::io::Write::write(&mut peer, b"x");
        }
        // Both may have come at once.
        let _ = peer.shutdown(Shutdown::Write);
    };
    filch::join!(cut.run(reader), writer);
    drain(&peer).await;
}

#[test]
fn a_stream_that_goes_with_its_buffer_closes() {
    everywhere(4, the_stream_goes_too);
}

/// A connection that takes little before the writer has to wait; see `cancel_write.rs`.
fn narrow_pair(blocks: bool) -> (TcpStream, std::net::TcpStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    let ours = TcpStream::from_std(ours).expect("a runtime");
    SockRef::from(&ours).set_nonblocking(!blocks).unwrap();
    (ours, theirs)
}

/// Writes one record, in one of the ways.
async fn write_by(stream: &TcpStream, way: usize, record: Vec<u8>) {
    let (written, back) = match way % 4 {
        0 => stream.write_all_owned(record.clone()).await,
        1 => {
            let (written, back) = stream.write_all_owned(record.clone().into_boxed_slice()).await;
            (written, back.into_vec())
        }
        2 => {
            let bufs: Vec<_> = record.chunks(7_000).map(<[u8]>::to_vec).collect();
            let (written, bufs) = stream.write_all_vectored_owned(bufs).await;
            (written, bufs.concat())
        }
        _ => {
            let longer = [b"not this", &record[..]].concat();
            let (written, back) = stream.write_all_owned(longer.slice(8..)).await;
            (written, back.into_inner()[8..].to_vec())
        }
    };
    written.expect("the connection holds");
    assert!(back == record, "the buffer comes back as it was");
}

async fn writes(cut: Cut, blocks: bool) {
    let is_asking = cut.is_asking();
    let (stream, peer) = narrow_pair(blocks);
    let stream = Arc::new(stream);
    let all = Arc::new(pattern(0, 4 * RECORD));
    let done = Arc::new(Bytes::default());
    let writer = {
        let (stream, all, done) = (stream.clone(), all.clone(), done.clone());
        async move {
            for (way, record) in all.chunks(RECORD).enumerate() {
                write_by(&stream, way, record.to_vec()).await;
                done.add(&[0]);
            }
        }
    };
    let next = async {
        cut.run(writer).await;
        // Of one that was asked to end, and did; the others go on.
        let settled = if is_asking { stream.settle().await.expect("it holds") } else { 0 };
        // Waits for what the dropped write left, and comes behind it.
        (&*stream).write_all(b"the next write").await.expect("the connection holds");
        stream.shutdown(Shutdown::Write).await.unwrap();
        settled
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let (settled, received) = filch::join!(next, reader);
    let (before, end) = received.split_at(received.len() - b"the next write".len());
    assert_eq!(end, b"the next write");
    assert!(before == &all[..before.len()], "each byte once");
    let acknowledged = done.len() * RECORD;
    if is_asking {
        assert_eq!(before.len(), acknowledged + settled, "what it wrote is known");
        return;
    }
    assert_eq!(before.len() % RECORD, 0, "a write that was begun is finished");
    assert!(before.len() >= acknowledged, "what was acknowledged is sent");
    assert!(before.len() <= acknowledged + RECORD, "one write at most was dropped");
}

#[test]
fn a_dropped_owned_write_is_finished_or_was_not_begun() {
    everywhere(6, |cut| writes(cut, true));
}

#[test]
fn so_it_is_where_the_socket_does_not_block() {
    everywhere(6, |cut| writes(cut, false));
}

async fn is_settled(cut: Cut) {
    let is_asking = cut.is_asking();
    let (stream, peer) = narrow_pair(true);
    let stream = Arc::new(stream);
    let record = pattern(0, RECORD);
    let writer = {
        let (stream, record) = (stream.clone(), record.clone());
        async move { write_by(&stream, 1, record).await }
    };
    let settled = async {
        let done = cut.run(writer).await.is_some();
        let settled = stream.settle().await.expect("the connection holds");
        let is_whole = settled == 0 || settled == RECORD && !done;
        assert!(is_whole || is_asking && !done, "{settled}, {done}");
        stream.shutdown(Shutdown::Write).await.unwrap();
        if done { RECORD } else { settled }
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let (written, received) = filch::join!(settled, reader);
    assert!(received == record[..written], "as much as was told");
}

#[test]
fn how_much_a_dropped_owned_write_wrote_can_be_asked() {
    everywhere(2, is_settled);
}

async fn the_stream_goes_with_its_write(cut: Cut) {
    let (stream, peer) = narrow_pair(true);
    let record = pattern(0, 4 * RECORD);
    let writer = {
        let record = record.clone();
        async move { write_by(&stream, 0, record).await }
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let (done, received) = filch::join!(cut.run(writer), reader);
    assert!(received == record[..received.len()], "a prefix, each byte once");
    assert!(done.is_none() || received.len() == record.len());
}

#[test]
fn a_stream_that_goes_with_its_owned_write_closes() {
    everywhere(2, the_stream_goes_with_its_write);
}

/// A buffer of which can be told whether it is still there.
struct Watched(Vec<u8>, #[allow(dead_code)] Arc<()>);

// SAFETY: as for the vector.
unsafe impl IoBuf for Watched {
    fn as_ptr(&self) -> *const u8 {
        IoBuf::as_ptr(&self.0)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn stand_in() -> Self {
        Self(Vec::new(), Arc::new(()))
    }
}

// SAFETY: as for the vector.
unsafe impl IoBufMut for Watched {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { IoBufMut::set_init(&mut self.0, len) };
    }
}

/// D1: a buffer lives as long as the kernel may write to it, and no longer than anybody needs it.
#[test]
fn a_buffer_stays_until_its_bytes_are_taken() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let there = Arc::new(());
        {
            let read = pin!(other.read_owned(Watched(Vec::with_capacity(8), there.clone())));
            assert!(read.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(Arc::strong_count(&there), 2, "the kernel may write to it");
        one.write_all_owned("0123456789").await.0.unwrap();
        let mut buf = [0; 3];
        assert_eq!((other.read(&mut buf).await.unwrap(), &buf), (3, b"012"));
        assert_eq!(Arc::strong_count(&there), 2, "bytes are left in it");
        assert_eq!(&*other.recv().await.unwrap(), b"34567");
        assert_eq!(Arc::strong_count(&there), 1, "nobody needs it");
        let (read, buf) = other.read_owned(Watched(Vec::with_capacity(8), there.clone())).await;
        assert_eq!((read.unwrap(), &buf.0[..]), (2, &b"89"[..]));
        drop(buf);
        assert_eq!(Arc::strong_count(&there), 1, "it was given back");
    });
}

/// C2, CANCEL-10.
#[test]
fn nothing_is_lost_wherever_who_has_a_buffer_is_asked_to_end() {
    asked_everywhere(8, |cut| reads_of_all_kinds(cut, 0, true));
    asked_everywhere(8, |cut| reads_of_all_kinds(cut, 3, true));
    asked_everywhere(8, |cut| reads_of_all_kinds(cut, 1, false));
    asked_everywhere(4, the_stream_goes_too);
}

/// C2, CANCEL-10.
#[test]
fn an_owned_write_that_is_asked_to_end_does_not_go_on() {
    asked_everywhere(6, |cut| writes(cut, true));
    asked_everywhere(6, |cut| writes(cut, false));
    asked_everywhere(2, is_settled);
    asked_everywhere(2, the_stream_goes_with_its_write);
}
