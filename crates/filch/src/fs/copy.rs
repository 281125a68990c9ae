//! Copying files.

use super::on_pool::on_pool;
use super::{File, OpenOptions};
use crate::io::failed;
use filch_uring::{IoBuf, SharedFd};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::panic::Location;
use std::path::Path;
use std::ptr;

/// As much as one call copies, in bytes: so long does the copy of a future that was dropped go on.
const PIECE: usize = 16 << 20;

/// As much as is read and written at a time where the system cannot copy by itself, in bytes.
const BUFFER: usize = 256 << 10;

/// Copies the contents of a file, and its permissions. What is at `to` is replaced. Returns the number of bytes.
///
/// The system copies by itself (`copy_file_range`), if it can, on a thread for what blocks, 16 MiB at a time;
/// else it is read and written through the ring.
///
/// # Errors
///
/// The system's, naming both paths; [`InvalidInput`](ErrorKind::InvalidInput) if `from` is no regular file, or if
/// both are the same file, which then stays as it is. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, `to` may hold any beginning of `from`, and may grow by up to 16 MiB more afterwards.
#[track_caller]
pub fn copy(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
) -> impl Future<Output = io::Result<u64>> + Send {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    let at = Location::caller();
    async move {
        let copied = copy_all(&from, &to, at).await;
        copied.map_err(|error| {
            failed("copy", format_args!("{} to {}", from.display(), to.display()), error)
        })
    }
}

async fn copy_all(from: &Path, to: &Path, at: &'static Location<'static>) -> io::Result<u64> {
    let source = File::open(from).await?;
    let found = source.metadata().await?;
    if !found.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the source is no regular file"));
    }
    let mode = found.mode() & 0o7777;
    let sink = OpenOptions::new().write(true).create(true).mode(mode).open(to).await?;
    let replaced = sink.metadata().await?;
    if (found.dev(), found.ino()) == (replaced.dev(), replaced.ino()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "both are the same file"));
    }
    // What is no file (`/dev/null`, say) keeps its permissions.
    if replaced.is_file() {
        if replaced.len() > 0 {
            sink.set_len(0).await?;
        }
        if replaced.mode() & 0o7777 != mode {
            sink.set_permissions(PermissionsExt::from_mode(mode)).await?;
        }
    }
    let mut copied = 0;
    loop {
        let (source_fd, sink_fd) = (source.fd.clone(), sink.fd.clone());
        let piece = on_pool(at, move || copy_piece(&source_fd, &sink_fd, copied)).await;
        match piece {
            // Also what says it has nothing may have something to read: files of the kernel's own making.
            Ok(0) if copied == 0 => return copy_by_reading(&source, &sink).await,
            Ok(0) => return Ok(copied),
            Ok(more) => copied += more as u64,
            Err(error) if copied == 0 && cannot_copy(&error) => {
                return copy_by_reading(&source, &sink).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn copy_piece(source: &SharedFd, sink: &SharedFd, place: u64) -> io::Result<usize> {
    let place = i64::try_from(place).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    loop {
        let (mut read, mut written) = (place, place);
        let (read, written) = (ptr::from_mut(&mut read), ptr::from_mut(&mut written));
        let (source, sink) = (source.as_raw_fd(), sink.as_raw_fd());
        // SAFETY: two places, which outlive the call.
        let copied = unsafe { libc::copy_file_range(source, read, sink, written, PIECE, 0) };
        match usize::try_from(copied) {
            Ok(copied) => return Ok(copied),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// Whether it says that these two files, or this system, are not for it.
fn cannot_copy(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    matches!(
        number,
        Some(
            libc::EXDEV
                | libc::EINVAL
                | libc::ENOSYS
                | libc::EOPNOTSUPP
                | libc::EPERM
                | libc::EBADF
                | libc::ETXTBSY
        )
    )
}

/// Where the system does not copy by itself.
async fn copy_by_reading(source: &File, sink: &File) -> io::Result<u64> {
    let mut copied = 0;
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let read;
        (read, buffer) = source.read_at(buffer, copied).await;
        let read = read?;
        if read == 0 {
            return Ok(copied);
        }
        let mut done = 0;
        while done < read {
            let (written, part) = sink.write_at(buffer.slice(done..read), copied).await;
            buffer = part.into_inner();
            match written? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => {
                    done += written;
                    copied += written as u64;
                }
            }
        }
    }
}
