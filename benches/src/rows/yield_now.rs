//! 200 tasks yield 10,000 times each, five times over: with a future that wakes itself, and with the runtime's own
//! `yield_now`. An operation is one yield.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{EXECUTORS, PER_OP, TOKIO, measured, nothing};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtime::Runtime;
use crate::runtimes::with_runtime;

const TASKS: u64 = 200;
/// A single pass is over in 50 ms.
const PASSES: u64 = 5;

const OWN: &str = "own";
const SELF_WAKE: &str = "self-wake";

pub(super) static ROW: Row = Row {
    name: "yield",
    group: "tasks",
    about: "200 tasks yield 10,000 times each; with a self-wake, and with the runtime's own",
    by_default: true,
    shapes: &[
        Shape { variant: SELF_WAKE, workers: 1 },
        Shape { variant: SELF_WAKE, workers: 2 },
        Shape { variant: OWN, workers: 1 },
        Shape { variant: OWN, workers: 2 },
    ],
    contenders: EXECUTORS,
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: PER_OP,
    size: Size { full: 10_000, quick: 1_000 },
    instructions: Some((20, 120)),
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let body = trial.clone();
    let own = trial.shape.variant == OWN;
    with_runtime!(trial.contender.as_str(), R => {
        R::run(trial.shape.workers, async move {
            if own {
                measured(body, TASKS * PASSES, passes::<R, Own>).await
            } else {
                measured(body, TASKS * PASSES, passes::<R, SelfWakes>).await
            }
        })
    })
}

async fn passes<R: Runtime, K: Kind>(yields: u64) {
    for _ in 0..PASSES {
        let task = || R::spawn(K::yield_times::<R>(yields));
        let handles: Vec<_> = (0..TASKS).map(|_| task()).collect();
        for handle in handles {
            handle.await.expect("the task finishes");
        }
    }
}

/// The two ways to yield.
trait Kind: 'static {
    fn yield_times<R: Runtime>(yields: u64) -> impl Future<Output = ()> + Send + 'static;
}

struct Own;

impl Kind for Own {
    async fn yield_times<R: Runtime>(yields: u64) {
        for _ in 0..yields {
            R::yield_now().await;
        }
    }
}

struct SelfWakes;

impl Kind for SelfWakes {
    async fn yield_times<R: Runtime>(yields: u64) {
        for _ in 0..yields {
            SelfWake { woken: false }.await;
        }
    }
}

/// Pending once, having woken itself.
struct SelfWake {
    woken: bool,
}

impl Future for SelfWake {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.woken {
            return Poll::Ready(());
        }
        self.woken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
