//! What tokio's traits promise, kept by streams, files and pipes in memory.
#![cfg(feature = "tokio-io")]

mod support;

use filch::fs::File;
use filch::io::{BufReader, TokioIo, duplex};
use filch::net::{TcpStream, UnixStream};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::{Bytes, PATIENCE, TempFile, breathe, drain, everywhere, pair, pattern, runtime};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// By the traits: methods of the same names of the type itself would come first.
fn via<T>(inner: T) -> Pin<Box<T>> {
    Box::pin(inner)
}

/// A connection that takes little before the writer has to wait.
fn narrow() -> (TcpStream, std::net::TcpStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    (TcpStream::from_std(ours).expect("a runtime"), theirs)
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

/// Polls once, with a waker of its own.
fn once<R>(waker: &Waker, poll: impl FnOnce(&mut Context<'_>) -> Poll<R>) -> Poll<R> {
    poll(&mut Context::from_waker(waker))
}

fn write(
    mut to: impl AsyncWrite + Unpin,
    waker: &Waker,
    bytes: &[u8],
) -> Poll<std::io::Result<usize>> {
    once(waker, |cx| Pin::new(&mut to).poll_write(cx, bytes))
}

/// Waits until a waker has been woken so often.
async fn until(count: &Count, woken: usize) {
    while count.0.load(Ordering::SeqCst) < woken {
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn reads(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let sent = pattern(0, 60);
    let got = Bytes::default();
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for size in [1, 4, 2, 16, 1] {
                let mut buf = vec![0; size];
                let read = via(&*stream).read(&mut buf).await.expect("the connection holds");
                got.add(&buf[..read]);
            }
        }
    };
    let writer = async {
        for piece in sent.chunks(7) {
            breathe().await;
            std::io::Write::write_all(&mut &peer, piece).expect("it fits");
        }
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    // A future takes over what the polls have begun, and the other way round.
    let mut buf = [0; 3];
    let read = stream.read(&mut buf).await.expect("the connection holds");
    got.add(&buf[..read]);
    let mut rest = Vec::new();
    via(&*stream).read_to_end(&mut rest).await.expect("the connection holds");
    got.add(&rest);
    assert_eq!(got.take(), sent);
}

#[test]
fn a_dropped_read_loses_no_byte() {
    everywhere(8, reads);
}

async fn writes(cut: Cut) {
    let (stream, peer) = narrow();
    let stream = Arc::new(stream);
    let all = Arc::new(pattern(0, 300_000));
    let written = Arc::new(AtomicUsize::new(0));
    let write_on = |stream: Arc<TcpStream>| {
        let (all, written) = (all.clone(), written.clone());
        async move {
            loop {
                let done = written.load(Ordering::Relaxed);
                if done == all.len() {
                    return;
                }
                let wrote = via(&*stream).write(&all[done..]).await.expect("the connection holds");
                written.store(done + wrote, Ordering::Relaxed);
            }
        }
    };
    let writer = async {
        cut.run(write_on(stream.clone())).await;
        // A poll that was told to wait has sent nothing: nothing is in doubt.
        write_on(stream.clone()).await;
        via(&*stream).shutdown().await.expect("it can end");
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let ((), received) = filch::join!(writer, reader);
    assert!(received == **all, "each byte once, in order");
}

#[test]
fn a_dropped_write_to_a_socket_has_sent_nothing() {
    everywhere(4, writes);
}

async fn file_writes(cut: Cut) {
    let temp = TempFile::new("polled", b"");
    let file = Arc::new(File::create(&temp.0).await.unwrap());
    let all = Arc::new(pattern(0, 4_000));
    let written = Arc::new(AtomicUsize::new(0));
    // The same bytes are offered again, in pieces of other sizes.
    let write_on = |file: Arc<File>, most: usize| {
        let (all, written) = (all.clone(), written.clone());
        async move {
            loop {
                let done = written.load(Ordering::Relaxed);
                if done == all.len() {
                    return;
                }
                let end = all.len().min(done + most);
                let wrote = via(&*file).write(&all[done..end]).await.expect("there is room");
                written.store(done + wrote, Ordering::Relaxed);
            }
        }
    };
    cut.run(write_on(file.clone(), 600)).await;
    write_on(file.clone(), 170).await;
    via(&*file).flush().await.unwrap();
    assert!(std::fs::read(&temp.0).unwrap() == **all, "each byte once, in order");
}

#[test]
fn who_offers_the_same_bytes_again_to_a_file_writes_them_once() {
    everywhere(8, file_writes);
}

#[test]
fn other_bytes_come_after_those_of_a_dropped_write() {
    let temp = TempFile::new("other", b"");
    runtime(1).block_on(async {
        let file = File::create(&temp.0).await.unwrap();
        let (count, waker) = counting();
        assert!(write(&file, &waker, b"first ").is_pending());
        // Another buffer, another waker: the first write is done before, and reported to nobody.
        via(&file).write_all(b"second ").await.unwrap();
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"first second ");
        // Told in part, and then other bytes.
        assert!(write(&file, &waker, b"third ").is_pending());
        assert_eq!(via(&file).write(b"th").await.unwrap(), 2);
        assert_eq!(via(&file).write(b"ird and more").await.unwrap(), 4);
        via(&file).write_all(b"!").await.unwrap();
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"first second third !");
        // A future's write in between: the bytes are others even if they are the same.
        assert!(write(&file, &waker, b"x").is_pending());
        assert_eq!(file.write(b"y").await.unwrap(), 1);
        via(&file).write_all(b"x").await.unwrap();
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"first second third !xyx");
        // And the other way: what a dropped poll has written can be asked for.
        assert!(write(&file, &waker, b"abc").is_pending());
        assert_eq!(file.settle().await.unwrap(), 3);
        drop(count);
    });
}

#[test]
fn a_pipe_is_written_by_copies_too() {
    runtime(1).block_on(async {
        let (theirs, ours) = std::io::pipe().unwrap();
        let file = File::from_std(std::fs::File::from(OwnedFd::from(ours))).unwrap();
        let (_, waker) = counting();
        assert!(write(&file, &waker, b"ping").is_pending());
        assert_eq!(via(&file).write(b"ping pong").await.unwrap(), 4);
        via(&file).write_all(b" pong").await.unwrap();
        via(&file).shutdown().await.unwrap();
        drop(file);
        assert_eq!(std::io::read_to_string(theirs).unwrap(), "ping pong");
    });
}

#[test]
fn a_write_that_waits_may_come_again_with_anything() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (stream, peer) = narrow();
        let (count, waker) = counting();
        let filler = vec![1; 1 << 20];
        let mut filled = 0;
        while let Poll::Ready(sent) = write(&stream, &waker, &filler) {
            filled += sent.unwrap();
        }
        // Neither these...
        assert!(write(&stream, &waker, b"never sent").is_pending());
        let (other, other_waker) = counting();
        assert!(write(&stream, &other_waker, b"nor this").is_pending());
        let reader = filch::spawn(async move { drain(&peer).await });
        // The last that polled is woken.
        until(&other, 1).await;
        drop((count, waker));
        let bufs = [IoSlice::new(b"but"), IoSlice::new(b""), IoSlice::new(b" this")];
        let sent = poll_fn(|cx| Pin::new(&mut &stream).poll_write_vectored(cx, &bufs)).await;
        assert_eq!(sent.unwrap(), 8);
        via(&stream).flush().await.unwrap();
        via(&stream).shutdown().await.unwrap();
        // Again is no error, nor is it when both have ended.
        via(&stream).shutdown().await.unwrap();
        assert_eq!(via(&stream).write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let received = reader.await.unwrap();
        assert!(received[..filled].iter().all(|&byte| byte == 1));
        assert_eq!(&received[filled..], b"but this");
    });
}

