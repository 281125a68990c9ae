//! One task spawns 1,000 trivial tasks and awaits all, 1,000 times. An operation is one task.

use std::io;

use super::{EXECUTORS, PER_OP, TOKIO, measured, nothing};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtime::Runtime;
use crate::runtimes::with_runtime;

const TASKS: u64 = 1_000;

pub(super) static ROW: Row = Row {
    name: "spawn_join",
    group: "tasks",
    about: "a task spawns 1,000 trivial tasks and awaits all, 1,000 times",
    by_default: true,
    shapes: Shape::ONE_AND_TWO,
    contenders: EXECUTORS,
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: PER_OP,
    size: Size { full: 1_000, quick: 100 },
    instructions: Some((10, 40)),
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let body = trial.clone();
    with_runtime!(trial.contender.as_str(), R => {
        R::run(trial.shape.workers, measured(body, TASKS, rounds::<R>))
    })
}

async fn rounds<R: Runtime>(rounds: u64) {
    let mut handles = Vec::with_capacity(TASKS as usize);
    for _ in 0..rounds {
        handles.extend((0..TASKS).map(|_| R::spawn(async {})));
        for handle in handles.drain(..) {
            handle.await.expect("the task finishes");
        }
    }
}
