//! A TCP connection.

use super::addr::ToSocketAddrs;
use super::socket;
use crate::half::{self, Reading, Site, Writing};
use crate::home::Home;
use crate::io::{by_shared_reference, failed};
use filch_sync::Lock;
use filch_uring::{SharedFd, op};
use socket2::SockRef;
use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;
use std::{fmt, io};

/// A TCP connection.
///
/// Reading and writing take `&self`: put it into an `Arc`, or borrow it twice in one task, to do both at
/// once. There is one operation in flight per direction; further readers, or writers, wait for their
/// turn in the order in which they came.
///
/// Dropping it closes the connection: operations in flight are cancelled first, so the peer sees the end
/// promptly (D6).
///
/// ```
/// # filch::run(async {
/// # let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # let echo = filch::spawn(async move {
/// #     let (mut stream, _) = listener.accept().await?;
/// #     filch::io::copy(&mut &stream, &mut &stream).await
/// # });
/// use filch::io::{Read, Write};
/// use filch::net::TcpStream;
///
/// let mut stream = TcpStream::connect(address).await?;
/// stream.write_all(b"ping").await?;
/// stream.shutdown(std::net::Shutdown::Write).await?;
/// let mut answer = Vec::new();
/// stream.read_to_end(&mut answer).await?;
/// assert_eq!(answer, b"ping");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Deadlocks
///
/// Who reads, or writes, has that direction's turn until it is done or dropped. A task that polls a read
/// once, keeps it without polling it, and begins another one waits for itself.
#[doc(alias = "open_connection")]
#[doc(alias = "StreamReader")]
#[doc(alias = "StreamWriter")]
pub struct TcpStream {
    fd: SharedFd,
    home: Home,
    reading: Lock<Reading<op::Recv<Vec<u8>>>>,
    writing: Lock<Writing<op::Send<Vec<u8>>>>,
}

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved, or no address answers; without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, there is no connection: one that came about meanwhile is closed.
    #[track_caller]
    pub fn connect(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> + Send {
        let (resolve, at) = (address.resolve(), Location::caller());
        async move {
            let home = Home::current()?;
            let mut refused = None;
            for address in resolve.addresses().await? {
                match connect_one(&home, address, at).await {
                    Ok(fd) => return Ok(Self::new(fd, home)),
                    Err(error) => refused = Some(failed("connect to", address, error)),
                }
            }
            Err(refused.expect("there is at least one address"))
        }
    }

    /// Takes over a connected socket of the standard library. It is made blocking, which is what the
    /// ring needs.
    ///
    /// # Errors
    ///
    /// Without a runtime on this thread.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self::new(socket::adopt(OwnedFd::from(stream))?, Home::current()?))
    }

    pub(super) fn new(fd: SharedFd, home: Home) -> Self {
        Self { fd, home, reading: Lock::new(Reading::new()), writing: Lock::new(Writing::new()) }
    }

    /// Reads some bytes into `buf`, at most 64 KiB, and returns how many; 0 at the end of the stream, or
    /// if `buf` is empty.
    ///
    /// # Errors
    ///
    /// The system's, `ConnectionReset` for instance.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what arrives when nobody reads any more goes to the next read.
    #[track_caller]
    pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        half::read(&self.reading, self.site(Location::caller()), buf)
    }

    /// Writes some of `buf`, at most 128 KiB, and returns how much.
    ///
    /// # Errors
    ///
    /// The system's, `BrokenPipe` for instance. If an earlier write was dropped and failed later, that
    /// one's error, once, and nothing is written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a prefix of `buf` may or may not be sent: never twice, and never mixed with the next
    /// write, which waits for this one to end.
    #[track_caller]
    pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
        half::write(&self.writing, self.site(Location::caller()), buf)
    }

    /// Ends one direction, or both. Ending the writing one alone waits for writes in progress, so that
    /// everything written so far is sent, and then the end of the stream. Ending both waits for nothing:
    /// it also gets a writer going again that is stuck on a peer that does not read.
    ///
    /// # Errors
    ///
    /// The system's, `NotConnected` for instance.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the end may or may not be sent.
    #[track_caller]
    pub fn shutdown(&self, how: Shutdown) -> impl Future<Output = io::Result<()>> + Send {
        let site = self.site(Location::caller());
        async move {
            // Kept until the end is on its way: no further write gets in before it.
            let _writing = match how {
                Shutdown::Write => {
                    let mut writing = self.writing.lock_at(site.at).await;
                    poll_fn(|cx| writing.poll_settled(site, cx)).await?;
                    Some(writing)
                }
                Shutdown::Read | Shutdown::Both => None,
            };
            self.home.run(op::Shutdown::new(self.fd.clone(), how), site.at).await
        }
    }

    fn site(&self, at: &'static Location<'static>) -> Site<'_> {
        Site { fd: &self.fd, home: &self.home, at, is_device: false }
    }

    /// Whether small writes are sent at once (TCP_NODELAY).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn nodelay(&self) -> io::Result<bool> {
        SockRef::from(&self.fd).tcp_nodelay()
    }

    /// Sends small writes at once (true), or waits a little for more to send with them (false, as
    /// sockets are at first).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        SockRef::from(&self.fd).set_tcp_nodelay(nodelay)
    }

    /// This side's address.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::inet(SockRef::from(&self.fd).local_addr()?)
    }

    /// The other side's address.
    ///
    /// # Errors
    ///
    /// The system's, `NotConnected` if the other side is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::inet(SockRef::from(&self.fd).peer_addr()?)
    }
}

async fn connect_one(
    home: &Home,
    address: SocketAddr,
    at: &'static Location<'static>,
) -> io::Result<SharedFd> {
    let fd = SharedFd::new(OwnedFd::from(socket::tcp(&address)?));
    home.run(op::Connect::new(fd.clone(), address), at).await?;
    Ok(fd)
}

by_shared_reference!(TcpStream: Read);
by_shared_reference!(TcpStream: Write);

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("fd", &self.fd.as_raw_fd())
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}
