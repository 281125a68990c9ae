//! TCP, and the halves of its streams.

mod connect;
mod keepalive;
mod listener;
mod socket;
mod stream;

pub use keepalive::Keepalive;
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use stream::TcpStream;

use super::split;

/// The reading half of a borrowed [`TcpStream`].
pub type ReadHalf<'a> = split::ReadHalf<'a, TcpStream>;
/// The writing half of a borrowed [`TcpStream`].
pub type WriteHalf<'a> = split::WriteHalf<'a, TcpStream>;
/// The reading half of a [`TcpStream`] that was taken apart.
pub type OwnedReadHalf = split::OwnedReadHalf<TcpStream>;
/// The writing half of a [`TcpStream`] that was taken apart.
pub type OwnedWriteHalf = split::OwnedWriteHalf<TcpStream>;
/// Two halves of different streams.
pub type ReuniteError = split::ReuniteError<TcpStream>;
