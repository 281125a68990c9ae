//! `fsync(2)` and `fdatasync(2)`.

use super::{Operation, WaitWithout};
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, OnceLock};

/// Brings what was written to a file to its device.
#[derive(Debug)]
pub struct Fsync {
    fd: SharedFd,
    data_only: bool,
    failure: Option<SyncFailure>,
}

/// That a sync of a file has failed, for good. The kernel reports a failure once, to whoever syncs next, and
/// then has no more to say, though the data are lost.
#[derive(Debug, Clone, Default)]
pub struct SyncFailure(Arc<OnceLock<i32>>);

impl SyncFailure {
    /// The first one, if there was any.
    ///
    /// # Errors
    ///
    /// That one.
    pub fn check(&self) -> io::Result<()> {
        match self.0.get() {
            Some(&number) => Err(io::Error::from_raw_os_error(number)),
            None => Ok(()),
        }
    }

    /// Takes note of a failure. Not of those that say that nothing was tried: it was cancelled, or this is
    /// nothing to be synced.
    fn note<T>(&self, result: &io::Result<T>) {
        let number = result.as_ref().err().and_then(io::Error::raw_os_error);
        match number {
            None
            | Some(
                libc::ECANCELED
                | libc::EINTR
                | libc::EAGAIN
                | libc::EBADF
                | libc::EINVAL
                | libc::EROFS,
            ) => {}
            // If there is one already, that stays.
            Some(number) => drop(self.0.set(number)),
        }
    }
}

impl Fsync {
    /// Data and everything about the file.
    pub fn new(fd: SharedFd) -> Self {
        Self { fd, data_only: false, failure: None }
    }

    /// Data, and what is needed to read it back (`fdatasync(2)`).
    pub fn data_only(fd: SharedFd) -> Self {
        Self { fd, data_only: true, failure: None }
    }

    /// Takes note there if it fails, also if nobody waits for it any more.
    pub fn noting(self, failure: SyncFailure) -> Self {
        Self { failure: Some(failure), ..self }
    }

    fn note<T>(&self, result: &io::Result<T>) {
        if let Some(failure) = &self.failure {
            failure.note(result);
        }
    }
}

// SAFETY: no memory is involved; one completion.
unsafe impl Operation for Fsync {
    type Output = io::Result<()>;
    const NAME: &'static str = "fsync";
    const WAIT: WaitKind = WaitKind::File;
    const CANCEL_ON_DROP: bool = false;

    fn entry(&mut self) -> squeue::Entry {
        let flags = match self.data_only {
            true => types::FsyncFlags::DATASYNC,
            false => types::FsyncFlags::empty(),
        };
        opcode::Fsync::new(types::Fd(self.fd.as_raw_fd())).flags(flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let fd = self.fd.as_raw_fd();
        sys::retry(|| {
            sys::check(match self.data_only {
                // SAFETY: no pointers.
                true => unsafe { libc::fdatasync(fd) },
                // SAFETY: no pointers.
                false => unsafe { libc::fsync(fd) },
            })
        })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        self.note(&result);
        result.map(drop)
    }

    fn dispose(self, result: io::Result<i32>) {
        self.note(&result);
    }

    fn lost(error: io::Error) -> Self::Output {
        Err(error)
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    fn noting(failure: &SyncFailure) -> Fsync {
        let file = File::open("/dev/null").expect("it is there");
        Fsync::new(SharedFd::new(OwnedFd::from(file))).noting(failure.clone())
    }

    fn failed(number: i32) -> io::Result<i32> {
        Err(io::Error::from_raw_os_error(number))
    }

    #[test]
    fn the_first_failure_stays_whoever_heard_of_it() {
        for heard in [true, false] {
            let failure = SyncFailure::default();
            let end = |number| match heard {
                true => drop(noting(&failure).complete(failed(number))),
                false => noting(&failure).dispose(failed(number)),
            };
            noting(&failure).complete(Ok(0)).expect("as it went");
            for nothing_tried in
                [libc::ECANCELED, libc::EINTR, libc::EINVAL, libc::EBADF, libc::EROFS]
            {
                end(nothing_tried);
            }
            failure.check().expect("nothing was lost");
            end(libc::EIO);
            end(libc::ENOSPC);
            noting(&failure).complete(Ok(0)).expect("as it went");
            let error = failure.check().expect_err("for good");
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
        }
    }
}
