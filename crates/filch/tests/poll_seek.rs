//! Seeking in files by tokio's traits, where it is two calls (FS-22).
#![cfg(feature = "tokio-io")]

mod support;

use filch::fs::{File, OpenOptions};
use filch::io::{Seek, TokioIo};
use filch_testkit::limits::alone;
use filch_testkit::{Cut, DropAtEveryPoll};
use std::io::{ErrorKind, Result, SeekFrom};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use support::{PATIENCE, TempFile, everywhere, pattern, runtime};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite, AsyncWriteExt, ReadBuf,
};

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn start(file: &mut File, to: SeekFrom) -> Result<()> {
    Pin::new(file).start_seek(to)
}

fn complete(file: &mut File, waker: &Waker) -> Poll<Result<u64>> {
    Pin::new(file).poll_complete(&mut Context::from_waker(waker))
}

fn write(mut file: &File, bytes: &[u8]) -> Poll<Result<usize>> {
    Pin::new(&mut file).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
}

fn read(mut file: &File, waker: &Waker) -> Poll<Result<Vec<u8>>> {
    let mut room = [0; 4];
    let mut buf = ReadBuf::new(&mut room);
    let poll = Pin::new(&mut file).poll_read(&mut Context::from_waker(waker), &mut buf);
    poll.map_ok(|()| buf.filled().to_vec())
}

async fn both_ways(temp: &TempFile) -> File {
    OpenOptions::new().read(true).write(true).open(&temp.0).await.unwrap()
}

/// On the worker itself: nothing is done between two polls, and what has begun there is in flight.
fn on_the_worker(test: impl AsyncFnOnce()) {
    let _alone = alone(PATIENCE);
    filch::Runtime::builder().workers(1).run(test()).unwrap();
}

/// What is left to be read at the cursor, by futures.
async fn rest(file: &File) -> String {
    let mut all = Vec::new();
    let mut buf = [0; 64];
    loop {
        match file.read(&mut buf).await.unwrap() {
            0 => return String::from_utf8(all).unwrap(),
            read => all.extend_from_slice(&buf[..read]),
        }
    }
}

/// FS-22.
#[test]
fn a_file_is_sought_in() {
    let temp = TempFile::new("sought", b"");
    runtime(1).block_on(async {
        let mut file = both_ways(&temp).await;
        AsyncWriteExt::write_all(&mut file, &pattern(0, 1_000)).await.unwrap();
        assert_eq!(AsyncSeekExt::stream_position(&mut file).await.unwrap(), 1_000);
        assert_eq!(AsyncSeekExt::seek(&mut file, SeekFrom::Start(100)).await.unwrap(), 100);
        let mut buf = [0; 50];
        AsyncReadExt::read_exact(&mut file, &mut buf).await.unwrap();
        assert_eq!(&buf[..], pattern(100, 50));
        assert_eq!(AsyncSeekExt::seek(&mut file, SeekFrom::Current(-10)).await.unwrap(), 140);
        for nowhere in [SeekFrom::Current(-200), SeekFrom::End(-1_001), SeekFrom::Start(u64::MAX)] {
            let error = AsyncSeekExt::seek(&mut file, nowhere).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{nowhere:?}");
        }
        assert_eq!(AsyncSeekExt::stream_position(&mut file).await.unwrap(), 140, "it stayed");
        assert_eq!(AsyncSeekExt::seek(&mut file, SeekFrom::End(5)).await.unwrap(), 1_005);
        assert_eq!(AsyncReadExt::read(&mut file, &mut buf).await.unwrap(), 0);
        assert_eq!(AsyncSeekExt::rewind(&mut file).await.unwrap(), 0);

        // tokio's own reader has read ahead, and takes that into account.
        let mut reader = tokio::io::BufReader::with_capacity(64, file);
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(reader.seek(SeekFrom::Current(10)).await.unwrap(), 60);
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf[..], pattern(60, 50));
    });
}

