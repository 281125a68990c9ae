//! What becomes of an open file in the end: it is closed, handed on, or had twice.

use super::cursor::{Cursor, is_refused_unknown};
use super::file::{Access, File, settled};
use super::on_pool::on_pool;
use crate::half::{self, Reading, Site, Turn, Writing};
use filch_uring::{SharedFd, op};
use std::fs::Permissions;
use std::future::poll_fn;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::Location;
use std::{error, fmt, io};

impl File {
    /// Closes the file, and says whether that went well, which a drop cannot. Waits for a write that was
    /// left in flight; one to what has no positions is given up. Other operations in flight
    /// ([`read_at`](Self::read_at) and the like, dropped) keep the file open until they are done, and then
    /// close it unheard.
    ///
    /// # Errors
    ///
    /// The system's. If an earlier write was dropped and failed later, that one's error; the file is
    /// closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is closed all the same.
    #[track_caller]
    pub fn close(self) -> impl Future<Output = io::Result<()>> + Send {
        let at = Location::caller();
        async move {
            let mut this = self;
            let is_device = this.ways.get().is_some_and(|ways| ways.is_device);
            let site = Site { fd: &this.fd, home: &this.home, at, is_device };
            let settled = match this.ways.get_mut().map(|ways| &mut ways.access) {
                // Nothing was ever begun there.
                None => Ok(()),
                Some(Access::Cursor(cursor)) => {
                    let cursor = cursor.get_mut();
                    poll_fn(|cx| cursor.poll_settled(site, cx)).await;
                    cursor.take_failure()
                }
                Some(Access::Halves(reading, writing)) => {
                    let (reading, writing) = (reading.get_mut(), writing.get_mut());
                    poll_fn(|cx| reading.poll_end(site, cx)).await;
                    poll_fn(|cx| writing.poll_end(site, cx)).await
                }
            };
            if let Some(common) = this.common_if_any() {
                common.syncs.hear_ended(site).await;
            }
            let Self { fd, home, ways, .. } = this;
            drop(ways);
            let closed = match fd.try_unwrap() {
                Ok(fd) => home.run(op::Close::new(fd), at).await,
                Err(_in_use) => Ok(()),
            };
            settled.and(closed)
        }
    }

    /// Opens the file once more: the same permissions to read and write, the same locks, the same failed syncs.
    /// The cursor is one of its own, and begins where this one is. *Differs:* in the standard library both have
    /// one.
    ///
    /// # Errors
    ///
    /// The system's. If an earlier write was dropped and failed later, that one's error, once.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is left behind.
    #[track_caller]
    #[doc(alias = "dup")]
    pub fn try_clone(&self) -> impl Future<Output = io::Result<Self>> + Send {
        let site = self.site(Location::caller());
        async move {
            let access = match self.access() {
                Access::Cursor(cursor) => {
                    let mut cursor = settled(cursor, site).await;
                    cursor.take_failure()?;
                    Access::Cursor(Turn::new(Cursor::beginning_at(&cursor)))
                }
                Access::Halves(..) => Access::Halves(
                    Turn::new(Reading::<half::Read>::new()),
                    Turn::new(Writing::<half::Write>::new()),
                ),
            };
            Ok(self.again(SharedFd::new(self.fd.as_fd().try_clone_to_owned()?), access))
        }
    }

    /// A file of the standard library. The descriptor's own position is where the cursor was.
    ///
    /// # Errors
    ///
    /// Gives the file back if it has no positions and something was read from it that nobody has taken; if an
    /// earlier write was dropped and failed later; if the process has no descriptor left, for a moment there are
    /// two.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is closed.
    #[track_caller]
    pub fn into_std(self) -> impl Future<Output = Result<std::fs::File, IntoStdError>> + Send {
        let at = Location::caller();
        async move {
            let mut file = self;
            match file.hand_on(at).await {
                Ok(fd) => Ok(fd.into()),
                Err(error) => Err(IntoStdError { file: Box::new(file), error }),
            }
        }
    }

