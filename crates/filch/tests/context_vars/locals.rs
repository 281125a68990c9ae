//! Task locals.

use crate::support::{PATIENCE, breathe, everywhere, runtime};
use filch::task::yield_now;
use filch::{spawn, task_local};
use filch_testkit::Cut;
use filch_testkit::limits::watchdog;
use std::cell::RefCell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

task_local! {
    /// How deep.
    static DEPTH: u32;
    static NAMES: RefCell<Vec<&'static str>>;
}

/// CONTEXT-9.
#[filch::test]
async fn a_task_local_is_there_in_its_scope() {
    assert!(DEPTH.try_with(|_| ()).is_err());
    assert!(catch_unwind(|| DEPTH.get()).is_err());
    let inner = async {
        yield_now().await;
        let nested = DEPTH.scope(2, async {
            yield_now().await;
            DEPTH.get()
        });
        let nested = nested.await;
        // Not inherited.
        let child = spawn(async { DEPTH.try_with(|_| ()) }).await.unwrap();
        assert_eq!(
            child.unwrap_err().to_string(),
            "a task local has no value here: this is outside its scope"
        );
        (DEPTH.get(), nested, DEPTH.sync_scope(3, || DEPTH.get()))
    };
    let neighbour = async {
        for _ in 0..5 {
            assert!(DEPTH.try_with(|_| ()).is_err());
            yield_now().await;
        }
    };
    assert_eq!(filch::join!(DEPTH.scope(1, inner), neighbour).0, (1, 2, 3));
    let names = NAMES.scope(RefCell::default(), async {
        NAMES.with(|names| names.borrow_mut().push("one"));
        yield_now().await;
        NAMES.with(|names| names.borrow_mut().push("two"));
        NAMES.with(|names| names.borrow().join(" "))
    });
    assert_eq!(names.await, "one two");
}

/// CONTEXT-9: what is looked at is not exchanged.
#[test]
fn a_scope_is_not_entered_inside_a_look() {
    let mut scope = pin!(DEPTH.scope(1, pending::<()>()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(scope.as_mut().poll(&mut cx).is_pending());
    DEPTH.sync_scope(2, || {
        DEPTH.with(|depth| {
            let polled = catch_unwind(AssertUnwindSafe(|| scope.as_mut().poll(&mut cx)));
            assert!(polled.is_err() && *depth == 2);
            // To drop one is no mistake.
            let mut other = Box::pin(DEPTH.scope(3, pending::<()>()));
            let polled = catch_unwind(AssertUnwindSafe(|| other.as_mut().poll(&mut cx)));
            assert!(polled.is_err());
            drop(other);
        });
        assert_eq!(DEPTH.get(), 2);
    });
    assert!(scope.as_mut().poll(&mut cx).is_pending());
}

#[test]
fn task_locals_go_where_their_task_goes() {
    let _watchdog = watchdog(PATIENCE);
    runtime(4).block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                spawn(DEPTH.scope(number, async move {
                    for _ in 0..50 {
                        breathe().await;
                        assert_eq!(DEPTH.get(), number);
                    }
                }))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// CONTEXT-9: wherever it is dropped.
async fn scoped(cut: Cut) {
    struct Asks(Arc<AtomicU32>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.store(DEPTH.try_with(|depth| *depth).unwrap_or(0), Ordering::Relaxed);
        }
    }
    let seen = Arc::new(AtomicU32::new(0));
    let asks = Asks(seen.clone());
    let future = DEPTH.scope(7, async move {
        let _asks = asks;
        breathe().await;
        DEPTH.scope(8, breathe()).await;
        assert_eq!(DEPTH.get(), 7);
    });
    cut.run(future).await;
    assert_eq!(seen.load(Ordering::Relaxed), 7, "destructors see the value");
    assert!(DEPTH.try_with(|_| ()).is_err());
}

#[test]
fn a_scope_may_be_dropped_at_any_poll() {
    everywhere(4, scoped);
}