/// FS-22. And relative to where the write has left the cursor.
#[test]
fn a_seek_is_made_when_the_write_before_it_is_over() {
    let temp = TempFile::new("behind", b"0123456789");
    on_the_worker(async || {
        let mut file = both_ways(&temp).await;
        assert!(write(&file, b"abc").is_pending());
        start(&mut file, SeekFrom::Current(2)).unwrap();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(complete(&mut file, &waker).is_pending(), "the write is in flight");
        // Another one has to wait its turn; the first is none the worse for it.
        let error = start(&mut file, SeekFrom::Start(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        while count.0.load(Ordering::SeqCst) == 0 {
            filch::task::yield_now().await;
        }
        assert!(matches!(complete(&mut file, &waker), Poll::Ready(Ok(5))));
        // The same bytes are others at another place.
        AsyncWriteExt::write_all(&mut file, b"abc").await.unwrap();
        AsyncWriteExt::flush(&mut file).await.unwrap();
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"abc34abc89");
    });
}

/// FS-22. Whatever comes next, nobody having waited for the seek.
#[test]
fn who_does_not_wait_for_a_seek_finds_it_made() {
    let temp = TempFile::new("unasked", b"0123456789");
    on_the_worker(async || {
        let mut file = both_ways(&temp).await;
        // A future, and a poll, that read.
        start(&mut file, SeekFrom::Start(7)).unwrap();
        assert_eq!(rest(&file).await, "789");
        start(&mut file, SeekFrom::End(-2)).unwrap();
        let mut all = String::new();
        AsyncReadExt::read_to_string(&mut file, &mut all).await.unwrap();
        assert_eq!(all, "89");
        // A read that is in flight is one of where the cursor was.
        start(&mut file, SeekFrom::Start(0)).unwrap();
        assert!(read(&file, Waker::noop()).is_pending());
        start(&mut file, SeekFrom::Start(5)).unwrap();
        let read = std::future::poll_fn(|cx| read(&file, cx.waker())).await;
        assert_eq!(read.unwrap(), b"5678");
        // Polls that write: what is on its way, and offered again, is other bytes behind the seek.
        start(&mut file, SeekFrom::Start(1)).unwrap();
        assert!(write(&file, b"x").is_pending());
        start(&mut file, SeekFrom::Current(1)).unwrap();
        AsyncWriteExt::write_all(&mut file, b"x").await.unwrap();
        // A future that writes; one that seeks; and those that take the cursor along.
        start(&mut file, SeekFrom::Current(1)).unwrap();
        assert_eq!(file.write(b"y").await.unwrap(), 1);
        start(&mut file, SeekFrom::Current(2)).unwrap();
        assert_eq!(file.seek(SeekFrom::Current(-1)).await.unwrap(), 7);
        start(&mut file, SeekFrom::Start(8)).unwrap();
        assert_eq!(rest(&file.try_clone().await.unwrap()).await, "89");
        start(&mut file, SeekFrom::Start(6)).unwrap();
        let standard = file.into_std().await.unwrap();
        assert_eq!(std::io::read_to_string(standard).unwrap(), "6789");
    });
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"0x2x4y6789");
}

/// FS-22. Its error is for who asks; who does not, finds the cursor where it was.
#[test]
fn a_seek_that_fails_moves_nothing() {
    let temp = TempFile::new("nowhere", b"0123456789");
    on_the_worker(async || {
        let mut file = both_ways(&temp).await;
        start(&mut file, SeekFrom::Current(-1)).unwrap();
        let Poll::Ready(Err(error)) = complete(&mut file, Waker::noop()) else {
            panic!("it fails")
        };
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        // It is over: the answer to the next question is where the cursor is.
        assert!(matches!(complete(&mut file, Waker::noop()), Poll::Ready(Ok(0))));
        start(&mut file, SeekFrom::Current(-1)).unwrap();
        assert_eq!(rest(&file).await, "0123456789");
        assert!(matches!(complete(&mut file, Waker::noop()), Poll::Ready(Ok(10))));
    });
}

