//! All files, as they were when they were read first.

use super::piece::Piece;
use super::reading::Outcome;
use super::skipped::Skipped;
use super::stamp::Stamp;
use filch::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// All files, in numbered pieces, with their hashes. The server and all clients share it.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    files: Vec<Arc<Entry>>,
    pieces: Vec<(Arc<Entry>, Piece)>,
    /// Files that changed while they were read, and so are not in `files`.
    changed_early: usize,
    skipped: Skipped,
}

/// A file.
#[derive(Debug)]
pub(crate) struct Entry {
    path: PathBuf,
    stamp: Stamp,
    /// Changed since it was read: nobody asks for it any more.
    changed: AtomicBool,
}

impl Catalogue {
    /// Adds a file, or counts why there is none.
    pub(crate) fn add(&mut self, path: PathBuf, outcome: Outcome) {
        match outcome {
            Outcome::Read(stamp, pieces) => {
                let entry = Arc::new(Entry { path, stamp, changed: AtomicBool::new(false) });
                self.pieces.extend(pieces.into_iter().map(|piece| (entry.clone(), piece)));
                self.files.push(entry);
            }
            Outcome::Changed => self.changed_early += 1,
            Outcome::Failed(error) if is_gone(&error) => self.changed_early += 1,
            Outcome::Failed(error) => self.skipped.add(&format!("read {}", path.display()), &error),
        }
    }

    /// A piece by its number, and the file it is of.
    pub(crate) fn get(&self, number: usize) -> Option<(&Entry, &Piece)> {
        self.pieces.get(number).map(|(file, piece)| (&**file, piece))
    }

    /// The number of the first piece from `number` on that can still be asked for. After the last piece
    /// comes the first.
    pub(crate) fn next(&self, number: usize) -> Option<usize> {
        let round = (0..self.pieces.len()).map(|step| (number + step) % self.pieces.len());
        round.into_iter().find(|&number| !self.pieces[number].0.has_changed())
    }

    /// How many pieces there are.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// How many files were read.
    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// How many bytes they have.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.stamp.len).sum()
    }

    /// How many files have changed so far, since they were first opened.
    pub(crate) fn changed(&self) -> usize {
        self.changed_early + self.files.iter().filter(|file| file.has_changed()).count()
    }

    /// What could not be read.
    pub(crate) fn skipped(&self) -> &Skipped {
        &self.skipped
    }
}

impl Entry {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file out from now on.
    pub(crate) fn set_changed(&self) {
        // Relaxed, as below: whoever sees it late asks once more in vain.
        self.changed.store(true, Ordering::Relaxed);
    }

    fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Reads a piece of the file again, as it is now, into `room`. Gives how many bytes there are, or
    /// nothing if the file is no longer what it was; and the room.
    pub(crate) async fn read(
        &self,
        piece: &Piece,
        room: Box<[u8]>,
    ) -> io::Result<(Option<usize>, Box<[u8]>)> {
        let file = match File::open(&self.path).await {
            Ok(file) => file,
            Err(error) if is_gone(&error) => return Ok((None, room)),
            Err(error) => return Err(error),
        };
        let (read, room) = file.read_at(room, piece.offset).await;
        let read = read?;
        // Looked at after the read: a change before or during the read shows in the stamp.
        let unchanged = read == piece.len && Stamp::of(&file).await? == self.stamp;
        file.close().await?;
        Ok((unchanged.then_some(read), room))
    }
}

/// Whether an error means that there is no such file any more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
