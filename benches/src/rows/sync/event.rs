//! Tasks wait for an event, one tells them all; 1 waiter and 1,000. An operation is one waiter that was told.
//!
//! Whoever tells waits until everybody is registered, which is when their wait has been polled once, and tells them: `set`
//! and `clear` where an event stays set. Two events take turns: whoever was told waits for the other one, lest it come back
//! before the first is cleared.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::{GROUP, all, on_both, together, variant_and_executor, with_executor};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, measured, nothing};
use crate::runtime::Runtime;
use crate::sync::{Event, Listened, Notified, Watched, name, with_library};

pub(in crate::rows) static ROW: Row = Row {
    name: "event",
    group: GROUP,
    about: "1 and 1,000 tasks wait for an event, one tells them all",
    by_default: false,
    shapes: on_both!("1 waiter", "1000 waiters"),
    contenders: &[name::FILCH, name::TOKIO, name::TOKIO_WATCH, name::EVENT_LISTENER],
    fits: all,
    remarks: &[],
    baseline: name::TOKIO,
    columns: PER_OP,
    size: Size { full: 2_000, quick: 20 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    // The rounds are as many as make the same number of operations.
    let (waiters, rounds) = match variant_and_executor(trial).0 {
        "1 waiter" => (1, 1_000),
        _ => (1_000, 1),
    };
    let (body, workers) = (trial.clone(), trial.shape.workers);
    with_executor!(trial, R => with_library!(Event, &trial.contender, E => {
        R::run(workers, measured(body, 1_000, move |size| pass::<R, E>(waiters, size * rounds)))
    }, [Arc<filch_sync::Event>, Notified, Watched, Listened]))?
}

async fn pass<R: Runtime, E: Event>(waiters: usize, rounds: u64) {
    let events = [E::new(), E::new()];
    let roll = Arc::new(Roll { missing: AtomicUsize::new(waiters), waker: Mutex::new(None) });
    let task = |_| {
        let (roll, mut waiters) = (roll.clone(), events.each_ref().map(E::waiter));
        async move {
            for round in 0..rounds {
                let mut wait = pin!(E::wait(&mut waiters[round as usize % 2]));
                poll_fn(|context| {
                    assert!(wait.as_mut().poll(context).is_pending(), "nobody was told yet");
                    Poll::Ready(())
                })
                .await;
                roll.answer();
                wait.await;
            }
        }
    };
    let tasks: Vec<_> = (0..waiters).map(task).collect();
    let everybody = R::spawn(together::<R, _>(tasks.into_iter()));
    for round in 0..rounds {
        roll.complete(waiters).await;
        events[round as usize % 2].pulse();
    }
    everybody.await.expect("the tasks finish");
}

/// Who is still to register.
struct Roll {
    missing: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Roll {
    fn answer(&self) {
        // AcqRel, here and below: the last one to answer comes after all others, and `complete` after it.
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = self.waker.lock().expect("nobody panicked").take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Waits until all have answered, and begins anew.
    async fn complete(&self, count: usize) {
        poll_fn(|context| {
            *self.waker.lock().expect("nobody panicked") = Some(context.waker().clone());
            match self.missing.load(Ordering::Acquire) {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        self.missing.store(count, Ordering::Release);
    }
}
