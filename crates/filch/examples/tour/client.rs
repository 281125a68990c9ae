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

/// Where the clients go, what they ask for, and until when.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    pub(crate) server: SocketAddr,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) until: Instant,
    /// Counts the answers of all, for the progress bar to show.
    pub(crate) answers: Arc<AtomicU64>,
}

/// Sends out so many clients at once, a task each, and waits for all of them.
pub(crate) async fn crowd(clients: usize, errand: Errand) -> Tally {
    let pieces = errand.catalogue.pieces();
    let clients: Vec<_> = (0..clients)
        // They begin at different places: together they soon have asked for everything.
        .map(|client| filch::spawn(client_task(errand.clone(), client * pieces / clients)))
        .collect();
    let mut all = Tally::default();
    for client in clients {
        match client.await {
            Ok(tally) => all.merge(&tally),
            Err(panicked) => all.trouble(panicked),
        }
    }
    all
}

/// One client. What it has seen counts even if it ends in trouble.
async fn client_task(errand: Errand, first: usize) -> Tally {
    let mut tally = Tally::default();
    if let Err(error) = ask_and_check(&errand, first, &mut tally).await {
        tally.trouble(error);
    }
    tally
}

/// Asks for one piece after the other, until time is up or no file is left that has not changed.
async fn ask_and_check(errand: &Errand, first: usize, tally: &mut Tally) -> io::Result<()> {
    let catalogue = &errand.catalogue;
    let mut stream = TcpStream::connect(errand.server).await?;
    stream.set_nodelay(true)?;
    let mut room = vec![0; PIECE];
    let mut place = first;
    while Instant::now() < errand.until
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
