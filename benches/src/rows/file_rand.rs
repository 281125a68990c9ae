//! Tasks read 4 KiB at random aligned offsets of a file of 1 GiB: 32 of them, in the page cache (`file_rand`); 1, 32 and
//! 128, in the cache and around it by `O_DIRECT` (`file_depths`). An operation is one read.
//!
//! With one worker the whole process, a blocking pool included, has core 0; with two it has both cores.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::TOKIO;
use crate::files::data::{self, check};
use crate::files::{Files, PLAIN, Page, ring, with_files};
use crate::measure::{CPU_NS_OP, KIOPS, Metric, P50_US, P99_US, P999_US, Sample, histogram};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::random::Random;
use crate::runtimes::{COMPIO, MONOIO, RING};
use crate::sys::Stopwatch;

const TASKS: usize = 32;
const CONTENDERS: &[&str] =
    &["filch", "tokio-mt", "tokio-ct", "tokio-fs", MONOIO, COMPIO, PLAIN, RING];
const COLUMNS: &[Metric] = &[KIOPS, CPU_NS_OP, P50_US, P99_US, P999_US];
const REMARKS: &[(&str, &str)] =
    &[(PLAIN, "a thread for each worker; with O_DIRECT one for each task")];

pub(super) static ROW: Row = Row {
    name: "file_rand",
    group: "io",
    about: "32 tasks read 4 KiB at random offsets of a cached file of 1 GiB",
    by_default: true,
    shapes: Shape::ONE_AND_TWO,
    contenders: CONTENDERS,
    fits: Shape::suits_runtime,
    remarks: REMARKS,
    baseline: TOKIO,
    columns: COLUMNS,
    size: Size { full: 2_000, quick: 200 },
    instructions: None,
    prepare: |trial| data::make_large(trial.quick),
    conduct: Conduct::Alone(work),
};

pub(super) static DEPTHS: Row = Row {
    name: "file_depths",
    about: "the same with 1, 32 and 128 tasks, cached and by O_DIRECT",
    by_default: false,
    shapes: &[
        Shape { variant: "cached 1", workers: 1 },
        Shape { variant: "cached 32", workers: 1 },
        Shape { variant: "cached 128", workers: 1 },
        Shape { variant: "direct 1", workers: 1 },
        Shape { variant: "direct 32", workers: 1 },
        Shape { variant: "direct 128", workers: 1 },
        Shape { variant: "cached 32", workers: 2 },
        Shape { variant: "cached 128", workers: 2 },
        Shape { variant: "direct 32", workers: 2 },
        Shape { variant: "direct 128", workers: 2 },
    ],
    fits: |shape, contender| {
        // The buffer of a `tokio::fs::File` is where it is.
        let (direct, _) = form(shape);
        shape.suits_runtime(contender) && !(direct && contender == "tokio-fs")
    },
    size: Size { full: 1_000, quick: 100 },
    ..ROW
};

/// Whether it reads by `O_DIRECT`, and how many tasks do.
fn form(shape: Shape) -> (bool, usize) {
    match shape.variant.split_once(' ') {
        Some((way, tasks)) => (way == "direct", tasks.parse().expect("a number of tasks")),
        None => (false, TASKS),
    }
}

fn work(trial: &Trial) -> io::Result<Sample> {
    let (path, blocks) = (data::large(trial.quick)?, data::blocks(trial.quick));
    let (direct, tasks) = form(trial.shape);
    if !direct {
        data::fill_cache(&path)?;
    }
    let (warm, size) = (Duration::from_millis(trial.warm), Duration::from_millis(trial.size));
    let workers = trial.shape.workers;
    if trial.contender == RING {
        ring::reads(workers, (&path, direct), blocks, tasks, warm)?;
        let stopwatch = Stopwatch::start();
        let latencies = ring::reads(workers, (&path, direct), blocks, tasks, size)?;
        return Ok(sample(&latencies, stopwatch));
    }
    let few = trial.contender == PLAIN && !direct;
    let tasks = if few { tasks.min(workers) } else { tasks };
    with_files!(trial.contender.as_str(), R => R::run(workers, async move {
        readers::<R>((&path, direct), blocks, tasks, warm).await?;
        let stopwatch = Stopwatch::start();
        let latencies = readers::<R>((&path, direct), blocks, tasks, size).await?;
        Ok(sample(&latencies, stopwatch))
    }))?
}

fn sample(latencies: &Histogram<u64>, stopwatch: Stopwatch) -> Sample {
    let (wall, cpu) = stopwatch.stop();
    Sample::per_op(latencies.len(), (wall, cpu))
        .with(KIOPS.name, latencies.len() as f64 / wall.as_secs_f64() / 1e3)
        .latencies(latencies)
}

async fn readers<R: Files>(
    (path, direct): (&Path, bool),
    blocks: u64,
    tasks: usize,
    time: Duration,
) -> io::Result<Histogram<u64>> {
    let end = Instant::now() + time;
    let tasks: Vec<_> = (0..tasks as u64)
        .map(|task| reader::<R>((path.to_owned(), direct), Offsets::new(task, blocks), end))
        .collect();
    let mut all = histogram();
    for latencies in R::all(tasks).await {
        all += latencies?;
    }
    Ok(all)
}

async fn reader<R: Files>(
    (path, direct): (PathBuf, bool),
    mut offsets: Offsets,
    end: Instant,
) -> io::Result<Histogram<u64>> {
    let mut file = R::open(&path, direct).await?;
    let mut latencies = histogram();
    let mut page = Page::new();
    let mut before = Instant::now();
    while before < end {
        let block = offsets.next_block();
        let (result, back) = R::read_page(&mut file, page, block * Page::SIZE as u64).await;
        check(block, result?, &back)?;
        page = back;
        let now = Instant::now();
        latencies.saturating_record((now - before).as_nanos() as u64);
        before = now;
    }
    Ok(latencies)
}

/// Random block numbers, the same for every contender.
#[derive(Debug)]
pub(crate) struct Offsets {
    random: Random,
    blocks: u64,
}

impl Offsets {
    /// The sequence number `seed` over that many blocks.
    pub(crate) fn new(seed: u64, blocks: u64) -> Self {
        Self { random: Random::new(seed), blocks }
    }

    /// The next block's number.
    pub(crate) fn next_block(&mut self) -> u64 {
        self.random.below(self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stay_inside_and_reach_everywhere() {
        let mut offsets = Offsets::new(3, 16);
        let mut seen = [false; 16];
        for _ in 0..1_000 {
            seen[offsets.next_block() as usize] = true;
        }
        assert_eq!(seen, [true; 16]);
    }

    #[test]
    fn tasks_read_different_blocks() {
        let first = |task| Offsets::new(task, 1 << 18).next_block();
        assert_ne!(first(0), first(1));
    }

    #[test]
    fn every_shape_has_a_form() {
        assert_eq!(form(ROW.shapes[0]), (false, TASKS));
        let forms: Vec<_> = DEPTHS.shapes.iter().map(|shape| form(*shape)).collect();
        assert_eq!(forms.iter().filter(|(direct, _)| *direct).count(), 5);
        assert!(forms.contains(&(true, 128)) && forms.contains(&(false, 1)));
    }
}
