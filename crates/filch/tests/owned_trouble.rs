//! Trouble with buffers that were handed over: destructors that panic, and those who wait and are cancelled for
//! what others began.

mod support;

use filch::io::{IoBuf, IoBufMut};
use filch::net::{TcpStream, UdpSocket, UnixStream};
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{cancellable, is_cancelled};
use filch_testkit::limits::alone;
use socket2::SockRef;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use support::{PATIENCE, breathe, drain, pair, pattern, runtime};

/// Nobody's patience is to end: who waits for what does not come hangs.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Begins it, and drops it.
fn begin<F: Future>(future: F) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Panics when it is dropped.
struct Bomb(Vec<u8>);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("not today");
    }
}

// SAFETY: a vector's memory is on the heap.
unsafe impl IoBuf for Bomb {
    fn as_ptr(&self) -> *const u8 {
        IoBuf::as_ptr(&self.0)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn stand_in() -> Self {
        unreachable!("none is lost")
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Bomb {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        IoBufMut::as_mut_ptr(&mut self.0)
    }

    fn capacity(&self) -> usize {
        IoBufMut::capacity(&self.0)
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { IoBufMut::set_init(&mut self.0, len) };
    }
}

fn bomb() -> Bomb {
    Bomb(Vec::with_capacity(64))
}

/// Reads in a task of its own, which may panic.
async fn read(stream: &Arc<TcpStream>) -> Option<Vec<u8>> {
    let stream = stream.clone();
    let task = filch::spawn(async move {
        let mut buf = [0; 64];
        let read = stream.read(&mut buf).await.expect("the connection holds");
        buf[..read].to_vec()
    });
    task.await.ok()
}

/// A buffer's destructor is anybody's code.
#[test]
fn a_buffer_that_panics_when_it_is_dropped_leaves_the_stream_whole() {
    let _alone = alone(PATIENCE);
    for several in [false, true] {
        runtime(1).block_on(async {
            let (stream, mut peer) = pair();
            let stream = Arc::new(stream);
            match several {
                false => begin(stream.read_owned(bomb())),
                true => begin(stream.read_vectored_owned((bomb(), Vec::with_capacity(8)))),
            }
            peer.write_all(b"hello").unwrap();
            // Whether this one gets them is the bomb's affair.
            let mut got = read(&stream).await.unwrap_or_default();
            peer.write_all(b"again").unwrap();
            while !got.ends_with(b"again") {
                got.extend(read(&stream).await.expect("the bomb has gone off"));
            }
        });
    }
}

#[test]
fn a_buffer_that_panics_when_its_read_failed_leaves_the_stream_whole() {
    let _alone = alone(PATIENCE);
    runtime(1).block_on(async {
        let (stream, peer) = pair();
        let stream = Arc::new(stream);
        begin(stream.read_owned(bomb()));
        breathe().await;
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        assert_eq!(read(&stream).await, None, "the bomb");
        assert_eq!(read(&stream).await, Some(Vec::new()), "the end");
    });
}

#[test]
fn a_written_buffer_that_panics_when_it_is_dropped_leaves_the_stream_whole() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        runtime(workers).block_on(async {
            let (stream, mut peer) = pair();
            let stream = Arc::new(stream);
            begin(stream.write_all_owned(Bomb(b"hello".to_vec())));
            let settling = stream.clone();
            filch::spawn(async move { settling.settle().await }).await.expect_err("the bomb");
            assert_eq!(stream.settle().await.unwrap(), 5, "it is told once");
            stream.write(b"!").await.unwrap();
            let mut got = [0; 6];
            peer.set_nonblocking(false).unwrap();
            peer.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"hello!");
        });
    }
}

/// Where nobody waits for it, the worker frees the buffer; or whoever drops the stream, if that comes later.
#[test]
fn a_buffer_that_panics_when_the_stream_is_gone_harms_nobody() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let runtime = filch::Runtime::builder().workers(workers).build().unwrap();
        runtime.block_on(async {
            for _ in 0..10 {
                let (stream, peer) = pair();
                begin(stream.read_owned(bomb()));
                let _ = catch_unwind(AssertUnwindSafe(|| drop(stream)));
                // The end, or a reset.
                assert_eq!(drain(&peer).await, b"");
            }
            let (one, other) = UnixStream::pair().unwrap();
            one.write_all_owned("all is well").await.0.unwrap();
            assert_eq!(&*other.recv().await.unwrap(), b"all is well");
        });
    }
}

/// A connection that takes little before the writer has to wait.
fn narrow_pair() -> (Arc<TcpStream>, std::net::TcpStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    (Arc::new(TcpStream::from_std(ours).expect("a runtime")), theirs)
}

