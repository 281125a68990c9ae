//! 64 connections over loopback TCP, 128 bytes there and back, each waiting for its answer before it asks again.
//!
//! The server reads into a buffer of 16 KiB per connection and writes back what it got; `TCP_NODELAY` on both sides. In
//! `single` the server has one worker on core 0 and the load generator has core 1; in `dual` two workers and the load
//! generator share both cores.

use std::io;

use super::{TOKIO, nothing};
use crate::child;
use crate::load::{self, Target};
use crate::measure::{KRPS, KRPS_CPU, LOAD_CPU, P50_US, P99_US, P999_US, SERVER_CPU, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::ring;
use crate::runtime::Net;
use crate::runtimes::{RING, with_net};

const CONNECTIONS: usize = 64;
const MESSAGE: usize = 128;
const BUFFER: usize = 16 * 1024;

pub(super) static ROW: Row = Row {
    name: "echo",
    group: "io",
    about: "64 connections x 128 B over loopback TCP, closed loop",
    by_default: true,
    shapes: &[Shape { variant: "single", workers: 1 }, Shape { variant: "dual", workers: 2 }],
    contenders: &["filch", "tokio-mt", "tokio-ct", "smol", RING],
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[KRPS, KRPS_CPU, P50_US, P99_US, P999_US, SERVER_CPU, LOAD_CPU],
    size: Size { full: 3_000, quick: 300 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Served { serve, load },
};

fn serve(trial: &Trial) -> io::Result<()> {
    let workers = trial.shape.workers;
    match trial.contender.as_str() {
        RING => ring::echo(workers, CONNECTIONS, BUFFER, |_| ()),
        name => with_net!(name, R => R::run(workers, accept::<R, _>(echo::<R>)))?,
    }
}

/// Listens, announces the port, and spawns a task for each connection.
pub(super) async fn accept<R: Net, F>(serve: fn(R::Stream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let (mut listener, address) = R::listen().await?;
    child::announce(address.port())?;
    loop {
        let stream = R::accept(&mut listener).await?;
        drop(R::spawn(serve(stream)));
    }
}

async fn echo<R: Net>(mut stream: R::Stream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = R::read(&mut stream, &mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        R::write_all(&mut stream, &buffer[..count]).await?;
    }
}

fn load(trial: &Trial, target: Target) -> io::Result<Sample> {
    load::run(target, CONNECTIONS, MESSAGE, trial.warm, trial.size)
}
