//! Unix sockets: streams and datagrams between processes of one machine, and descriptors passed along.
//!
//! An address is a path, or an *abstract* name, which is not in the file system and vanishes with its
//! socket: a path that begins with a NUL byte stands for one, and so does an address that was made by
//! [`from_abstract_name`](std::os::linux::net::SocketAddrExt::from_abstract_name). The file that binding
//! to a path makes stays when the socket goes: removing it, before or after, is the program's business, as
//! it is with the standard library.

mod addr;
mod datagram;
mod listener;
mod stream;
mod ucred;

pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use std::os::unix::net::SocketAddr;
pub use stream::UnixStream;
pub use ucred::UCred;

use super::split;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The reading half of a borrowed [`UnixStream`].
pub type ReadHalf<'a> = split::ReadHalf<'a, UnixStream>;
/// The writing half of a borrowed [`UnixStream`].
pub type WriteHalf<'a> = split::WriteHalf<'a, UnixStream>;
/// The reading half of a [`UnixStream`] that was taken apart.
pub type OwnedReadHalf = split::OwnedReadHalf<UnixStream>;
/// The writing half of a [`UnixStream`] that was taken apart.
pub type OwnedWriteHalf = split::OwnedWriteHalf<UnixStream>;
/// Two halves of different streams.
pub type ReuniteError = split::ReuniteError<UnixStream>;

/// As many descriptors as the kernel passes beside one message.
const MOST_DESCRIPTORS: usize = 253;

/// Descriptors of our own for those lent to a send: the kernel looks them up when it sends, which may be
/// after the future was dropped that had borrowed them (D1).
fn own(buf: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if descriptors.len() > MOST_DESCRIPTORS {
        return refused("the system passes at most 253 descriptors at a time");
    }
    if buf.is_empty() && !descriptors.is_empty() {
        return refused("descriptors need at least one byte to go along with");
    }
    descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect()
}