/// Reads `len` bytes, and no end.
async fn get(mut peer: &std::net::TcpStream, len: usize) -> Vec<u8> {
    let (mut got, mut chunk) = (Vec::new(), vec![0; 16 * 1024]);
    while got.len() < len {
        match peer.read(&mut chunk) {
            Ok(read) => got.extend_from_slice(&chunk[..read]),
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
    got
}

/// An owned write that was dropped goes on to its end by itself, though somebody who waited for that was cut.
#[test]
fn cancel_10_who_waits_for_a_dropped_owned_write_leaves_it_going() {
    let _alone = alone(PATIENCE);
    for (workers, way) in [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2)] {
        runtime(workers).block_on(async {
            let (stream, peer) = narrow_pair();
            let bytes = pattern(0, 240_000);
            begin(stream.write_all_owned(bytes.clone()));
            sleep(Duration::from_millis(5)).await;
            // Whether the boundary waits for it or not.
            for grace in [FOR_EVER, Duration::ZERO, FOR_EVER] {
                let begun = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (stream, begun) = (stream.clone(), begun.clone());
                    async move {
                        let write = async {
                            begun.store(1, Ordering::Release);
                            match way {
                                0 => stream.write(b"never").await.map(drop),
                                1 => stream.write_all_owned("never").await.0,
                                _ => stream.settle().await.map(drop),
                            }
                        };
                        cancellable(write).grace(grace).await.map(drop)
                    }
                });
                while begun.load(Ordering::Acquire) == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
                sleep(Duration::from_millis(5)).await;
                task.cancel();
                task.await.unwrap().expect_err("nobody reads");
            }
            // Nobody looks after it.
            assert!(get(&peer, bytes.len()).await == bytes);
            assert_eq!(stream.settle().await.unwrap(), bytes.len());
            assert!((&peer).read(&mut [0]).is_err(), "no more than that");
        });
    }
}

/// Begins `receive` in a boundary that is cancelled: it does not begin, and is cut.
async fn refused<F>(receive: F)
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let task = filch::spawn(async move {
        let work = async move {
            while !is_cancelled() {
                yield_now().await;
            }
            receive.await
        };
        cancellable(work).grace(FOR_EVER).await.map(drop)
    });
    task.cancel();
    task.await.unwrap().expect_err("nothing begins there");
}

/// A receive that did not begin, because its scope was cancelled, is nobody else's error.
#[test]
fn cancel_10_what_did_not_begin_is_told_to_nobody() {
    let _alone = alone(PATIENCE);
    runtime(2).block_on(async {
        // Closed.
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let theirs = socket.clone();
        refused(async move { theirs.recv(&mut [0; 8]).await }).await;
        Arc::into_inner(socket).unwrap().close().await.expect("nothing went wrong");
        // Handed on.
        let (one, other) = UnixStream::pair().unwrap();
        let other = Arc::new(other);
        let theirs = other.clone();
        refused(async move { theirs.read_owned(vec![0; 8]).await }).await;
        let other = Arc::into_inner(other).unwrap().into_std().await.expect("nothing has come");
        drop((one, other));
        // Begun anew, for who asks for more.
        let (one, other) = UnixStream::pair().unwrap();
        let other = Arc::new(other);
        let theirs = other.clone();
        refused(async move { theirs.read_owned(vec![0; 8]).await }).await;
        one.write_all_owned("text").await.0.unwrap();
        let (read, _) = other.recv_with_fds(&mut [0; 8]).await.expect("text has come");
        assert_eq!(read, 4);
    });
}

/// Nobody waits for the kernel to stop it, and it does not go on all the same.
#[test]
fn cancel_10_an_owned_write_that_is_cut_without_patience_does_not_go_on() {
    let _alone = alone(PATIENCE);
    for (workers, several) in [(1, false), (2, false), (1, true), (2, true)] {
        runtime(workers).block_on(async {
            let (stream, peer) = narrow_pair();
            let bytes = pattern(0, 240_000);
            let task = filch::spawn({
                let (stream, bytes) = (stream.clone(), bytes.clone());
                async move {
                    let write = async {
                        match several {
                            true => stream.write_all_vectored_owned([bytes]).await.0,
                            false => stream.write_all_owned(bytes).await.0,
                        }
                    };
                    cancellable(write).grace(Duration::ZERO).await.map(drop)
                }
            });
            // Until something has come.
            while peer.peek(&mut [0]).is_err() {
                sleep(Duration::from_millis(1)).await;
            }
            task.cancel();
            task.await.unwrap().expect_err("nobody reads");
            let written = stream.settle().await.expect("the connection holds");
            assert!(0 < written && written < bytes.len(), "{written}");
            let next = async { stream.write_all_owned("good bye").await.0.unwrap() };
            let (got, ()) = filch::join!(get(&peer, written + 8), next);
            assert!(got[..written] == bytes[..written] && got[written..] == *b"good bye");
        });
    }
}
