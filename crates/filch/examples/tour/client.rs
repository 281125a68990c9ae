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
const PATIENCE: Duration = Duration::from_secs(120);

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
    let connecting: Vec<_> = (0..clients)
        .map(|_| filch::spawn(timeout(PATIENCE, protocol::connect(errand.server))))
        .collect();
    let mut streams = Vec::new();
    for connected in connecting {
        match connected.await.map_err(io::Error::other).and_then(|greeted| greeted?) {
            Ok(greeted) => streams.push(greeted),
            Err(error) => all.trouble(error),
        }
    }
    let until = Instant::now() + errand.time;
    let asking: Vec<_> = (streams.into_iter().enumerate())
        .map(|(number, (stream, pieces))| {
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

/// Asks for one piece after the other, for one at least, until time is up or all files have changed.
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
    while let Some(number) = catalogue.next(place) {
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
        if Instant::now() >= until {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::reading;
    use super::*;
    use filch::net::TcpListener;
    use std::{env, fs, process};

    /// What a crowd makes of a server whose answers `spoil` has got hold of.
    fn crowd_and_a_server_that(name: &str, spoil: fn(&mut Vec<u8>)) -> Tally {
        let path = env::temp_dir().join(format!("filch-tour-{name}-{}", process::id()));
        fs::write(&path, "something to serve").unwrap();
        let tally = filch::run(async {
            let catalogue = Arc::new(reading::read_all(vec![path.clone()], 1).await);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let time = Duration::from_millis(50);
            let server = listener.local_addr().unwrap();
            let errand = Errand { server, catalogue, time, answers: Arc::default() };
            let serving = filch::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                protocol::greet(&mut stream, 1).await.unwrap();
                while protocol::request(&mut stream).await.unwrap().is_some() {
                    let mut bytes = b"something to serve".to_vec();
                    spoil(&mut bytes);
                    let answer = Answer::Bytes(&bytes);
                    protocol::answer(&mut stream, answer, &mut Vec::new()).await.unwrap();
                }
            });
            let tally = crowd(1, errand).await;
            serving.await.unwrap();
            tally
        });
        fs::remove_file(path).unwrap();
        tally
    }

    #[test]
    fn a_right_answer_is_right() {
        let tally = crowd_and_a_server_that("right", |_bytes| {});
        assert!(tally.right > 0 && tally.bytes == tally.right * 18, "{tally:?}");
        assert_eq!((tally.wrong, tally.failed), (0, 0), "{tally:?}");
    }

    #[test]
    fn a_wrong_bit_is_reported() {
        let tally = crowd_and_a_server_that("wrong", |bytes| bytes[7] ^= 1);
        assert!(tally.right == 0 && tally.wrong > 0, "{tally:?}");
        assert!(tally.example.unwrap().ends_with(" came wrong, from byte 0 on"));
    }

    #[test]
    fn a_missing_byte_is_reported() {
        let tally = crowd_and_a_server_that("short", |bytes| bytes.truncate(17));
        assert!(tally.right == 0 && tally.wrong > 0, "{tally:?}");
    }
}
