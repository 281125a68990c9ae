//! An open file.

use super::cursor::Cursor;
use super::lock::Locking;
use super::metadata::Metadata;
use super::open::OpenOptions;
use super::sync::Syncs;
use crate::half::{self, Reading, Site, Taken, Turn, Writing};
use crate::home::Home;
use crate::io::{by_shared_reference, fill};
use filch_uring::{IoBuf, IoBufMut, Position, SharedFd, op};
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::{fmt, mem};

/// From more bytes than this on, a read or write at a place is made by a thread of the kernel's. A worker copies
/// so many in a tenth of a millisecond.
const LARGE: usize = 1 << 20;

/// An open file.
///
/// There are two ways to read and write it. *At a place*: [`read_at`](Self::read_at) and
/// [`write_at`](Self::write_at) take a buffer, which the kernel uses directly, and give it back with the
/// result; any number of them may be in flight at once. *At the cursor*: [`read`](Self::read) and
/// [`write`](Self::write) borrow a buffer, copy, and move the cursor when the bytes are delivered; one
/// at a time, in the order in which they were begun. (Files opened with O_DIRECT ask for aligned
/// buffers, which only the first way can give them.)
///
/// What has no positions (a pipe, a terminal) has no cursor either, but two directions, like a
/// socket: it may be read and written at once, and what arrives when nobody reads any more goes to the
/// next read.
///
/// Dropping it closes the file when the operations in flight are done; a write in flight to what has no
/// positions is given up. What was written is in the system's cache by then; to have it on the disk,
/// [`sync_all`](Self::sync_all). `docs/files.md` says more.
///
/// # Deadlocks
///
/// Who reads or writes at the cursor has its turn until that is done or dropped. A task that polls a
/// read once, keeps it without polling it, and begins another one waits for itself.
#[doc(alias = "aiofiles")]
pub struct File {
    pub(super) fd: SharedFd,
    pub(super) home: Home,
    append: bool,
    /// Found out when it is first needed: who reads and writes at places alone can do without. In a box, so that a
    /// file is moved as a few words.
    pub(super) ways: OnceLock<Box<Ways>>,
    common: OnceLock<Arc<Common>>,
}

/// What a file and those that were cloned from it have together. Made when it is first needed: most files are never
/// synced, locked or cloned.
#[derive(Default)]
pub(super) struct Common {
    pub(super) syncs: Syncs,
    pub(super) locking: Locking,
}

/// How it is read and written, other than at places.
pub(super) struct Ways {
    pub(super) access: Access,
    pub(super) is_device: bool,
}

