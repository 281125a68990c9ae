//! 64 tasks take a reader-writer lock, one time in ten to write: `short` at once, `held` with a yield while they hold it. An
//! operation is one lock and unlock.

use std::io;
use std::sync::Arc;

use super::{BARGES, GROUP, all, on_both, together, variant_and_executor, with_executor};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, measured, nothing};
use crate::runtime::Runtime;
use crate::sync::{RwLock, name, with_library};

const TASKS: u64 = 64;
/// One access in so many writes.
const WRITES: u64 = 10;
/// A pass with `short` is over that much sooner than one with `held`.
const SHORT_PASSES: u64 = 8;

pub(in crate::rows) static ROW: Row = Row {
    name: "rwlock",
    group: GROUP,
    about: "64 tasks take a reader-writer lock, 1 in 10 to write; at once, and with a yield while holding",
    by_default: false,
    shapes: on_both!("short", "held"),
    contenders: &[name::FILCH, name::TOKIO, name::ASYNC_LOCK],
    fits: all,
    remarks: &[(name::ASYNC_LOCK, BARGES)],
    baseline: name::TOKIO,
    columns: PER_OP,
    size: Size { full: 10_000, quick: 100 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let held = variant_and_executor(trial).0 == "held";
    let ops = if held { TASKS } else { TASKS * SHORT_PASSES };
    let (body, workers) = (trial.clone(), trial.shape.workers);
    with_executor!(trial, R => with_library!(RwLock, &trial.contender, L => {
        R::run(workers, measured(body, ops, move |size| async move {
            if held {
                pass::<R, L>(size, true).await;
            } else {
                pass::<R, L>(size * SHORT_PASSES, false).await;
            }
        }))
    }, [filch_sync::RwLock<u64>, tokio::sync::RwLock<u64>, async_lock::RwLock<u64>]))?
}

async fn pass<R: Runtime, L: RwLock>(times: u64, held: bool) {
    let lock = Arc::new(L::new(0));
    let task = |index| {
        let lock = lock.clone();
        async move {
            for time in 0..times {
                // Each task starts elsewhere, so that they do not all write at once.
                if (time + index) % WRITES == 0 {
                    let mut number = lock.write().await;
                    if held {
                        R::yield_now().await;
                    }
                    *number += 1;
                } else {
                    let number = lock.read().await;
                    if held {
                        R::yield_now().await;
                    }
                    assert!(*number <= TASKS * times);
                }
            }
        }
    };
    together::<R, _>((0..TASKS).map(task)).await;
    let writes = |index| (0..times).filter(|time| (time + index) % WRITES == 0).count() as u64;
    assert_eq!(*lock.read().await, (0..TASKS).map(writes).sum::<u64>());
}
