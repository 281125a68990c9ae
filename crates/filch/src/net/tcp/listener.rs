//! Listening for TCP connections.

use crate::home::Home;
use crate::net::acceptor::{Acceptor, listener};
use crate::net::addr::ToSocketAddrs;
use crate::net::options::options;
use crate::net::socket;
use crate::net::tcp::TcpStream;
use filch_uring::SharedFd;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;

/// Listens for TCP connections.
///
/// ```
/// # filch::run(async {
/// use filch::net::{TcpListener, TcpStream};
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
/// assert_eq!(server.peer_addr()?, peer);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// Dropping it ends the listening at once, also for duplicates of its descriptor if an accept was left
/// unfinished; not so if it was [taken over](Self::from_std) from elsewhere. Connections that nobody has
/// accepted are closed.
///
/// # Deadlocks
///
/// Who accepts has the turn until it is done or dropped. A task that polls an accept once and then keeps
/// it without polling it keeps everybody else from accepting.
#[doc(alias = "start_server")]
pub struct TcpListener(Acceptor);

impl TcpListener {
    /// Listens on the first of the addresses that can be bound. Port 0 lets the system choose one. Sets
    /// SO_REUSEADDR; for other options, see [`TcpSocket`](super::TcpSocket).
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved, or no address can be bound; without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is bound.
    #[track_caller]
    pub fn bind(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> + Send {
        let resolve = address.resolve();
        async move {
            let home = Home::current()?;
            let fd = resolve.first("listen on", socket::listen).await?;
            Ok(Self::new(SharedFd::new(fd), home))
        }
    }
}

listener!(TcpListener, TcpStream, SocketAddr, std::net::TcpListener, |peer| peer);
options! { TcpListener:
    /// Over how many routers a packet of its connections may go (IP_TTL).
    ttl, set_ttl(u32) = ttl_v4, set_ttl_v4;
}
