//! What everybody else gets while one task keeps its worker to itself: 64 paced connections, some of whose requests are
//! marked and burn CPU in a single poll.
//!
//! Each connection sends 128 bytes on its own schedule, whether or not it has been answered, at intervals of 0.5 to 1.5 times
//! the period. Measured is the latency of the *unmarked* requests, from the moment they were due. In `one` one connection
//! burns 20 ms every 50 ms; in `mix` one request in 100 burns 5 ms, so that the requests behind it on its own connection
//! wait in any case; in `stuck` a request spins for 2 s, three times in a trial, and counted is how many of the 63 others get
//! no answer meanwhile. The server has two workers, which share both cores with the load generator.

use std::io;
use std::time::{Duration, Instant};

use super::{TOKIO, echo, nothing};
use crate::load::Target;
use crate::measure::{
    LATE, LOAD_CPU, MAX_US, P50_US, P99_US, P999_US, SENT_LATE, SERVER_CPU, Sample, UNANSWERED,
    UNANSWERED_MAX,
};
use crate::paced::{self, MESSAGE, Marks, Pace};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::ring;
use crate::runtime::Net;
use crate::runtimes::{RING, with_net};

const CONNECTIONS: usize = 64;

const ONE: &str = "one";
const MIX: &str = "mix";
const STUCK: &str = "stuck";

pub(super) static ROW: Row = Row {
    name: "hog",
    group: "io",
    about: "64 paced connections, and what the others get while one request burns CPU",
    by_default: false,
    shapes: &[
        Shape { variant: ONE, workers: 2 },
        Shape { variant: MIX, workers: 2 },
        Shape { variant: STUCK, workers: 2 },
    ],
    contenders: &["filch", "tokio-mt", "smol", RING],
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[
        P99_US,
        SERVER_CPU,
        P50_US,
        P999_US,
        MAX_US,
        LATE,
        UNANSWERED,
        UNANSWERED_MAX,
        LOAD_CPU,
        SENT_LATE,
    ],
    size: Size { full: 9_000, quick: 600 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Served { serve, load },
};

fn serve(trial: &Trial) -> io::Result<()> {
    let workers = trial.shape.workers;
    match trial.contender.as_str() {
        RING => ring::echo(workers, CONNECTIONS, MESSAGE, burn),
        name => with_net!(name, R => R::run(workers, echo::accept::<R, _>(answer::<R>)))?,
    }
}

async fn answer<R: Net>(mut stream: R::Stream) -> io::Result<()> {
    // One request at a time: what came before a marked request is answered before that one burns.
    let mut request = [0; MESSAGE];
    loop {
        let mut arrived = 0;
        while arrived < MESSAGE {
            match R::read(&mut stream, &mut request[arrived..]).await? {
                0 => return Ok(()),
                count => arrived += count,
            }
        }
        burn(&request);
        R::write_all(&mut stream, &request).await?;
    }
}

/// Burns what the request is marked with: wall time, so that a preempted worker burns no more of it than another.
fn burn(request: &[u8]) {
    assert_eq!(request.len(), MESSAGE, "loopback does not split a request");
    let time = paced::burn_of(request);
    if time > Duration::ZERO {
        let start = Instant::now();
        while start.elapsed() < time {}
    }
}

fn load(trial: &Trial, target: Target) -> io::Result<Sample> {
    let warm = Duration::from_millis(trial.warm);
    let pace = match trial.shape.variant {
        ONE => {
            let every = Duration::from_millis(50);
            Pace {
                period: Duration::from_millis(7),
                marks: Marks::One { first: every, every },
                burn: Duration::from_millis(20),
            }
        }
        MIX => Pace {
            period: Duration::from_millis(7),
            marks: Marks::Among { one_in: 100 },
            burn: Duration::from_millis(5),
        },
        _ => {
            // Three times in the full size, once in the quick one.
            let spin = Duration::from_millis(if trial.quick { 400 } else { 2_000 });
            Pace {
                period: Duration::from_millis(20),
                marks: Marks::One { first: warm + spin / 4, every: spin * 3 / 2 },
                burn: spin,
            }
        }
    };
    let size = Duration::from_millis(trial.size);
    paced::run(target, CONNECTIONS, &pace, warm, size, trial.shape.variant == STUCK)
}
