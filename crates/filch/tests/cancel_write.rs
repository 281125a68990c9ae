//! A write that is dropped is sent once or not at all, in part or whole, and never mixed with the next
//! (C1).

mod support;

use filch::io::Write;
use filch::net::TcpStream;
use filch_testkit::Cut;
use filch_testkit::Random;
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::io::IoSlice;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{PATIENCE, breathe, drain, everywhere, pattern, runtime};

/// As much as one write sends at most.
const MOST: usize = 128 * 1024;

/// A connection that takes little before the writer has to wait: a Unix socket, for TCP with buffers as
/// small as this spends its time waiting for its own timers. To the stream they are the same.
fn narrow_pair() -> (TcpStream, std::net::TcpStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    (TcpStream::from_std(ours).expect("a runtime"), theirs)
}

/// Of pieces that go to the ring, with a copy, and of large ones, which go past it where they can.
async fn writes<const PIECE: usize, const OF_SEVERAL: bool>(cut: Cut) {
    let is_asking = cut.is_asking();
    let (stream, peer) = narrow_pair();
    let stream = Arc::new(stream);
    let all = Arc::new(pattern(0, 300_000));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (stream, all, acknowledged) = (stream.clone(), all.clone(), acknowledged.clone());
        async move {
            loop {
                let done = acknowledged.load(Ordering::Relaxed);
                if done == all.len() {
                    return;
                }
                let end = all.len().min(done + PIECE);
                let (first, second) = all[done..end].split_at((end - done) / 3);
                let sent = match OF_SEVERAL {
                    true => {
                        let bufs = [IoSlice::new(first), IoSlice::new(second)];
                        stream.write_vectored(&bufs).await
                    }
                    false => stream.write(&all[done..end]).await,
                };
                let sent = sent.expect("the connection holds");
                acknowledged.store(done + sent, Ordering::Relaxed);
            }
        }
    };
    let next = async {
        cut.run(writer).await;
        // Waits for what the dropped write left, and comes behind it.
        (&*stream).write_all(b"the next write").await.expect("the connection holds");
        stream.shutdown(Shutdown::Write).await.unwrap();
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let ((), received) = filch::join!(next, reader);
    let (before, end) = received.split_at(received.len() - b"the next write".len());
    assert_eq!(end, b"the next write");
    assert!(before == &all[..before.len()], "a prefix, each byte once");
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    assert!(before.len() >= acknowledged, "what was acknowledged is sent");
    assert!(before.len() <= acknowledged + PIECE, "one write at most was dropped");
    assert!(!is_asking || before.len() == acknowledged, "what it wrote it told");
}

#[test]
fn a_dropped_write_is_a_prefix_and_once() {
    everywhere(6, writes::<60_000, false>);
    everywhere(6, writes::<30_000, false>);
}

#[test]
fn so_is_one_of_several_buffers() {
    everywhere(6, writes::<60_000, true>);
}

async fn the_stream_goes_too<const PIECE: usize>(cut: Cut) {
    let (stream, peer) = narrow_pair();
    let all = Arc::new(pattern(0, 2 * MOST));
    let writer = {
        let all = all.clone();
        async move {
            for piece in all.chunks(PIECE) {
                (&stream).write_all(piece).await.expect("the connection holds");
            }
        }
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let (done, received) = filch::join!(cut.run(writer), reader);
    assert!(received == all[..received.len()], "a prefix, each byte once");
    if done.is_some() {
        assert_eq!(received.len(), all.len());
    }
}

#[test]
fn a_stream_that_goes_with_its_write_closes() {
    everywhere(3, the_stream_goes_too::<{ 2 * MOST }>);
    everywhere(3, the_stream_goes_too::<30_000>);
}

/// Two tasks write records to one stream, and both give up all the time: every record's part arrives in
/// one piece.
#[test]
fn records_of_two_writers_are_never_mixed() {
    const ROUNDS: usize = 300;
    let _alone = alone(PATIENCE);
    let seed = Random::seed();
    println!("FILCH_SEED={seed}");
    let runtime = runtime(2);
    let handle = runtime.handle().clone();
    let (received, attempts) = runtime.block_on(async move {
        let (stream, peer) = narrow_pair();
        let stream = Arc::new(stream);
        let writer = |id: u8| {
            let (stream, mut random) = (stream.clone(), Random::new(seed ^ u64::from(id)));
            handle.spawn(async move {
                let mut attempts = Vec::new();
                for _ in 0..ROUNDS {
                    // 0xff, who, which, then a byte that is no 0xff: a prefix of it is recognised.
                    let number = attempts.len() as u8 % 200;
                    let mut record = vec![0xff, id, number];
                    record.resize(3 + random.below(20_000), number);
                    let patience = Duration::from_millis(random.below(3) as u64);
                    let sent = filch::time::timeout(patience, stream.write(&record)).await;
                    attempts.push((record, sent.map(|sent| sent.expect("it holds")).ok()));
                }
                attempts
            })
        };
        let writers = (writer(1), writer(2));
        let reader = filch::spawn(async move { drain(&peer).await });
        let attempts = [writers.0.await.unwrap(), writers.1.await.unwrap()];
        stream.shutdown(Shutdown::Write).await.unwrap();
        (reader.await.unwrap(), attempts)
    });
    let mut next = [0, 0];
    let mut rest = &received[..];
    while !rest.is_empty() {
        assert_eq!(rest[0], 0xff, "a record begins where another ended");
        let end = rest[1..].iter().position(|&byte| byte == 0xff).map_or(rest.len(), |end| end + 1);
        let (piece, after) = rest.split_at(end);
        rest = after;
        // A dropped write may have sent the first byte alone. Whose it was does not show then.
        if piece.len() < 3 {
            continue;
        }
        let who = usize::from(piece[1]) - 1;
        // Those in between were never begun, or dropped.
        while attempts[who][next[who]].0[2] != piece[2] {
            assert_eq!(attempts[who][next[who]].1, None, "what was acknowledged has come");
            next[who] += 1;
        }
        let (record, acknowledged) = &attempts[who][next[who]];
        assert_eq!(*piece, record[..piece.len()], "a prefix of the record, each byte once");
        if let Some(sent) = acknowledged {
            assert_eq!(piece.len(), *sent, "as much as was acknowledged");
        }
        next[who] += 1;
    }
}

/// C2, CANCEL-10.
#[test]
fn a_write_that_is_asked_to_end_tells_what_it_wrote() {
    asked_everywhere(6, writes::<60_000, false>);
    asked_everywhere(6, writes::<30_000, false>);
    asked_everywhere(6, writes::<60_000, true>);
    asked_everywhere(3, the_stream_goes_too::<{ 2 * MOST }>);
    asked_everywhere(3, the_stream_goes_too::<30_000>);
}
