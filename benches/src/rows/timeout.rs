//! A timeout around a future that is ready at once, and 1,000 at a time around futures that never are: created, polled once
//! and dropped, as most timeouts are. An operation is one timeout.

use std::future::{pending, poll_fn, ready};
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::{EXECUTORS, PER_OP, TOKIO, measured, nothing};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtime::Runtime;
use crate::runtimes::with_runtime;

const AT_A_TIME: u64 = 1_000;
const WAIT: Duration = Duration::from_secs(30);

const READY: &str = "ready";
const PENDING: &str = "pending";

pub(super) static ROW: Row = Row {
    name: "timeout",
    group: "tasks",
    about: "a timeout around a future that is ready, and 1,000 at a time around some that are not, dropped again",
    by_default: true,
    shapes: &[Shape { variant: READY, workers: 1 }, Shape { variant: PENDING, workers: 1 }],
    contenders: EXECUTORS,
    fits: Shape::suits_runtime,
    remarks: &[("smol", "smol has no timeout of its own: a timer in `or`")],
    baseline: TOKIO,
    columns: PER_OP,
    size: Size { full: 5_000, quick: 100 },
    instructions: Some((10, 40)),
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let body = trial.clone();
    let is_ready = trial.shape.variant == READY;
    with_runtime!(trial.contender.as_str(), R => {
        R::run(trial.shape.workers, async move {
            if is_ready {
                measured(body, AT_A_TIME, around_ready::<R>).await
            } else {
                measured(body, AT_A_TIME, around_pending::<R>).await
            }
        })
    })
}

async fn around_ready<R: Runtime>(rounds: u64) {
    for _ in 0..rounds {
        for number in 0..AT_A_TIME {
            black_box(R::timeout(WAIT, ready(black_box(number))).await);
        }
        // Whoever has a budget gets a new one.
        R::yield_now().await;
    }
}

async fn around_pending<R: Runtime>(rounds: u64) {
    for _ in 0..rounds {
        let all: Box<[_]> = (0..AT_A_TIME).map(|_| R::timeout(WAIT, pending::<()>())).collect();
        let mut all = Box::into_pin(all);
        poll_fn(|cx| {
            // SAFETY: each is pinned when the slice is: none is moved out of the references got here.
            for each in unsafe { all.as_mut().get_unchecked_mut() } {
                // SAFETY: as above.
                assert!(unsafe { Pin::new_unchecked(each) }.poll(cx).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        drop(all);
        R::yield_now().await;
    }
}
