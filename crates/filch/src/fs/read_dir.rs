//! What is in a directory.

use super::metadata::{FileType, Metadata, symlink_metadata};
use super::on_pool::{Job, on_pool};
use crate::io::failed;
use futures_core::Stream;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::poll_fn;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

/// As many entries as a thread for what blocks reads at a time.
const BATCH: usize = 512;

/// Reads a directory. There is no ring operation for that: it is read on a thread for what blocks, up to 512
/// entries at a time, in the order in which the file system gives them.
///
/// ```
/// # filch::run(async {
/// let mut entries = filch::fs::read_dir("/proc/self").await?;
/// let mut names = Vec::new();
/// while let Some(entry) = entries.next_entry().await? {
///     names.push(entry.file_name());
/// }
/// assert!(names.iter().any(|name| name == "fd"));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// The system's, naming the path. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
#[doc(alias = "scandir")]
#[doc(alias = "listdir")]
pub fn read_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<ReadDir>> + Send {
    let (path, at) = (Arc::<Path>::from(path.as_ref()), Location::caller());
    async move {
        let of = path.clone();
        let (batch, rest) = on_pool(at, move || {
            let unread = Arc::new(Mutex::new(Some(std::fs::read_dir(&of)?)));
            let (batch, is_more) = read(&unread, &of);
            Ok((batch, if is_more { Rest::Unread(unread) } else { Rest::End }))
        })
        .await
        .map_err(|error| failed("read the directory", path.display(), error))?;
        Ok(ReadDir { path, batch: batch.into(), rest, has_failed: false })
    }
}

/// What is in a directory: of [`read_dir`]. Also a `Stream`, which ends behind an error that keeps it from reading on;
/// [`next_entry`](Self::next_entry) may try again.
///
/// What is added or removed meanwhile may or may not be among it.
pub struct ReadDir {
    path: Arc<Path>,
    batch: VecDeque<io::Result<DirEntry>>,
    rest: Rest,
    /// The last batch could not be read, so as a stream it is at its end: else that would give errors without end.
    has_failed: bool,
}

/// An open directory, until all of it was read.
type Unread = Arc<Mutex<Option<std::fs::ReadDir>>>;

/// Entries, and whether there may be more.
type Batch = (Vec<io::Result<DirEntry>>, bool);

enum Rest {
    /// There may be more.
    Unread(Unread),
    /// The next batch is being read, whether anybody waits for it or not (C1). If it cannot be, it is as it was.
    Reading(Job<Batch>, Unread),
    End,
}

impl ReadDir {
    /// The next entry; `None` when there are no more.
    ///
    /// # Errors
    ///
    /// The system's, naming the directory; what comes after it may be asked for. So also without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, no entry is lost.
    #[track_caller]
    pub fn next_entry(&mut self) -> impl Future<Output = io::Result<Option<DirEntry>>> + Send {
        let at = Location::caller();
        poll_fn(move |cx| self.poll_next_entry(at, cx))
    }

    fn poll_next_entry(
        &mut self,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            if let Some(entry) = self.batch.pop_front() {
                return Poll::Ready(entry.map(Some).map_err(|error| self.failed(error)));
            }
            match &mut self.rest {
                Rest::End => return Poll::Ready(Ok(None)),
                Rest::Reading(job, unread) => {
                    let read = ready!(Pin::new(job).poll(cx));
                    let unread = Rest::Unread(unread.clone());
                    match read {
                        Ok((batch, is_more)) => {
                            self.has_failed = false;
                            self.batch = batch.into();
                            self.rest = if is_more { unread } else { Rest::End };
                        }
                        Err(error) => {
                            self.rest = unread;
                            self.has_failed = true;
                            return Poll::Ready(Err(self.failed(error)));
                        }
                    }
                }
                Rest::Unread(unread) => {
                    let (ours, path) = (unread.clone(), self.path.clone());
                    match Job::begin(at, move || read(&ours, &path)) {
                        Ok(job) => self.rest = Rest::Reading(job, unread.clone()),
                        Err(error) => {
                            self.has_failed = true;
                            return Poll::Ready(Err(self.failed(error)));
                        }
                    }
                }
            }
        }
    }

    fn failed(&self, error: io::Error) -> io::Error {
        failed("read the directory", self.path.display(), error)
    }
}

/// Reads a batch.
fn read(unread: &Unread, path: &Arc<Path>) -> Batch {
    // One batch is read at a time: nobody waits for it.
    let mut place = unread.lock().unwrap_or_else(PoisonError::into_inner);
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        match place.as_mut().and_then(Iterator::next) {
            Some(entry) => batch.push(entry.map(|entry| DirEntry::new(&entry, path))),
            None => {
                *place = None;
                return (batch, false);
            }
        }
    }
    (batch, true)
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        self.poll_next_entry(Location::caller(), cx).map(Result::transpose)
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("path", &self.path).finish_non_exhaustive()
    }
}

/// One thing that is in a directory.
///
/// It keeps nothing open.
pub struct DirEntry {
    directory: Arc<Path>,
    name: OsString,
    number: u64,
    /// Where the directory does not say, it was asked for on the thread that read it.
    file_type: io::Result<FileType>,
}

impl DirEntry {
    fn new(entry: &std::fs::DirEntry, directory: &Arc<Path>) -> Self {
        Self {
            directory: directory.clone(),
            name: entry.file_name(),
            number: std::os::unix::fs::DirEntryExt::ino(entry),
            file_type: entry.file_type().map(FileType::of),
        }
    }

    /// The directory's path, as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Its name.
    pub fn file_name(&self) -> OsString {
        self.name.clone()
    }

    /// Its number in its file system.
    pub fn ino(&self) -> u64 {
        self.number
    }

    /// Its kind, as it was when the directory was read; of a symbolic link that. Does not wait.
    ///
    /// # Errors
    ///
    /// The system's, naming the path, if the directory did not say and the file could not be asked.
    pub fn file_type(&self) -> io::Result<FileType> {
        match &self.file_type {
            Ok(file_type) => Ok(*file_type),
            Err(error) => {
                let number = error.raw_os_error();
                let again = number.map_or(error.kind().into(), io::Error::from_raw_os_error);
                Err(failed("look at", self.path().display(), again))
            }
        }
    }

    /// What the system knows of it; of a symbolic link, of that.
    ///
    /// # Errors
    ///
    /// As [`symlink_metadata`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is left behind.
    #[track_caller]
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + Send + use<> {
        symlink_metadata(self.path())
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}
