//! A panic in every place where user code runs.

use super::support::*;
use filch_sched::task::{ErrorHook, Report};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

fn payload(error: filch_sched::task::JoinError) -> &'static str {
    *error.into_panic().downcast::<&'static str>().unwrap()
}

#[test]
fn in_a_poll_is_the_handles() {
    let bench = Bench::new();
    let drops = Drops::new();
    let counted = drops.counted();
    let handle = bench.spawn(async move {
        let _counted = counted;
        silent_panic("poll")
    });
    bench.run();
    assert_eq!(drops.count(), 1);
    let error = result::<()>(handle).unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(payload(error), "poll");
    assert!(bench.reports().is_empty(), "the handle took it");
    assert!(bench.tasks().is_empty());
}

#[test]
fn in_the_futures_destructor_after_it_was_ready() {
    let bench = Bench::new();
    let drops = Drops::new();
    let (bomb, mut output) = (PanicOnDrop("future"), Some(drops.counted()));
    let handle = bench.spawn(poll_fn(move |_| {
        let _ = &bomb;
        Poll::Ready(output.take())
    }));
    bench.run();
    assert_eq!(drops.count(), 1, "what it returned is dropped");
    assert_eq!(payload(result(handle).err().unwrap()), "future");
}

#[test]
fn in_the_futures_destructor_after_a_panic_keeps_the_first() {
    let bench = Bench::new();
    let bomb = PanicOnDrop("second");
    let handle = bench.spawn(poll_fn(move |_| -> Poll<()> {
        let _ = &bomb;
        silent_panic("first")
    }));
    bench.run();
    assert_eq!(payload(result(handle).unwrap_err()), "first");
}

#[test]
fn in_the_futures_destructor_when_aborted() {
    let bench = Bench::new();
    let bomb = PanicOnDrop("aborted");
    let handle = bench.spawn(async move {
        let _bomb = bomb;
        pending::<()>().await
    });
    bench.run();
    handle.abort();
    bench.run();
    let error = result(handle).unwrap_err();
    assert!(!error.is_cancelled());
    assert_eq!(payload(error), "aborted");
}

#[test]
fn in_the_outputs_destructor_on_the_worker() {
    let bench = Bench::new();
    drop(bench.spawn(async { PanicOnDrop("output") }));
    bench.run();
    assert!(matches!(&bench.reports()[..],
        [Report::TaskPanicked { message, .. }] if message == "output"));
    assert_eq!(bench.holders(), 1);
}

#[test]
fn in_the_outputs_destructor_when_the_handle_goes() {
    let bench = Bench::new();
    let handle = bench.spawn(async { PanicOnDrop("output") });
    bench.run();
    drop(handle);
    assert!(matches!(&bench.reports()[..],
        [Report::TaskPanicked { message, .. }] if message == "output"));
    assert_eq!(bench.holders(), 1);
}

#[test]
fn in_the_join_waker_does_not_harm_the_task() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            silent_panic("waker");
        }
    }
    let bench = Bench::new();
    let mut handle = bench.spawn(async { 4 });
    let waker = Waker::from(Arc::new(Bomb));
    use std::pin::Pin;
    assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    bench.run();
    assert!(matches!(&bench.reports()[..],
        [Report::WakerPanicked { message, .. }] if message == "waker"));
    assert_eq!(result(handle).unwrap(), 4);
    assert_eq!(bench.holders(), 1);
}

#[test]
fn in_the_payloads_destructor() {
    let bench = Bench::new();
    drop(bench.spawn(async {
        std::panic::resume_unwind(Box::new(PanicOnDrop("payload")));
    }));
    bench.run();
    assert_eq!(bench.reports().len(), 1);
    assert_eq!(bench.holders(), 1);
}

#[test]
fn in_the_error_hook() {
    let bench = Bench::with_hook(ErrorHook::new(|_| silent_panic("hook")), Default::default());
    drop(bench.spawn(async { silent_panic("task") }));
    bench.run();
    assert_eq!(bench.holders(), 1);
}

#[test]
fn a_handle_dropped_while_unwinding_still_reports() {
    let bench = Bench::new();
    let handle = bench.spawn(async { silent_panic("task") });
    bench.run();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _handle = handle;
        silent_panic("caller")
    }));
    assert!(unwound.is_err());
    assert_eq!(bench.reports().len(), 1);
}
