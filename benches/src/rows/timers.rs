//! A million sleeps, and a hundred thousand, each of a random time of up to a second, and each in a task of its own: all are
//! spawned at once and awaited. An operation is one sleep.
//!
//! The times are the same for every contender. A deadline is counted from when its task begins to sleep, and how late a sleep
//! is, from its deadline to when its task goes on: the time until the task is polled first is none of the timers' doing, and in
//! the wall time. Nobody can be done before the second is over: where a contender is not busy all the time, look at the second
//! column.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{EXECUTORS, TOKIO, nothing};
use crate::measure::{CPU_NS_OP, NS_OP, P50_US, P99_US, P999_US, Sample, histogram};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::random::Random;
use crate::runtime::{OneThread, Runtime};
use crate::runtimes::{COMPIO, MONOIO, with_one_thread, with_runtime};
use crate::sys::Stopwatch;

const MANY: &str = "1m";
const FEWER: &str = "100k";

/// A hundredth of the second, and of the sleeps, is the unit of size: so that they lie as dense whatever the size.
const SPAN: Duration = Duration::from_millis(10);

pub(super) static ROW: Row = Row {
    name: "timers",
    group: "tasks",
    about: "1,000,000 tasks, and 100,000, sleep for random times of up to a second",
    by_default: false,
    shapes: &[
        Shape { variant: MANY, workers: 1 },
        Shape { variant: MANY, workers: 2 },
        Shape { variant: FEWER, workers: 1 },
        Shape { variant: FEWER, workers: 2 },
    ],
    contenders: &[EXECUTORS[0], EXECUTORS[1], EXECUTORS[2], EXECUTORS[3], MONOIO, COMPIO],
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[NS_OP, CPU_NS_OP, P50_US, P99_US, P999_US],
    size: Size { full: 100, quick: 1 },
    // Under callgrind, the time is over before the work is done.
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let body = trial.clone();
    match trial.contender.as_str() {
        name @ (MONOIO | COMPIO) => with_one_thread!(name, R => {
            Ok(R::run_with_timers(async move {
                sleeps_here::<R>(Waits::of(&body, body.warm)).await;
                let stopwatch = Stopwatch::start();
                let late = sleeps_here::<R>(Waits::of(&body, body.size)).await;
                sample(&late, stopwatch)
            }))
        }),
        name => with_runtime!(name, R => {
            R::run(trial.shape.workers, async move {
                sleeps::<R>(Waits::of(&body, body.warm)).await;
                let stopwatch = Stopwatch::start();
                let late = sleeps::<R>(Waits::of(&body, body.size)).await;
                sample(&late, stopwatch)
            })
        }),
    }
}

fn sample(late: &Histogram<u64>, stopwatch: Stopwatch) -> Sample {
    Sample::per_op(late.len(), stopwatch.stop()).latencies(late)
}

async fn sleeps<R: Runtime>(waits: Waits) -> Histogram<u64> {
    let tasks: Vec<_> = waits.map(|wait| R::spawn(sleeper(wait, R::sleep))).collect();
    let mut late = histogram();
    for task in tasks {
        late.saturating_record(task.await.expect("the task finishes"));
    }
    late
}

/// As [`sleeps`], on a runtime of one thread.
async fn sleeps_here<R: OneThread>(waits: Waits) -> Histogram<u64> {
    let tasks: Vec<_> = waits.map(|wait| R::spawn_awaited(sleeper(wait, R::sleep))).collect();
    let mut late = histogram();
    for task in tasks {
        late.saturating_record(task.await);
    }
    late
}

/// Sleeps; how late it was, in nanoseconds.
async fn sleeper<F: Future>(wait: Duration, sleep: fn(Duration) -> F) -> u64 {
    let due = Instant::now() + wait;
    sleep(wait).await;
    let now = Instant::now();
    assert!(now >= due, "a sleep is never too short");
    (now - due).as_nanos() as u64
}

/// How long to sleep.
struct Waits {
    span: Duration,
    left: u64,
    random: Random,
}

impl Waits {
    fn of(trial: &Trial, size: u64) -> Self {
        let each = if trial.shape.variant == MANY { 10_000 } else { 1_000 };
        Self { span: SPAN * size as u32, left: size * each, random: Random::new(7) }
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        Some(self.span.mul_f64(self.random.fraction()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}
