//! How much memory a task takes that waits: a million of them, on nothing that ever comes, for an event, or asleep. An
//! operation is one task.
//!
//! The task's future is the library's own for that purpose, with nothing around it: `pending` of the standard library, a wait
//! that owns its event, a sleep of hours. A thousand are spawned at a time and have been polled before the
//! next, so that no queue ever holds many; their handles are kept, in memory that is there before. Bytes are counted when all
//! wait, less those from before the first: resident ones of the process, and those that the allocator gave out. (What a
//! task takes in tables and queues of the runtime's is in both.)

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{EXECUTORS, TOKIO, nothing};
use crate::measure::{BYTES_TASK, CPU_NS_OP, HEAP_TASK, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::random::Random;
use crate::runtime::{OneThread, Runtime};
use crate::runtimes::{COMPIO, Filch, MONOIO, with_one_thread, with_runtime};
use crate::sync::{Event, Listened, Notified};
use crate::sys::{self, Stopwatch};

const AT_A_TIME: u64 = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);

const NOTHING: &str = "pending";
const EVENT: &str = "event";
const ASLEEP: &str = "sleeping";

pub(super) static ROW: Row = Row {
    name: "memory",
    group: "tasks",
    about: "1,000,000 tasks wait: for nothing, for an event, for a time",
    by_default: false,
    shapes: &[
        Shape { variant: NOTHING, workers: 1 },
        Shape { variant: EVENT, workers: 1 },
        Shape { variant: ASLEEP, workers: 1 },
    ],
    contenders: &[EXECUTORS[0], EXECUTORS[1], EXECUTORS[2], EXECUTORS[3], MONOIO, COMPIO],
    fits: Shape::suits_runtime,
    remarks: &[
        ("tokio-mt", "event: Notify"),
        ("tokio-ct", "event: Notify"),
        ("smol", "event: event-listener"),
        (MONOIO, "event: event-listener"),
        (COMPIO, "event: event-listener"),
    ],
    baseline: TOKIO,
    columns: &[BYTES_TASK, CPU_NS_OP, HEAP_TASK],
    size: Size { full: 1_000_000, quick: 5_000 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    match trial.contender.as_str() {
        name @ (MONOIO | COMPIO) => {
            with_one_thread!(name, R => here::<R>(trial.shape.variant, trial.size))
        }
        name @ Filch::NAME => {
            with_runtime!(name, R => anywhere::<R, Arc<filch_sync::Event>>(trial))?
        }
        name @ ("tokio-mt" | "tokio-ct") => {
            with_runtime!(name, R => anywhere::<R, Notified>(trial))?
        }
        name => with_runtime!(name, R => anywhere::<R, Listened>(trial))?,
    }
}

fn anywhere<R: Runtime, E: Event>(trial: &Trial) -> io::Result<Sample> {
    let (workers, tasks, event) = (trial.shape.workers, trial.size, E::new());
    let wait_for_event = move |_: &mut Random| E::wait_owned(event.waiter());
    match trial.shape.variant {
        NOTHING => R::run(workers, weigh(tasks, |_| pending::<()>(), R::spawn, R::sleep)),
        EVENT => R::run(workers, weigh(tasks, wait_for_event, R::spawn, R::sleep)),
        _ => R::run(workers, weigh(tasks, for_long(R::sleep), R::spawn, R::sleep)),
    }
}

/// As [`anywhere`], on a runtime of one thread.
fn here<R: OneThread>(variant: &str, tasks: u64) -> io::Result<Sample> {
    let event = Listened::new();
    let wait_for_event = move |_: &mut Random| Listened::wait_owned(event.waiter());
    match variant {
        NOTHING => {
            R::run_with_timers(weigh(tasks, |_| pending::<()>(), R::spawn_awaited, R::sleep))
        }
        EVENT => R::run_with_timers(weigh(tasks, wait_for_event, R::spawn_awaited, R::sleep)),
        _ => R::run_with_timers(weigh(tasks, for_long(R::sleep), R::spawn_awaited, R::sleep)),
    }
}

/// Sleeps that end in the second hour from now.
fn for_long<F>(sleep: impl Fn(Duration) -> F) -> impl Fn(&mut Random) -> F {
    move |random| sleep(HOUR + HOUR.mul_f64(random.fraction()))
}

/// Spawns so many tasks that wait, and says what they take.
async fn weigh<F, H, S: Future>(
    tasks: u64,
    wait: impl Fn(&mut Random) -> F,
    spawn: impl Fn(Counted<F>) -> H,
    sleep: impl Fn(Duration) -> S,
) -> io::Result<Sample> {
    let mut random = Random::new(11);
    let mut handles = Vec::with_capacity(tasks as usize);
    // Written to, and so resident, before it counts. Not with zeroes: zeroed memory need not be touched.
    // SAFETY: the vector has room for so many, and nobody takes them for handles before they are.
    unsafe { ptr::write_bytes::<H>(handles.as_mut_ptr(), 0xA5, handles.capacity()) };
    let (resident, heap) = (sys::resident_bytes()?, sys::heap_bytes());
    let stopwatch = Stopwatch::start();
    for spawned in (AT_A_TIME..=tasks).step_by(AT_A_TIME as usize) {
        handles.extend((0..AT_A_TIME).map(|_| spawn(Counted(wait(&mut random)))));
        // Relaxed: a count, and nothing else is told by it.
        while POLLED.load(Ordering::Relaxed) < spawned {
            // Not by waking itself: that may put it before all others.
            sleep(Duration::from_millis(1)).await;
        }
    }
    let times = stopwatch.stop();
    let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / tasks as f64;
    let sample =
        Sample::per_op(tasks, times).with(BYTES_TASK.name, each(sys::resident_bytes()?, resident));
    let heap = sys::heap_bytes().zip(heap).map(|(now, before)| each(now, before));
    assert_eq!(POLLED.load(Ordering::Relaxed), tasks, "all of them wait still");
    drop(handles);
    Ok(heap.into_iter().fold(sample, |sample, heap| sample.with(HEAP_TASK.name, heap)))
}

/// How often futures were polled, which is each once: nobody wakes them.
static POLLED: AtomicU64 = AtomicU64::new(0);

/// A future whose polls are counted. As large as the future.
struct Counted<F>(F);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Relaxed: as above.
        POLLED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the future is pinned when the whole is: it is not moved out of the reference got here, there is no `Drop`
        // impl, and the type is not packed.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}
