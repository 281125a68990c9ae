//! An open file.

use super::cursor::Cursor;
use super::metadata::Metadata;
use super::open::OpenOptions;
use crate::home::Home;
use crate::io::by_shared_reference;
use filch_sync::{Guard, Lock};
use filch_uring::{IoBuf, IoBufMut, Position, SharedFd, op};
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::{fmt, mem};

/// An open file.
///
/// There are two ways to read and write it. *At a place*: [`read_at`](Self::read_at) and
/// [`write_at`](Self::write_at) take a buffer, which the kernel uses directly, and give it back with the
/// result; any number of them may be in flight at once. *At the cursor*: [`read`](Self::read) and
/// [`write`](Self::write) borrow a buffer, copy, and move the cursor when the bytes are delivered; one
/// at a time, in the order in which they were begun.
///
/// Dropping it closes the file when the operations in flight are done. What was written is in the
/// system's cache by then; to have it on the disk, [`sync_all`](Self::sync_all).
#[doc(alias = "aiofiles")]
pub struct File {
    fd: SharedFd,
    home: Home,
    cursor: Lock<Cursor>,
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// The system's, naming the path; [`InvalidInput`](io::ErrorKind::InvalidInput) for a path with a
    /// NUL byte; without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is left open.
    #[track_caller]
    pub fn open<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<Self>> + Send + use<P> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing: makes it if it is not there, empties it if it is.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file may have been made or emptied; nothing is left open.
    #[track_caller]
    pub fn create<P: AsRef<Path>>(
        path: P,
    ) -> impl Future<Output = io::Result<Self>> + Send + use<P> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Takes over a file of the standard library. The cursor begins where that one's is.
    ///
    /// # Errors
    ///
    /// Without a runtime on this thread.
    pub fn from_std(mut file: std::fs::File) -> io::Result<Self> {
        let home = Home::current()?;
        let position = io::Seek::stream_position(&mut file).unwrap_or(0);
        // SAFETY: a call without pointers.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
        let append = flags != -1 && flags & libc::O_APPEND != 0;
        let file = Self::new(SharedFd::new(OwnedFd::from(file)), home, append);
        let mut cursor = file.cursor.try_lock().expect("nobody else has it");
        cursor.set_position(position);
        drop(cursor);
        Ok(file)
    }

    pub(super) fn new(fd: SharedFd, home: Home, append: bool) -> Self {
        let cursor = Lock::new(Cursor::new(&fd, append));
        Self { fd, home, cursor }
    }

    /// Reads at `offset`, in bytes from the beginning, into the spare room of `buf` from its start up to
    /// its capacity. Gives the number of bytes, 0 at the end of the file, and the buffer. The cursor
    /// stays.
    ///
    /// ```
    /// # filch::run(async {
    /// let file = filch::fs::File::open("/proc/self/comm").await?;
    /// let (read, buf) = file.read_at(Vec::with_capacity(4096), 0).await;
    /// assert_eq!(buf.len(), read?);
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the buffer is gone, and freed when the kernel is done with it.
    pub async fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> (io::Result<usize>, B) {
        self.home.run(op::Read::new(self.fd.clone(), buf, Position::At(offset))).await
    }

    /// Writes the bytes of `buf` at `offset`, in bytes from the beginning. Gives the number of bytes and
    /// the buffer. The cursor stays.
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the write runs to its end, and the buffer is gone.
    pub async fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> (io::Result<usize>, B) {
        self.home.run(op::Write::new(self.fd.clone(), buf, Position::At(offset))).await
    }

