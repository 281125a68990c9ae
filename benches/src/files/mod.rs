//! What the rows of files ask of a contender, and who can do it, one file each.
//!
//! Beside the runtimes there are `plain`, which makes the system's calls on threads of its own, and the bare ring loop
//! ([`ring`]), which is no [`Files`]: the rows handle it themselves.

mod compio;
pub mod data;
mod filch;
mod monoio;
mod page;
mod plain;
pub mod ring;
mod tokio;

pub use self::page::Page;
pub use self::plain::Plain;
pub use crate::runtimes::{Compio, Filch, Monoio, TokioCt, TokioFs, TokioMt};

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::runtime::Runtime;

/// Bytes that a copy by hand reads and writes at a time.
pub const PIECE: usize = 1 << 20;

/// The name of the contender that makes the system's calls on threads.
pub const PLAIN: &str = <Plain as Files>::NAME;

/// Files, and the tasks that use them.
pub trait Files: 'static {
    /// How the tables, the command line and the JSON name it.
    const NAME: &'static str;

    /// An open file. Each task opens its own, since some have a cursor to move.
    type File: Send + 'static;

    /// Runs `future` with so many workers.
    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static;

    /// Runs each of them as a task, to its end.
    fn all<F>(tasks: Vec<F>) -> impl Future<Output = Vec<F::Output>> + Send
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    /// Opens a file for reading; around the page cache, if `direct`.
    fn open(path: &Path, direct: bool) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Reads a page from `offset`; returns the count and the buffer.
    fn read_page(
        file: &mut Self::File,
        page: Page,
        offset: u64,
    ) -> impl Future<Output = (io::Result<usize>, Page)> + Send;

    /// Reads a whole file, by the call that there is for it.
    fn read_whole(path: &Path) -> impl Future<Output = io::Result<Vec<u8>>> + Send;

    /// Opens a file, reads a page of it, once, and closes it: by an operation that is waited for, if it has a ring, else
    /// by dropping it. Returns the count and the buffer.
    fn open_read_close(
        path: &Path,
        page: Page,
    ) -> impl Future<Output = io::Result<(usize, Page)>> + Send;

    /// Copies a file by the call that there is for it.
    fn copy(from: &Path, to: &Path) -> impl Future<Output = io::Result<u64>> + Send {
        let _ = (from, to);
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Copies a file by reading and writing [`PIECE`] at a time.
    fn copy_by_pieces(from: &Path, to: &Path) -> impl Future<Output = io::Result<u64>> + Send;
}

/// [`Files::all`] of a runtime.
async fn spawn_all<R: Runtime, F>(tasks: Vec<F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let handles: Vec<_> = tasks.into_iter().map(R::spawn).collect();
    let mut outputs = Vec::with_capacity(handles.len());
    for handle in handles {
        outputs.push(handle.await.expect("the task finishes"));
    }
    outputs
}

/// What belongs to a runtime of one thread, among things that may move to others.
#[derive(Debug)]
pub struct Here<T>(T);

// SAFETY: a trial of a runtime of one thread makes, uses and drops all of these on the thread that calls `Files::run`:
// nothing else there takes what is `Send` to another.
unsafe impl<T> Send for Here<T> {}

impl<F: Future> Future for Here<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the only field, which is not moved out.
        unsafe { self.map_unchecked_mut(|here| &mut here.0) }.poll(context)
    }
}

/// Evaluates an expression with `$files` standing for the contender called `$name`; an error when there is none.
macro_rules! with_files {
    ($name:expr, $files:ident => $body:expr) => {
        $crate::files::choose_files!($name, $files => $body, Filch, TokioMt, TokioCt, TokioFs, Monoio, Compio, Plain)
    };
}

/// One arm a contender.
macro_rules! choose_files {
    ($name:expr, $files:ident => $body:expr, $($candidate:ident),+) => {
        match $name {
            $(<$crate::files::$candidate as $crate::files::Files>::NAME => {
                type $files = $crate::files::$candidate;
                Ok($body)
            })+
            other => Err(std::io::Error::other(format!("no `{other}` for this row"))),
        }
    };
}

pub(crate) use {choose_files, with_files};
