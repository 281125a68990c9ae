//! Standard input.

use super::common::{Common, Taken};
use super::source::Source;
use crate::io::{BufRead, BufReader, Read};
use std::fmt;
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::sync::LazyLock;

static INPUT: LazyLock<Common<BufReader<Source>>> =
    LazyLock::new(|| Common::new(BufReader::new(Source::new())));

/// Standard input.
///
/// ```no_run
/// # filch::run(async {
/// use filch::io::{stdin, stdout};
///
/// let mut lines = stdin().lines();
/// while let Some(line) = lines.next_line().await? {
///     stdout().write_all(format!("{} bytes\n", line.len()).as_bytes()).await?;
/// }
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[doc(alias = "connect_read_pipe")]
pub fn stdin() -> Stdin {
    Stdin(())
}

/// Standard input: a name for what the process has one of, from [`stdin`]. What is read ahead (8 KiB at a time) is
/// common to all of them, in all runtimes.
///
/// One reads at a time, in the order in which they came. Each method that takes a line, a piece or a buffer's fill
/// takes it whole, so that several tasks may share the lines.
///
/// A pipe or a socket is read through the ring; a regular file by a thread for what blocks; a terminal is waited for in the
/// ring, and then read by such a thread, so that a job in the background is stopped as it should be. The descriptor is
/// not made non-blocking: what that would do to others who have it, nobody wants.
///
/// # What others see
///
/// What is read ahead is gone for `std::io::stdin`, which reads ahead itself, and for a child that has the same
/// input: give a child its own.
///
/// # Cancel safety
///
/// Whatever has come when nobody reads any more is kept, and goes to the next read, by whichever handle, in whichever
/// runtime: bytes, the end, or an error. Where a runtime ends meanwhile, the next one reads anew.
///
/// # Errors
///
/// Every method gives the system's: `EBADF` if the program has closed the descriptor. (One that is closed when the
/// program begins, the standard library has replaced by `/dev/null`.) Without a runtime on this thread, unless
/// there is enough that was read ahead.
///
/// # Deadlocks
///
/// Who has a [`StdinLock`] has to let it go before the same task reads by any other way.
///
/// # The traits of other runtimes
///
/// With the features `futures-io` and `tokio-io` it is an `AsyncRead`. A poll gives out what was read ahead, and has its
/// turn for no longer than itself: any number of handles may be polled, by any number of tasks, and what comes goes to
/// whoever is the first to poll then. What a poll has begun and nobody has come back for is kept as that of a dropped
/// future is.
///
/// What reads ahead by itself, as a buffered reader of theirs does, has taken that away from everybody else. A
/// [`StdinLock`] is an `AsyncBufRead`, and reads ahead into what is common to all:
///
#[cfg_attr(feature = "tokio-io", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio-io"), doc = "```ignore")]
/// # filch::run(async {
/// use tokio::io::{AsyncBufReadExt, BufReader};
///
/// // For itself alone, up to the end.
/// let mut lines = BufReader::new(filch::io::stdin()).lines();
/// // Or in turns with others: what it has not taken is there for the next.
/// let mut lock = filch::io::stdin().lock().await;
/// let mut line = String::new();
/// AsyncBufReadExt::read_line(&mut lock, &mut line).await?;
/// # drop(lock);
/// # while let Some(line) = lines.next_line().await? {
/// #     println!("{line}");
/// # }
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Stdin(());

impl Stdin {
    /// Reads some bytes into `buf` and returns how many; 0 at the end, or if `buf` is empty. Behind the end there may
    /// be more: at a terminal, or in a file that grows.
    ///
    /// # Errors
    ///
    /// As [above](Self#errors).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: see [above](Self#cancel-safety).
    #[track_caller]
    pub fn read(self, buf: &mut [u8]) -> impl Future<Output = Result<usize>> + Send {
        let at = Location::caller();
        async move { turn(at).await.read(buf).await }
    }

    /// Fills `buf`.
    ///
    /// # Errors
    ///
    /// As [above](Self#errors); [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the end comes before. Nothing
    /// is taken then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken.
    #[track_caller]
    pub fn read_exact(self, buf: &mut [u8]) -> impl Future<Output = Result<()>> + Send {
        let at = Location::caller();
        async move { turn(at).await.read_exact(buf).await }
    }

