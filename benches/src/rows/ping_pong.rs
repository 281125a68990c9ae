//! 300 rounds of 1,000 pairs: a task spawns a partner and they exchange one message each way over two one-shot channels,
//! the `futures` crate's for every runtime. An operation is one pair: two tasks, two channels, two messages.

use std::io;

use futures_channel::oneshot;

use super::{EXECUTORS, PER_OP, TOKIO, measured, nothing};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtime::Runtime;
use crate::runtimes::with_runtime;

const PAIRS: u64 = 1_000;

pub(super) static ROW: Row = Row {
    name: "ping_pong",
    group: "tasks",
    about: "1,000 tasks each spawn a partner and exchange a message each way, 300 times",
    by_default: true,
    shapes: Shape::ONE_AND_TWO,
    contenders: EXECUTORS,
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: PER_OP,
    size: Size { full: 300, quick: 30 },
    instructions: Some((5, 20)),
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let body = trial.clone();
    with_runtime!(trial.contender.as_str(), R => {
        R::run(trial.shape.workers, measured(body, PAIRS, rounds::<R>))
    })
}

async fn rounds<R: Runtime>(rounds: u64) {
    let mut handles = Vec::with_capacity(PAIRS as usize);
    for _ in 0..rounds {
        handles.extend((0..PAIRS).map(|_| R::spawn(pair::<R>())));
        for handle in handles.drain(..) {
            handle.await.expect("the task finishes");
        }
    }
}

async fn pair<R: Runtime>() {
    let (ping, pinged) = oneshot::channel::<u64>();
    let (pong, ponged) = oneshot::channel::<u64>();
    drop(R::spawn(async move {
        let number = pinged.await.expect("the ping is sent");
        pong.send(number + 1).expect("the pong is awaited");
    }));
    ping.send(1).expect("the partner listens");
    assert_eq!(ponged.await, Ok(2));
}