pub(super) enum Access {
    Cursor(Turn<Cursor>),
    Halves(Turn<Reading<half::Read>>, Turn<Writing<half::Write>>),
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// The system's, naming the path, unless the runtime ended with the open still in the kernel;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a path with a NUL byte; without a runtime on this thread.
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
    /// Dropped, the file may yet be made or emptied, also a little later; nothing is left open.
    #[track_caller]
    pub fn create<P: AsRef<Path>>(
        path: P,
    ) -> impl Future<Output = io::Result<Self>> + Send + use<P> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Takes over a file of the standard library. The cursor begins where that one's is; from then on
    /// the descriptor's own position is neither looked at nor kept up to date. So a description that is
    /// shared with others (an inherited standard output, say, that is a file) is not one to use this
    /// way: their bytes and these would overwrite each other, unless it is open for appending.
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
        let mut file = Self::new(SharedFd::new(OwnedFd::from(file)), home, append);
        if let Some(cursor) = file.cursor_mut() {
            cursor.set_position(position);
        }
        Ok(file)
    }

    pub(super) fn new(fd: SharedFd, home: Home, append: bool) -> Self {
        Self { fd, home, append, ways: OnceLock::new(), common: OnceLock::new() }
    }

    /// The same file by another descriptor, with what is to be read of it and written to it in `access`.
    pub(super) fn again(&self, fd: SharedFd, access: Access) -> Self {
        let ways = Ways { access, is_device: self.ways().is_device };
        Self {
            fd,
            home: self.home.clone(),
            append: self.append,
            ways: OnceLock::from(Box::new(ways)),
            common: OnceLock::from(self.common().clone()),
        }
    }

    pub(super) fn common(&self) -> &Arc<Common> {
        self.common.get_or_init(Arc::default)
    }

    /// As [`common`](Self::common), if it was ever needed.
    pub(super) fn common_if_any(&self) -> Option<&Common> {
        self.common.get().map(|common| &**common)
    }

    pub(super) fn access(&self) -> &Access {
        &self.ways().access
    }

    /// The cursor of what has one, when nobody else can have its turn.
    pub(super) fn cursor_mut(&mut self) -> Option<&mut Cursor> {
        self.access();
        match &mut self.ways.get_mut()?.access {
            Access::Cursor(cursor) => Some(cursor.get_mut()),
            Access::Halves(..) => None,
        }
    }

    fn ways(&self) -> &Ways {
        self.ways.get_or_init(|| {
            let kind =
                known(&self.fd).map_or_else(|_| kind_by_seeking(&self.fd), |known| known.kind);
            // Not every descriptor that can be sought in has places: an inotify, say, takes a seek and ignores
            // it, and what was read from it is gone from it.
            let access = if matches!(kind, libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR) {
                Access::Cursor(Turn::new(Cursor::new(self.append)))
            } else {
                Access::Halves(Turn::new(Reading::new()), Turn::new(Writing::new()))
            };
            Box::new(Ways { access, is_device: kind == libc::S_IFCHR })
        })
    }

    /// Reads at `offset`, in bytes from the beginning, into `buf`: from its first byte up to its
    /// capacity. Gives the number of bytes, 0 at the end of the file, and the buffer. The cursor stays.
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
    #[track_caller]
    pub fn read_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
        let is_large = self.is_large(buf.capacity());
        let read = op::Read::new(self.fd.clone(), buf, Position::At(offset));
        let read = if is_large { read.in_kernel_thread() } else { read };
        self.home.run(read, Location::caller())
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
    /// Dropped before its first poll, it does nothing; after that it runs to its end, which may come
    /// later than what the program does next. The buffer is gone.
    #[track_caller]
    pub fn write_at<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
        let is_large = self.is_large(buf.len());
        let write = op::Write::new(self.fd.clone(), buf, Position::At(offset));
        let write = if is_large { write.in_kernel_thread() } else { write };
        self.home.run(write, Location::caller())
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
    /// Nothing is lost: dropped, the cursor has not moved. From what has no positions, what arrives when
    /// nobody reads any more goes to the next read.
    #[track_caller]
    pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        let site = self.site(Location::caller());
        async move {
            match self.access() {
                Access::Cursor(_) if buf.is_empty() => Ok(0),
                Access::Cursor(cursor) => {
                    let mut cursor = settled(cursor, site).await;
                    poll_fn(|cx| cursor.poll_read(site, buf.len(), fill(buf), cx)).await
                }
                Access::Halves(reading, _) => {
                    half::read(reading, site, buf, half::Want::bytes).await
                }
            }
        }
    }

    /// Writes some of `buf`, at most 256 KiB, at the cursor (at the end, if opened for appending) and
    /// returns how much.
    ///
    /// # Errors
    ///
    /// The system's. If an earlier write was dropped and failed later, that one's error, once, and nothing
    /// is written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the write may or may not have begun; begun, it runs to its end, and the next operation at
    /// the cursor comes after it. If it fails, the next write, sync or close says so.
    #[track_caller]
    pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
        let site = self.site(Location::caller());
        async move {
            match self.access() {
                Access::Cursor(_) if buf.is_empty() => Ok(0),
                Access::Cursor(cursor) => {
                    let mut cursor = settled(cursor, site).await;
                    cursor.take_failure()?;
                    cursor.begin_write(site, buf);
                    poll_fn(|cx| cursor.poll_write(site, cx)).await
                }
                Access::Halves(_, writing) => half::write(writing, site, buf).await,
            }
        }
    }

    /// Waits for the end of a write that was dropped, and returns how many bytes it wrote: 0 if there is
    /// none, or that was told before. See [`Write::settle`](crate::io::Write::settle).
    ///
    /// # Errors
    ///
    /// That write's, once; then it wrote nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost: ask again.
    #[track_caller]
    pub fn settle(&self) -> impl Future<Output = io::Result<usize>> + Send {
        let site = self.site(Location::caller());
        async move {
            match self.access() {
                Access::Cursor(cursor) => {
                    let mut cursor = settled(cursor, site).await;
                    cursor.take_failure()?;
                    Ok(cursor.unheard.take())
                }
                Access::Halves(_, writing) => half::settle(writing, site).await,
            }
        }
    }

    /// Moves the cursor, and returns where it is, in bytes from the beginning.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a place before the beginning, or beyond what a
    /// file can have (`i64::MAX`); the system's, for what has no positions.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the cursor is where it was.
    #[track_caller]
    pub fn seek(&self, to: SeekFrom) -> impl Future<Output = io::Result<u64>> + Send {
        let site = self.site(Location::caller());
        async move {
            let Access::Cursor(cursor) = self.access() else {
                return Err(io::Error::from_raw_os_error(libc::ESPIPE));
            };
            let mut cursor = settled(cursor, site).await;
            cursor.seek(&self.fd, to)
        }
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
    #[track_caller]
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + Send {
        let statx =
            self.home.run(Metadata::query(op::Statx::fd(self.fd.clone())), Location::caller());
        async { statx.await.map(Metadata::new) }
    }

    /// Whether so many bytes would hold up the worker that hands them to the kernel: what is in the page cache
    /// is copied at once. Not of what has no positions: there it would be another kind of wait.
    fn is_large(&self, len: usize) -> bool {
        len > LARGE && matches!(self.access(), Access::Cursor(_))
    }

    pub(super) fn site(&self, at: &'static Location<'static>) -> Site<'_> {
        Site { fd: &self.fd, home: &self.home, at, is_device: self.ways().is_device }
    }
}

