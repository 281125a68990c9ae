//! Connections over loopback TCP that the server accepts and closes: 64 are under way at a time.
//!
//! The server has one listener and one task, which drops each connection as soon as it has it. Most of the work, connecting
//! included, is the kernel's, and a good part of that is done on the load generator's core: it is what limits the rate, and
//! what tells about the server is the connections for each second of its CPU time.

use std::io;

use super::{TOKIO, nothing};
use crate::child;
use crate::dial;
use crate::load::Target;
use crate::measure::{KCONN, KCONN_CPU, LOAD_CPU, P50_US, P99_US, P999_US, SERVER_CPU, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::ring_rows;
use crate::runtime::{Net, OneThread};
use crate::runtimes::{COMPIO, MONOIO, RING, RING_MULTISHOT, with_net, with_one_thread};

const CONNECTIONS: usize = 64;

pub(super) static ROW: Row = Row {
    name: "accept",
    group: "io",
    about: "connections over loopback TCP, accepted and closed, 64 at a time",
    by_default: false,
    shapes: &[Shape { variant: "", workers: 1 }],
    contenders: &["filch", "tokio-mt", "tokio-ct", "smol", MONOIO, COMPIO, RING, RING_MULTISHOT],
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[KCONN, KCONN_CPU, P50_US, P99_US, P999_US, SERVER_CPU, LOAD_CPU],
    size: Size { full: 2_000, quick: 200 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Served { serve, load },
};

fn load(trial: &Trial, target: Target) -> io::Result<Sample> {
    dial::run(target, CONNECTIONS, trial.warm, trial.size)
}

fn serve(trial: &Trial) -> io::Result<()> {
    let workers = trial.shape.workers;
    match trial.contender.as_str() {
        RING => ring_rows::accepted(false),
        RING_MULTISHOT => ring_rows::accepted(true),
        name @ (MONOIO | COMPIO) => with_one_thread!(name, R => R::run(accepted_here::<R>())),
        name => with_net!(name, R => R::run(workers, accepted::<R>()))?,
    }
}

async fn accepted<R: Net>() -> io::Result<()> {
    let (mut listener, address) = R::listen().await?;
    child::announce(address.port())?;
    loop {
        drop(R::accept(&mut listener).await?);
    }
}

async fn accepted_here<R: OneThread>() -> io::Result<()> {
    let (mut listener, address) = R::listen().await?;
    child::announce(address.port())?;
    loop {
        drop(R::accept(&mut listener).await?);
    }
}
