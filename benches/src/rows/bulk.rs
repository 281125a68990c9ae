//! As many bytes as go through eight connections over loopback TCP, to the server (`in`) or from it (`out`).
//!
//! The server has a task for each connection and reads into, or writes from, a buffer of 64 KiB. What is received is looked
//! at where it begins and ends, on both sides.

use std::io;

use super::echo::{accept, accept_here};
use super::{TOKIO, nothing};
use crate::flood::{self, BLOCK, Direction, Place, block};
use crate::load::Target;
use crate::measure::{LOAD_CPU, MB_CPU, MB_S, SERVER_CPU, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::ring_rows;
use crate::runtime::{Net, OneThread, Runtime};
use crate::runtimes::{COMPIO, FILCH_OWNED, Filch, MONOIO, RING, with_net, with_one_thread};
use filch::net::TcpStream;

const CONNECTIONS: usize = 8;

const IN: &str = "in";
const OUT: &str = "out";

pub(super) static ROW: Row = Row {
    name: "bulk",
    group: "io",
    about: "8 connections over loopback TCP, as many bytes as go through, one way",
    by_default: false,
    shapes: &[Shape { variant: IN, workers: 1 }, Shape { variant: OUT, workers: 1 }],
    contenders: &["filch", FILCH_OWNED, "tokio-mt", "tokio-ct", "smol", MONOIO, COMPIO, RING],
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[MB_S, MB_CPU, SERVER_CPU, LOAD_CPU],
    size: Size { full: 2_000, quick: 200 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Served { serve, load },
};

fn direction(trial: &Trial) -> Direction {
    if trial.shape.variant == IN { Direction::In } else { Direction::Out }
}

fn load(trial: &Trial, target: Target) -> io::Result<Sample> {
    flood::run(target, CONNECTIONS, direction(trial), trial.warm, trial.size)
}

fn serve(trial: &Trial) -> io::Result<()> {
    let workers = trial.shape.workers;
    match (trial.contender.as_str(), direction(trial)) {
        (RING, direction) => ring_rows::bulk(workers, CONNECTIONS, direction),
        (FILCH_OWNED, Direction::In) => Filch::run(workers, accept::<Filch, _>(take_owned)),
        (FILCH_OWNED, Direction::Out) => Filch::run(workers, accept::<Filch, _>(give_owned)),
        (name @ (MONOIO | COMPIO), Direction::In) => {
            with_one_thread!(name, R => R::run(accept_here::<R, _>(take_here::<R>)))
        }
        (name @ (MONOIO | COMPIO), Direction::Out) => {
            with_one_thread!(name, R => R::run(accept_here::<R, _>(give_here::<R>)))
        }
        (name, Direction::In) => with_net!(name, R => R::run(workers, accept::<R, _>(take::<R>)))?,
        (name, Direction::Out) => with_net!(name, R => R::run(workers, accept::<R, _>(give::<R>)))?,
    }
}

async fn take<R: Net>(mut stream: R::Stream) -> io::Result<()> {
    let (mut buffer, mut place) = (vec![0; BLOCK], Place::default());
    loop {
        let count = R::read(&mut stream, &mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        checked(&mut place, &buffer[..count]);
    }
}

async fn give<R: Net>(mut stream: R::Stream) -> io::Result<()> {
    let block = block();
    loop {
        R::write_all(&mut stream, &block).await?;
    }
}

async fn take_owned(stream: TcpStream) -> io::Result<()> {
    let (mut buffer, mut place) = (Vec::with_capacity(BLOCK), Place::default());
    loop {
        buffer.clear();
        let read;
        (read, buffer) = stream.read_owned(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        checked(&mut place, &buffer);
    }
}

async fn give_owned(stream: TcpStream) -> io::Result<()> {
    let mut block = block();
    loop {
        let written;
        (written, block) = stream.write_all_owned(block).await;
        written?;
    }
}

async fn take_here<R: OneThread>(mut stream: R::Stream) -> io::Result<()> {
    let (mut buffer, mut place) = (Vec::with_capacity(BLOCK), Place::default());
    loop {
        buffer.clear();
        let read;
        (read, buffer) = R::read(&mut stream, buffer).await;
        if read? == 0 {
            return Ok(());
        }
        checked(&mut place, &buffer);
    }
}

async fn give_here<R: OneThread>(mut stream: R::Stream) -> io::Result<()> {
    let mut block = block();
    loop {
        let written;
        (written, block) = R::write_all(&mut stream, block).await;
        written?;
    }
}

/// Ends the process, so that the trial fails, when something else has come than was sent.
fn checked(place: &mut Place, came: &[u8]) {
    if let Err(error) = place.advance(came) {
        eprintln!("bulk: {error}");
        std::process::abort();
    }
}
