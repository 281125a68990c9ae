//! TCP.
//!
//! What is in flight belongs to the socket, not to the future: a read or an accept that is dropped
//! leaves its bytes or its connection to the next one (C1). Methods take `&self`; who comes second
//! waits for its turn.

mod addr;
mod listener;
mod socket;
mod stream;

pub use addr::{Resolve, ToSocketAddrs};
pub use listener::TcpListener;
pub use stream::TcpStream;
