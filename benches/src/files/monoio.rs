//! monoio, which has no call to copy a file.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use monoio::buf::IoBuf;
use monoio::fs::{File, OpenOptions};

use super::{Files, Here, PIECE, Page};
use crate::runtime::OneThread;
use crate::runtimes::Monoio;

impl Files for Monoio {
    const NAME: &'static str = <Self as OneThread>::NAME;
    type File = Here<File>;

    fn run<F>(_: usize, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        <Self as OneThread>::run(future)
    }

    fn all<F>(tasks: Vec<F>) -> impl Future<Output = Vec<F::Output>> + Send
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        Here(async {
            let handles: Vec<_> = tasks.into_iter().map(monoio::spawn).collect();
            let mut outputs = Vec::with_capacity(handles.len());
            for handle in handles {
                outputs.push(handle.await);
            }
            outputs
        })
    }

    fn open(path: &Path, direct: bool) -> impl Future<Output = io::Result<Here<File>>> + Send {
        let flags = if direct { libc::O_DIRECT } else { 0 };
        Here(
            async move { OpenOptions::new().read(true).custom_flags(flags).open(path).await.map(Here) },
        )
    }

    fn read_page(
        file: &mut Here<File>,
        page: Page,
        offset: u64,
    ) -> impl Future<Output = (io::Result<usize>, Page)> + Send {
        Here(file.0.read_at(page, offset))
    }

    fn read_whole(path: &Path) -> impl Future<Output = io::Result<Vec<u8>>> + Send {
        Here(monoio::fs::read(path))
    }

    fn open_read_close(
        path: &Path,
        page: Page,
    ) -> impl Future<Output = io::Result<(usize, Page)>> + Send {
        Here(async move {
            let file = File::open(path).await?;
            let (read, page) = file.read_at(page, 0).await;
            file.close().await?;
            Ok((read?, page))
        })
    }

    fn copy_by_pieces(from: &Path, to: &Path) -> impl Future<Output = io::Result<u64>> + Send {
        Here(async move {
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
                let (written, rest) = to.write_all_at(buffer.slice(..read), copied).await;
                written?;
                buffer = rest.into_inner();
                copied += read as u64;
            }
        })
    }
}