/// The cursor, when nothing of an earlier future is in flight at it.
pub(super) async fn settled<'a>(cursor: &'a Turn<Cursor>, site: Site<'_>) -> Taken<'a, Cursor> {
    let mut cursor = cursor.lock_at(site.at).await;
    poll_fn(|cx| cursor.poll_settled(site, cx)).await;
    cursor
}

/// What the system knows of an open file.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    /// Of `S_IFMT`; 0 if it says nothing.
    pub(crate) kind: u32,
    pub(crate) len: u64,
    /// Which one it is: the numbers of its device, and its own there.
    pub(crate) which: (u32, u32, u64),
}

/// What is known of an open file. Without waiting (S5): a file system on a network, or one that a program serves, is
/// not asked, so the length may be out of date there.
pub(crate) fn known(fd: &impl AsRawFd) -> io::Result<Known> {
    let mut found = mem::MaybeUninit::<libc::statx>::uninit();
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let mask = libc::STATX_TYPE | libc::STATX_SIZE | libc::STATX_INO;
    // SAFETY: a text that ends with a NUL, and room for a `statx`.
    if unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), flags, mask, found.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has filled it in.
    let found = unsafe { found.assume_init() };
    Ok(Known {
        kind: u32::from(found.stx_mode) & libc::S_IFMT,
        len: found.stx_size,
        which: (found.stx_dev_major, found.stx_dev_minor, found.stx_ino),
    })
}

/// Of which kind a file seems to be, if the system does not tell by `statx` (in a sandbox that does not know it, or
/// without memory): what cannot be sought in, and what nothing is known of, is taken for a device, of which the most
/// care is taken. What can is asked by `fstat`, for not all that takes a seek has places. A file system on a network
/// may wait for its server there: once for each open file.
fn kind_by_seeking(fd: &impl AsRawFd) -> u32 {
    let mut found = mem::MaybeUninit::<libc::stat>::uninit();
    let number = fd.as_raw_fd();
    // SAFETY: no pointers; and room for a `stat`.
    unsafe {
        if libc::lseek(number, 0, libc::SEEK_CUR) == -1
            || libc::fstat(number, found.as_mut_ptr()) != 0
        {
            return libc::S_IFCHR;
        }
    }
    // SAFETY: the call has filled it in.
    unsafe { found.assume_init() }.st_mode & libc::S_IFMT
}

by_shared_reference!(File: Read);
by_shared_reference!(File: Write, _file => std::future::ready(Ok(())));

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

impl crate::Close for File {
    type Error = io::Error;

    #[track_caller]
    fn close(self) -> impl Future<Output = io::Result<()>> + Send {
        File::close(self)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("fd", &self.fd.as_raw_fd()).finish_non_exhaustive()
    }
}
