//! A driver that goes: with operations in flight, with futures left over, again and again (D7).

mod support;

use filch_atomic::current::WaitKind;
use filch_uring::{
    Config, Driver, Features, NoDriver, Op, Operation, Position, SharedFd, WaitWithout, op,
};
use io_uring::{opcode, squeue};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{io, thread};
use support::{CountWaker, descriptors, driver, pair, poll};

#[test]
fn what_is_in_flight_is_cancelled() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let mut kept: Vec<_> =
        (0..100).map(|_| Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(8)))).collect();
    for recv in &mut kept {
        assert!(poll(recv).is_pending());
    }
    driver.park(Some(std::time::Instant::now())).expect("the ring works");
    driver.shutdown(None).expect("sockets can be cancelled");
    driver.shutdown(None).expect("the second time there is nothing to do");
    for mut recv in kept {
        let Poll::Ready((result, buffer)) = poll(&mut recv) else { panic!("it must not hang") };
        assert_eq!(result.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
        assert_eq!(buffer.capacity(), 8);
    }
    assert_eq!(fd.holders(), 1);
}

#[test]
fn the_same_without_a_way_to_cancel_all_at_once_or_any_new_flag() {
    for features in [Features::Plain, Features::Cooperative, Features::Deferred, Features::Best] {
        let mut driver = Driver::new(&Config { features, ..Config::default() }).expect("a ring");
        assert_eq!(driver.features(), features);
        let (fd, _peer) = pair();
        let mut recv = Op::new(op::Recv::new(fd, Vec::with_capacity(8)));
        assert!(poll(&mut recv).is_pending());
        support::run(&mut driver, op::Nop::new()).expect("it does nothing");
        driver.shutdown(None).expect("sockets can be cancelled");
        assert!(poll(&mut recv).is_ready());
    }
}

#[test]
fn more_operations_than_the_queues_hold_are_cancelled() {
    let config = Config { entries: 8, completions: 16, ..Config::default() };
    let mut driver = Driver::new(&config).expect("a ring");
    let (fd, _peer) = pair();
    let mut kept: Vec<_> =
        (0..500).map(|_| Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(8)))).collect();
    for recv in &mut kept {
        assert!(poll(recv).is_pending());
    }
    driver.shutdown(None).expect("sockets can be cancelled");
    for mut recv in kept {
        assert!(poll(&mut recv).is_ready());
    }
    assert_eq!(fd.holders(), 1);
}

#[test]
fn a_future_kept_on_another_thread_learns_of_it() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let mut recv = Op::new(op::Recv::new(fd, Vec::with_capacity(8)));
    assert!(poll(&mut recv).is_pending());
    let (count, waker) = CountWaker::new();
    let kept = thread::spawn(move || {
        let mut cx = std::task::Context::from_waker(&waker);
        loop {
            if let Poll::Ready((result, _)) = std::pin::Pin::new(&mut recv).poll(&mut cx) {
                return result.expect_err("cancelled").raw_os_error();
            }
            while count.count() == 0 {
                thread::yield_now();
            }
        }
    });
    driver.shutdown(None).expect("sockets can be cancelled");
    drop(driver);
    assert_eq!(kept.join().expect("no panic"), Some(libc::ECANCELED));
}

/// A file that is gone when it is closed.
fn file() -> File {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = libc::O_TMPFILE;
    File::options()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(std::env::temp_dir())
        .expect("it opens")
}

fn shared(file: &File) -> SharedFd {
    OwnedFd::from(file.try_clone().expect("a descriptor is left")).into()
}

