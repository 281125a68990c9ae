//! Dropped at every poll, on every kind of thread (C1): nothing that was lent is kept, and nothing is polled again.

use crate::support::everywhere;
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{local_scope, scope_with};
use filch_testkit::Cut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn in_this_task(cut: Cut) {
    let (inside, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (inside.clone(), ended.clone());
    let work = async move {
        let (inside, ended) = (&counts.0, &counts.1);
        local_scope(async |s| {
            for number in 0..3 {
                let again = s.clone();
                s.spawn(async move {
                    let _inside = Inside::new(inside.clone());
                    yield_now().await;
                    sleep(Duration::from_millis(number)).await;
                    again.spawn(async move {
                        let _inside = Inside::new(inside.clone());
                        yield_now().await;
                        ended.fetch_add(1, Ordering::Relaxed);
                    });
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
            s.spawn(sleep(Duration::from_millis(1))).await.unwrap();
            // Behind one more that is not counted, and counted itself.
            ended.fetch_add(1, Ordering::Relaxed);
        })
        .await;
    };
    let done = cut.run(work).await.is_some();
    // Nothing is left, at once.
    assert_eq!(inside.load(Ordering::Relaxed), 0);
    let ended_now = ended.load(Ordering::Relaxed);
    assert_eq!(done, ended_now == 7);
    yield_now().await;
    assert_eq!(ended.load(Ordering::Relaxed), ended_now);
}

/// Counts itself while it lives.
struct Inside(Arc<AtomicUsize>);

impl Inside {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// LOCAL-8, at every poll.
#[test]
fn local_8_dropped_anywhere_nothing_is_left() {
    everywhere(3, in_this_task);
}

async fn in_tasks(cut: Cut) {
    let count = Arc::new(AtomicUsize::new(0));
    let lent = Inside::new(count.clone());
    let ended = Arc::new(AtomicUsize::new(0));
    let ends = ended.clone();
    let work = scope_with(lent, async move |s, _| {
        for number in 0..3 {
            let ends = ends.clone();
            let again = s.clone();
            s.spawn(async move |_| {
                yield_now().await;
                sleep(Duration::from_millis(number)).await;
                again.spawn(async |_| yield_now().await);
                ends.fetch_add(1, Ordering::Relaxed);
            });
        }
        s.spawn(async |_| sleep(Duration::from_millis(1)).await).await.unwrap();
    });
    if let Some(((), lent)) = cut.run(work).await {
        assert_eq!((count.load(Ordering::Relaxed), ended.load(Ordering::Relaxed)), (1, 3));
        drop(lent);
    }
    // It goes with the last of those that it was lent to, which were asked to end.
    while count.load(Ordering::Relaxed) > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

/// LEND-8, at every poll.
#[test]
fn lend_8_dropped_anywhere_what_was_lent_goes_with_the_last() {
    everywhere(3, in_tasks);
}
