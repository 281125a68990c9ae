//! Waiting for a lock may be given up at any poll: the lock goes to the next in line (C1).

mod support;

use filch::sync::Lock;
use filch_testkit::Cut;
use std::sync::Arc;
use support::{breathe, everywhere};

async fn waits_in_line(cut: Cut) {
    let lock = Arc::new(Lock::new(0));
    let adds = |times: u32| {
        let lock = lock.clone();
        async move {
            for _ in 0..times {
                let mut count = lock.lock().await;
                let before = *count;
                // Held across an await: the others wait.
                breathe().await;
                *count = before + 1;
            }
        }
    };
    let (first, last) = (filch::spawn(adds(3)), filch::spawn(adds(3)));
    let done = cut.run(adds(2)).await;
    first.await.expect("it gets its turns");
    last.await.expect("it gets its turns");
    let count = *lock.try_lock().expect("nobody has it or waits");
    assert!((6..=8).contains(&count), "{count}");
    assert!(done.is_none() || count == 8, "{count}");
}

#[test]
fn a_lock_is_handed_on_at_any_poll() {
    everywhere(8, waits_in_line);
}