/// D7: shutting down waits for operations in progress; a write is one from its first poll on.
#[test]
fn writes_that_were_begun_are_done() {
    const LEN: usize = 1 << 20;
    let (staged, submitted, elsewhere, kept) = (file(), file(), file(), file());
    let mut driver = driver();
    let write = |file| op::Write::new(shared(file), vec![7u8; LEN], Position::At(0));
    let mut op = Op::new(write(&submitted));
    assert!(poll(&mut op).is_pending());
    driver.turn().expect("the ring works");
    drop(op);
    let mut op = Op::new(write(&staged));
    assert!(poll(&mut op).is_pending());
    drop(op);
    let mut kept_op = Op::new(write(&kept));
    assert!(poll(&mut kept_op).is_pending());
    let mut op = Op::with_remote(write(&elsewhere), driver.remote());
    thread::spawn(move || assert!(poll(&mut op).is_pending())).join().expect("no panic");
    // Something to cancel beside them.
    let (fd, _peer) = pair();
    let mut recv = Op::new(op::Recv::new(fd, Vec::with_capacity(8)));
    assert!(poll(&mut recv).is_pending());
    driver.shutdown(None).expect("writes to files end");
    for (file, which) in
        [(staged, "staged"), (submitted, "submitted"), (elsewhere, "elsewhere"), (kept, "kept")]
    {
        assert_eq!(file.metadata().expect("it is open").len(), LEN as u64, "{which}");
    }
    let Poll::Ready((result, _)) = poll(&mut kept_op) else { panic!("it must not hang") };
    assert_eq!(result.expect("it was done"), LEN);
    let Poll::Ready((result, _)) = poll(&mut recv) else { panic!("it must not hang") };
    assert_eq!(result.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
}

#[test]
fn writes_that_never_end_are_cancelled_when_time_is_up() {
    for grace in [0, 30] {
        let mut driver = driver();
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        let writer = SharedFd::new(writer.into());
        // More than a pipe has room for.
        let mut write =
            Op::new(op::Write::new(writer.clone(), vec![0; 1 << 20], Position::Current));
        assert!(poll(&mut write).is_pending());
        driver.turn().expect("the ring works");
        drop(write);
        let mut second = Op::new(op::Write::new(writer.clone(), "more", Position::Current));
        assert!(poll(&mut second).is_pending());
        drop(second);
        driver.shutdown(Some(Instant::now() + Duration::from_millis(grace))).expect("cancelled");
        assert_eq!(writer.holders(), 1);
    }
}

/// What is asked to stop stops, at a shutdown too.
#[test]
fn a_write_that_is_cancelled_does_not_hold_up_a_shutdown() {
    let mut driver = driver();
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    let writer = SharedFd::new(writer.into());
    let mut write = Op::new(op::Write::new(writer, vec![0; 1 << 20], Position::Current));
    assert!(poll(&mut write).is_pending());
    driver.turn().expect("the ring works");
    thread::spawn(move || write.cancel()).join().expect("no panic");
    driver.shutdown(None).expect("it was cancelled");
}

/// The kernel delivers what is cancelled in portions: a shutdown without time takes them all.
#[test]
fn a_shutdown_without_time_still_takes_what_can_be_cancelled() {
    for features in [Features::Plain, Features::Cooperative, Features::Best] {
        let mut driver = Driver::new(&Config { features, ..Config::default() }).expect("a ring");
        let (fd, _peer) = pair();
        let mut kept: Vec<_> =
            (0..2_000).map(|_| Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(8)))).collect();
        for recv in &mut kept {
            assert!(poll(recv).is_pending());
        }
        driver.turn().expect("the ring works");
        driver.shutdown(Some(Instant::now())).expect("sockets can be cancelled");
        assert!(kept.iter_mut().all(|recv| poll(recv).is_ready()));
        assert_eq!(fd.holders(), 1);
    }
}

/// An operation that the kernel never completes, as one in an uninterruptible sleep: it posts nothing
/// when it succeeds.
struct Stuck(SharedFd, Vec<u8>);

// SAFETY: no memory is involved. It does not complete, which only ever hangs.
unsafe impl Operation for Stuck {
    type Output = (io::Result<i32>, Vec<u8>);
    const NAME: &'static str = "stuck";
    const WAIT: WaitKind = WaitKind::Other;

    fn entry(&mut self) -> squeue::Entry {
        opcode::Nop::new().build().flags(squeue::Flags::SKIP_SUCCESS)
    }

    fn call(&mut self) -> io::Result<i32> {
        Ok(0)
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Immediate
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        (result, self.1)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), Vec::new())
    }

    fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[test]
