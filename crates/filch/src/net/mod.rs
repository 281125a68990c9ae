//! Sockets: TCP, UDP, and Unix sockets.
//!
//! What is in flight belongs to the socket, not to the future: a read, a receive or an accept that is
//! dropped leaves its bytes, its datagram or its connection to the next one (C1). Methods take `&self`; who comes second
//! waits for its turn.
//!
//! # What a connection costs
//!
//! A connection whose task waits in a read takes about 1.8 KiB of memory besides the kernel's, and what the task
//! itself keeps: the task, the stream, the operation's cell, and two buffers of the size that is read into, the
//! task's own and the one that the kernel is given (D1). That was measured with buffers of 64 bytes and 20,000
//! connections by the test `many`, which prints it. A server of many connections that mostly wait reads into
//! small buffers; a buffer of the stream's own that has grown stays with it.

mod acceptor;
mod addr;
mod connection;
mod datagram;
mod hand_over;
mod options;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod polled;
mod socket;
pub mod split;
mod stream;
pub mod tcp;
mod udp;
pub mod unix;

pub use addr::{Resolve, ToSocketAddrs, lookup_host};
pub use hand_over::IntoStdError;
pub use stream::Stream;
pub use tcp::{Keepalive, TcpListener, TcpSocket, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