#[test]
fn more_buffers_than_the_kernel_takes_at_once_are_written_in_part() {
    runtime(1).block_on(async {
        let (stream, peer) = narrow();
        let bytes = pattern(0, 3_000);
        let empty = std::iter::repeat_n(&b""[..], 2_000);
        let bufs: Vec<_> = empty.chain(bytes.chunks(1)).map(IoSlice::new).collect();
        let mut rest = &bufs[..];
        while !rest.is_empty() {
            let sent = poll_fn(|cx| Pin::new(&mut &stream).poll_write_vectored(cx, rest)).await;
            let sent = sent.expect("the connection holds");
            assert!(sent > 0, "something was offered");
            let empty = rest.iter().take_while(|buf| buf.is_empty()).count();
            rest = &rest[empty + sent..];
        }
        via(&stream).shutdown().await.unwrap();
        assert!(drain(&peer).await == bytes);
    });
}

#[test]
fn a_poll_waits_for_a_dropped_write_of_a_future() {
    let _alone = alone(PATIENCE);
    let main = async {
        let (stream, peer) = narrow();
        let patience = Duration::from_millis(20);
        // Not so large that it would go past the ring: then a write that is dropped would leave nothing.
        let filler = vec![1; 30_000];
        let mut written = 0;
        while let Ok(sent) = filch::time::timeout(patience, stream.write(&filler)).await {
            written += sent.unwrap();
        }
        let mut polled = via(&stream);
        let flushed = filch::time::timeout(patience, polled.flush());
        assert!(flushed.await.is_err(), "what is on its way is not written yet");
        // There is room from here on, and the worker has not entered its ring since.
        let mut received = vec![0; 1 << 20];
        let mut len = 0;
        while let Ok(read) = std::io::Read::read(&mut &peer, &mut received[len..]) {
            len += read;
        }
        received.truncate(len);
        let (_, waker) = counting();
        assert!(write(&stream, &waker, b"after it").is_pending(), "it waits for the other one");
        let rest = async {
            via(&stream).write_all(b"after it").await.unwrap();
            via(&stream).shutdown().await.unwrap();
        };
        let ((), drained) = filch::join!(rest, drain(&peer));
        received.extend(drained);
        let (before, after) = received.split_at(received.len() - 8);
        assert_eq!(after, b"after it");
        assert!(before.len() > written && before.len() <= written + filler.len());
        assert!(before.iter().all(|&byte| byte == 1));
    };
    filch::Runtime::builder().workers(1).run(main).unwrap();
}

