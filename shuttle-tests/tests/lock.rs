//! Tasks that share locks.
#![cfg(filch_shuttle)]

use filch_shuttle_tests::explore::explore;
use filch_sync::Lock;
use shuttle::future::{block_on, spawn, yield_now};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

/// Every task is alone while it has the lock, though it yields in the midst; some that wait give up.
#[test]
fn tasks_exclude_each_other_and_some_give_up() {
    explore(|| {
        let lock = Arc::new(Lock::new((0, 0)));
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                let lock = lock.clone();
                spawn(async move {
                    if number % 2 == 1 {
                        let mut given_up = pin!(lock.lock());
                        let mut nobody = Context::from_waker(Waker::noop());
                        drop(given_up.as_mut().poll(&mut nobody));
                    }
                    for _ in 0..2 {
                        let mut value = lock.lock().await;
                        value.0 += 1;
                        yield_now().await;
                        value.1 += 1;
                        assert_eq!(value.0, value.1, "somebody got in between");
                    }
                })
            })
            .collect();
        block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(*lock.try_lock().expect("nobody has it"), (8, 8));
    });
}
