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
mod pump;
mod read;
mod seek;
mod take;
mod write;

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
pub use pump::Pump;
pub use read::Read;
pub use seek::Seek;
pub use take::Take;
pub use write::Write;

pub(crate) use by_reference::by_shared_reference;
pub(crate) use failed::failed;

/// Buffers that the kernel may use directly, because it is given them: for
/// [`File::read_at`](crate::fs::File::read_at) and its kin.
#[doc(inline)]
pub use filch_uring::{IoBuf, IoBufMut, Slice};

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