    /// Takes the next line, with its end, and appends it to `to`; or what is left at the end. Returns how many bytes
    /// that is, 0 at the end.
    ///
    /// # Errors
    ///
    /// As [above](Self#errors); nothing is taken then. [`InvalidData`](std::io::ErrorKind::InvalidData) if the line is
    /// not UTF-8: it is taken, and not appended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken: the beginning of the line stays for the next read, of whatever kind.
    #[doc(alias = "readline")]
    #[doc(alias = "input")]
    #[track_caller]
    pub fn read_line(self, to: &mut String) -> impl Future<Output = Result<usize>> + Send {
        let at = Location::caller();
        async move { turn(at).await.read_line(to).await }
    }

    /// Takes everything up to the next `end`, with it, and appends that to `to`; or what is left at the end. Returns
    /// how many bytes that is, 0 at the end.
    ///
    /// # Errors
    ///
    /// As [above](Self#errors); nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// As [`read_line`](Self::read_line).
    #[doc(alias = "readuntil")]
    #[track_caller]
    pub fn read_until(
        self,
        end: u8,
        to: &mut Vec<u8>,
    ) -> impl Future<Output = Result<usize>> + Send {
        let at = Location::caller();
        async move { turn(at).await.read_until(end, to).await }
    }

    /// The lines, one after the other, without their ends. Of several who take lines each gets some of them.
    pub fn lines(self) -> StdinLines {
        StdinLines(())
    }

    /// Waits until nobody else reads, and keeps it so until the lock is dropped: for several reads that belong
    /// together, and for what [`BufRead`] has besides.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the line.
    #[track_caller]
    pub fn lock(self) -> impl Future<Output = StdinLock> + Send {
        turn(Location::caller())
    }
}

/// The input, in its turn, for the code at `at`.
async fn turn(at: &'static Location<'static>) -> StdinLock {
    let mut input = INPUT.lock_at(at).await;
    input.get_mut().at = at;
    StdinLock(input)
}

impl Read for Stdin {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        Stdin::read(*self, buf).await
    }

    async fn read_exact(&mut self, buf: &mut [u8]) -> Result<()> {
        Stdin::read_exact(*self, buf).await
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod polled {
    use super::super::polled::{poll_ahead, poll_read};
    use super::{INPUT, Stdin, StdinLock};
    use crate::io::PollRead;
    use std::io;
    use std::panic::Location;
    use std::task::{Context, Poll};

    impl PollRead for Stdin {
        fn poll_read(
            &self,
            cx: &mut Context<'_>,
            room: usize,
            put: &mut dyn FnMut(&[u8]) -> usize,
        ) -> Poll<io::Result<usize>> {
            INPUT.poll(cx, |input, cx| poll_read(input, Location::caller(), room, put, cx))
        }
    }

    impl StdinLock {
        pub(crate) fn poll_read(
            &mut self,
            cx: &mut Context<'_>,
            room: usize,
            put: &mut dyn FnMut(&[u8]) -> usize,
        ) -> Poll<io::Result<usize>> {
            poll_read(&mut self.0, Location::caller(), room, put, cx)
        }

        pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            poll_ahead(&mut self.0, Location::caller(), cx)
        }
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: nobody owns it: it is there as long as the process, as with the standard library's.
        unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) }
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        libc::STDIN_FILENO
    }
}

/// The lines of standard input, from [`Stdin::lines`]. Nothing is kept in it: what is read ahead is the process's.
#[derive(Debug)]
pub struct StdinLines(());

impl StdinLines {
    /// The next line, without its end (`\n` or `\r\n`); `None` when there is none. What stands behind the last end is
    /// a line, too, if it is not empty.
    ///
    /// # Errors
    ///
    /// As [`Stdin::read_line`]. After [`InvalidData`](std::io::ErrorKind::InvalidData) the lines go on with the next.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is taken: the beginning of the line stays for the next read, of whatever kind.
    #[doc(alias = "next")]
    #[track_caller]
    pub fn next_line(&mut self) -> impl Future<Output = Result<Option<String>>> + Send + use<> {
        let at = Location::caller();
        async move { turn(at).await.lines().next_line().await }
    }
}

/// Standard input, for whoever has it alone: from [`Stdin::lock`].
pub struct StdinLock(Taken<BufReader<Source>>);

impl Read for StdinLock {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.0.read(buf).await
    }

    async fn read_exact(&mut self, buf: &mut [u8]) -> Result<()> {
        self.0.read_exact(buf).await
    }
}

impl BufRead for StdinLock {
    fn buffer(&self) -> &[u8] {
        self.0.buffer()
    }

    async fn fill_more(&mut self) -> Result<usize> {
        self.0.fill_more().await
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl fmt::Debug for StdinLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinLock").field("ahead", &self.0.buffer().len()).finish()
    }
}
