//! 100 tasks share 10 permits: each acquires one 5,000 times, with a yield while it has it; four times over. An
//! operation is one acquisition.

use std::io;
use std::sync::Arc;

use super::{BARGES, GROUP, all, on_both, together, with_executor};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, measured, nothing};
use crate::runtime::Runtime;
use crate::sync::{Semaphore, name, with_library};

const TASKS: u64 = 100;
const PERMITS: usize = 10;
/// A single pass is over in 50 ms.
const PASSES: u64 = 4;

pub(in crate::rows) static ROW: Row = Row {
    name: "semaphore",
    group: GROUP,
    about: "100 tasks share 10 permits and acquire one 5,000 times each, with a yield inside",
    by_default: false,
    shapes: on_both!("held"),
    contenders: &[name::FILCH, name::TOKIO, name::ASYNC_LOCK],
    fits: all,
    remarks: &[(name::ASYNC_LOCK, BARGES)],
    baseline: name::TOKIO,
    columns: PER_OP,
    size: Size { full: 5_000, quick: 250 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let (body, workers) = (trial.clone(), trial.shape.workers);
    with_executor!(trial, R => with_library!(Semaphore, &trial.contender, S => {
        R::run(workers, measured(body, TASKS * PASSES, passes::<R, S>))
    }, [filch_sync::Semaphore, tokio::sync::Semaphore, async_lock::Semaphore]))?
}

async fn passes<R: Runtime, S: Semaphore>(times: u64) {
    for _ in 0..PASSES {
        pass::<R, S>(times).await;
    }
}

async fn pass<R: Runtime, S: Semaphore>(times: u64) {
    let semaphore = Arc::new(S::new(PERMITS));
    let task = |_| {
        let semaphore = semaphore.clone();
        async move {
            for _ in 0..times {
                let permit = semaphore.acquire().await;
                R::yield_now().await;
                drop(permit);
            }
        }
    };
    together::<R, _>((0..TASKS).map(task)).await;
}