/// Polls a read once.
fn read(mut from: impl AsyncRead + Unpin, waker: &Waker) -> Poll<usize> {
    let mut buf = [0; 8];
    let mut buf = ReadBuf::new(&mut buf);
    once(waker, |cx| Pin::new(&mut from).poll_read(cx, &mut buf))
        .map(|read| read.map(|()| buf.filled().len()).expect("it reads"))
}

#[test]
fn a_waker_may_change_and_a_future_may_get_in_between() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (stream, peer) = pair();
        let ((old, old_waker), (new, new_waker)) = (counting(), counting());
        assert!(read(&stream, &old_waker).is_pending());
        assert!(read(&stream, &new_waker).is_pending());
        {
            // A future takes the operation over, is polled once, and is dropped: the poller hears of it.
            let mut buf = [0; 8];
            let mut future = std::pin::pin!(stream.read(&mut buf));
            let noop = Waker::noop();
            assert!(once(noop, |cx| future.as_mut().poll(cx)).is_pending());
            // It is the future's turn.
            assert!(read(&stream, &new_waker).is_pending());
            assert_eq!(new.0.load(Ordering::SeqCst), 0);
        }
        assert_eq!(new.0.load(Ordering::SeqCst), 1);
        assert!(read(&stream, &new_waker).is_pending());
        std::io::Write::write_all(&mut &peer, b"bytes").unwrap();
        until(&new, 2).await;
        assert_eq!(read(&stream, &new_waker), Poll::Ready(5));
        assert_eq!(old.0.load(Ordering::SeqCst), 0);

        // One who waits in line behind a future that is done.
        let mut buf = [0; 8];
        let mut future = std::pin::pin!(stream.read(&mut buf));
        assert!(once(Waker::noop(), |cx| future.as_mut().poll(cx)).is_pending());
        assert!(read(&stream, &new_waker).is_pending());
        std::io::Write::write_all(&mut &peer, b"one").unwrap();
        assert_eq!(future.await.unwrap(), 3);
        until(&new, 3).await;
        assert!(read(&stream, &new_waker).is_pending());
        std::io::Write::write_all(&mut &peer, b"more").unwrap();
        until(&new, 4).await;
        assert_eq!(read(&stream, &new_waker), Poll::Ready(4));
    });
}

