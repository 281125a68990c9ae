//! One task spawns 100 trivial tasks as a group and waits for all, 10,000 times. An operation is one task.

use std::io;

use super::{EXECUTORS, PER_OP, TOKIO, measured, nothing};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtime::Groups;
use crate::runtimes::with_groups;

const TASKS: u64 = 100;

pub(super) static ROW: Row = Row {
    name: "group",
    group: "tasks",
    about: "a task spawns a group of 100 trivial tasks and waits for all, 10,000 times",
    by_default: true,
    shapes: Shape::ONE_AND_TWO,
    contenders: EXECUTORS,
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: PER_OP,
    size: Size { full: 10_000, quick: 1_000 },
    instructions: Some((100, 400)),
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let body = trial.clone();
    with_groups!(trial.contender.as_str(), R => {
        R::run(trial.shape.workers, measured(body, TASKS, rounds::<R>))
    })
}

async fn rounds<R: Groups>(rounds: u64) {
    for _ in 0..rounds {
        R::group(TASKS).await;
    }
}
