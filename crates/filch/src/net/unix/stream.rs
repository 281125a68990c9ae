//! A connection between two processes of one machine.

use super::{SocketAddr, UCred, addr, own};
use crate::half;
use crate::home::Home;
use crate::io::failed;
use crate::net::connection::Connection;
use crate::net::options::common_options;
use crate::net::socket;
use crate::net::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::stream::sealed::Sealed;
use crate::net::stream::{Stream, stream};
use filch_uring::{SharedFd, op};
use socket2::Type;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::Location;
use std::path::Path;

/// A connection between two processes of one machine, or within one.
///
/// What is said of [`TcpStream`](crate::net::TcpStream) holds here, too: reading and writing take `&self`,
/// one operation at a time for each direction, and dropping it closes the connection promptly.
///
/// ```
/// # filch::run(async {
/// use filch::io::{Read, Write};
/// use filch::net::UnixStream;
///
/// let (mut one, mut other) = UnixStream::pair()?;
/// one.write_all(b"ping").await?;
/// drop(one);
/// let mut got = Vec::new();
/// other.read_to_end(&mut got).await?;
/// assert_eq!(got, b"ping");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Deadlocks
///
/// As for [`TcpStream`](crate::net::TcpStream).
#[doc(alias = "open_unix_connection")]
pub struct UnixStream(pub(in crate::net) Connection<half::RecvMsg, half::SendMsg>);

impl UnixStream {
    /// Connects to the socket that listens at `path`, or, if that begins with a NUL, at an abstract name.
    ///
    /// # Errors
    ///
    /// The system's, naming the path; without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, there is no connection: one that came about meanwhile is closed.
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(
        path: P,
    ) -> impl Future<Output = io::Result<Self>> + Send + use<P> {
        let (address, at) = (addr::of_path(path.as_ref()), Location::caller());
        async move { Self::connect_at(&address?, at).await }
    }

    /// As [`connect`](Self::connect), to an address.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_addr(
        address: &SocketAddr,
    ) -> impl Future<Output = io::Result<Self>> + Send + use<'_> {
        Self::connect_at(address, Location::caller())
    }

    async fn connect_at(address: &SocketAddr, at: &'static Location<'static>) -> io::Result<Self> {
        let home = Home::current()?;
        let connect = async {
            let fd = SharedFd::new(OwnedFd::from(socket::unix(Type::STREAM)?));
            home.run(op::Connect::new(fd.clone(), address), at).await.map(|()| fd)
        };
        let fd =
            connect.await.map_err(|error| failed("connect to", addr::shown(address), error))?;
        Ok(Self::new(fd, home))
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's; without a runtime on this thread.
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        Ok((Self::from_std(one)?, Self::from_std(other)?))
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        UCred::of(&self.0.fd)
    }

    /// Writes some of `buf`, as [`write`](Self::write), and passes descriptors along with its first byte:
    /// up to 253, to be [received](Self::recv_with_fds) as new descriptors of the same things. If fewer
    /// bytes are written than `buf` has, the descriptors are on their way all the same: only bytes are left
    /// to write.
    ///
    /// ```
    /// # filch::run(async {
    /// use filch::net::UnixStream;
    /// use std::os::fd::AsFd;
    ///
    /// let (one, other) = UnixStream::pair()?;
    /// let (reader, writer) = std::io::pipe()?;
    /// one.send_with_fds(b"take this", &[writer.as_fd()]).await?;
    /// let (len, descriptors) = other.recv_with_fds(&mut [0; 64]).await?;
    /// assert_eq!((len, descriptors.len()), (9, 1));
    /// # drop(reader);
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); [`InvalidInput`](io::ErrorKind::InvalidInput) for too many descriptors,
    /// and for some without a byte; `EMFILE` if the process has too few left to keep them open meanwhile.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write): the descriptors are passed once, with the first byte, or not at all.
    #[doc(alias = "sendmsg")]
    #[doc(alias = "SCM_RIGHTS")]
    #[track_caller]
    pub fn send_with_fds(
        &self,
        buf: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Send {
        let (at, descriptors) = (Location::caller(), own(buf, descriptors));
        async move { self.0.write(&[IoSlice::new(buf)], descriptors?, at).await }
    }

    /// Reads some bytes into `buf`, as [`read`](Self::read), and takes the descriptors that came with them:
    /// at most those of one message. They are close-on-exec. Those that the process has no room for (RLIMIT_NOFILE)
    /// are closed by the system, which says nothing.
    ///
    /// A plain read closes descriptors that come with its bytes, as the system does. That holds for one, too,
    /// that was begun and dropped before this was first called on the stream.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: bytes and descriptors that arrive when nobody reads any more go to the next read,
    /// the descriptors with the first of the bytes. None stays open when the stream is dropped.
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
            let mut received = None;
            let bufs = &mut [IoSliceMut::new(buf)];
            let read = self.0.read(bufs, Some(&mut received), at).await?;
            Ok((read, received.map_or_else(Vec::new, |received| received.descriptors)))
        }
    }
}

stream!(UnixStream, SocketAddr, std::os::unix::net::UnixStream);
common_options!(UnixStream);
