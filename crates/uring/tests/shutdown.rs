//! A driver that goes: with operations in flight, with futures left over, again and again (D7).

mod support;

use filch_uring::{Config, Driver, Features, NoDriver, Op, op};
use std::task::Poll;
use std::thread;
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
fn what_never_reached_the_kernel_is_given_back() {
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