fn what_the_kernel_keeps_is_leaked_and_named() {
    let mut driver = driver();
    let (fd, _peer) = pair();
    let (count, waker) = CountWaker::new();
    let mut stuck: Vec<_> =
        (0..3).map(|_| Op::new(Stuck(fd.clone(), Vec::with_capacity(8)))).collect();
    for op in &mut stuck {
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(std::pin::Pin::new(op).poll(&mut cx).is_pending());
    }
    drop(stuck.pop());
    let leaked = driver.shutdown(Some(std::time::Instant::now())).expect_err("they do not end");
    assert_eq!(leaked.operations().collect::<Vec<_>>(), [("stuck", 3)]);
    assert!(leaked.to_string().contains("3 stuck"), "{leaked}");
    drop(driver);
    assert_eq!(count.count(), 2, "their futures are told");
    for mut op in stuck {
        let Poll::Ready((result, buffer)) = poll(&mut op) else { panic!("it must not hang") };
        assert_eq!(NoDriver::of(&result.expect_err("lost")), Some(NoDriver::Lost));
        assert_eq!(buffer.capacity(), 0, "a stand-in: the kernel may have the buffer");
    }
    assert_eq!(fd.holders(), 4, "leaked with the operations, not closed under them");
}

/// A waker that panics keeps nobody else from learning that it is lost.
#[test]
fn every_lost_future_is_told() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("on purpose");
        }
    }
    let mut driver = driver();
    let (fd, _peer) = pair();
    let (count, good) = CountWaker::new();
    let bad = std::task::Waker::from(std::sync::Arc::new(Panics));
    let mut stuck: Vec<_> = (0..6).map(|_| Op::new(Stuck(fd.clone(), Vec::new()))).collect();
    for (op, waker) in stuck.iter_mut().zip([&good, &bad, &good, &good, &bad, &good]) {
        let mut cx = std::task::Context::from_waker(waker);
        assert!(std::pin::Pin::new(op).poll(&mut cx).is_pending());
    }
    let leaked = driver.shutdown(Some(Instant::now())).expect_err("they never end");
    assert_eq!(leaked.operations().map(|(_, count)| count).sum::<usize>(), 6);
    assert_eq!(count.count(), 4);
    assert!(stuck.iter_mut().all(|op| poll(op).is_ready()));
}

#[test]
fn a_remote_outlives_its_driver() {
    let driver = driver();
    let remote = driver.remote();
    assert!(!remote.is_closed());
    drop(driver);
    assert!(remote.is_closed());
    remote.unpark();
    let mut nop = Op::with_remote(op::Nop::new(), remote);
    let Poll::Ready(Err(error)) = poll(&mut nop) else { panic!("there is no driver") };
    assert_eq!(NoDriver::of(&error), Some(NoDriver::Gone));
    assert!(error.to_string().contains("shut down"), "{error}");
}

/// Submissions from elsewhere race with the shutdown: each is completed, cancelled or refused.
#[test]
fn submissions_from_elsewhere_do_not_hang() {
    for _ in 0..50 {
        let mut driver = driver();
        let remote = driver.remote();
        let submitter = thread::spawn(move || {
            for _ in 0..20 {
                let mut nop = Op::with_remote(op::Nop::new(), remote.clone());
                while poll(&mut nop).is_pending() {
                    thread::yield_now();
                }
            }
        });
        driver.turn().expect("the ring works");
        driver.shutdown(None).expect("nothing that cannot be cancelled");
        submitter.join().expect("no panic");
    }
}

#[test]
fn drivers_leave_nothing_behind() {
    // A process of its own: other tests open descriptors meanwhile.
    if std::env::var_os("FILCH_ALONE").is_none() {
        let this = std::env::current_exe().expect("it runs");
        let status = std::process::Command::new(this)
            .args(["--exact", "drivers_leave_nothing_behind", "--nocapture"])
            .env("FILCH_ALONE", "1")
            .status()
            .expect("it starts");
        assert!(status.success());
        return;
    }
    let rounds = std::env::var("FILCH_ROUNDS").map_or(1_000, |rounds| rounds.parse().expect("n"));
    let before = descriptors();
    for round in 0..rounds {
        let mut driver = driver();
        let (fd, _peer) = pair();
        let mut recv = Op::new(op::Recv::new(fd, Vec::with_capacity(8)));
        assert!(poll(&mut recv).is_pending());
        if round % 2 == 0 {
            driver.turn().expect("the ring works");
        }
        drop(recv);
    }
    assert_eq!(descriptors(), before);
}
