//! As ping_pong, with each library's own one-shot: 1,000 tasks each spawn a partner and exchange a number each way, 300
//! times. An operation is one promise, of which a pair has two; its share of the spawning is the same for everybody.

use std::io;

use super::{GROUP, all, on_both, together, with_executor};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, measured, nothing};
use crate::runtime::Runtime;
use crate::sync::{FilchPromise, FuturesOneshot, Promise, TokioOneshot, name, with_library};

const PAIRS: u64 = 1_000;

pub(in crate::rows) static ROW: Row = Row {
    name: "promise",
    group: GROUP,
    about: "1,000 tasks each spawn a partner and exchange a number each way over two promises, 300 times",
    by_default: false,
    shapes: on_both!("exchanged"),
    contenders: &[name::FILCH, name::TOKIO, name::FUTURES],
    fits: all,
    remarks: &[],
    baseline: name::TOKIO,
    columns: PER_OP,
    size: Size { full: 300, quick: 15 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let (body, workers) = (trial.clone(), trial.shape.workers);
    with_executor!(trial, R => with_library!(Promise, &trial.contender, P => {
        R::run(workers, measured(body, PAIRS * 2, pass::<R, P>))
    }, [FilchPromise, TokioOneshot, FuturesOneshot]))?
}

async fn pass<R: Runtime, P: Promise>(rounds: u64) {
    for _ in 0..rounds {
        together::<R, _>((0..PAIRS).map(|_| pair::<R, P>())).await;
    }
}

async fn pair<R: Runtime, P: Promise>() {
    let (ping, pinged) = P::promise();
    let (pong, ponged) = P::promise();
    drop(R::spawn(async move {
        let number = pinged.await;
        P::set(pong, number + 1);
    }));
    P::set(ping, 1);
    assert_eq!(ponged.await, 2);
}
