//! The system's calls and no runtime: a thread for each task.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use super::{Files, PIECE, Page};

/// Plain calls. One task alone is run where it is.
#[derive(Debug)]
pub struct Plain;

/// What a future gives that never waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("plain calls end when they return"),
    }
}

impl Files for Plain {
    const NAME: &'static str = "plain";
    type File = File;

    fn run<F>(_: usize, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        now(future)
    }

    async fn all<F>(mut tasks: Vec<F>) -> Vec<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let Some(last) = tasks.pop() else { return Vec::new() };
        let threads: Vec<_> = tasks.into_iter().map(|task| thread::spawn(|| now(task))).collect();
        let last = now(last);
        let others = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
        others.chain([last]).collect()
    }

    async fn open(path: &Path, direct: bool) -> io::Result<File> {
        open(path, direct)
    }

    async fn read_page(file: &mut File, mut page: Page, offset: u64) -> (io::Result<usize>, Page) {
        (file.read_at(&mut page, offset), page)
    }

    async fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    async fn open_read_close(path: &Path, page: Page) -> io::Result<(usize, Page)> {
        open_read_close(path, page)
    }

    async fn copy(from: &Path, to: &Path) -> io::Result<u64> {
        fs::copy(from, to)
    }

    async fn copy_by_pieces(from: &Path, to: &Path) -> io::Result<u64> {
        let (from, to) = (File::open(from)?, File::create(to)?);
        let (mut copied, mut buffer) = (0, vec![0; PIECE]);
        loop {
            let read = from.read_at(&mut buffer, copied)?;
            if read == 0 {
                return Ok(copied);
            }
            to.write_all_at(&buffer[..read], copied)?;
            copied += read as u64;
        }
    }
}

/// [`Files::open`].
pub(super) fn open(path: &Path, direct: bool) -> io::Result<File> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// [`Files::open_read_close`].
pub(super) fn open_read_close(path: &Path, mut page: Page) -> io::Result<(usize, Page)> {
    let read = File::open(path)?.read(&mut page)?;
    Ok((read, page))
}
