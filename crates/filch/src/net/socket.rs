//! The calls on sockets that do not wait, and so need no ring.
//!
//! Every socket of filch is *blocking*: with O_NONBLOCK it depends on the kernel whether the ring waits or
//! answers EAGAIN.

use filch_uring::SharedFd;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;

/// How many connections may wait in the kernel for an accept. The kernel cuts it to its own limit.
pub(super) const BACKLOG: i32 = 4096;

/// A TCP socket for addresses of the kind of `address`.
pub(super) fn tcp(address: &SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))
}

/// A listening socket at `address`, with SO_REUSEADDR as in the standard library.
pub(super) fn listen(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = tcp(address)?;
    socket.set_reuse_address(true)?;
    socket.bind(&(*address).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A UDP socket at `address`.
pub(super) fn udp(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&(*address).into())?;
    Ok(socket.into())
}

/// A Unix socket.
pub(super) fn unix(kind: Type) -> io::Result<Socket> {
    Socket::new(Domain::UNIX, kind, None)
}

/// Takes over a descriptor made elsewhere.
pub(super) fn adopt(fd: OwnedFd) -> io::Result<SharedFd> {
    SockRef::from(&fd).set_nonblocking(false)?;
    Ok(SharedFd::new(fd))
}

/// An Internet address, or an error that says it is none.
pub(super) fn inet(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the socket's address is no Internet address")
    })
}

/// The address of a Unix socket, or an error that says it is none.
pub(super) fn local(address: SockAddr) -> io::Result<net::SocketAddr> {
    if let Some(path) = address.as_pathname() {
        return net::SocketAddr::from_pathname(path);
    }
    if let Some(name) = address.as_abstract_namespace() {
        return net::SocketAddr::from_abstract_name(name);
    }
    if address.is_unix() {
        // An empty path stands for no name.
        return net::SocketAddr::from_pathname("");
    }
    let why = "the socket's address is none of a Unix socket";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// How many bytes wait in the kernel, copied and left there; none if it says anything else.
pub(super) fn peek_now(fd: &SharedFd, buf: &mut [u8]) -> usize {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the buffer is there for the call. A part that is empty makes no difference.
    let seen = unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) };
    usize::try_from(seen).unwrap_or(0)
}

/// The address of a Unix socket as the calls take it that need no ring.
pub(super) fn unix_address(address: &net::SocketAddr) -> io::Result<SockAddr> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SockAddr::unix(path),
        (None, Some(name)) => SockAddr::unix(OsStr::from_bytes(&[&[0], name].concat())),
        (None, None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no socket")),
    }
}
