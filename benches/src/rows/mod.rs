//! The rows, one file each.
//!
//! To add one: a file with a `ROW` in it and a line in [`ROWS`]. The body is generic over the runtime; whatever differs
//! between runtimes belongs into `runtimes/`.

mod accept;
mod bulk;
mod chained_spawn;
mod echo;
mod file_copy;
pub(crate) mod file_rand;
mod file_small;
mod group;
mod hog;
mod memory;
mod ping_pong;
mod spawn_join;
mod sync;
mod timeout;
mod timers;
mod udp;
mod yield_now;

use std::io;

use crate::measure::{CPU_NS_OP, Metric, NS_OP, Sample};
use crate::plan::{Row, Trial};
use crate::sys::Stopwatch;

/// All rows, in the order in which they run.
pub static ROWS: &[&Row] = &[
    &spawn_join::ROW,
    &group::ROW,
    &ping_pong::ROW,
    &yield_now::ROW,
    &chained_spawn::ROW,
    &timeout::ROW,
    &timers::ROW,
    &memory::ROW,
    &echo::ROW,
    &echo::SIZES,
    &bulk::ROW,
    &accept::ROW,
    &udp::ROW,
    &hog::ROW,
    &file_rand::ROW,
    &file_rand::DEPTHS,
    &file_small::ROW,
    &file_copy::ROW,
    &sync::mutex::ROW,
    &sync::rwlock::ROW,
    &sync::semaphore::ROW,
    &sync::queue::ROW,
    &sync::event::ROW,
    &sync::barrier::ROW,
    &sync::promise::ROW,
    &sync::uncontended::ROW,
];

/// The runtimes of a row that needs tasks only.
const EXECUTORS: &[&str] = &["filch", "tokio-mt", "tokio-ct", "smol"];

/// The runtime that the others are compared with.
const TOKIO: &str = "tokio-mt";

/// The columns of a row that needs tasks only.
const PER_OP: &[Metric] = &[NS_OP, CPU_NS_OP];

/// Runs `pass` for the warm-up and then once more, measured; an operation happens `ops` times for each unit of size.
async fn measured<F>(trial: Trial, ops: u64, pass: impl Fn(u64) -> F + Send) -> Sample
where
    F: Future<Output = ()> + Send,
{
    pass(trial.warm).await;
    let stopwatch = Stopwatch::start();
    pass(trial.size).await;
    Sample::per_op(trial.size * ops, stopwatch.stop())
}

/// For rows that need nothing prepared.
fn nothing(_: &Trial) -> io::Result<()> {
    Ok(())
}
