//! The calls on sockets that do not wait, and so need no ring.
//!
//! Every socket of filch is *blocking*, but for listeners that were made elsewhere, which stay as they are: with
//! O_NONBLOCK it depends on the kernel whether the ring waits or answers EAGAIN, and then it takes more
//! operations to wait.

use filch_uring::SharedFd;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::ffi::OsStr;
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
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

/// What the addresses of a socket's two sides are.
pub(super) trait Address: Sized {
    /// This side's, or an error that says that it is none of these.
    fn local(socket: BorrowedFd<'_>) -> io::Result<Self>;

    /// The other side's.
    fn peer(socket: BorrowedFd<'_>) -> io::Result<Self>;
}

impl Address for SocketAddr {
    fn local(socket: BorrowedFd<'_>) -> io::Result<Self> {
        inet(&SockRef::from(&socket).local_addr()?)
    }

    fn peer(socket: BorrowedFd<'_>) -> io::Result<Self> {
        inet(&SockRef::from(&socket).peer_addr()?)
    }
}

fn inet(address: &SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the socket's address is no Internet address")
    })
}

/// By the standard library, which keeps what the system said: a path may be longer than one that it makes an
/// address of itself.
impl Address for net::SocketAddr {
    fn local(socket: BorrowedFd<'_>) -> io::Result<Self> {
        standard(&socket).local_addr()
    }

    fn peer(socket: BorrowedFd<'_>) -> io::Result<Self> {
        standard(&socket).peer_addr()
    }
}

/// A Unix socket, of whichever kind, as one of the standard library: for questions.
fn standard(socket: &BorrowedFd<'_>) -> ManuallyDrop<net::UnixDatagram> {
    // SAFETY: the descriptor is open while it is borrowed, which is for as long as our callers use this; and it
    // is not closed by it.
    ManuallyDrop::new(unsafe { net::UnixDatagram::from_raw_fd(socket.as_raw_fd()) })
}

/// How many bytes wait in the kernel, copied and left there; none if it says anything else.
pub(super) fn peek_now(fd: &SharedFd, buf: &mut [u8]) -> usize {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the buffer is there for the call. A part that is empty makes no difference.
    let seen = unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) };
    usize::try_from(seen).unwrap_or(0)
}

/// Whether a Unix socket has to wait until some of what it has sent was received, whoever it sends to. Also when
/// the system does not say.
pub(super) fn has_sent_all_it_may(fd: &SharedFd) -> bool {
    let mut sent: libc::c_int = 0;
    // SAFETY: there is room for a number.
    let told = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut sent) } == 0;
    let has_room = |most| usize::try_from(sent).is_ok_and(|sent| sent < most);
    !(told && SockRef::from(fd).send_buffer_size().is_ok_and(has_room))
}

/// The address of a Unix socket as the calls take it that need no ring.
pub(super) fn unix_address(address: &net::SocketAddr) -> io::Result<SockAddr> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SockAddr::unix(path),
        (None, Some(name)) => SockAddr::unix(OsStr::from_bytes(&[&[0], name].concat())),
        (None, None) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no socket")),
    }
}
