//! What reads ahead, keeps back and moves bytes loses and doubles none when it is dropped (C1).

mod support;

use filch::fs::File;
use filch::io::{
    Bidirectional, BufRead, BufReader, BufWriter, Duplex, Pump, Read, Write, copy_buf, duplex,
};
use filch::net::TcpStream;
use filch::sync::Lock;
use filch_testkit::Cut;
use socket2::SockRef;
use std::future::poll_fn;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use support::asked::{asked_everywhere, asked_here_and_there};
use support::{Bytes, TempFile, breathe, drain, everywhere, pair, pattern, runtime};

/// What may be used again after a future that used it was dropped.
type Shared<T> = Arc<Lock<T>>;

fn shared<T>(value: T) -> Shared<T> {
    Arc::new(Lock::new(value))
}

/// A connection that takes little before the writer has to wait.
fn narrow() -> (TcpStream, std::net::TcpStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    (TcpStream::from_std(ours).expect("a runtime"), theirs)
}

/// Sends `all` piece by piece, and then the end.
async fn send(peer: &std::net::TcpStream, all: &[u8], piece: usize) {
    for piece in all.chunks(piece) {
        breathe().await;
        std::io::Write::write_all(&mut &*peer, piece).expect("it fits");
    }
    peer.shutdown(Shutdown::Write).unwrap();
}

async fn lines_of_a_socket(cut: Cut) {
    let (stream, peer) = pair();
    let expected: Vec<String> = (0..8).map(|number| format!("line number {number}")).collect();
    let sent = expected.join("\r\n");
    let reader = shared(BufReader::with_capacity(5, stream));
    let got = Arc::new(Mutex::new(Vec::new()));
    let reading = {
        let (reader, got) = (reader.clone(), got.clone());
        async move {
            let mut reader = reader.lock().await;
            let mut lines = (&mut *reader).lines();
            for _ in 0..5 {
                let line = lines.next_line().await.expect("it reads").expect("there are more");
                got.lock().unwrap().push(line);
            }
        }
    };
    filch::join!(cut.run(reading), send(&peer, sent.as_bytes(), 7));
    // With another kind of call, and a buffer of its own.
    let mut reader = reader.lock().await;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.expect("it reads") == 0 {
            break;
        }
        got.lock().unwrap().push(line.trim_end().to_owned());
    }
    assert_eq!(*got.lock().unwrap(), expected);
}

#[test]
fn no_part_of_a_line_is_lost() {
    everywhere(8, lines_of_a_socket);
}

async fn exact_reads(cut: Cut) {
    let (stream, peer) = pair();
    let sent = pattern(0, 120);
    let reader = shared(BufReader::with_capacity(8, stream));
    let got = Bytes::default();
    let reading = {
        let (reader, got) = (reader.clone(), got.clone());
        async move {
            for size in [3, 20, 1, 41, 9] {
                let mut buf = vec![0; size];
                reader.lock().await.read_exact(&mut buf).await.expect("there are more");
                got.add(&buf);
            }
        }
    };
    filch::join!(cut.run(reading), send(&peer, &sent, 11));
    let mut rest = Vec::new();
    reader.lock().await.read_to_end(&mut rest).await.expect("it reads");
    got.add(&rest);
    assert_eq!(got.take(), sent);
}

#[test]
fn a_dropped_exact_read_takes_nothing() {
    everywhere(8, exact_reads);
}

async fn pieces_of_a_pipe(cut: Cut) {
    let (near, mut far) = duplex(4);
    let sent = b"one,two,three and more than fits,,four,last";
    let reader = shared(BufReader::with_capacity(3, near));
    let got = Bytes::default();
    let reading = {
        let (reader, got) = (reader.clone(), got.clone());
        async move {
            for _ in 0..4 {
                let mut piece = Vec::new();
                reader.lock().await.read_until(b',', &mut piece).await.expect("it reads");
                got.add(&piece);
            }
        }
    };
    let writing = async {
        far.write_all(sent).await.expect("somebody reads");
        far.finish().await.unwrap();
    };
    let rest = async {
        cut.run(reading).await;
        let mut reader = reader.lock().await;
        let mut pieces = (&mut *reader).split(b',');
        let mut rest = Vec::new();
        while let Some(piece) = pieces.next_segment().await.expect("it reads") {
            rest.push(piece);
        }
        rest.join(&b','.to_owned())
    };
    let ((), rest) = filch::join!(writing, rest);
    got.add(&rest);
    assert_eq!(got.take(), sent);
}