    /// Reads some bytes at the cursor into `buf`, at most 256 KiB, and returns how many; 0 at the end,
    /// or if `buf` is empty.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, the cursor has not moved. From a pipe or a terminal, what arrives when
    /// nobody reads any more goes to the next read.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut cursor = self.settled().await;
        poll_fn(|cx| cursor.poll_read(&self.fd, &self.home, buf, cx)).await
    }

    /// Writes some of `buf`, at most 256 KiB, at the cursor (at the end, if opened for appending) and
    /// returns how much.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the write may or may not have begun; begun, it runs to its end, and the next operation at
    /// the cursor comes after it.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut cursor = self.settled().await;
        cursor.begin_write(&self.fd, buf);
        poll_fn(|cx| cursor.poll_write(&self.fd, &self.home, cx)).await
    }

    /// Moves the cursor, and returns where it is, in bytes from the beginning.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a place before the beginning; the system's,
    /// for what has no positions.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the cursor is where it was.
    pub async fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let mut cursor = self.settled().await;
        if !cursor.has_positions() {
            return Err(io::Error::from_raw_os_error(libc::ESPIPE));
        }
        let (from, by) = match to {
            SeekFrom::Start(place) => (place, 0),
            SeekFrom::Current(by) => (cursor.position(), by),
            SeekFrom::End(by) => (self.metadata().await?.len(), by),
        };
        let Some(place) = from.checked_add_signed(by) else {
            let text = "a file has no places before its beginning";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        cursor.set_position(place);
        Ok(place)
    }

    /// Has everything written so far put on the disk, with what the system knows of the file.
    ///
    /// # Errors
    ///
    /// The system's. After a failure it is not known which of the data is on the disk.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it runs to its end.
    pub async fn sync_all(&self) -> io::Result<()> {
        drop(self.settled().await);
        self.home.run(op::Fsync::new(self.fd.clone())).await
    }

    /// As [`sync_all`](Self::sync_all), but of what the system knows of the file only what it takes to
    /// read the data again.
    ///
    /// # Errors
    ///
    /// As [`sync_all`](Self::sync_all).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it runs to its end.
    pub async fn sync_data(&self) -> io::Result<()> {
        drop(self.settled().await);
        self.home.run(op::Fsync::data_only(self.fd.clone())).await
    }

    /// What the system knows of the file.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is left behind.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.home.run(op::Statx::fd(self.fd.clone())).await.map(Metadata::new)
    }

    /// Closes the file, and says whether that went well, which a drop cannot. Waits for a write that was
    /// left in flight; other operations in flight keep the file open until they are done, and then
    /// close it unheard.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is closed all the same.
    pub async fn close(self) -> io::Result<()> {
        drop(self.settled().await);
        let Self { fd, home, cursor } = self;
        drop(cursor);
        match fd.try_unwrap() {
            Ok(fd) => home.run(op::Close::new(fd)).await,
            Err(_in_use) => Ok(()),
        }
    }

    /// The cursor, when nothing of an earlier future is in flight at it.
    async fn settled(&self) -> Guard<'_, Cursor> {
        let mut cursor = self.cursor.lock().await;
        poll_fn(|cx| cursor.poll_settled(&self.fd, &self.home, cx)).await;
        cursor
    }

    /// Everything from the beginning, in one buffer of the right size, without a copy.
    pub(super) async fn read_whole(&self) -> io::Result<Vec<u8>> {
        // One byte more than there should be: the read that finds the end needs room.
        let expected = self.metadata().await?.len().saturating_add(1);
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        let mut whole = Vec::new();
        // A file may well be larger than the memory there is: that is an error, not the end.
        whole.try_reserve_exact(expected.max(64))?;
        loop {
            if whole.len() == whole.capacity() {
                whole.try_reserve(whole.capacity())?;
            }
            let offset = whole.len();
            let (read, part) =
                self.read_at(mem::take(&mut whole).slice(offset..), offset as u64).await;
            whole = part.into_inner();
            if read? == 0 {
                return Ok(whole);
            }
        }
    }
}

by_shared_reference!(File: Read);
by_shared_reference!(File: Write);

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("fd", &self.fd.as_raw_fd()).finish_non_exhaustive()
    }
}
