//! A graceful cancel and buffers that were handed over or lent (CANCEL-10), on sockets that block and on some that
//! do not.

mod support;

use filch::cancellable;
use filch::io::Write as _;
use filch::net::{TcpStream, UnixStream};
use filch::time::{Duration, sleep};
use filch_testkit::limits::watchdog;
use socket2::SockRef;
use std::future::Future;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use support::{PATIENCE, drain, pair, pattern, runtime};

/// Nobody's patience is to end: who waits for what does not come hangs.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// More than a narrow socket takes at once.
const RECORD: usize = 60_000;

/// Waits until `so_many` have been counted.
async fn until(count: &AtomicUsize, so_many: usize) {
    while count.load(Ordering::Acquire) < so_many {
        sleep(Duration::from_millis(1)).await;
    }
}

/// A connection that takes little before the writer has to wait.
fn narrow_pair(blocks: bool) -> (Arc<TcpStream>, std::net::TcpStream) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
    let ours = std::net::TcpStream::from(OwnedFd::from(ours));
    let theirs = std::net::TcpStream::from(OwnedFd::from(theirs));
    let ours = TcpStream::from_std(ours).expect("a runtime");
    SockRef::from(&ours).set_nonblocking(!blocks).unwrap();
    (Arc::new(ours), theirs)
}

/// Until something of what is written has come, and no more does.
async fn until_it_waits(peer: &std::net::TcpStream) {
    let (mut before, mut now) = (0, 0);
    while before == 0 || before != now {
        sleep(Duration::from_millis(10)).await;
        before = now;
        now = peer.peek(&mut vec![0; 4 * RECORD]).unwrap_or(0);
    }
}

#[test]
fn cancel_10_an_owned_read_that_is_cut_leaves_the_bytes_to_the_next() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            for round in 0..240 {
                let (stream, mut peer) = pair();
                SockRef::from(&stream).set_nonblocking(round % 2 == 0).unwrap();
                let stream = Arc::new(stream);
                let begun = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (stream, begun) = (stream.clone(), begun.clone());
                    async move {
                        begun.store(1, Ordering::Release);
                        let read = async {
                            if round % 4 < 2 {
                                return stream.recv().await.unwrap().to_vec();
                            }
                            let (read, mut buf) = stream.read_owned(vec![0; 8]).await;
                            buf.truncate(read.expect("the connection holds"));
                            buf
                        };
                        cancellable(read).grace(FOR_EVER).await.unwrap_or_default()
                    }
                });
                until(&begun, 1).await;
                // Before, at the same time, or after.
                if round % 3 == 0 {
                    peer.write_all(b"hello").unwrap();
                }
                task.cancel();
                if round % 3 == 1 {
                    peer.write_all(b"hello").unwrap();
                }
                let mut got = task.await.expect("the boundary is around all it waits for");
                if round % 3 == 2 {
                    peer.write_all(b"hello").unwrap();
                }
                while got.len() < 5 {
                    got.extend_from_slice(&stream.recv().await.unwrap());
                }
                assert_eq!(got, b"hello");
            }
        });
    }
}

/// What an owned write that was cut did not write is not written later, and how much it wrote can be asked.
#[test]
fn cancel_10_an_owned_write_that_is_cut_does_not_go_on() {
    let _watchdog = watchdog(PATIENCE);
    for (workers, blocks) in [(1, true), (2, true), (1, false), (2, false)] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            let (stream, peer) = narrow_pair(blocks);
            let bytes = pattern(0, 4 * RECORD);
            let task = filch::spawn({
                let (stream, bytes) = (stream.clone(), bytes.clone());
                async move {
                    let write = stream.write_all_owned(bytes.into_boxed_slice());
                    cancellable(write).grace(FOR_EVER).await.map(drop)
                }
            });
            until_it_waits(&peer).await;
            task.cancel();
            let cut = task.await.expect("the boundary is around all it waits for");
            cut.expect_err("nobody reads");
            let written = stream.settle().await.expect("the connection holds");
            assert!(0 < written && written < bytes.len(), "{written}");
            let next = async {
                (&*stream).write_all(b"good bye").await.expect("the connection holds");
                stream.shutdown(Shutdown::Write).await.unwrap();
            };
            let (got, ()) = filch::join!(drain(&peer), next);
            assert_eq!(got.len(), written + b"good bye".len());
            assert!(got[..written] == bytes[..written], "each byte once");
            assert_eq!(&got[written..], b"good bye");
        });
    }
}

