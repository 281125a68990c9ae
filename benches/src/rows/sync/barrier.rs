//! 64 tasks meet at a barrier, again and again. An operation is one task that got through.

use std::io;
use std::sync::Arc;

use super::{GROUP, all, on_both, together, with_executor};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, measured, nothing};
use crate::runtime::Runtime;
use crate::sync::{Barrier, name, with_library};

const TASKS: usize = 64;

pub(in crate::rows) static ROW: Row = Row {
    name: "barrier",
    group: GROUP,
    about: "64 tasks meet at a barrier, 20,000 times",
    by_default: false,
    shapes: on_both!("64"),
    contenders: &[name::FILCH, name::TOKIO, name::ASYNC_LOCK],
    fits: all,
    remarks: &[],
    baseline: name::TOKIO,
    columns: PER_OP,
    size: Size { full: 20_000, quick: 200 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let (body, workers) = (trial.clone(), trial.shape.workers);
    with_executor!(trial, R => with_library!(Barrier, &trial.contender, B => {
        R::run(workers, measured(body, TASKS as u64, pass::<R, B>))
    }, [filch_sync::Barrier, tokio::sync::Barrier, async_lock::Barrier]))?
}

async fn pass<R: Runtime, B: Barrier>(times: u64) {
    let barrier = Arc::new(B::new(TASKS));
    let task = |_| {
        let barrier = barrier.clone();
        async move {
            for _ in 0..times {
                barrier.wait().await;
            }
        }
    };
    together::<R, _>((0..TASKS).map(task)).await;
}
