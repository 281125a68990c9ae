//! A task spawns the next, 1,000,000 deep. An operation is one task.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;

use super::{EXECUTORS, PER_OP, TOKIO, measured, nothing};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtime::Runtime;
use crate::runtimes::with_runtime;

pub(super) static ROW: Row = Row {
    name: "chained_spawn",
    group: "tasks",
    about: "a task spawns the next, 1,000,000 deep",
    by_default: false,
    shapes: Shape::ONE_AND_TWO,
    contenders: EXECUTORS,
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: PER_OP,
    size: Size { full: 1_000_000, quick: 100_000 },
    instructions: Some((10_000, 40_000)),
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let body = trial.clone();
    with_runtime!(trial.contender.as_str(), R => {
        R::run(trial.shape.workers, measured(body, 1, chain::<R>))
    })
}

async fn chain<R: Runtime>(depth: u64) {
    let (done, end) = oneshot::channel();
    drop(R::spawn(Link::<R> { depth, done: Some(done), runtime: PhantomData }));
    end.await.expect("the last task reports");
}

/// Written by hand: the type of an `async fn` that spawns itself would contain itself.
struct Link<R> {
    depth: u64,
    done: Option<oneshot::Sender<()>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Future for Link<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let done = self.done.take().expect("a link is polled once");
        match self.depth {
            0 => done.send(()).expect("the end is awaited"),
            depth => {
                drop(R::spawn(Self { depth: depth - 1, done: Some(done), runtime: PhantomData }))
            }
        }
        Poll::Ready(())
    }
}
