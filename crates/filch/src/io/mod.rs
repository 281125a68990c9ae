//! Reading and writing bytes.
//!
//! [`Read`] and [`Write`] are to async code what the traits of `std::io` are to blocking code: one
//! method to implement each, and everything else on top. Sockets, files and pipes implement them for
//! themselves *and for shared references*, because their methods take `&self`: two tasks may use one
//! stream, one to read and one to write, without splitting it.
//!
//! Dropping one of these futures loses nothing (C1), and each says where the bytes are then. In short:
//! what [`BufReader`] has read ahead stays there until a *whole* line, piece or buffer's fill can be given
//! out; what [`BufWriter`] or a [`Pump`] has taken stays there until it is *known* to be written.
//!
//! # The traits of other runtimes
//!
//! With the feature `futures-io`, streams, their halves, [`File`](crate::fs::File), pipes, [`Duplex`],
//! [`BufReader`] and the standard streams are read and written by the traits of the `futures` crates; with
//! `tokio-io`, by those of tokio; all but [`Stdout`] and [`Stderr`] also by shared reference. The other way,
//! `FuturesIo` and `TokioIo` make what has those traits a [`Read`] and [`Write`].
//!
//! *Reading.* A poll takes over a read that is pending, whoever began it: one that was polled, or a future
//! that was dropped (C1). A file's pending read finds the file as it was when that began.
//!
//! *Writing.* A poll that is `Ready` tells what the system has taken; nothing is reported that was only
//! copied.
//!
//! * To a socket or a pipe in memory, a poll that is `Pending` has sent nothing, and nothing will be sent
//!   because of it. The next one may offer anything, or never come.
//! * To a `File`, or a pipe of the system's, only the kernel's own time decides when a write is done, so the bytes of a poll that is
//!   `Pending` are on their way, in a copy. The next poll waits for them, and compares. If it offers *the
//!   same bytes again*, all or the beginning of them, or more behind them, it is told how many of them
//!   are written: none is written twice. If it offers *other bytes*, the earlier poll was dropped, and what
//!   holds for a dropped write holds for it: its bytes are written once, or a prefix of them, and the
//!   other bytes come after them. A seek, or a write that is no poll, in between makes all bytes other
//!   bytes.
//!
//! * To standard output and error it is as to a `File`, for each handle by itself: whoever else writes to the
//!   stream meanwhile, and be it a future, a handle is told of its own bytes, and of no others.
//!
//! *Seeking* in a `File` comes after what is on its way there, and gives up a read that is. tokio's is two calls, for who has
//! the file to himself (`&mut`): `start_seek` asks for it, `poll_complete` waits for it. It is made before whatever
//! comes next at the cursor, also if nobody has waited; then nobody is told of its error (`FS-22`).
//!
//! *Flushing* waits for what is on its way. *Closing*, or shutting down, does that and then sends the end
//! of a stream; a file is closed when it is dropped.
//!
//! One task may read and another write; of several that poll for the same, the last is woken. (A seek counts
//! as a write.) Futures and polls of one object may be mixed: a poll waits when it is a future's turn. The standard
//! streams are everybody's: there any number of tasks may poll, and all are woken.
//!
//! # An example
//!
//! ```
//! # filch::run(async {
//! use filch::io::{BufRead, BufReader, Write, duplex};
//!
//! let (near, mut far) = duplex(1024);
//! far.write_all(b"one\ntwo\n").await?;
//! far.finish().await?;
//! let mut lines = BufReader::new(near).lines();
//! let mut all = Vec::new();
//! while let Some(line) = lines.next_line().await? {
//!     all.push(line);
//! }
//! assert_eq!(all, ["one", "two"]);
//! # Ok::<(), std::io::Error>(())
//! # }).unwrap();
//! ```

mod async_fd;
mod bidirectional;
mod buf_read;
mod buf_reader;
mod buf_writer;
mod by_reference;
mod chain;
mod copy;
mod duplex;
mod ends;
mod failed;
mod lines;
mod outbox;
mod pipe;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod poll;
mod pump;
mod read;
mod ready;
mod seek;
mod stdio;
mod take;
mod write;

pub use async_fd::{AsyncFd, NotReady, ReadyGuard};
pub use bidirectional::{Bidirectional, copy_bidirectional};
pub use buf_read::BufRead;
pub use buf_reader::BufReader;
pub use buf_writer::{BufWriter, IntoInnerError};
pub use chain::Chain;
pub use copy::{copy, copy_buf};
pub use duplex::{Duplex, duplex};
pub use ends::{Empty, Repeat, Sink, empty, repeat, sink};
pub use failed::Failed;
pub use lines::{Lines, Split};
pub use pipe::{PipeReader, PipeWriter, pipe};
#[cfg(feature = "futures-io")]
pub use poll::FuturesIo;
#[cfg(feature = "tokio-io")]
pub use poll::TokioIo;
pub use pump::Pump;
pub use read::Read;
pub use ready::{Interest, Ready};
pub use seek::Seek;
pub use stdio::{Stderr, Stdin, StdinLines, StdinLock, Stdout, stderr, stdin, stdout};
pub use take::Take;
pub use write::Write;

pub(crate) use by_reference::by_shared_reference;
pub(crate) use failed::failed;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub(crate) use poll::{PollRead, PollWrite};
pub(crate) use ready::ready;

/// Buffers that the kernel may use directly, because it is given them: for
/// [`File::read_at`](crate::fs::File::read_at) and its kin.
#[doc(inline)]
pub use filch_uring::{IoBuf, IoBufMut, IoBufs, IoBufsMut, Slice};

/// Evaluates an expression again while it gives `Interrupted`.
macro_rules! retry_interrupted {
    ($call:expr) => {
        loop {
            match $call {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        }
    };
}
use retry_interrupted;

/// How much is asked for at a time where nobody says how much.
const CHUNK: usize = 64 * 1024;

/// Puts bytes into a slice, one part after the other, as long as there is room.
pub(crate) fn fill(mut buf: &mut [u8]) -> impl FnMut(&[u8]) -> usize {
    move |part| {
        let fits = part.len().min(buf.len());
        let (front, rest) = std::mem::take(&mut buf).split_at_mut(fits);
        front.copy_from_slice(&part[..fits]);
        buf = rest;
        fits
    }
}
