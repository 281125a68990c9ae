//! A file of 1 GiB that is in the page cache is copied: by the call that there is for it (`call`), and by reading and
//! writing 1 MiB at a time (`pieces`). An operation is a byte. The copy is removed again, which is not measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::TOKIO;
use crate::files::data::{self, check_copy};
use crate::files::{Files, PLAIN, Page, ring, with_files};
use crate::measure::{MB_CPU, MB_S, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtimes::{COMPIO, MONOIO, RING};
use crate::sys::Stopwatch;

const CALL: &str = "call";
const PIECES: &str = "pieces";

pub(super) static ROW: Row = Row {
    name: "file_copy",
    group: "io",
    about: "a cached file of 1 GiB is copied",
    by_default: false,
    shapes: &[Shape { variant: CALL, workers: 1 }, Shape { variant: PIECES, workers: 1 }],
    contenders: &["filch", "tokio-mt", "tokio-fs", MONOIO, COMPIO, PLAIN, RING],
    fits: |shape, contender| {
        shape.variant == PIECES || ![MONOIO, COMPIO, RING].contains(&contender)
    },
    remarks: &[],
    baseline: TOKIO,
    columns: &[MB_S, MB_CPU],
    size: Size { full: 2, quick: 2 },
    instructions: None,
    prepare: |trial| data::make_large(trial.quick),
    conduct: Conduct::Alone(work),
};

fn work(trial: &Trial) -> io::Result<Sample> {
    let from = data::large(trial.quick)?;
    let to = data::folder()?.join("copy");
    data::fill_cache(&from)?;
    let (times, quick) = ((trial.warm, trial.size), trial.quick);
    let by_call = trial.shape.variant == CALL;
    let bytes = trial.size * data::blocks(quick) * Page::SIZE as u64;
    let spent = if trial.contender == RING {
        let mut spent = (Duration::ZERO, Duration::ZERO);
        for round in 0..times.0 + times.1 {
            let stopwatch = Stopwatch::start();
            ring::copy(&from, &to)?;
            ended(&mut spent, stopwatch, round >= times.0, &to, quick)?;
        }
        spent
    } else {
        with_files!(trial.contender.as_str(), R => {
            R::run(trial.shape.workers, copies::<R>(from, to, times, by_call, quick))
        })??
    };
    Ok(sample(bytes, spent))
}

async fn copies<R: Files>(
    from: PathBuf,
    to: PathBuf,
    times: (u64, u64),
    by_call: bool,
    quick: bool,
) -> io::Result<(Duration, Duration)> {
    let mut spent = (Duration::ZERO, Duration::ZERO);
    for round in 0..times.0 + times.1 {
        let stopwatch = Stopwatch::start();
        if by_call {
            R::copy(&from, &to).await?;
        } else {
            R::copy_by_pieces(&from, &to).await?;
        }
        ended(&mut spent, stopwatch, round >= times.0, &to, quick)?;
    }
    Ok(spent)
}

/// Takes note of the time, if it counts, looks at the copy, and removes it.
fn ended(
    spent: &mut (Duration, Duration),
    stopwatch: Stopwatch,
    counts: bool,
    to: &Path,
    quick: bool,
) -> io::Result<()> {
    let (wall, cpu) = stopwatch.stop();
    if counts {
        *spent = (spent.0 + wall, spent.1 + cpu);
    }
    check_copy(to, quick)?;
    fs::remove_file(to)
}

fn sample(bytes: u64, (wall, cpu): (Duration, Duration)) -> Sample {
    let megabytes = bytes as f64 / 1e6;
    Sample::per_op(bytes, (wall, cpu))
        .with(MB_S.name, megabytes / wall.as_secs_f64())
        .with(MB_CPU.name, megabytes / cpu.as_secs_f64())
}
