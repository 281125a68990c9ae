//! filch: the ring, but for `fs::copy`.

use std::io;
use std::path::Path;

use filch::fs::{File, OpenOptions};
use filch::io::IoBuf;

use super::{Files, PIECE, Page, spawn_all};
use crate::runtime::Runtime;
use crate::runtimes::Filch;

impl Files for Filch {
    const NAME: &'static str = <Self as Runtime>::NAME;
    type File = File;

    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        <Self as Runtime>::run(workers, future)
    }

    fn all<F>(tasks: Vec<F>) -> impl Future<Output = Vec<F::Output>> + Send
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        spawn_all::<Self, F>(tasks)
    }

    async fn open(path: &Path, direct: bool) -> io::Result<File> {
        OpenOptions::new().read(true).direct(direct).open(path).await
    }

    async fn read_page(file: &mut File, page: Page, offset: u64) -> (io::Result<usize>, Page) {
        file.read_at(page, offset).await
    }

    async fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
        filch::fs::read(path).await
    }

    async fn open_read_close(path: &Path, page: Page) -> io::Result<(usize, Page)> {
        let file = File::open(path).await?;
        let (read, page) = file.read_at(page, 0).await;
        file.close().await?;
        Ok((read?, page))
    }

    async fn copy(from: &Path, to: &Path) -> io::Result<u64> {
        filch::fs::copy(from, to).await
    }

    async fn copy_by_pieces(from: &Path, to: &Path) -> io::Result<u64> {
        let (from, to) = (File::open(from).await?, File::create(to).await?);
        let (mut copied, mut buffer) = (0, Vec::with_capacity(PIECE));
        loop {
            buffer.clear();
            let read;
            (read, buffer) = from.read_at(buffer, copied).await;
            let read = read?;
            if read == 0 {
                return Ok(copied);
            }
            let mut done = 0;
            while done < read {
                let (written, part) = to.write_at(buffer.slice(done..read), copied).await;
                buffer = part.into_inner();
                let written = written?;
                done += written;
                copied += written as u64;
            }
        }
    }
}
