//! Sockets: TCP.
//!
//! What is in flight belongs to the socket, not to the future: a read or an accept that is dropped
//! leaves its bytes or its connection to the next one (C1). Methods take `&self`; who comes second
//! waits for its turn.

mod acceptor;
mod addr;
mod connection;
mod hand_over;
mod options;
mod socket;
pub mod split;
mod stream;
pub mod tcp;

pub use addr::{Resolve, ToSocketAddrs, lookup_host};
pub use hand_over::IntoStdError;
pub use stream::Stream;
pub use tcp::{Keepalive, TcpListener, TcpSocket, TcpStream};
