//! Sockets: TCP, UDP, and Unix sockets.
//!
//! What is in flight belongs to the socket, not to the future: a read, a receive or an accept that is
//! dropped leaves its bytes, its datagram or its connection to the next one (C1). Methods take `&self`; who comes second
//! waits for its turn.

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
