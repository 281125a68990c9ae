//! Files that do not stay.

use super::file::known;
use super::on_pool::on_pool;
use super::{File, OpenOptions, rename};
use crate::handle::Handle;
use crate::io::failed;
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::Location;
use std::path::{self, Path, PathBuf};
use std::{env, fmt, mem};

/// So many names are tried before it is taken for hopeless.
const TRIES: u32 = 64;

/// From so many bytes on, what is left of a file is freed on a thread of its own.
const LARGE: u64 = 16 << 20;

/// A file without a name, to be read and written, in the directory for temporary files: it goes when it is
/// closed, however the program ends.
///
/// # Errors
///
/// As [`tempfile_in`].
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
pub fn tempfile() -> impl Future<Output = io::Result<File>> + Send {
    tempfile_in(env::temp_dir())
}

/// As [`tempfile`], in the file system of this directory.
///
/// # Errors
///
/// The system's, naming the directory. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
pub fn tempfile_in(directory: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> + Send {
    let directory = directory.as_ref().to_owned();
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE | libc::O_EXCL);
    let unnamed = options.open(directory.clone());
    async move {
        match unnamed.await {
            // A file system that knows no files without names.
            Err(error)
                if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::IsADirectory) =>
            {
                // Its name goes at once.
                TempFile::new_in(directory).await.map(TempFile::into_unnamed)
            }
            opened => opened,
        }
    }
}

/// A file with a name that nobody else has, which is removed when this is dropped. It derefs to the [`File`],
/// which is open for reading and writing, for its owner alone.
///
/// ```
/// # filch::run(async {
/// use filch::fs::TempFile;
///
/// let temp = TempFile::new().await?;
/// temp.write(b"for a while").await?;
/// assert_eq!(filch::fs::read(temp.path()).await?, b"for a while");
/// # let path = temp.path().to_owned();
/// drop(temp);
/// # assert!(!path.exists());
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
pub struct TempFile {
    /// None when it is dropped or taken.
    file: Option<File>,
    name: Name,
}

impl TempFile {
    /// In the directory for temporary files.
    ///
    /// # Errors
    ///
    /// As [`new_in`](Self::new_in).
    ///
    /// # Cancel safety
    ///
    /// As [`new_in`](Self::new_in).
    #[track_caller]
    pub fn new() -> impl Future<Output = io::Result<Self>> + Send {
        Self::new_in(env::temp_dir())
    }

    /// In this directory.
    ///
    /// # Errors
    ///
    /// The system's, naming the directory. Without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is left behind, a moment later.
    #[track_caller]
    pub fn new_in<P: AsRef<Path>>(
        directory: P,
    ) -> impl Future<Output = io::Result<Self>> + Send + use<P> {
        let (directory, at) = (directory.as_ref().to_owned(), Location::caller());
        async move {
            let of = directory.clone();
            // In one call, whose output goes with its name if nobody waits for it any more.
            let made = on_pool(at, move || make_in(&of)).await;
            made.and_then(|(file, name)| Ok(Self { file: Some(File::from_std(file)?), name }))
                .map_err(|error| failed("make a file in", directory.display(), error))
        }
    }

    /// Where it is, from the root.
    pub fn path(&self) -> &Path {
        &self.name.0
    }

    /// Gives it another name, in the same file system, and keeps it there; what had that name is replaced.
    ///
    /// # Errors
    ///
    /// As [`rename`]; then it is removed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has either name or none.
    #[track_caller]
    pub fn persist(
        mut self,
        path: impl AsRef<Path>,
    ) -> impl Future<Output = io::Result<File>> + Send {
        let renamed = rename(self.path().to_owned(), path.as_ref().to_owned());
        async move {
            renamed.await?;
            self.name.0 = PathBuf::new();
            Ok(self.file.take().expect("until it is dropped"))
        }
    }

    /// Keeps it, where it is.
    pub fn keep(mut self) -> (File, PathBuf) {
        let path = mem::take(&mut self.name.0);
        (self.file.take().expect("until it is dropped"), path)
    }

    /// Takes its name away now. The file stays for as long as it is open.
    fn into_unnamed(mut self) -> File {
        self.file.take().expect("until it is dropped")
    }
}

/// The name goes at once. What is large is freed on a thread for what blocks, if there is one, for that takes a
/// while.
impl Drop for TempFile {
    fn drop(&mut self) {
        self.name.remove();
        let Some(file) = self.file.take() else { return };
        if known(&file.fd).unwrap_or_default().len >= LARGE
            && let Ok(handle) = Handle::try_current()
        {
            // Without a thread it is dropped here.
            let _ = handle.try_spawn_blocking(move || drop(file));
        }
    }
}

impl Deref for TempFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("until it is dropped")
    }
}

impl fmt::Debug for TempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempFile").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// A name that is taken away in the end. An empty one is not there.
struct Name(PathBuf);

impl Name {
    fn remove(&mut self) {
        let path = mem::take(&mut self.0);
        if !path.as_os_str().is_empty() {
            // Somebody else may have been faster.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.remove();
    }
}

fn make_in(directory: &Path) -> io::Result<(std::fs::File, Name)> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let mut tries = 0;
    loop {
        // From the root: the process may change its directory before the name is taken away.
        let path = path::absolute(directory.join(random_name()?))?;
        match options.open(&path) {
            Ok(file) => return Ok((file, Name(path))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// One that nobody can guess.
fn random_name() -> io::Result<String> {
    let mut bytes = [0u8; 10];
    // SAFETY: room for so many bytes. So few come all at once.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(got) != Ok(bytes.len()) {
        return Err(io::Error::last_os_error());
    }
    Ok(bytes.iter().fold(".tmp".to_owned(), |name, byte| name + &format!("{byte:02x}")))
}
