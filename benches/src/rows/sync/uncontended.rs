//! What a primitive costs when nobody is in the way: no executor, no task, every future is ready at its first poll.
//!
//! An operation is one lock and unlock, one permit acquired and given back, one number put and got, or one promise made, set
//! and awaited.

use std::hint::black_box;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::{BARGES, GROUP};
use crate::measure::Sample;
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::rows::{PER_OP, nothing};
use crate::sync::{
    FilchPromise, Flume, FuturesOneshot, Mpsc, Mutex, Promise, Queue, RawQueue, RwLock, Semaphore,
    TokioOneshot, name, with_library,
};
use crate::sys::Stopwatch;

const LOCK: &str = "lock";
const READ: &str = "read";
const WRITE: &str = "write";
const SEMAPHORE: &str = "semaphore";
const QUEUE: &str = "queue";
const PROMISE: &str = "promise";

/// Who has which of them.
const LIBRARIES: &[(&str, &[&str])] = &[
    (name::FILCH, &[LOCK, READ, WRITE, SEMAPHORE, PROMISE, QUEUE]),
    (name::FILCH_RAW, &[QUEUE]),
    (name::TOKIO, &[LOCK, READ, WRITE, SEMAPHORE, QUEUE, PROMISE]),
    (name::ASYNC_LOCK, &[LOCK, READ, WRITE, SEMAPHORE]),
    (name::ASYNC_CHANNEL, &[QUEUE]),
    (name::FLUME, &[QUEUE]),
    (name::FUTURES, &[PROMISE]),
];

pub(in crate::rows) static ROW: Row = Row {
    name: "uncontended",
    group: GROUP,
    about: "lock, permit, queue and promise with nobody in the way and no executor",
    by_default: false,
    shapes: &[
        Shape { variant: LOCK, workers: 1 },
        Shape { variant: READ, workers: 1 },
        Shape { variant: WRITE, workers: 1 },
        Shape { variant: SEMAPHORE, workers: 1 },
        Shape { variant: QUEUE, workers: 1 },
        Shape { variant: PROMISE, workers: 1 },
    ],
    contenders: &[
        name::FILCH,
        name::FILCH_RAW,
        name::TOKIO,
        name::ASYNC_LOCK,
        name::ASYNC_CHANNEL,
        name::FLUME,
        name::FUTURES,
    ],
    fits: has,
    remarks: &[(name::ASYNC_LOCK, BARGES)],
    baseline: name::TOKIO,
    columns: PER_OP,
    size: Size { full: 10_000_000, quick: 250_000 },
    instructions: Some((10_000, 40_000)),
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn has(shape: Shape, library: &str) -> bool {
    LIBRARIES.iter().any(|(name, has)| *name == library && has.contains(&shape.variant))
}

fn work(trial: &Trial) -> io::Result<Sample> {
    let library = trial.contender.as_str();
    match trial.shape.variant {
        LOCK => with_library!(Mutex, library, M => locks::<M>(trial),
            [filch_sync::Lock<u64>, tokio::sync::Mutex<u64>, async_lock::Mutex<u64>]),
        READ => with_library!(RwLock, library, L => reads::<L>(trial),
            [filch_sync::RwLock<u64>, tokio::sync::RwLock<u64>, async_lock::RwLock<u64>]),
        WRITE => with_library!(RwLock, library, L => writes::<L>(trial),
            [filch_sync::RwLock<u64>, tokio::sync::RwLock<u64>, async_lock::RwLock<u64>]),
        SEMAPHORE => with_library!(Semaphore, library, S => permits::<S>(trial),
            [filch_sync::Semaphore, tokio::sync::Semaphore, async_lock::Semaphore]),
        QUEUE => with_library!(Queue, library, Q => items::<Q>(trial),
            [filch_sync::Queue<u64>, RawQueue, Mpsc, async_channel::Sender<u64>, Flume]),
        _ => with_library!(Promise, library, P => promises::<P>(trial),
            [FilchPromise, TokioOneshot, FuturesOneshot]),
    }
}

fn locks<M: Mutex>(trial: &Trial) -> Sample {
    let mutex = M::new(0);
    repeat(trial, || *now(black_box(&mutex).lock()) += 1)
}

fn reads<L: RwLock>(trial: &Trial) -> Sample {
    let lock = L::new(0);
    repeat(trial, || {
        black_box(*now(black_box(&lock).read()));
    })
}

fn writes<L: RwLock>(trial: &Trial) -> Sample {
    let lock = L::new(0);
    repeat(trial, || *now(black_box(&lock).write()) += 1)
}

fn permits<S: Semaphore>(trial: &Trial) -> Sample {
    let semaphore = S::new(1);
    repeat(trial, || drop(now(black_box(&semaphore).acquire())))
}

fn items<Q: Queue>(trial: &Trial) -> Sample {
    let (mut producer, mut consumers) = Q::bounded(64, 1);
    repeat(trial, || {
        now(Q::put(&mut producer, 1));
        assert_eq!(now(Q::get(&mut consumers[0])), Some(1));
    })
}

fn promises<P: Promise>(trial: &Trial) -> Sample {
    repeat(trial, || {
        let (setter, value) = black_box(P::promise());
        P::set(setter, 1);
        assert_eq!(now(value), 1);
    })
}

fn repeat(trial: &Trial, mut op: impl FnMut()) -> Sample {
    (0..trial.warm).for_each(|_| op());
    let stopwatch = Stopwatch::start();
    (0..trial.size).for_each(|_| op());
    Sample::per_op(trial.size, stopwatch.stop())
}

/// What comes out of a future that need not wait.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nobody is in the way"),
    }
}
