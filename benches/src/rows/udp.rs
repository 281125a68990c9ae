//! Datagrams of 128 bytes over loopback UDP that come back; 64 clients each send the next when one has.
//!
//! `1 socket`: all of them to one socket of the server's, with one task. `64 sockets`: each to its own, with its own task. A
//! task receives a datagram and sends it to where it came from.

use std::io;
use std::net::SocketAddr;

use super::{TOKIO, nothing};
use crate::child;
use crate::load::{self, Load, Over, Target, socket_of};
use crate::measure::{KRPS, KRPS_CPU, LOAD_CPU, P50_US, P99_US, P999_US, SERVER_CPU, Sample};
use crate::plan::{Conduct, Row, Shape, Size, Trial};
use crate::ring_rows;
use crate::runtime::{OneThread, Runtime, Udp};
use crate::runtimes::{COMPIO, FILCH_BATCH, Filch, MONOIO, RING, with_net, with_one_thread};
use filch::net::{Batch, UdpSocket};

const CLIENTS: usize = 64;
const MESSAGE: usize = 128;
const BUFFER: usize = 2048;

const SHARED: &str = "1 socket";
const OWN: &str = "64 sockets";

pub(super) static ROW: Row = Row {
    name: "udp",
    group: "io",
    about: "64 clients send 128 B over loopback UDP, closed loop",
    by_default: false,
    shapes: &[Shape { variant: SHARED, workers: 1 }, Shape { variant: OWN, workers: 1 }],
    contenders: &["filch", FILCH_BATCH, "tokio-mt", "tokio-ct", "smol", MONOIO, COMPIO, RING],
    fits: Shape::suits_runtime,
    remarks: &[],
    baseline: TOKIO,
    columns: &[KRPS, KRPS_CPU, P50_US, P99_US, P999_US, SERVER_CPU, LOAD_CPU],
    size: Size { full: 2_000, quick: 200 },
    instructions: None,
    prepare: nothing,
    conduct: Conduct::Served { serve, load },
};

fn sockets(trial: &Trial) -> usize {
    if trial.shape.variant == SHARED { 1 } else { CLIENTS }
}

fn load(trial: &Trial, target: Target) -> io::Result<Sample> {
    let over = Over::Udp { sockets: sockets(trial) };
    let load = Load { connections: CLIENTS, message: MESSAGE, in_flight: 1, over };
    load::run(target, load, trial.warm, trial.size)
}

fn serve(trial: &Trial) -> io::Result<()> {
    let (workers, sockets) = (trial.shape.workers, sockets(trial));
    match trial.contender.as_str() {
        RING => ring_rows::datagrams(sockets, BUFFER),
        FILCH_BATCH => Filch::run(workers, all::<Filch, _>(sockets, echo_batch)),
        name @ (MONOIO | COMPIO) => with_one_thread!(name, R => R::run(all_here::<R>(sockets))),
        name => with_net!(name, R => R::run(workers, all::<R, _>(sockets, echo::<R>)))?,
    }
}

/// Binds the sockets, announces their port, and serves all but the last by a task each, and that one here.
async fn all<R: Udp, F>(sockets: usize, echo: fn(R::Socket) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut port = 0;
    let mut bound = Vec::new();
    for nth in 0..sockets {
        let (socket, address) = R::bind(SocketAddr::from((socket_of(nth), port))).await?;
        port = address.port();
        bound.push(socket);
    }
    child::announce(port)?;
    let last = bound.pop().expect("there is a socket");
    for socket in bound {
        drop(R::spawn(echo(socket)));
    }
    echo(last).await
}

async fn echo<R: Udp>(mut socket: R::Socket) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let (count, from) = R::receive_from(&mut socket, &mut buffer).await?;
        R::send_to(&mut socket, &buffer[..count], from).await?;
    }
}

async fn echo_batch(socket: UdpSocket) -> io::Result<()> {
    let mut batch = Batch::new(CLIENTS, BUFFER);
    loop {
        socket.recv_many_from(&mut batch).await?;
        let answers: Vec<_> = batch
            .iter()
            .filter_map(|datagram| Some((datagram.bytes(), datagram.from()?)))
            .collect();
        let mut sent = 0;
        while sent < answers.len() {
            sent += socket.send_many_to(&answers[sent..]).await?;
        }
    }
}

/// As [`all`], on a runtime of one thread.
async fn all_here<R: OneThread>(sockets: usize) -> io::Result<()> {
    let mut port = 0;
    let mut bound = Vec::new();
    for nth in 0..sockets {
        let (socket, address) = R::bind(SocketAddr::from((socket_of(nth), port))).await?;
        port = address.port();
        bound.push(socket);
    }
    child::announce(port)?;
    let last = bound.pop().expect("there is a socket");
    for socket in bound {
        R::spawn(echo_here::<R>(socket));
    }
    echo_here::<R>(last).await
}

async fn echo_here<R: OneThread>(mut socket: R::Socket) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let (from, sent);
        (from, buffer) = R::receive_from(&mut socket, buffer).await;
        (sent, buffer) = R::send_to(&mut socket, buffer, from?).await;
        sent?;
    }
}
