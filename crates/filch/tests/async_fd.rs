//! Waiting for descriptors of any kind: the wait takes nothing, and loses nothing.

mod support;

use filch::io::{AsyncFd, Interest};
use filch::{Runtime, cancellable};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{Bytes, PATIENCE, breathe, drain, everywhere, pair, pattern, runtime};

/// A pipe of which neither end blocks.
fn pipe() -> (PipeReader, PipeWriter) {
    let (from, to) = io::pipe().expect("two descriptors");
    set_nonblocking(&from);
    set_nonblocking(&to);
    (from, to)
}

fn set_nonblocking(fd: &impl AsFd) {
    // SAFETY: no pointers.
    let set = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(set, 0);
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_eventfd_is_waited_for() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        runtime(workers).block_on(async {
            // SAFETY: no pointers; it is new, and ours.
            let fd = unsafe { File::from_raw_fd(libc::eventfd(0, libc::EFD_NONBLOCK)) };
            let event = Arc::new(AsyncFd::new(fd).unwrap());
            let waits = filch::spawn({
                let event = event.clone();
                async move {
                    let mut counted = 0;
                    while counted < 100 {
                        let mut count = [0; 8];
                        let read = |mut fd: &File| fd.read(&mut count);
                        assert_eq!(event.async_io(Interest::READABLE, read).await.unwrap(), 8);
                        counted += u64::from_ne_bytes(count);
                    }
                    counted
                }
            });
            for _ in 0..100 {
                let mut fd = event.get_ref();
                fd.write_all(&1u64.to_ne_bytes()).unwrap();
                breathe().await;
            }
            assert_eq!(waits.await.unwrap(), 100);
        });
    }
}

/// Nothing is remembered: what was not read is there the next time.
#[test]
fn each_wait_asks_anew() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (from, mut to) = pipe();
        let mut from = AsyncFd::new(from).unwrap();
        assert!(poll(pin!(from.readable())).is_pending());
        to.write_all(b"ping").unwrap();
        for _ in 0..3 {
            let ready = from.readable().await.unwrap();
            assert!(ready.ready().is_readable() && !ready.ready().is_read_closed());
            assert!(std::ptr::eq(ready.get_ref(), &from));
        }
        let ready = from.readable().await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(ready.try_io(|mut pipe| pipe.read(&mut buf)).unwrap().unwrap(), 4);
        let stale = ready.try_io(|mut pipe| pipe.read(&mut buf)).unwrap_err();
        assert!(stale.to_string().contains("not ready"));
        assert!(poll(pin!(from.readable())).is_pending());
        drop(to);
        let ready = from.ready(Interest::READABLE | Interest::PRIORITY).await.unwrap().ready();
        assert!(ready.is_read_closed() && ready.is_readable() && !ready.is_priority());
        assert_eq!(from.get_mut().read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn a_pipe_is_waited_for_until_it_has_room() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (from, to) = pipe();
        let (from, to) = (AsyncFd::new(from).unwrap(), AsyncFd::new(to).unwrap());
        let all = pattern(0, 1_000_000);
        let sent = all.clone();
        let writer = filch::spawn(async move {
            let mut left = &sent[..];
            while !left.is_empty() {
                let write = |mut pipe: &PipeWriter| pipe.write(left);
                let written = to.async_io(Interest::WRITABLE, write).await.unwrap();
                left = &left[written..];
            }
        });
        let (mut got, mut buf) = (Vec::new(), vec![0; 3000]);
        loop {
            let read = |mut pipe: &PipeReader| pipe.read(&mut buf);
            match from.async_io(Interest::READABLE, read).await.unwrap() {
                0 => break,
                read => got.extend_from_slice(&buf[..read]),
            }
        }
        writer.await.unwrap();
        assert!(got == all);
        let (from, to) = pipe();
        drop(from);
        let to = AsyncFd::new(to).unwrap();
        let ready = to.writable().await.unwrap().ready();
        assert!(ready.is_write_closed() && ready.is_writable() && ready.is_error());
    });
}

#[test]
fn urgent_data_is_out_of_the_ordinary() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = AsyncFd::new(listener.accept().unwrap().0).unwrap();
        assert!(poll(pin!(stream.ready(Interest::PRIORITY))).is_pending());
        socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        assert!(stream.ready(Interest::PRIORITY).await.unwrap().ready().is_priority());
    });
}

#[test]
fn what_cannot_wait_is_always_ready() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let file = AsyncFd::new(File::open("/proc/self/comm").unwrap()).unwrap();
        assert!(file.readable().await.unwrap().ready().is_readable());
        assert!(format!("{file:?}").starts_with("AsyncFd { inner: File"));
    });
}

