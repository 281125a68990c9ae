//! What is in the system's caches, by plain calls that fail rather than wait.
//!
//! They are what a ring tries first, in the thread that submits: so they hold up a worker for as long as an operation
//! would, and no longer (S5). Where a server or a program is asked as a file is opened (NFS, FUSE, fanotify), that may
//! be long, by either way. For a small file they cost less than two operations do:
//! `docs/decisions/2026-11-23-files-measured.md`.

use super::file::{File, Known, known};
use crate::home::Home;
use filch_atomic::{current, scope};
use filch_uring::SharedFd;
use std::ffi::CString;
use std::future::poll_fn;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{io, mem};

/// From more bytes than this on, a file is left to the ring, which has a thread of the kernel's read it.
const MOST: usize = 1 << 20;

/// So many bytes are asked for before anything is known of the file: to ask for its length costs more than that.
const FIRST: usize = 16 << 10;

/// For so many bytes a task pays a unit of its budget, as for a large transfer of a socket's.
const UNIT: usize = 128 << 10;

/// A file that was opened at once, to be read.
pub(super) struct Cached(OwnedFd);

impl Cached {
    /// Opens a file to be read, if all that its path leads through is in the system's cache of names. Whatever else is
    /// the matter with it is for the ring to say.
    pub(super) async fn open(path: &Path) -> Option<Self> {
        // Who finds everything cached has to let others run as well (S6).
        poll_fn(current::poll_proceed).await;
        // Nothing begins in a scope that is cancelled. An operation knows how to wait there for its end.
        if scope::here_is_cancelled() {
            return None;
        }
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        // SAFETY: plain numbers, of which those that are not set below are to be 0.
        let mut how: libc::open_how = unsafe { mem::zeroed() };
        // Not to wait for the writer of a FIFO (the read does, by the ring), nor for whoever has a lease on the file.
        how.flags = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK) as u64;
        how.resolve = libc::RESOLVE_CACHED;
        let (how_at, size) = (&raw const how, size_of_val(&how));
        // SAFETY: a path that ends with a NUL, and so many bytes that say how; both outlive the call.
        let opened = unsafe {
            libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), how_at, size)
        };
        if opened < 0 {
            return None;
        }
        // SAFETY: the system has just given out this descriptor, and nobody else knows of it.
        let fd = unsafe { OwnedFd::from_raw_fd(opened as i32) };
        Some(Self(fd))
    }

    /// All that is in it, if that is in the page cache and not much. Else nothing has happened.
    pub(super) async fn read_whole(&self) -> Option<Vec<u8>> {
        let whole = self.read_now()?;
        // What was much gives the others their turns (S5), now that it has been read all at one time.
        for _ in 0..whole.len() / UNIT {
            poll_fn(current::poll_proceed).await;
        }
        Some(whole)
    }

    fn read_now(&self) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        whole.try_reserve_exact(FIRST).ok()?;
        let mut is_first = true;
        // Its end is where a read finds nothing. To ask for its length, some file systems would ask a server.
        while self.fill(&mut whole)? > 0 {
            if whole.len() < whole.capacity() {
                continue;
            }
            // More than was to be expected: it grows.
            if !mem::take(&mut is_first) {
                return None;
            }
            let Known { kind, len, .. } = known(&self.0).ok()?;
            let rest = usize::try_from(len).ok()?.checked_sub(whole.len())?;
            if kind != libc::S_IFREG || whole.len() + rest > MOST {
                return None;
            }
            // One byte more than there should be: the read that finds the end needs room.
            whole.try_reserve_exact(rest + 1).ok()?;
        }
        if is_first {
            whole.shrink_to_fit();
        }
        Some(whole)
    }

    /// Reads on, at once, as much as there is room for: there is some. 0 at the end.
    fn fill(&self, whole: &mut Vec<u8>) -> Option<usize> {
        let (place, room) = (whole.len() as libc::off_t, whole.spare_capacity_mut());
        let part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let (fd, part, flags) = (self.0.as_raw_fd(), &raw const part, libc::RWF_NOWAIT);
        // SAFETY: one part, of so many bytes that are the vector's own.
        let read = unsafe { libc::preadv2(fd, part, 1, place, flags) };
        let read = usize::try_from(read).ok()?;
        // SAFETY: the call has filled so many, behind those that were there.
        unsafe { whole.set_len(whole.len() + read) };
        Some(read)
    }

    /// As a file like any other.
    pub(super) fn into_file(self, home: Home) -> io::Result<File> {
        // A ring gives up an operation that would have to wait, where the descriptor says not to.
        // SAFETY: no pointers. None of the other flags that this sets was set.
        if unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETFL, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::new(SharedFd::new(self.0), home, false))
    }
}
