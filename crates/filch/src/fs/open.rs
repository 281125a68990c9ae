//! How a file is to be opened.

use super::file::File;
use crate::home::Home;
use crate::io::failed;
use filch_uring::{NoDriver, SharedFd, op};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::Location;
use std::path::Path;

/// How a file is to be opened, as in the standard library.
///
/// ```no_run
/// # filch::run(async {
/// let log = filch::fs::OpenOptions::new().append(true).create(true).open("log").await?;
/// # drop(log);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: u32,
    custom_flags: i32,
    direct: bool,
}

impl OpenOptions {
    /// For nothing yet.
    pub fn new() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
            custom_flags: 0,
            direct: false,
        }
    }

    /// To be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// To be written.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// To be written, always at its end.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Emptied first. It has to be opened for writing.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Made if it is not there. It has to be opened for writing.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Made, and an error if it is there already.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// With which permissions it is made, less the process's umask. By default 0o666.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// To be read and written around the system's page cache (`O_DIRECT`), by [`read_at`](File::read_at) and
    /// [`write_at`](File::write_at) with buffers, places and lengths that are
    /// [aligned](super::Metadata::direct_alignment): see [`AlignedBuf`](super::AlignedBuf).
    pub fn direct(&mut self, direct: bool) -> &mut Self {
        self.direct = direct;
        self
    }

    /// Further flags of `open(2)`. O_NONBLOCK is no use: it depends on the kernel whether the ring then
    /// waits all the same.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom_flags = flags;
        self
    }

    /// Opens the file. A FIFO to be written waits for its reader, and holds one of the kernel's few threads
    /// for files (four for each processor) meanwhile: many of them at a time keep other files waiting. So does one to
    /// be read where its path is not in the system's cache; else it is open at once, and its first read waits for the
    /// writer (`FS-21`), in no thread.
    ///
    /// # Errors
    ///
    /// The system's, naming the path, unless the runtime ended with the open still in the kernel; [`InvalidInput`](io::ErrorKind::InvalidInput) for options that
    /// contradict each other and for a path with a NUL byte; without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file may yet be made or emptied, also a little later; its descriptor is closed.
    #[track_caller]
    pub fn open<P: AsRef<Path>>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<File>> + Send + use<P> {
        let (flags, mode, at) = (self.flags(), self.mode, Location::caller());
        // The one copy of it: an operation gives it back.
        let path = op::c_path(path.as_ref());
        async move {
            let home = Home::current()?;
            let flags = flags?;
            let (mut opened, mut path) =
                home.run(op::Open::with_c_path(path?, flags, mode), at).await;
            if has_no_reader(&opened) && flags & libc::O_NONBLOCK == 0 {
                // A FIFO to be written waits for its reader. A ring does not, at the first attempt.
                let patient = op::Open::with_c_path(path, flags, mode).in_kernel_thread();
                (opened, path) = home.run(patient, at).await;
            }
            match opened {
                Ok(fd) => Ok(File::new(SharedFd::new(fd), home, flags & libc::O_APPEND != 0)),
                // With the path, which is the kernel's.
                Err(error) if NoDriver::of(&error) == Some(NoDriver::Lost) => Err(error),
                Err(error) => {
                    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
                    Err(failed("open", path.display(), error))
                }
            }
        }
    }

    fn flags(&self) -> io::Result<i32> {
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => libc::O_RDONLY,
            (false, true, false) => libc::O_WRONLY,
            (true, true, false) => libc::O_RDWR,
            (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
            (true, _, true) => libc::O_RDWR | libc::O_APPEND,
            (false, false, false) => return contradiction("neither read, write nor append"),
        };
        let makes = self.create || self.create_new;
        if !self.write && !self.append && (self.truncate || makes) {
            return contradiction("to be made or emptied it has to be opened for writing");
        }
        if self.append && self.truncate && !self.create_new {
            return contradiction("append and truncate");
        }
        let creation = match (self.create, self.truncate, self.create_new) {
            (false, false, false) => 0,
            (true, false, false) => libc::O_CREAT,
            (false, true, false) => libc::O_TRUNC,
            (true, true, false) => libc::O_CREAT | libc::O_TRUNC,
            (_, _, true) => libc::O_CREAT | libc::O_EXCL,
        };
        let direct = if self.direct { libc::O_DIRECT } else { 0 };
        Ok(access | creation | direct | (self.custom_flags & !libc::O_ACCMODE))
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether an open failed as that of a FIFO does that nobody reads.
fn has_no_reader<T>(opened: &io::Result<T>) -> bool {
    opened.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENXIO))
}

fn contradiction(what: &str) -> io::Result<i32> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("contradictory open options: {what}")))
}
