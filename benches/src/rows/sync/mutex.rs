//! 64 tasks lock, increment and unlock: `short` at once, `held` with a yield while they hold the lock. An operation is one
//! lock and unlock.

use std::io;
use std::sync::Arc;

use super::{BARGES, GROUP, all, on_both, together, variant_and_executor, with_executor};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, measured, nothing};
use crate::runtime::Runtime;
use crate::sync::{Mutex, name, with_library};

const TASKS: u64 = 64;
/// A pass with `short` is over that much sooner than one with `held`.
const SHORT_PASSES: u64 = 8;

pub(in crate::rows) static ROW: Row = Row {
    name: "mutex",
    group: GROUP,
    about: "64 tasks lock, increment, unlock; at once, and with a yield while holding",
    by_default: false,
    shapes: on_both!("short", "held"),
    contenders: &[name::FILCH, name::TOKIO, name::ASYNC_LOCK],
    fits: all,
    remarks: &[(name::ASYNC_LOCK, BARGES)],
    baseline: name::TOKIO,
    columns: PER_OP,
    size: Size { full: 20_000, quick: 200 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let held = variant_and_executor(trial).0 == "held";
    let ops = if held { TASKS } else { TASKS * SHORT_PASSES };
    let (body, workers) = (trial.clone(), trial.shape.workers);
    with_executor!(trial, R => with_library!(Mutex, &trial.contender, M => {
        R::run(workers, measured(body, ops, move |size| async move {
            if held {
                pass::<R, M>(size, true).await;
            } else {
                pass::<R, M>(size * SHORT_PASSES, false).await;
            }
        }))
    }, [filch_sync::Lock<u64>, tokio::sync::Mutex<u64>, async_lock::Mutex<u64>]))?
}

async fn pass<R: Runtime, M: Mutex>(times: u64, held: bool) {
    let mutex = Arc::new(M::new(0));
    let task = |_| {
        let mutex = mutex.clone();
        async move {
            for _ in 0..times {
                let mut number = mutex.lock().await;
                if held {
                    R::yield_now().await;
                }
                *number += 1;
            }
        }
    };
    together::<R, _>((0..TASKS).map(task)).await;
    assert_eq!(*mutex.lock().await, TASKS * times);
}