/// FS-22. That is what tokio's `seek` begins with.
#[test]
fn without_a_seek_nothing_is_waited_for() {
    let temp = TempFile::new("alone", b"0123456789");
    on_the_worker(async || {
        let mut file = both_ways(&temp).await;
        assert!(write(&file, b"ab").is_pending());
        assert!(complete(&mut file, Waker::noop()).is_ready());
        // Nor is the write forgotten, whose bytes are offered again.
        AsyncWriteExt::write_all(&mut file, b"ab").await.unwrap();
        assert_eq!(std::fs::read(&temp.0).unwrap(), b"ab23456789");
        // Nor a reader, who was told to wait, and is woken when a seek gives up what he waits for.
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(read(&file, &waker).is_pending());
        assert!(matches!(complete(&mut file, Waker::noop()), Poll::Ready(Ok(2))));
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        start(&mut file, SeekFrom::Start(4)).unwrap();
        assert!(matches!(complete(&mut file, Waker::noop()), Poll::Ready(Ok(4))));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(rest(&file).await, "456789");
    });
}

async fn dropped(cut: Cut) {
    let temp = TempFile::new("cut", b"0123456789");
    let file = both_ways(&temp).await;
    let owner = Arc::new(std::sync::Mutex::new(Some(file)));
    let seek = {
        let owner = owner.clone();
        async move {
            let _written = write(owner.lock().unwrap().as_ref().unwrap(), b"abc");
            std::future::poll_fn(|cx| {
                let mut owner = owner.lock().unwrap();
                complete(owner.as_mut().unwrap(), cx.waker())
            })
            .await
            .unwrap();
            start(owner.lock().unwrap().as_mut().unwrap(), SeekFrom::Current(2)).unwrap();
            std::future::poll_fn(|cx| {
                let mut owner = owner.lock().unwrap();
                complete(owner.as_mut().unwrap(), cx.waker())
            })
            .await
            .unwrap()
        }
    };
    let sought = cut.run(seek).await;
    let mut file = owner.lock().unwrap().take().unwrap();
    let place = AsyncSeekExt::stream_position(&mut file).await.unwrap();
    // Not begun at all, or all of it: the seek goes on without who asked.
    assert!(place == 5 || place == 0 && sought.is_none(), "{place}");
    assert!(sought.is_none_or(|sought| sought == 5));
    let written = if place == 0 { "0123456789" } else { "abc3456789" };
    assert_eq!(std::fs::read_to_string(&temp.0).unwrap(), written);
}

/// FS-22.
#[test]
fn a_seek_that_was_begun_goes_on_without_who_began_it() {
    // Elsewhere than on the worker itself the write may be over before anything is waited for.
    everywhere(1, dropped);
    on_the_worker(async || {
        let summary = DropAtEveryPoll::new().run(dropped).await;
        assert!(summary.dropped >= 3, "{summary:?}");
    });
}

/// FS-22.
#[test]
fn what_has_no_positions_is_not_sought_in() {
    runtime(1).block_on(async {
        let (theirs, _ours) = std::io::pipe().unwrap();
        let mut file = File::from_std(std::fs::File::from(OwnedFd::from(theirs))).unwrap();
        let error = AsyncSeekExt::seek(&mut file, SeekFrom::Start(0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSeekable);
    });
}

#[test]
fn what_is_of_tokio_is_sought_in_by_filch() {
    let temp = TempFile::new("adapted", b"0123456789");
    runtime(1).block_on(async {
        let mut source = TokioIo::new(both_ways(&temp).await);
        // One that was begun and dropped is over first.
        start(source.get_mut(), SeekFrom::Start(3)).unwrap();
        assert_eq!(source.seek(SeekFrom::Current(4)).await.unwrap(), 7);
        assert!(source.seek(SeekFrom::Current(-8)).await.is_err());
        let mut rest = String::new();
        filch::io::Read::read_to_string(&mut source, &mut rest).await.unwrap();
        assert_eq!(rest, "789");
    });
}
