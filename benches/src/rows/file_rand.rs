//! 32 tasks read 4 KiB at random aligned offsets of a 1 GiB file that is in the page cache. An operation is one read.
//!
//! With one worker the whole process, a blocking pool included, has core 0; with two it has both cores.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::TOKIO;
use crate::measure::{CPU_NS_OP, KIOPS, P50_US, P99_US, P999_US, Sample, histogram};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::random::Random;
use crate::ring;
use crate::runtime::Files;
use crate::runtimes::{RING, with_files};
use crate::sys::Stopwatch;

const TASKS: usize = 32;
/// Bytes read at once, at offsets that are multiples of it. Each block of the file begins with its own number.
pub(crate) const BLOCK: usize = 4096;

pub(super) static ROW: Row = Row {
    name: "file_rand",
    group: "io",
    about: "32 tasks read 4 KiB at random offsets of a cached file of 1 GiB",
    by_default: true,
    shapes: Shape::ONE_AND_TWO,
    contenders: &["filch", "tokio-mt", "tokio-ct", "tokio-fs", RING],
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[KIOPS, CPU_NS_OP, P50_US, P99_US, P999_US],
    size: Size { full: 2_000, quick: 200 },
    instructions: None,
    prepare,
    conduct: Conduct::Alone(work),
};

/// Blocks in the file.
fn blocks(trial: &Trial) -> u64 {
    let bytes: u64 = if trial.quick { 64 << 20 } else { 1 << 30 };
    bytes / BLOCK as u64
}

/// Beside the program, which is in the target folder: a real disk, and `cargo clean` removes it.
fn path(trial: &Trial) -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or_else(|| io::Error::other("a program without a folder"))?;
    Ok(folder.join(format!("file_rand-{}.data", blocks(trial))))
}

fn prepare(trial: &Trial) -> io::Result<()> {
    let path = path(trial)?;
    let wanted = blocks(trial) * BLOCK as u64;
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == wanted) {
        return Ok(());
    }
    eprintln!("writing {} ({} MiB)", path.display(), wanted >> 20);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let mut block = [0; BLOCK];
    for number in 0..blocks(trial) {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block)?;
    }
    // On disk now, lest writing it back disturbs the trials.
    file.into_inner()?.sync_all()
}

fn work(trial: &Trial) -> io::Result<Sample> {
    let path = path(trial)?;
    fill_cache(&path)?;
    let blocks = blocks(trial);
    let (warm, size) = (Duration::from_millis(trial.warm), Duration::from_millis(trial.size));
    let workers = trial.shape.workers;
    if trial.contender == RING {
        ring::reads(workers, &path, blocks, TASKS, warm)?;
        let stopwatch = Stopwatch::start();
        let latencies = ring::reads(workers, &path, blocks, TASKS, size)?;
        return Ok(sample(&latencies, stopwatch));
    }
    with_files!(trial.contender.as_str(), R => R::run(workers, async move {
        readers::<R>(path.clone(), blocks, warm).await?;
        let stopwatch = Stopwatch::start();
        let latencies = readers::<R>(path, blocks, size).await?;
        Ok(sample(&latencies, stopwatch))
    }))?
}

fn sample(latencies: &Histogram<u64>, stopwatch: Stopwatch) -> Sample {
    let (wall, cpu) = stopwatch.stop();
    Sample::per_op(latencies.len(), (wall, cpu))
        .with(KIOPS.name, latencies.len() as f64 / wall.as_secs_f64() / 1e3)
        .latencies(latencies)
}

fn fill_cache(path: &PathBuf) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

async fn readers<R: Files>(
    path: PathBuf,
    blocks: u64,
    time: Duration,
) -> io::Result<Histogram<u64>> {
    let end = Instant::now() + time;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| R::spawn(reader::<R>(path.clone(), Offsets::new(task as u64, blocks), end)))
        .collect();
    let mut all = histogram();
    for task in tasks {
        all += task.await.expect("the task finishes")?;
    }
    Ok(all)
}

async fn reader<R: Files>(
    path: PathBuf,
    mut offsets: Offsets,
    end: Instant,
) -> io::Result<Histogram<u64>> {
    let mut file = R::open(&path).await?;
    let mut latencies = histogram();
    let mut buffer = vec![0; BLOCK];
    let mut before = Instant::now();
    while before < end {
        let block = offsets.next_block();
        let (result, back) = R::read_at(&mut file, buffer, block * BLOCK as u64).await;
        check(block, result?, &back)?;
        buffer = back;
        let now = Instant::now();
        latencies.saturating_record((now - before).as_nanos() as u64);
        before = now;
    }
    Ok(latencies)
}

/// Whether what was read is what the file has there.
///
/// # Errors
///
/// When it is not.
pub(crate) fn check(block: u64, count: usize, bytes: &[u8]) -> io::Result<()> {
    if count == BLOCK && bytes[..8] == block.to_le_bytes() {
        Ok(())
    } else {
        Err(io::Error::other(format!("block {block}: read {count} bytes, or the wrong ones")))
    }
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
    fn a_wrong_block_is_noticed() {
        let mut bytes = vec![0; BLOCK];
        bytes[..8].copy_from_slice(&7u64.to_le_bytes());
        assert!(check(7, BLOCK, &bytes).is_ok());
        assert!(check(8, BLOCK, &bytes).is_err());
        assert!(check(7, BLOCK - 1, &bytes).is_err());
    }
}
