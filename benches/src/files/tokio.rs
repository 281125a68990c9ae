//! tokio. `tokio-mt` and `tokio-ct` make the plain calls on the blocking pool, as a rule the faster of tokio's two ways;
//! `tokio-fs` is `tokio::fs`, as most programs use it (seek, then read).

use std::fs;
use std::io::{self, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::task::spawn_blocking;

use super::{Files, PIECE, Page, plain, spawn_all};
use crate::runtime::Runtime;
use crate::runtimes::{TokioCt, TokioFs, TokioMt};

macro_rules! tasks {
    () => {
        const NAME: &'static str = <Self as Runtime>::NAME;

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
    };
}

macro_rules! blocking {
    ($flavour:ident) => {
        impl Files for $flavour {
            type File = Arc<fs::File>;
            tasks!();

            async fn open(path: &Path, direct: bool) -> io::Result<Arc<fs::File>> {
                plain::open(path, direct).map(Arc::new)
            }

            async fn read_page(
                file: &mut Arc<fs::File>,
                mut page: Page,
                offset: u64,
            ) -> (io::Result<usize>, Page) {
                let file = file.clone();
                spawned(move || (file.read_at(&mut page, offset), page)).await
            }

            async fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
                let path = path.to_owned();
                spawned(move || fs::read(path)).await
            }

            async fn open_read_close(path: &Path, page: Page) -> io::Result<(usize, Page)> {
                let path = path.to_owned();
                spawned(move || plain::open_read_close(&path, page)).await
            }

            async fn copy(from: &Path, to: &Path) -> io::Result<u64> {
                let (from, to) = (from.to_owned(), to.to_owned());
                spawned(move || fs::copy(from, to)).await
            }

            async fn copy_by_pieces(from: &Path, to: &Path) -> io::Result<u64> {
                let (from, to) = (Arc::new(fs::File::open(from)?), Arc::new(fs::File::create(to)?));
                let (mut copied, mut buffer) = (0, vec![0; PIECE]);
                loop {
                    let (file, read);
                    file = from.clone();
                    (read, buffer) =
                        spawned(move || (file.read_at(&mut buffer, copied), buffer)).await;
                    let read = read?;
                    if read == 0 {
                        return Ok(copied);
                    }
                    let (file, written);
                    file = to.clone();
                    (written, buffer) =
                        spawned(move || (file.write_all_at(&buffer[..read], copied), buffer)).await;
                    written?;
                    copied += read as u64;
                }
            }
        }
    };
}

blocking!(TokioMt);
blocking!(TokioCt);

async fn spawned<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(call).await.expect("the call does not panic")
}

impl Files for TokioFs {
    type File = tokio::fs::File;
    tasks!();

    async fn open(path: &Path, _: bool) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(path).await
    }

    async fn read_page(
        file: &mut tokio::fs::File,
        mut page: Page,
        offset: u64,
    ) -> (io::Result<usize>, Page) {
        if let Err(error) = file.seek(SeekFrom::Start(offset)).await {
            return (Err(error), page);
        }
        let result = file.read_exact(&mut page).await;
        (result, page)
    }

    async fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
        tokio::fs::read(path).await
    }

    async fn open_read_close(path: &Path, mut page: Page) -> io::Result<(usize, Page)> {
        let read = tokio::fs::File::open(path).await?.read(&mut page).await?;
        Ok((read, page))
    }

    async fn copy(from: &Path, to: &Path) -> io::Result<u64> {
        tokio::fs::copy(from, to).await
    }

    async fn copy_by_pieces(from: &Path, to: &Path) -> io::Result<u64> {
        let mut from = tokio::fs::File::open(from).await?;
        let mut to = tokio::fs::File::create(to).await?;
        let (mut copied, mut buffer) = (0, vec![0; PIECE]);
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                to.flush().await?;
                return Ok(copied);
            }
            to.write_all(&buffer[..read]).await?;
            copied += read as u64;
        }
    }
}
