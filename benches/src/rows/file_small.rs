//! 20,000 cached files of 4 KiB in 100 folders are opened, read and closed, 64 at a time: by the call that there is for
//! whole files (`whole`), and step by step (`steps`). An operation is one file.
//!
//! Step by step, nobody clears his buffer; those with a ring close by an operation, which they wait for (the bare ring only
//! in the end), the others by a plain call. What whole files do is each library's own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::TOKIO;
use crate::files::data::{self, check};
use crate::files::{Files, PLAIN, Page, ring, with_files};
use crate::measure::{CPU_NS_OP, KFILES, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtimes::{COMPIO, MONOIO, RING};
use crate::sys::Stopwatch;

const AT_A_TIME: usize = 64;
const WHOLE: &str = "whole";
const STEPS: &str = "steps";

pub(super) static ROW: Row = Row {
    name: "file_small",
    group: "io",
    about: "20,000 cached files of 4 KiB are opened, read and closed, 64 at a time",
    by_default: false,
    shapes: &[
        Shape { variant: WHOLE, workers: 1 },
        Shape { variant: STEPS, workers: 1 },
        Shape { variant: WHOLE, workers: 2 },
        Shape { variant: STEPS, workers: 2 },
    ],
    contenders: &["filch", "tokio-mt", "tokio-ct", "tokio-fs", MONOIO, COMPIO, PLAIN, RING],
    fits: Shape::suits_runtime,
    remarks: &[(PLAIN, "a thread for each worker, one file at a time")],
    baseline: TOKIO,
    columns: &[KFILES, CPU_NS_OP],
    size: Size { full: 5, quick: 2 },
    instructions: Some((1, 3)),
    prepare: |trial| data::make_small(trial.quick),
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let paths = Arc::new(data::small(trial.quick)?);
    let (warm, size, files) = (trial.warm, trial.size, paths.len() as u64);
    let whole = trial.shape.variant == WHOLE;
    let workers = trial.shape.workers;
    if trial.contender == RING {
        for _ in 0..warm {
            ring::small(workers, &paths, AT_A_TIME, whole)?;
        }
        let stopwatch = Stopwatch::start();
        for _ in 0..size {
            ring::small(workers, &paths, AT_A_TIME, whole)?;
        }
        return Ok(sample(size * files, stopwatch));
    }
    let tasks = if trial.contender == PLAIN { workers } else { AT_A_TIME };
    with_files!(trial.contender.as_str(), R => R::run(workers, async move {
        for _ in 0..warm {
            all::<R>(&paths, tasks, whole).await?;
        }
        let stopwatch = Stopwatch::start();
        for _ in 0..size {
            all::<R>(&paths, tasks, whole).await?;
        }
        Ok(sample(size * files, stopwatch))
    }))?
}

fn sample(files: u64, stopwatch: Stopwatch) -> Sample {
    let (wall, cpu) = stopwatch.stop();
    Sample::per_op(files, (wall, cpu)).with(KFILES.name, files as f64 / wall.as_secs_f64() / 1e3)
}

async fn all<R: Files>(paths: &Arc<Vec<PathBuf>>, tasks: usize, whole: bool) -> io::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let tasks = (0..tasks).map(|_| some::<R>(paths.clone(), next.clone(), whole)).collect();
    R::all(tasks).await.into_iter().collect()
}

async fn some<R: Files>(
    paths: Arc<Vec<PathBuf>>,
    next: Arc<AtomicUsize>,
    whole: bool,
) -> io::Result<()> {
    let mut page = Page::new();
    loop {
        // Relaxed: each gets another number, and that is all.
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(path) = paths.get(number) else { return Ok(()) };
        if whole {
            let bytes = R::read_whole(path).await?;
            check(number as u64, bytes.len(), &bytes)?;
        } else {
            let read;
            (read, page) = R::open_read_close(path, page).await?;
            check(number as u64, read, &page)?;
        }
    }
}
