//! A TCP socket before it is a connection or a listener.

use super::{TcpListener, TcpStream, connect};
use crate::home::Home;
use crate::io::failed;
use crate::net::options::{descriptor, options, tcp_options};
use crate::net::socket;
use filch_uring::SharedFd;
use socket2::{SockRef, Socket};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;

/// A TCP socket that is neither connected nor listening, to set options before it is either.
///
/// ```
/// # filch::run(async {
/// use filch::net::{TcpSocket, TcpStream};
///
/// // Several sockets that share one port: the system spreads the connections.
/// let mut listeners = Vec::new();
/// let mut address = "127.0.0.1:0".parse().unwrap();
/// for _ in 0..2 {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuseport(true)?;
///     socket.bind(address)?;
///     address = socket.local_addr()?;
///     listeners.push(socket.listen(1024)?);
/// }
/// TcpStream::connect(address).await?;
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpSocket(OwnedFd);

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))
    }

    fn new(kind: SocketAddr) -> io::Result<Self> {
        socket::tcp(&kind).map(|socket: Socket| Self(socket.into()))
    }

    /// Gives the socket its address on this side.
    ///
    /// # Errors
    ///
    /// The system's, naming the address.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        let bound = SockRef::from(self).bind(&address.into());
        bound.map_err(|error| failed("bind to", address, error))
    }

    /// Connects it.
    ///
    /// # Errors
    ///
    /// The system's, naming the address; without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, there is no connection: one that came about meanwhile is closed.
    #[track_caller]
    pub fn connect(
        self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<TcpStream>> + Send {
        let at = Location::caller();
        async move {
            let home = Home::current()?;
            let fd = connect::one(&home, SharedFd::new(self.0), address, at).await?;
            Ok(TcpStream::new(fd, home))
        }
    }

    /// Listens. So many connections may wait in the kernel for an accept, which cuts it to its own limit.
    ///
    /// # Errors
    ///
    /// The system's; without a runtime on this thread.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let home = Home::current()?;
        SockRef::from(&self).listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::new(SharedFd::new(self.0), home))
    }

    /// The address on this side.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::Address::local(self.0.as_fd())
    }
}

tcp_options!(TcpSocket);
options! { TcpSocket:
    /// Whether an address can be bound that connections of an earlier listener still have (SO_REUSEADDR).
    reuseaddr, set_reuseaddr(bool) = reuse_address, set_reuse_address;
    /// Whether several sockets can be bound to one address (SO_REUSEPORT): the system spreads connections
    /// between those that listen.
    reuseport, set_reuseport(bool) = reuse_port, set_reuse_port;
}
descriptor!(TcpSocket, socket => socket.0);