/// One that had to wait for room from the beginning did not happen.
#[test]
fn cancel_10_a_write_that_waited_for_room_does_not_happen_later() {
    let _watchdog = watchdog(PATIENCE);
    for (owned, blocks) in [(true, true), (true, false), (false, true), (false, false)] {
        let runtime = runtime(1);
        runtime.block_on(async {
            let (stream, peer) = narrow_pair(blocks);
            let (mut filled, flags) = (0, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
            while let Ok(sent) = SockRef::from(&*stream).send_with_flags(&[0; 512], flags) {
                filled += sent;
            }
            let begun = Arc::new(AtomicUsize::new(0));
            let task = filch::spawn({
                let (stream, begun) = (stream.clone(), begun.clone());
                async move {
                    let write = async {
                        begun.store(1, Ordering::Release);
                        match owned {
                            true => stream.write_all_owned("never").await.0,
                            false => stream.write(b"never").await.map(drop),
                        }
                    };
                    cancellable(write).grace(FOR_EVER).await.map(drop)
                }
            });
            until(&begun, 1).await;
            sleep(Duration::from_millis(5)).await;
            task.cancel();
            task.await.unwrap().expect_err("nobody reads");
            assert_eq!(stream.settle().await.expect("the connection holds"), 0);
            let next = async {
                (&*stream).write_all(b"good bye").await.expect("the connection holds");
                stream.shutdown(Shutdown::Write).await.unwrap();
            };
            let (got, ()) = filch::join!(drain(&peer), next);
            assert_eq!(&got[filled..], b"good bye");
        });
    }
}

/// An owned write that was dropped goes on to its end, though somebody who waited for that was cut.
#[test]
fn cancel_10_who_waits_for_a_dropped_owned_write_does_not_stop_it() {
    let _watchdog = watchdog(PATIENCE);
    for (workers, blocks) in [(1, true), (2, true), (1, false), (2, false)] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            let (stream, peer) = narrow_pair(blocks);
            let bytes = pattern(0, 4 * RECORD);
            {
                let write = pin!(stream.write_all_owned(bytes.clone()));
                assert!(write.poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            until_it_waits(&peer).await;
            for _ in 0..2 {
                let begun = Arc::new(AtomicUsize::new(0));
                let task = filch::spawn({
                    let (stream, begun) = (stream.clone(), begun.clone());
                    async move {
                        let write = async {
                            begun.store(1, Ordering::Release);
                            stream.write(b"never").await
                        };
                        cancellable(write).grace(FOR_EVER).await.map(drop)
                    }
                });
                until(&begun, 1).await;
                sleep(Duration::from_millis(5)).await;
                task.cancel();
                task.await.unwrap().expect_err("nobody reads");
            }
            let settled = async {
                let settled = stream.settle().await.expect("the connection holds");
                stream.shutdown(Shutdown::Write).await.unwrap();
                settled
            };
            let (got, settled) = filch::join!(drain(&peer), settled);
            assert!(got == bytes, "{} of {}", got.len(), bytes.len());
            assert_eq!(settled, bytes.len());
        });
    }
}

/// What has come when the cancel does is delivered, in the buffer that was handed over.
#[test]
fn cancel_3_a_buffer_that_is_filled_comes_back() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        one.write_all_owned("ping").await.0.unwrap();
        let go = Arc::new(AtomicUsize::new(0));
        let may = go.clone();
        let task = filch::spawn(async move {
            let buf = Vec::<u8>::with_capacity(64);
            let place = buf.as_ptr().addr();
            let work = async {
                let mut read = pin!(other.read_owned(buf));
                // Begun before the cancel, and done before it is seen.
                let mut pending = read.as_mut();
                std::future::poll_fn(|cx| {
                    let _ = pending.as_mut().poll(cx);
                    std::task::Poll::Ready(())
                })
                .await;
                may.store(1, Ordering::Release);
                while may.load(Ordering::Acquire) == 1 {
                    std::thread::yield_now();
                }
                read.await
            };
            let (read, buf) = cancellable(work).grace(FOR_EVER).await.expect("it was done");
            (read.unwrap(), buf.as_ptr().addr() == place, buf)
        });
        until(&go, 1).await;
        task.cancel();
        go.store(2, Ordering::Release);
        assert_eq!(task.await.unwrap(), (4, true, b"ping".to_vec()));
    });
}
