//! The first reading: every file, through the ring, many at a time.

use super::catalogue::Catalogue;
use super::piece::{PIECE, Piece};
use super::progress;
use super::stamp::Stamp;
use filch::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What came of reading a file for the first time.
#[derive(Debug)]
pub(crate) enum Outcome {
    Read(Stamp, Vec<Piece>),
    /// It became another while it was read.
    Changed,
    Failed(io::Error),
}

/// Reads and hashes files, as many at a time as there are `readers`: each is a task, and takes the next
/// path when it is done with one.
pub(crate) async fn read_all(paths: Vec<PathBuf>, readers: usize) -> Catalogue {
    let bar = progress::reading(paths.len());
    let paths: Arc<[PathBuf]> = paths.into();
    let next = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..readers.min(paths.len()))
        .map(|_| {
            let (paths, next, bar) = (paths.clone(), next.clone(), bar.clone());
            filch::spawn(async move {
                let mut done = Vec::new();
                // Relaxed: each number is drawn once, in whatever order.
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    done.push((path.clone(), read_one(path).await));
                    bar.inc(1);
                }
                done
            })
        })
        .collect();
    let mut catalogue = Catalogue::default();
    for reader in readers {
        for (path, outcome) in reader.await.expect("a reader does not panic") {
            catalogue.add(path, outcome);
        }
    }
    bar.finish_and_clear();
    catalogue
}

async fn read_one(path: &Path) -> Outcome {
    match pieces_of(path).await {
        Ok(Some((stamp, pieces))) => Outcome::Read(stamp, pieces),
        Ok(None) => Outcome::Changed,
        Err(error) => Outcome::Failed(error),
    }
}

/// The pieces of a file; none if it is not the same from beginning to end.
async fn pieces_of(path: &Path) -> io::Result<Option<(Stamp, Vec<Piece>)>> {
    let file = File::open(path).await?;
    let stamp = Stamp::settled(&file).await?;
    let mut pieces = Vec::new();
    let mut room = vec![0; PIECE].into_boxed_slice();
    let mut offset = 0;
    loop {
        let expected = PIECE.min((stamp.len - offset) as usize);
        // The kernel writes into `room` itself, so the read owns it, and gives it back.
        let (read, filled) = file.read_at(room, offset).await;
        let read = read?;
        if read != expected {
            return Ok(None);
        }
        pieces.push(Piece::new(offset, &filled[..read]));
        room = filled;
        offset += read as u64;
        if offset == stamp.len {
            break;
        }
    }
    let unchanged = Stamp::of(&file).await? == stamp;
    file.close().await?;
    Ok(unchanged.then_some((stamp, pieces)))
}