    async fn hand_on(&mut self, at: &'static Location<'static>) -> io::Result<OwnedFd> {
        let site = self.site(at);
        match self.access() {
            Access::Cursor(cursor) => {
                let mut cursor = settled(cursor, site).await;
                cursor.take_failure()?;
                let place = libc::off_t::try_from(cursor.position()).unwrap_or(libc::off_t::MAX);
                // SAFETY: no pointers.
                if unsafe { libc::lseek(self.fd.as_raw_fd(), place, libc::SEEK_SET) } == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            Access::Halves(reading, writing) => {
                let mut reading = reading.lock_at(at).await;
                poll_fn(|cx| reading.poll_recall(site, cx)).await?;
                if reading.has_come() {
                    let text = "something was read that nobody has taken";
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
                }
                let mut writing = writing.lock_at(at).await;
                poll_fn(|cx| writing.poll_settled(site, cx)).await?;
            }
        }
        // A second one: an operation may still hold the first, which is closed when that is over.
        self.fd.as_fd().try_clone_to_owned()
    }

    /// Sets the permissions of the file. On a thread for what blocks.
    ///
    /// # Errors
    ///
    /// The system's. Without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not happen, also a little later.
    #[track_caller]
    #[doc(alias = "fchmod")]
    pub fn set_permissions(
        &self,
        permissions: Permissions,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let (fd, at) = (self.fd.clone(), Location::caller());
        let mode = std::os::unix::fs::PermissionsExt::mode(&permissions);
        on_pool(at, move || {
            // SAFETY: no pointers.
            check(|| unsafe { libc::fchmod(fd.as_raw_fd(), mode) })
        })
    }

    /// Makes the file `len` bytes long: what is behind goes, what is missing reads as zeroes. In the order of the
    /// operations at the cursor, which stays where it is.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may or may not have begun; begun it runs to its end, and the next operation at the cursor comes
    /// after it. If it fails, the next write, sync or close says so. (Before kernel 6.9, where rings cannot do it,
    /// it may not happen when it is dropped, and the next operation may come before it.)
    #[track_caller]
    #[doc(alias = "truncate")]
    #[doc(alias = "ftruncate")]
    pub fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send {
        let at = Location::caller();
        async move {
            let site = self.site(at);
            let Access::Cursor(cursor) = self.access() else {
                return self.home.run(op::Truncate::new(self.fd.clone(), len), at).await;
            };
            let mut cursor = settled(cursor, site).await;
            match poll_fn(|cx| cursor.poll_resize(site, len, cx)).await {
                // A ring that does not know the operation says the same as the call to a bad length.
                Err(error) if is_refused_unknown(&error) => {
                    let Ok(len) = libc::off_t::try_from(len) else { return Err(error) };
                    let fd = self.fd.clone();
                    // SAFETY: no pointers.
                    let call = move || check(|| unsafe { libc::ftruncate(fd.as_raw_fd(), len) });
                    on_pool(at, call).await
                }
                resized => resized,
            }
        }
    }
}

/// Calls again for as long as a signal gets in between.
fn check(call: impl Fn() -> i32) -> io::Result<()> {
    loop {
        if call() != -1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// A file that could not be handed on as one of the standard library: it comes back, with the reason.
///
/// From what has no positions something may have been read that nobody has taken: it would be lost (C1). Then the
/// kind of the error is [`ResourceBusy`](io::ErrorKind::ResourceBusy); read it and try again.
///
/// As an [`io::Error`] (by `?`, say) it is the reason alone, and the file is closed.
#[derive(Debug)]
pub struct IntoStdError {
    file: Box<File>,
    error: io::Error,
}

impl IntoStdError {
    /// The file.
    pub fn into_inner(self) -> File {
        *self.file
    }

    /// Why it could not be handed on.
    pub fn error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for IntoStdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot hand on a file: {}", self.error)
    }
}

impl error::Error for IntoStdError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<IntoStdError> for io::Error {
    fn from(refused: IntoStdError) -> Self {
        refused.error
    }
}