#[test]
fn no_part_of_a_piece_is_lost() {
    everywhere(8, pieces_of_a_pipe);
}

/// Writes everything from `from` on through a writer that keeps back, and counts what that has taken.
async fn write_on<W: Write>(writer: &Shared<BufWriter<W>>, all: &[u8], taken: &AtomicUsize) {
    loop {
        let done = taken.load(Ordering::Relaxed);
        if done == all.len() {
            break;
        }
        let end = all.len().min(done + 30_000);
        let mut writer = writer.lock().await;
        let wrote = writer.write(&all[done..end]).await.expect("the sink holds");
        taken.store(done + wrote, Ordering::Relaxed);
        if done.is_multiple_of(3) {
            writer.flush().await.expect("the sink holds");
        }
    }
    writer.lock().await.finish().await.expect("the sink holds");
}

async fn kept_back(cut: Cut) {
    let (stream, peer) = narrow();
    let all = Arc::new(pattern(0, 300_000));
    let writer = shared(BufWriter::with_capacity(50_000, stream));
    let taken = Arc::new(AtomicUsize::new(0));
    let writing = {
        let (writer, all, taken) = (writer.clone(), all.clone(), taken.clone());
        async move { write_on(&writer, &all, &taken).await }
    };
    let rest = async {
        cut.run(writing).await;
        write_on(&writer, &all, &taken).await;
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let ((), received) = filch::join!(rest, reader);
    assert_eq!(received.len(), all.len());
    assert!(received == **all, "each byte once, in order");
}

#[test]
fn a_dropped_flush_goes_on_with_the_next() {
    everywhere(6, kept_back);
}

async fn kept_back_from_a_file(cut: Cut) {
    let temp = TempFile::new("kept", b"");
    let all = Arc::new(pattern(0, 2_000));
    let file = File::create(&temp.0).await.expect("it can be made");
    let writer = shared(BufWriter::with_capacity(300, file));
    let taken = Arc::new(AtomicUsize::new(0));
    let writing = {
        let (writer, all, taken) = (writer.clone(), all.clone(), taken.clone());
        async move { write_on(&writer, &all, &taken).await }
    };
    cut.run(writing).await;
    write_on(&writer, &all, &taken).await;
    assert!(std::fs::read(&temp.0).unwrap() == **all, "each byte once, in order");
}

#[test]
fn a_dropped_flush_to_a_file_goes_on_with_the_next() {
    everywhere(8, kept_back_from_a_file);
}

/// Polls a future once, and drops it.
async fn once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn what_somebody_elses_dropped_write_has_written_is_not_counted() {
    runtime(1).block_on(async {
        let (stream, peer) = pair();
        let mut writer = BufWriter::new(stream);
        for number in 0..3 {
            writer.write_all(format!("kept back {number}, ").as_bytes()).await.unwrap();
            writer.flush().await.unwrap();
            assert!(once(writer.get_ref().write(b"not kept back, ")).await.is_pending());
            writer.write_all(b"and more, ").await.unwrap();
            // Dropped while it waits for the other one.
            assert!(once(writer.flush()).await.is_pending());
        }
        writer.finish().await.unwrap();
        let expected: String =
            (0..3).map(|number| format!("kept back {number}, not kept back, and more, ")).collect();
        assert_eq!(String::from_utf8(drain(&peer).await).unwrap(), expected);
    });
}

async fn pumped(cut: Cut) {
    let (source, peer) = pair();
    let (sink, receiver) = narrow();
    let sent = pattern(0, 200_000);
    let parts = shared((Pump::new(), source, sink));
    let pumping = {
        let parts = parts.clone();
        async move {
            let (pump, source, sink) = &mut *parts.lock().await;
            pump.run(source, sink).await.expect("both hold");
        }
    };
    let rest = async {
        cut.run(pumping).await;
        let (pump, source, sink) = &mut *parts.lock().await;
        let before = pump.moved();
        let moved = pump.run(source, sink).await.expect("both hold");
        assert!(before <= moved);
        assert!(pump.is_done());
        sink.finish().await.expect("it holds");
        moved
    };
    let reader = async {
        breathe().await;
        drain(&receiver).await
    };
    let (moved, received, ()) = filch::join!(rest, reader, send(&peer, &sent, 50_000));
    assert_eq!(moved, sent.len() as u64);
    assert!(received == sent, "each byte once, in order");
}

#[test]
fn a_dropped_pump_goes_on() {
    everywhere(6, pumped);
}

async fn pumped_to_a_writer(cut: Cut) {
    let (source, peer) = pair();
    let (sink, receiver) = narrow();
    let sent = pattern(0, 100_000);
    // It keeps back a part of each piece, which is flushed when there is nothing to read, or half of it.
    let parts = shared((Pump::new(), source, BufWriter::with_capacity(30_000, sink)));
    let pumping = {
        let parts = parts.clone();
        async move {
            let (pump, source, sink) = &mut *parts.lock().await;
            pump.run(source, sink).await.expect("both hold");
        }
    };
    let rest = async {
        cut.run(pumping).await;
        let (pump, source, sink) = &mut *parts.lock().await;
        let moved = pump.run(source, sink).await.expect("both hold");
        assert_eq!(sink.buffer(), b"", "it is flushed");
        sink.finish().await.expect("it holds");
        moved
    };
    let reader = async {
        breathe().await;
        drain(&receiver).await
    };
    let (moved, received, ()) = filch::join!(rest, reader, send(&peer, &sent, 9_000));
    assert_eq!(moved, sent.len() as u64);
    assert!(received == sent, "each byte once, in order");
}

#[test]
fn a_dropped_pump_to_a_writer_goes_on() {
    everywhere(6, pumped_to_a_writer);
}

async fn both_ways(cut: Cut) {
    let (near, client) = pair();
    let (far, server) = narrow();
    let (there, back) = (pattern(0, 150_000), pattern(7, 90_000));
    let moving = shared(Bidirectional::new(near.into_split(), far.into_split()));
    let run = {
        let moving = moving.clone();
        async move {
            moving.lock().await.run().await.expect("both hold");
        }
    };
    let rest = async {
        cut.run(run).await;
        let mut moving = moving.lock().await;
        let moved = moving.run().await.expect("both hold");
        assert_eq!(moving.moved(), moved);
        assert_eq!(moving.held(), (&[][..], &[][..]));
        moved
    };
    // The client ends first, the server answers after that: the connection is half closed for a while.
    let asking = send(&client, &there, 40_000);
    let serving = async {
        let asked = drain(&server).await;
        send(&server, &back, 3_000).await;
        asked
    };
    let (moved, (), asked, answer) = filch::join!(rest, asking, serving, drain(&client));
    assert_eq!(moved, (there.len() as u64, back.len() as u64));
    assert!(asked == there, "each byte once, in order");
    assert!(answer == back, "each byte once, in order");
}

#[test]
fn moving_both_ways_goes_on() {
    everywhere(6, both_ways);
}

async fn copied_from_a_reader(cut: Cut) {
    let (source, peer) = pair();
    let (sink, receiver) = narrow();
    let sent = pattern(0, 150_000);
    let parts = shared((BufReader::with_capacity(40_000, source), sink));
    let copying = {
        let parts = parts.clone();
        async move {
            let (source, sink) = &mut *parts.lock().await;
            copy_buf(source, sink).await.expect("both hold");
        }
    };
    let rest = async {
        cut.run(copying).await;
        let (source, sink) = &mut *parts.lock().await;
        let written = sink.settle().await.expect("it holds");
        source.consume(written);
        copy_buf(source, sink).await.expect("both hold");
        sink.shutdown(Shutdown::Write).await.expect("it holds");
    };
    let reader = async {
        breathe().await;
        drain(&receiver).await
    };
    let ((), received, ()) = filch::join!(rest, reader, send(&peer, &sent, 50_000));
    assert_eq!(received.len(), sent.len());
    assert!(received == sent, "each byte once, in order");
}

#[test]
fn a_dropped_copy_can_be_taken_up() {
    everywhere(6, copied_from_a_reader);
}

async fn pipe_reads(cut: Cut) {
    let (near, mut far) = duplex(3);
    let near = Arc::new(near);
    let got = Bytes::default();
    let reading = {
        let (near, got) = (near.clone(), got.clone());
        async move { read_pipe(&near, 5, &got).await }
    };
    let sent = pattern(0, 50);
    let rest = async {
        cut.run(reading).await;
        read_pipe(&near, usize::MAX, &got).await;
    };
    let writing = async {
        far.write_all(&sent).await.expect("somebody reads");
        drop(far);
    };
    filch::join!(rest, writing);
    assert_eq!(got.take(), sent);
}

async fn read_pipe(pipe: &Duplex, times: usize, to: &Bytes) {
    for round in 0..times {
        let mut buf = [0; 4];
        let read = pipe.read(&mut buf[..1 + round % 4]).await.expect("it reads");
        to.add(&buf[..read]);
        if read == 0 {
            return;
        }
    }
}

#[test]
fn a_dropped_read_of_a_pipe_takes_nothing() {
    everywhere(4, pipe_reads);
}

async fn pipe_writes(cut: Cut) {
    let (near, mut far) = duplex(3);
    let near = Arc::new(near);
    let sent = Arc::new(pattern(0, 50));
    let written = Arc::new(AtomicUsize::new(0));
    let write_all = |near: Arc<Duplex>, times: usize| {
        let (sent, written) = (sent.clone(), written.clone());
        async move {
            for round in 0..times {
                let done = written.load(Ordering::Relaxed);
                let end = sent.len().min(done + 1 + round % 5);
                let wrote = near.write(&sent[done..end]).await.expect("somebody reads");
                written.store(done + wrote, Ordering::Relaxed);
            }
        }
    };
    let rest = async {
        cut.run(write_all(near.clone(), 8)).await;
        write_all(near.clone(), 50).await;
        near.finish().await.unwrap();
    };
    let mut received = Vec::new();
    let ((), read) = filch::join!(rest, far.read_to_end(&mut received));
    read.expect("it reads");
    assert_eq!(received, **sent);
}

#[test]
fn a_dropped_write_to_a_pipe_writes_nothing() {
    everywhere(4, pipe_writes);
}

/// C2, CANCEL-10.
#[test]
fn what_reads_ahead_loses_nothing_wherever_it_is_asked_to_end() {
    asked_everywhere(8, lines_of_a_socket);
    asked_everywhere(8, exact_reads);
    asked_everywhere(8, pieces_of_a_pipe);
    asked_everywhere(4, pipe_reads);
}

/// C2, CANCEL-10.
#[test]
fn what_keeps_back_loses_nothing_wherever_it_is_asked_to_end() {
    asked_everywhere(6, kept_back);
    asked_everywhere(8, kept_back_from_a_file);
    asked_everywhere(4, pipe_writes);
}

/// C2, CANCEL-10.
#[test]
fn what_moves_bytes_goes_on_wherever_it_is_asked_to_end() {
    asked_everywhere(6, pumped);
    asked_everywhere(6, pumped_to_a_writer);
    asked_everywhere(6, copied_from_a_reader);
    asked_here_and_there(6, both_ways);
}
