//! Connections over loopback TCP whose messages come back; the next is sent when one has.
//!
//! The server reads into a buffer of 16 KiB per connection and writes back what it got; `TCP_NODELAY` on both sides. In
//! `single` the server has one worker on core 0 and the load generator has core 1; in `dual` two workers and the load
//! generator share both cores. `echo` has 64 connections and 128 bytes, `echo_sizes` the other counts and sizes.

use std::io;

use super::{TOKIO, nothing};
use crate::child;
use crate::load::{self, Load, Over, Target};
use crate::measure::{KRPS, KRPS_CPU, LOAD_CPU, P50_US, P99_US, P999_US, SERVER_CPU, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::runtime::{Net, OneThread, Runtime};
use crate::runtimes::{
    COMPIO, FILCH_LEASE, FILCH_OWNED, Filch, MONOIO, RING, RING_MULTISHOT, RING_POLL, with_net,
    with_one_thread,
};
use crate::{ring, ring_ways};
use filch::net::TcpStream;

const BUFFER: usize = 16 * 1024;

const ONE: &str = "1 x 64 B";
const MANY: &str = "512 x 128 B";
const PIPELINED: &str = "64 x 128 B x 16";
const ONE_LARGE: &str = "1 x 16 KiB";
const LARGE: &str = "64 x 16 KiB";
const MANY_LARGE: &str = "512 x 16 KiB";

const CONTENDERS: &[&str] = &[
    "filch",
    FILCH_OWNED,
    FILCH_LEASE,
    "tokio-mt",
    "tokio-ct",
    "smol",
    MONOIO,
    COMPIO,
    RING,
    RING_MULTISHOT,
    RING_POLL,
];

pub(super) static ROW: Row = ECHO;

const ECHO: Row = Row {
    name: "echo",
    group: "io",
    about: "64 connections x 128 B over loopback TCP, closed loop",
    by_default: true,
    shapes: &[Shape { variant: "single", workers: 1 }, Shape { variant: "dual", workers: 2 }],
    contenders: CONTENDERS,
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[KRPS, KRPS_CPU, P50_US, P99_US, P999_US, SERVER_CPU, LOAD_CPU],
    size: Size { full: 3_000, quick: 300 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Served { serve, load },
};

pub(super) static SIZES: Row = Row {
    name: "echo_sizes",
    about: "the same with 1 and 512 connections, 16 requests in flight, 16 KiB",
    by_default: false,
    shapes: &[
        Shape { variant: ONE, workers: 1 },
        Shape { variant: ONE, workers: 2 },
        Shape { variant: MANY, workers: 1 },
        Shape { variant: MANY, workers: 2 },
        Shape { variant: PIPELINED, workers: 1 },
        Shape { variant: PIPELINED, workers: 2 },
        Shape { variant: LARGE, workers: 1 },
        Shape { variant: LARGE, workers: 2 },
        Shape { variant: ONE_LARGE, workers: 1 },
        Shape { variant: MANY_LARGE, workers: 1 },
    ],
    ..ECHO
};

fn load_of(trial: &Trial) -> Load {
    let (connections, message, in_flight) = match trial.shape.variant {
        ONE => (1, 64, 1),
        MANY => (512, 128, 1),
        PIPELINED => (64, 128, 16),
        ONE_LARGE => (1, 16 * 1024, 1),
        LARGE => (64, 16 * 1024, 1),
        MANY_LARGE => (512, 16 * 1024, 1),
        _ => (64, 128, 1),
    };
    Load { connections, message, in_flight, over: Over::Tcp }
}

fn serve(trial: &Trial) -> io::Result<()> {
    let (workers, connections) = (trial.shape.workers, load_of(trial).connections);
    match trial.contender.as_str() {
        RING => ring::echo(workers, connections, BUFFER, |_| ()),
        RING_MULTISHOT => ring_ways::multishot(workers, connections, BUFFER),
        RING_POLL => ring_ways::polled(workers, connections, BUFFER),
        FILCH_OWNED => Filch::run(workers, accept::<Filch, _>(echo_owned)),
        FILCH_LEASE => Filch::run(workers, accept::<Filch, _>(echo_leases)),
        name @ (MONOIO | COMPIO) => {
            with_one_thread!(name, R => R::run(accept_here::<R, _>(echo_here::<R>)))
        }
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

/// As [`accept`], on a runtime of one thread.
pub(super) async fn accept_here<R: OneThread, F>(serve: fn(R::Stream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let (mut listener, address) = R::listen().await?;
    child::announce(address.port())?;
    loop {
        let stream = R::accept(&mut listener).await?;
        R::spawn(serve(stream));
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

async fn echo_here<R: OneThread>(mut stream: R::Stream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let (read, written);
        (read, buffer) = R::read(&mut stream, buffer).await;
        if read? == 0 {
            return Ok(());
        }
        (written, buffer) = R::write_all(&mut stream, buffer).await;
        written?;
    }
}

async fn echo_owned(stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let read;
        (read, buffer) = stream.read_owned(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let written;
        (written, buffer) = stream.write_all_owned(buffer).await;
        written?;
    }
}

async fn echo_leases(stream: TcpStream) -> io::Result<()> {
    loop {
        let lease = stream.recv().await?;
        if lease.is_empty() {
            return Ok(());
        }
        stream.write_all_owned(lease).await.0?;
    }
}

fn load(trial: &Trial, target: Target) -> io::Result<Sample> {
    load::run(target, load_of(trial), trial.warm, trial.size)
}
