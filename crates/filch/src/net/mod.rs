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
//! A connection whose task waits in a read takes 2.1 KB of memory besides the kernel's, which are 2.3 KB resident: the
//! task, with the stream and the read in it, the operation's cell, and two buffers of the size that is read into, the
//! task's own and the one that the kernel is given (D1). That was measured with buffers of 64 bytes and 20,000
//! connections by the test `many`, which prints it. 1.4 KB are the future of the task: an async function that is given
//! a stream (440 bytes) and keeps it has room for it twice, as an argument and as a variable, so one that is given a
//! box of it, or an `Arc`, takes 0.4 KB less. A server of many connections that mostly wait reads into small buffers; a
//! buffer of the stream's own that has grown stays with it.

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
