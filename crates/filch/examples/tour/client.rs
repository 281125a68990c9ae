//! The clients, and how they check what they get.

use super::catalogue::Catalogue;
use super::piece::PIECE;
use super::protocol::{self, Answer};
use super::tally::Tally;
use filch::net::TcpStream;
use filch::time::timeout;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a client costs: the two ends of its connection, and the file that is being read for it.
pub(crate) const DESCRIPTORS: usize = 3;

/// A client that waits so long for one answer gives up: something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the clients go, what they ask for, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    pub(crate) server: SocketAddr,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) time: Duration,
    /// Counts the answers of all, for the progress bar to show.
    pub(crate) answers: Arc<AtomicU64>,
}

/// Connects so many clients, sends them out, a task each, and waits for all of them.
pub(crate) async fn crowd(clients: usize, errand: Errand) -> Tally {
    let mut all = Tally::default();
    // All at once; and nobody asks before everybody is there, or the first to come would keep the server
    // from greeting the others.
    let connecting: Vec<_> =
        (0..clients).map(|_| filch::spawn(protocol::connect(errand.server))).collect();
    let mut streams = Vec::new();
    for connected in connecting {
        match connected.await.map_err(io::Error::other).flatten() {
            Ok((stream, _pieces)) => streams.push(stream),
            Err(error) => all.trouble(error),
        }
    }
    let until = Instant::now() + errand.time;
    let pieces = errand.catalogue.pieces();
    let asking: Vec<_> = (streams.into_iter().enumerate())
        .map(|(number, stream)| {
            // They begin at different places: together they soon have asked for everything.
            let first = number * pieces / clients;
            filch::spawn(client(stream, errand.clone(), until, first))
        })
        .collect();
    for client in asking {
        match client.await {
            Ok(tally) => all.merge(&tally),
            Err(panicked) => all.trouble(panicked),
        }
    }
    all
}

/// One client. What it has seen counts even if it ends in trouble.
async fn client(stream: TcpStream, errand: Errand, until: Instant, first: usize) -> Tally {
    let mut tally = Tally::default();
    if let Err(error) = ask_and_check(stream, &errand, until, first, &mut tally).await {
        tally.trouble(error);
    }
    tally
}

/// Asks for one piece after the other, until time is up or no file is left that has not changed.
async fn ask_and_check(
    mut stream: TcpStream,
    errand: &Errand,
    until: Instant,
    first: usize,
    tally: &mut Tally,
) -> io::Result<()> {
    let catalogue = &errand.catalogue;
    let mut room = vec![0; PIECE];
    let mut place = first;
    while Instant::now() < until
        && let Some(number) = catalogue.next(place)
    {
        let (file, piece) = catalogue.get(number).expect("the catalogue knows its numbers");
        let asked = Instant::now();
        let answer = timeout(PATIENCE, protocol::ask(&mut stream, number, &mut room)).await??;
        let latency = asked.elapsed();
        match answer {
            Answer::Bytes(bytes) if piece.is(bytes) => tally.right(bytes.len(), latency),
            Answer::Bytes(_) => tally.wrong(file.path(), piece.offset),
            Answer::Changed => file.set_changed(),
        }
        // Relaxed: a number to look at.
        errand.answers.fetch_add(1, Ordering::Relaxed);
        place = number + 1;
    }
    Ok(())
}
