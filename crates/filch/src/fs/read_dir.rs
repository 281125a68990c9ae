//! What is in a directory.

use super::metadata::{FileType, Metadata, symlink_metadata};
use super::on_pool::Job;
use crate::io::failed;
use futures_core::Stream;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::poll_fn;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
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
        let (batch, rest) =
            Job::begin(at, move || Ok::<_, io::Error>(read(std::fs::read_dir(&of)?)))?
                .await?
                .map_err(|error| failed("read the directory", path.display(), error))?;
        Ok(ReadDir { path, batch: batch.into(), rest })
    }
}

/// What is in a directory: of [`read_dir`]. Also a `Stream`.
///
/// What is added or removed meanwhile may or may not be among it.
pub struct ReadDir {
    path: Arc<Path>,
    batch: VecDeque<io::Result<DirEntry>>,
    rest: Rest,
}

enum Rest {
    /// There may be more.
    Unread(Box<std::fs::ReadDir>),
    /// The next batch is being read, whether anybody waits for it or not (C1).
    Reading(Job<(Vec<io::Result<DirEntry>>, Rest)>),
    End,
}

impl ReadDir {
    /// The next entry; `None` when there are no more.
    ///
    /// # Errors
    ///
    /// The system's, naming the directory; what comes after it may be asked for. Without a runtime on this thread.
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
                Rest::Reading(job) => match ready!(Pin::new(job).poll(cx)) {
                    Ok((batch, rest)) => (self.batch, self.rest) = (batch.into(), rest),
                    Err(error) => {
                        // The runtime has ended, and what is unread has gone with it.
                        self.rest = Rest::End;
                        return Poll::Ready(Err(self.failed(error)));
                    }
                },
                unread @ Rest::Unread(_) => {
                    let Rest::Unread(entries) = std::mem::replace(unread, Rest::End) else {
                        unreachable!("just seen")
                    };
                    self.rest = Rest::Reading(Job::begin(at, move || read(*entries))?);
                }
            }
        }
    }

    fn failed(&self, error: io::Error) -> io::Error {
        failed("read the directory", self.path.display(), error)
    }
}

/// Reads a batch.
fn read(mut entries: std::fs::ReadDir) -> (Vec<io::Result<DirEntry>>, Rest) {
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        match entries.next() {
            Some(entry) => batch.push(entry.map(DirEntry::new)),
            None => return (batch, Rest::End),
        }
    }
    (batch, Rest::Unread(Box::new(entries)))
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_entry(Location::caller(), cx).map(Result::transpose)
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("path", &self.path).finish_non_exhaustive()
    }
}

/// One thing that is in a directory.
pub struct DirEntry {
    entry: std::fs::DirEntry,
    /// Where the directory does not say, it was asked for on the thread that read it.
    file_type: io::Result<FileType>,
}

impl DirEntry {
    fn new(entry: std::fs::DirEntry) -> Self {
        let file_type = entry.file_type().map(FileType::of);
        Self { entry, file_type }
    }

    /// The directory's path, as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// Its name.
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// Its number in its file system.
    pub fn ino(&self) -> u64 {
        std::os::unix::fs::DirEntryExt::ino(&self.entry)
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