/// More buffers than the system takes in one call.
#[test]
fn a_write_of_many_buffers_takes_what_it_can() {
    let _alone = alone(PATIENCE);
    let runtime = runtime(1);
    runtime.block_on(async {
        let (stream, peer) = pair();
        let all = pattern(0, 3000);
        // Those at the beginning are empty.
        let mut bufs = vec![IoSlice::new(&[]); 2000];
        bufs.extend(all.chunks(1).map(IoSlice::new));
        let (mut bufs, mut sent) = (&mut bufs[..], 0);
        while sent < all.len() {
            let mut writer = &stream;
            let write = poll_fn(|cx| Pin::new(&mut writer).poll_write_vectored(cx, bufs));
            let written = write.await.expect("it takes some");
            assert!(written > 0, "{sent} sent so far");
            IoSlice::advance_slices(&mut bufs, written);
            sent += written;
        }
        drop(stream);
        assert!(drain(&peer).await == all);
    });
}

#[test]
fn two_tasks_use_the_two_halves() {
    let _alone = alone(PATIENCE);
    const LEN: usize = 1 << 20;
    let runtime = runtime(2);
    runtime.block_on(async {
        // Halves of ours, and halves that tokio makes of a stream; over streams of all kinds.
        let (near, far) = UnixStream::pair().unwrap();
        let ((a, b), (c, d)) = (near.into_split(), tokio::io::split(far));
        both_ways((a, b), (c, d)).await;
        let (near, far) = duplex(1000);
        both_ways(tokio::io::split(near), tokio::io::split(far)).await;
        let (near, peer) = pair();
        peer.set_nonblocking(false).unwrap();
        let far = TcpStream::from_std(peer).unwrap();
        both_ways(near.into_split(), far.into_split()).await;
    });

    async fn both_ways<AR, AW, BR, BW>(near: (AR, AW), far: (BR, BW))
    where
        AR: AsyncRead + Unpin + Send + 'static,
        AW: AsyncWrite + Unpin + Send + 'static,
        BR: AsyncRead + Unpin + Send + 'static,
        BW: AsyncWrite + Unpin + Send + 'static,
    {
        let (mut a, mut b) = near;
        let (mut c, mut d) = far;
        let writer = filch::spawn(async move {
            b.write_all(&pattern(0, LEN)).await.unwrap();
            b.shutdown().await.unwrap();
        });
        let echo = filch::spawn(async move {
            tokio::io::copy(&mut c, &mut d).await.unwrap();
            d.shutdown().await.unwrap();
        });
        let reader = filch::spawn(async move {
            let mut all = Vec::new();
            a.read_to_end(&mut all).await.unwrap();
            all
        });
        assert!(reader.await.unwrap() == pattern(0, LEN));
        writer.await.unwrap();
        echo.await.unwrap();
    }
}

#[test]
fn a_file_is_read_and_written_from_two_tasks_without_a_hang() {
    let _alone = alone(PATIENCE);
    let temp = TempFile::new("both", &pattern(0, 50_000));
    let runtime = runtime(2);
    runtime.block_on(async {
        let file =
            filch::fs::OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap();
        let file = Arc::new(file);
        // One cursor: what each meets is up to the other, but both come to an end.
        let reader = {
            let file = file.clone();
            filch::spawn(async move {
                let mut all = Vec::new();
                via(&*file).take(100_000).read_to_end(&mut all).await.unwrap();
            })
        };
        let writer = {
            let file = file.clone();
            filch::spawn(async move {
                for _ in 0..300 {
                    via(&*file).write_all(&[7; 100]).await.unwrap();
                }
            })
        };
        writer.await.unwrap();
        reader.await.unwrap();
        let written = std::fs::read(&temp.0).unwrap();
        assert!(written.iter().filter(|&&byte| byte == 7).count() >= 300 * 100);
    });
}

