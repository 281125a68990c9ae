//! The calls on sockets that do not wait, and so need no ring.
//!
//! Every socket of filch is *blocking*: with O_NONBLOCK it depends on the kernel whether the ring waits or
//! answers EAGAIN.

use filch_uring::SharedFd;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// How many connections may wait in the kernel for an accept. The kernel cuts it to its own limit.
const BACKLOG: i32 = 4096;

/// A TCP socket for addresses of the kind of `address`.
pub(crate) fn tcp(address: &SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))
}

/// A listening socket at `address`, with SO_REUSEADDR as in the standard library.
pub(crate) fn listen(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = tcp(address)?;
    socket.set_reuse_address(true)?;
    socket.bind(&(*address).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes over a descriptor made elsewhere.
pub(crate) fn adopt(fd: OwnedFd) -> io::Result<SharedFd> {
    SockRef::from(&fd).set_nonblocking(false)?;
    Ok(SharedFd::new(fd))
}

/// An Internet address, or an error that says it is none.
pub(crate) fn inet(address: socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the socket's address is no Internet address")
    })
}
