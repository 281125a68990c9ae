//! Datagrams between processes of one machine.

use super::{SocketAddr, addr, own};
use crate::home::Home;
use crate::io::failed;
use crate::net::datagram::{Datagrams, datagrams};
use crate::net::socket;
use filch_uring::{SharedFd, SockAddr, op};
use socket2::{SockRef, Type};
use std::io;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::Location;
use std::path::Path;

/// Longer than a datagram can be, unless its sender's buffer was made larger than usual.
const ROOM: usize = 256 * 1024;

/// A Unix socket for datagrams. They arrive, in order, or the send fails; one to a peer with a full queue
/// waits.
///
/// ```
/// # filch::run(async {
/// use filch::net::UnixDatagram;
///
/// let (one, other) = UnixDatagram::pair()?;
/// one.send(b"ping").await?;
/// let mut buf = [0; 64];
/// assert_eq!(other.recv(&mut buf).await?, 4);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// A datagram of more than 256 KiB, which a sender has to raise its buffer for, comes whole into a buffer
/// that is large enough. Only if a receive with a smaller buffer was dropped, and it comes before the next
/// one has had the kernel give that up, it is cut off at 256 KiB.
///
/// A sender whose path has 108 bytes, the most that the system knows, is told as one without a name: the type
/// of addresses, which is the standard library's, has no way to say it.
///
/// Dropped while a receive is left unfinished, its name is free again when the runtime has got round to
/// cancelling that, a moment later.
///
/// # Deadlocks
///
/// As for [`UdpSocket`](crate::net::UdpSocket).
pub struct UnixDatagram(Datagrams);

impl UnixDatagram {
    /// A socket at `path`, or, if that begins with a NUL, at an abstract name.
    ///
    /// # Errors
    ///
    /// The system's, naming the path: `AddrInUse` if there is a file already. Without a runtime on this
    /// thread.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&addr::of_path(path.as_ref())?)
    }

    /// As [`bind`](Self::bind), at an address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let home = Home::current()?;
        let bound = addr::bound(Type::DGRAM, address);
        let fd = bound.map_err(|error| failed("bind to", addr::shown(address), error))?;
        Ok(Self::new(SharedFd::new(OwnedFd::from(fd)), home))
    }

    /// A socket without a name. It sends, and receives once it is [connected](Self::connect) to a peer that
    /// is connected to it; nobody else has an address to send to.
    ///
    /// # Errors
    ///
    /// The system's; without a runtime on this thread.
    pub fn unbound() -> io::Result<Self> {
        Self::from_std(std::os::unix::net::UnixDatagram::unbound()?)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's; without a runtime on this thread.
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = std::os::unix::net::UnixDatagram::pair()?;
        Ok((Self::from_std(one)?, Self::from_std(other)?))
    }

    /// Makes the socket at `path`, or at an abstract name, the peer: [`send`](Self::send) sends to it, and
    /// nothing from elsewhere is received any more.
    ///
    /// # Errors
    ///
    /// The system's, naming the path.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&addr::of_path(path.as_ref())?)
    }

    /// As [`connect`](Self::connect), to an address.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        let connected = SockRef::from(self).connect(&socket::unix_address(address)?);
        connected.map_err(|error| failed("connect to", addr::shown(address), error))
    }

    /// Sends a datagram to the socket at `path`, or at an abstract name. Gives its length.
    ///
    /// # Errors
    ///
    /// The system's, naming the path. A datagram that is too long is refused, never sent in part.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the datagram may or may not be sent, never twice. What is sent later does not wait for it.
    #[track_caller]
    pub fn send_to<P: AsRef<Path>>(
        &self,
        buf: &[u8],
        path: P,
    ) -> impl Future<Output = io::Result<usize>> + Send + use<'_, P> {
        let at = Location::caller();
        let sent = addr::of_path(path.as_ref()).map(|address| {
            let sent = self.0.send(buf, Some(SockAddr::from(&address)), Vec::new(), at);
            (addr::shown(&address), sent)
        });
        async move {
            let (shown, sent) = sent?;
            sent.await.map_err(|error| failed("send to", shown, error))
        }
    }

    /// As [`send_to`](Self::send_to), to an address: that of a sender, say.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// As [`send_to`](Self::send_to).
    #[track_caller]
    pub fn send_to_addr(
        &self,
        buf: &[u8],
        address: &SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        self.0.send(buf, Some(SockAddr::from(address)), Vec::new(), Location::caller())
    }

    /// Sends a datagram to the peer that the socket is connected to, and passes descriptors along: up to
    /// 253, to be [received](Self::recv_with_fds) as new descriptors of the same things.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`InvalidInput`](io::ErrorKind::InvalidInput) for too many descriptors,
    /// and for some without a byte; `EMFILE` if the process has too few left to keep them open meanwhile.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send): the descriptors are passed with the datagram or not at all.
    #[doc(alias = "sendmsg")]
    #[doc(alias = "SCM_RIGHTS")]
    #[track_caller]
    pub fn send_with_fds(
        &self,
        buf: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Send {
        let at = Location::caller();
        let sent = own(buf, descriptors).map(|owned| self.0.send(buf, None, owned, at));
        async move { sent?.await }
    }

    /// Receives a datagram, as [`recv`](Self::recv), and takes the descriptors that came with it. They are
    /// close-on-exec. Those that the process has no room for (RLIMIT_NOFILE) are closed by the system, which
    /// says nothing.
    ///
    /// A plain receive closes descriptors that come with its datagram, as the system does. That holds for
    /// one, too, that was begun and dropped before this was first called on the socket.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a datagram that comes when nobody receives any more goes to the next receive with
    /// its descriptors. None stays open when the socket is dropped.
    #[doc(alias = "recvmsg")]
    #[doc(alias = "SCM_RIGHTS")]
    #[track_caller]
    pub fn recv_with_fds(
        &self,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, Vec<OwnedFd>)>> + Send {
        let at = Location::caller();
        async move {
            self.0.want_descriptors();
            let (len, op::Received { descriptors, .. }) = self.0.receive(buf, at).await?;
            Ok((len, descriptors))
        }
    }

    /// Ends one direction, or both. Does not wait.
    ///
    /// # Errors
    ///
    /// The system's, `NotConnected` for instance.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(self).shutdown(how)
    }
}

datagrams!(UnixDatagram, SocketAddr, std::os::unix::net::UnixDatagram, addr::sender);