#[test]
fn who_waits_for_a_write_hears_of_it_whoever_else_has_asked_since() {
    let _alone = alone(PATIENCE);
    let temp = TempFile::new("heard", b"");
    // On the worker itself: nothing is done between two polls.
    let main = async {
        let file = filch::fs::OpenOptions::new().read(true).write(true).open(&temp.0);
        let file = file.await.unwrap();
        let ((writer, writer_waker), (reader, reader_waker)) = (counting(), counting());
        // A reader has to wait for the write, and never comes back.
        assert!(write(&file, &writer_waker, b"one").is_pending());
        assert!(read(&file, &reader_waker).is_pending());
        until(&writer, 1).await;
        assert!(matches!(write(&file, &writer_waker, b"one"), Poll::Ready(Ok(3))));
        assert!(reader.0.load(Ordering::SeqCst) > 0, "it might have come back");

        // The writer looks once more, and never comes back.
        let before = reader.0.load(Ordering::SeqCst);
        assert!(write(&file, &writer_waker, b"two").is_pending());
        assert!(read(&file, &reader_waker).is_pending());
        assert!(write(&file, &writer_waker, b"two").is_pending());
        until(&reader, before + 1).await;
        // Behind what was written.
        while read(&file, &reader_waker).is_pending() {
            filch::time::sleep(Duration::from_millis(1)).await;
        }
        drop(file);
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"onetwo");
    };
    filch::Runtime::builder().workers(1).run(main).unwrap();
}

#[test]
fn a_buffered_reader_is_one_of_tokio_too() {
    runtime(1).block_on(async {
        let (near, far) = duplex(5);
        let writer = async {
            via(&far).write_all(b"one\ntwo\nthree and the rest").await.unwrap();
            via(&far).shutdown().await.unwrap();
        };
        let reader = async {
            let mut reader = BufReader::with_capacity(4, near);
            let mut line = String::new();
            AsyncBufReadExt::read_line(&mut reader, &mut line).await.unwrap();
            AsyncBufReadExt::read_line(&mut reader, &mut line).await.unwrap();
            assert_eq!(line, "one\ntwo\n");
            let mut rest = String::new();
            AsyncReadExt::read_to_string(&mut reader, &mut rest).await.unwrap();
            assert_eq!(rest, "three and the rest");
            AsyncWriteExt::write_all(&mut reader, b"back").await.unwrap();
            AsyncWriteExt::shutdown(&mut reader).await.unwrap();
        };
        filch::join!(writer, reader);
        let mut back = String::new();
        via(&far).read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "back");
    });
}

#[test]
fn a_read_without_room_does_not_wait() {
    let (near, _far) = duplex(5);
    let mut reader = BufReader::new(near);
    let poll =
        once(Waker::noop(), |cx| Pin::new(&mut reader).poll_read(cx, &mut ReadBuf::new(&mut [])));
    assert!(matches!(poll, Poll::Ready(Ok(()))));
}

#[test]
fn what_is_of_tokio_is_moved_by_filch() {
    runtime(2).block_on(async {
        let (client, near) = tokio::io::duplex(64);
        let (far, server) = duplex(64);
        let (reader, writer) = tokio::io::split(near);
        let (reader, writer) = (TokioIo::new(reader), TokioIo::new(writer));
        let mut moving = filch::io::Bidirectional::new((reader, writer), (&far, &far));
        let talk = async {
            let mut client = client;
            client.write_all(b"a question").await.unwrap();
            client.shutdown().await.unwrap();
            let mut said = Vec::new();
            client.read_to_end(&mut said).await.unwrap();
            said
        };
        let serve = async {
            let mut asked = String::new();
            via(&server).read_to_string(&mut asked).await.unwrap();
            via(&server).write_all(asked.to_uppercase().as_bytes()).await.unwrap();
            via(&server).shutdown().await.unwrap();
        };
        let (moved, said, ()) = filch::join!(moving.run(), talk, serve);
        assert_eq!(moved.unwrap(), (10, 10));
        assert_eq!(said, b"A QUESTION");
    });
}