/// Dropped, or taken apart, with a wait in flight: the other side learns of the end (D6).
#[test]
fn the_end_of_what_is_waited_for_is_seen() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        for round in 0..40 {
            let (stream, peer) = pair();
            let stream = stream.into_std().await.unwrap();
            let stream = AsyncFd::new(stream).unwrap();
            assert!(poll(pin!(stream.readable())).is_pending());
            if round % 2 == 0 {
                assert!(stream.poll_readable(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            match round % 4 {
                0 | 1 => drop(stream),
                _ => drop(stream.into_inner()),
            }
            assert_eq!(drain(&peer).await, b"");
        }
    });
}

/// Its owner may close the descriptor, and its number go to somebody else's: it is not waited for.
#[test]
fn a_number_that_is_used_again_is_not_waited_for() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (from, mut to) = pipe();
        let number = from.as_raw_fd();
        let mut first = AsyncFd::new(from).unwrap();
        let mut wait = Box::pin(poll_fn(|cx| first.poll_readable(cx).map(|r| r.unwrap().ready())));
        assert!(poll(wait.as_mut()).is_pending());
        drop(wait);
        let (other, _other_to) = pipe();
        drop(std::mem::replace(first.get_mut(), other));
        let (again, mut again_to) = pipe();
        assert_eq!(again.as_raw_fd(), number, "the lowest that is free");
        again_to.write_all(b"x").unwrap();
        filch::time::sleep(Duration::from_millis(5)).await;
        assert!(poll(pin!(first.readable())).is_pending(), "not that one");
        // What it was made of is still there for it.
        to.write_all(b"x").unwrap();
        assert!(first.readable().await.unwrap().ready().is_readable());
    });
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn of_those_who_poll_the_last_is_woken() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (from, mut to) = pipe();
        let (from, to_) = (AsyncFd::new(from).unwrap(), to.try_clone().unwrap());
        let to_ = AsyncFd::new(to_).unwrap();
        let counts = [(); 2].map(|()| Arc::new(Count::default()));
        for count in &counts {
            let waker = Waker::from(count.clone());
            assert!(from.poll_readable(&mut Context::from_waker(&waker)).is_pending());
        }
        to.write_all(b"x").unwrap();
        while counts[1].0.load(Ordering::Relaxed) == 0 {
            filch::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(counts[0].0.load(Ordering::Relaxed), 0);
        assert!(poll_fn(|cx| from.poll_readable(cx)).await.unwrap().ready().is_readable());
        assert!(poll_fn(|cx| to_.poll_writable(cx)).await.unwrap().ready().is_writable());
    });
}

#[test]
fn a_wait_in_a_boundary_is_cut() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        let (from, mut to) = pipe();
        let from = Arc::new(AsyncFd::new(from).unwrap());
        let waits = from.clone();
        let task = filch::spawn(async move { cancellable(waits.readable()).await.is_err() });
        breathe().await;
        task.cancel();
        assert!(task.await.unwrap());
        to.write_all(b"x").unwrap();
        assert!(from.readable().await.unwrap().ready().is_readable());
    });
}

#[test]
fn without_a_runtime_there_is_an_error() {
    let (from, mut to) = pipe();
    AsyncFd::new(from).unwrap_err();
    assert_eq!(to.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe, "it was dropped");
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (from, mut to) = pipe();
    let from = {
        let _enter = runtime.enter();
        AsyncFd::new(from).unwrap()
    };
    drop(runtime);
    to.write_all(b"x").unwrap();
    let Poll::Ready(gone) = poll(pin!(from.readable())) else { panic!("nobody would wake it") };
    gone.unwrap_err();
}

async fn bytes_through_a_pipe(cut: Cut) {
    let (from, to) = pipe();
    let (from, to) = (Arc::new(AsyncFd::new(from).unwrap()), AsyncFd::new(to).unwrap());
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let (from, got) = (from.clone(), got.clone());
        async move {
            for _ in 0..6 {
                read(&from, &got).await;
            }
        }
    };
    let writer = async {
        for piece in sent.chunks(7) {
            breathe().await;
            let write = |mut pipe: &PipeWriter| pipe.write(piece);
            assert_eq!(to.async_io(Interest::WRITABLE, write).await.unwrap(), piece.len());
        }
        drop(to);
    };
    filch::join!(cut.run(reader), writer);
    while read(&from, &got).await > 0 {}
    assert_eq!(got.take(), sent);
}

async fn read(from: &AsyncFd<PipeReader>, to: &Bytes) -> usize {
    let mut buf = [0; 5];
    let read = from.async_io(Interest::READABLE, |mut pipe| pipe.read(&mut buf)).await.unwrap();
    to.add(&buf[..read]);
    read
}

#[test]
fn a_wait_may_be_dropped_at_every_poll() {
    everywhere(6, bytes_through_a_pipe);
}

/// C2, CANCEL-10.
#[test]
fn no_byte_is_lost_wherever_a_wait_is_asked_to_end() {
    asked_everywhere(6, bytes_through_a_pipe);
}
