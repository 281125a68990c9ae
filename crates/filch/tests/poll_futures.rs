//! What the traits of the `futures` crates promise, kept by streams, files and pipes in memory. What they
//! have in common with tokio's is tested there.
#![cfg(feature = "futures-io")]

mod support;

use filch::fs::{File, OpenOptions};
use filch::io::{BufReader, FuturesIo, Read, Seek, duplex};
use filch::net::UnixStream;
use filch_testkit::exec::block_on;
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, Cursor, copy, split};
use smol::stream::StreamExt;
use std::future::poll_fn;
use std::io::SeekFrom;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use support::{PATIENCE, TempFile, pattern, runtime};

/// By the traits: methods of the same names of the type itself would come first.
fn via<T>(inner: T) -> Pin<Box<T>> {
    Box::pin(inner)
}

#[test]
fn streams_and_pipes_carry_every_byte_both_ways() {
    let _alone = filch_testkit::limits::alone(PATIENCE);
    const LEN: usize = 700_000;
    runtime(2).block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        let echo = filch::spawn(async move {
            copy(&far, &mut &far).await.unwrap();
            via(&far).close().await.unwrap();
        });
        let (mut reader, mut writer) = split(near);
        let writing = filch::spawn(async move {
            writer.write_all(&pattern(0, LEN)).await.unwrap();
            writer.close().await.unwrap();
        });
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        assert!(all == pattern(0, LEN));
        writing.await.unwrap();
        echo.await.unwrap();
    });
    // In memory, without a runtime.
    block_on(async {
        let (near, far) = duplex(7);
        let writing = async {
            via(&near).write_all(b"one, two, three, four").await.unwrap();
            via(&near).close().await.unwrap();
        };
        let reading = async {
            let mut pieces = BufReader::with_capacity(3, far).split(b',');
            let mut all = Vec::new();
            while let Some(piece) = pieces.next().await {
                all.push(String::from_utf8(piece.unwrap()).unwrap());
            }
            all
        };
        let ((), all) = filch::join!(writing, reading);
        assert_eq!(all, ["one", " two", " three", " four"]);
    });
}

#[test]
fn a_file_is_read_written_and_sought_in() {
    let temp = TempFile::new("futures", b"");
    runtime(1).block_on(async {
        let mut file = OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap();
        AsyncWriteExt::write_all(&mut file, &pattern(0, 1_000)).await.unwrap();
        AsyncWriteExt::flush(&mut file).await.unwrap();
        assert_eq!(AsyncSeekExt::seek(&mut file, SeekFrom::Start(100)).await.unwrap(), 100);
        let mut buf = [0; 50];
        AsyncReadExt::read_exact(&mut file, &mut buf).await.unwrap();
        assert_eq!(&buf[..], pattern(100, 50));
        assert_eq!(AsyncSeekExt::seek(&mut file, SeekFrom::Current(-10)).await.unwrap(), 140);
        assert!(AsyncSeekExt::seek(&mut file, SeekFrom::Current(-200)).await.is_err());

        // The same bytes are others at another place: the first are written where the cursor was.
        let mut cx = Context::from_waker(Waker::noop());
        let poll = futures_io::AsyncWrite::poll_write(Pin::new(&mut &file), &mut cx, b"here");
        assert!(poll.is_pending());
        assert_eq!(file.seek(SeekFrom::Start(0)).await.unwrap(), 0);
        AsyncWriteExt::write_all(&mut &file, b"here").await.unwrap();
        AsyncWriteExt::close(&mut &file).await.unwrap();
        let written = std::fs::read(&temp.0).unwrap();
        assert_eq!((&written[..4], &written[140..144]), (&b"here"[..], &b"here"[..]));
    });
}

#[test]
fn a_read_that_was_given_up_for_a_write_is_made_again() {
    let temp = TempFile::new("again", b"0123456789");
    runtime(1).block_on(async {
        let file = OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap();
        let mut buf = [0; 3];
        {
            let (mut reader, mut writer) = (via(&file), via(&file));
            let mut reading = std::pin::pin!(reader.read(&mut buf));
            let mut writing = std::pin::pin!(writer.write(b"abc"));
            // Begun, and put aside.
            poll_fn(|cx| {
                assert!(reading.as_mut().poll(cx).is_pending());
                assert!(writing.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            let (read, wrote) = filch::join!(reading, writing);
            assert_eq!((read.unwrap(), wrote.unwrap()), (3, 3));
        }
        assert_eq!(&buf, b"345");
    });
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"abc3456789");
}

#[test]
fn a_read_without_room_does_not_wait() {
    let (near, _far) = duplex(5);
    let mut reader = BufReader::new(near);
    let mut cx = Context::from_waker(Waker::noop());
    let poll = futures_io::AsyncRead::poll_read(Pin::new(&mut reader), &mut cx, &mut []);
    assert!(matches!(poll, Poll::Ready(Ok(0))));
}

#[test]
fn what_is_of_futures_is_read_and_sought_by_filch() {
    block_on(async {
        let mut source = FuturesIo::new(Cursor::new(b"0123456789"));
        source.seek(SeekFrom::Start(7)).await.unwrap();
        let mut rest = String::new();
        source.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "789");
        let mut sink = FuturesIo::new(Cursor::new(Vec::new()));
        filch::io::copy(&mut &b"all of it"[..], &mut sink).await.unwrap();
        filch::io::Write::finish(&mut sink).await.unwrap();
        assert_eq!(sink.into_inner().into_inner(), b"all of it");
    });
}

#[test]
fn what_has_no_positions_is_not_sought_in() {
    runtime(1).block_on(async {
        let (theirs, _ours) = std::io::pipe().unwrap();
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(theirs));
        let mut file = File::from_std(file).unwrap();
        let error = AsyncSeekExt::seek(&mut file, SeekFrom::Start(0)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotSeekable);
    });
}
