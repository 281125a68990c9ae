//! Sockets: TCP, UDP, and Unix sockets.
//!
//! What is in flight belongs to the socket, not to the future: a read, a receive or an accept that is
//! dropped leaves its bytes, its datagram or its connection to the next one (C1). Methods take `&self`; who comes second
//! waits for its turn.
//!
//! A stream is read and written in three ways, which may be mixed: what one left, the other finds.
//!
//! * *Borrowed*: `read(&mut buf)` and `write(&buf)`, and everything of [`io`](crate::io). The bytes are copied once, since the kernel
//!   may still use a buffer when the future that borrowed it is gone; those of TCP not where a piece has 32 KiB or more,
//!   which is moved by a system call of its own when it need not wait.
//! * *Owned*: `read_owned(buf)` and `write_all_owned(buf)` give the buffer away and back. Nothing is copied: for large
//!   transfers. `read_vectored_owned` and `write_all_vectored_owned` do so with several.
//! * *Leased*: `recv()` gives the bytes as they came, in a buffer of the runtime's, a [`Lease`]. Nothing is copied, and it can be kept,
//!   sent to another task, or written.
//!
//! # What a connection costs
//!
//! A connection whose task waits in a `read` of 64 bytes takes 1.9 KB of memory besides the kernel's, and 2.0 KB when as
//! many have come and gone a few times; resident are 2.0 to 2.2 KB. By the allocator's count, with 20,000 connections and
//! both features of poll-based traits (the test `many` prints it):
//!
//! | bytes | |
//! |---|---|
//! | 1,392 | the task: 104 of its own, and its future, in which are the stream, the read, and the 64 bytes that it reads into |
//! | 160 | places for the wakers of those who poll, in each direction; with the features `tokio-io` or `futures-io` only |
//! | 128 | the operation's cell |
//! | 64 | the stream's own buffer to read into, which the kernel is given (D1) |
//! | 24 + 8 | the descriptor, and the copy of the last write, of four bytes |
//! | 160 to 180 | what the rings' and the runtime's tables have reserved |
//!
//! Without its buffers that is 1.8 KB. What a connection has beside them while it waits depends on how it is read:
//!
//! | | |
//! |---|---|
//! | `read`, and everything of [`io`](crate::io) | the task's own buffer, and one of the stream's: as large as the largest that was read into so far, at most 64 KiB. With buffers of 16 KiB it is 34.7 KB in all |
//! | `read_owned` | the buffer that was handed over |
//! | `recv` | one of 16 KiB, of which is memory what was ever written to: with small messages 6 KB are resident in all |
//! | `readable`, then `try_read` | the task's own buffer |
//!
//! And a stream that was written to with a borrowed buffer keeps the copy's memory, as much as the largest piece: at
//! most 128 KiB, of TCP less than 32 KiB as a rule (`write_all_owned` needs none).
//!
//! An async function that is given a stream (440 bytes) and keeps it has room for it twice, as an argument and as a variable,
//! so one that is given a box of it, or an `Arc`, takes 0.4 KB less. A server of many connections that mostly wait reads
//! into small buffers, or waits until they are `readable`.

#[cfg_attr(filch_loom, allow(unused, reason = "models use a part"))]
mod acceptor;
#[cfg(not(filch_loom))]
mod addr;
#[cfg(not(filch_loom))]
mod batch;
#[cfg(not(filch_loom))]
mod close;
#[cfg(not(filch_loom))]
mod connection;
#[cfg(not(filch_loom))]
mod datagram;
#[cfg_attr(filch_loom, allow(unused, reason = "models use a part"))]
mod hand_over;
#[cfg_attr(filch_loom, allow(unused, reason = "models use a part"))]
mod lease;
#[cfg(not(filch_loom))]
mod options;
#[cfg(all(not(filch_loom), any(feature = "futures-io", feature = "tokio-io")))]
mod polled;
#[cfg(not(filch_loom))]
mod ready;
#[cfg(not(filch_loom))]
mod socket;
#[cfg(not(filch_loom))]
pub mod split;
#[cfg(not(filch_loom))]
mod stream;
#[cfg(not(filch_loom))]
pub mod tcp;
#[cfg(not(filch_loom))]
mod udp;
#[cfg(not(filch_loom))]
pub mod unix;

#[cfg(filch_loom)]
pub(crate) use acceptor::Acceptor;
pub use hand_over::IntoStdError;
pub use lease::Lease;
pub(crate) use lease::Pool;
#[cfg(not(filch_loom))]
pub use {
    addr::{Resolve, ToSocketAddrs, lookup_host},
    batch::{Batch, Received},
    stream::Stream,
    tcp::{Keepalive, TcpListener, TcpSocket, TcpStream},
    udp::UdpSocket,
    unix::{UnixDatagram, UnixListener, UnixStream},
};
