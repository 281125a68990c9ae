//! Accepting TCP connections.

use super::addr::ToSocketAddrs;
use super::socket;
use super::stream::TcpStream;
use crate::handle::Handle;
use crate::home::{Home, lost_its_ring};
use crate::io::failed;
use crate::time::sleep_until;
use filch_sync::Lock;
use filch_uring::{Op, SharedFd, op};
use socket2::SockRef;
use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use std::{fmt, io};

/// How long an accept waits after one that failed for want of descriptors or memory. The connection
/// stays in the kernel's backlog and makes every accept fail at once until something is closed: a
/// server that only logs the error and goes on would spin.
const PAUSE: Duration = Duration::from_millis(50);

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
/// unfinished. Connections that nobody has accepted are closed.
///
/// # Deadlocks
///
/// Who accepts has the turn until it is done or dropped. A task that polls an accept once and then keeps
/// it without polling it keeps everybody else from accepting.
#[doc(alias = "start_server")]
pub struct TcpListener {
    fd: SharedFd,
    home: Home,
    accepting: Lock<Accepting>,
}

/// What of accepting outlives the future that began it (C1).
#[derive(Default)]
struct Accepting {
    pending: Option<Op<op::Accept>>,
    /// When the pause is over after an accept that found no descriptor or no memory. It passes whether
    /// anybody waits for it or not, so that accepts that are given up sooner do not begin it again.
    not_before: Option<Instant>,
}

impl TcpListener {
    /// Listens on the first of the addresses that can be bound. Port 0 lets the system choose one.
    /// Sets SO_REUSEADDR.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved, or no address can be bound; without a runtime on this thread.
    #[track_caller]
    pub fn bind(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> + Send {
        let resolve = address.resolve();
        async move {
            let home = Home::current()?;
            let mut refused = None;
            for address in resolve.addresses().await? {
                match socket::listen(&address) {
                    Ok(fd) => return Ok(Self::new(SharedFd::new(fd), home)),
                    Err(error) => refused = Some(failed("listen on", address, error)),
                }
            }
            Err(refused.expect("there is at least one address"))
        }
    }

    /// Takes over a listening socket of the standard library. It is made blocking, which is what the
    /// ring needs.
    ///
    /// # Errors
    ///
    /// Without a runtime on this thread.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self::new(socket::adopt(OwnedFd::from(listener))?, Home::current()?))
    }

    fn new(fd: SharedFd, home: Home) -> Self {
        Self { fd, home, accepting: Lock::default() }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// The system's. When descriptors or memory have run out (`EMFILE`, `ENFILE`, `ENOBUFS`,
    /// `ENOMEM`) the error comes at once, and the next accept begins after 50 ms: a loop that logs
    /// and goes on does not spin, and the connection that was refused a descriptor is accepted when
    /// there is one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a connection that comes when nobody accepts any more goes to the next accept.
    /// At most one waits in the listener; the others wait in the kernel. Several tasks may accept from
    /// one listener: they are served in turn.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        self.accept_at(Location::caller())
    }

    async fn accept_at(
        &self,
        at: &'static Location<'static>,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        let mut accepting = self.accepting.lock_at(at).await;
        // Without a runtime that runs there is nothing to sleep on: then the caller has to pause.
        if let Some(end) = accepting.not_before
            && Handle::try_current().is_ok_and(|handle| !handle.is_shut_down())
        {
            sleep_until(end).await;
        }
        accepting.not_before = None;
        let accepted = poll_fn(|cx| accepting.poll(self, at, cx)).await;
        let (fd, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                accepting.not_before = is_exhaustion(&error).then(|| Instant::now() + PAUSE);
                return Err(error);
            }
        };
        drop(accepting);
        // Not an Internet address: the listener was made elsewhere, of another kind.
        let peer = match peer {
            Some(peer) => peer,
            None => socket::inet(SockRef::from(&fd).peer_addr()?)?,
        };
        Ok((TcpStream::new(SharedFd::new(fd), self.home.clone()), peer))
    }

    /// The address that it listens on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::inet(SockRef::from(&self.fd).local_addr()?)
    }
}

impl Accepting {
    fn poll(
        &mut self,
        listener: &TcpListener,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<<op::Accept as filch_uring::Operation>::Output> {
        loop {
            let begin = || Op::new(op::Accept::new(listener.fd.clone()));
            let op = self.pending.get_or_insert_with(begin);
            let accepted = ready!(listener.home.poll(op, at, cx));
            self.pending = None;
            if !accepted.as_ref().is_err_and(lost_its_ring) {
                return Poll::Ready(accepted);
            }
        }
    }
}

/// Whether an accept failed for want of something that may come back.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        if self.accepting.get_mut().pending.is_some() {
            // The kept accept holds the socket until its ring has cancelled it. The address should be free
            // at once, and nobody be accepted any more.
            let _ = SockRef::from(&self.fd).shutdown(Shutdown::Both);
        }
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("fd", &self.fd.as_raw_fd())
            .field("address", &self.local_addr().ok())
            .finish()
    }
}
