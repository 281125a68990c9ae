//! What every listener is made of, whatever its addresses.

#[cfg(not(filch_loom))]
use super::close::close;
use super::hand_over::{self, Refused};
use crate::half::{was_given_up, would_block};
#[cfg(not(filch_loom))]
use crate::handle::Handle;
use crate::home::{Home, lost_its_ring};
#[cfg(not(filch_loom))]
use crate::time::sleep_until;
use filch_sched::timer::Instant;
use filch_sync::Lock;
use filch_uring::{Op, SharedFd, op};
use socket2::SockRef;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long an accept waits after one that failed for want of descriptors or memory. The connection
/// stays in the kernel's backlog and makes every accept fail at once until something is closed: a
/// server that only logs the error and goes on would spin.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket, and the one accept that may be in flight.
pub(crate) struct Acceptor {
    pub(super) fd: SharedFd,
    pub(super) home: Home,
    accepting: Lock<Accepting>,
    /// The socket was made elsewhere, and may be somebody else's, too.
    is_adopted: bool,
}

/// A new connection, and its Internet address if it has one.
type Accepted = (OwnedFd, Option<SocketAddr>);

/// What of accepting outlives the future that began it (C1).
#[derive(Default)]
struct Accepting {
    pending: Option<Op<op::Accept>>,
    /// One would have had to wait: this waits for a connection, and then another is begun.
    waiting: Option<Op<op::PollFd>>,
    /// A connection that nobody has taken: it came when the listener was about to be handed on.
    left: Option<Accepted>,
    /// When the pause is over after an accept that found no descriptor or no memory. It passes whether
    /// anybody waits for it or not, so that accepts that are given up sooner do not begin it again.
    not_before: Option<Instant>,
}

impl Acceptor {
    pub(crate) fn new(fd: SharedFd, home: Home) -> Self {
        Self { fd, home, accepting: Lock::default(), is_adopted: false }
    }

    /// One that was made elsewhere. Whether it blocks is left as it is: that is common to all who have the socket,
    /// and an accept that does not wait [is begun anew](would_block).
    pub(super) fn adopt(fd: OwnedFd, home: Home) -> Self {
        let mut this = Self::new(SharedFd::new(fd), home);
        this.is_adopted = true;
        this
    }

    pub(crate) async fn accept(&self, at: &'static Location<'static>) -> io::Result<Accepted> {
        let mut accepting = self.accepting.lock_at(at).await;
        if let Some(accepted) = accepting.left.take() {
            return Ok(accepted);
        }
        // Without a runtime that runs there is nothing to sleep on: then the caller has to pause. Nor is there
        // in a model.
        #[cfg(not(filch_loom))]
        if let Some(end) = accepting.not_before
            && let Ok(handle) = Handle::try_current()
        {
            let mut pause = sleep_until(end);
            poll_fn(|cx| match handle.is_closing() {
                true => Poll::Ready(()),
                false => Pin::new(&mut pause).poll(cx),
            })
            .await;
        }
        accepting.not_before = None;
        let accepted = poll_fn(|cx| accepting.poll(self, at, cx)).await;
        if accepted.as_ref().is_err_and(is_exhaustion) {
            accepting.not_before = Some(Instant::now() + PAUSE);
        }
        accepted
    }

    /// Gives up what is in flight, and waits until the kernel has, too. A connection that was faster is left.
    async fn recall(&mut self, at: &'static Location<'static>) {
        let (accepting, home) = (self.accepting.get_mut(), &self.home);
        if let Some(op) = &mut accepting.waiting {
            op.cancel();
            let _given_up = poll_fn(|cx| home.poll(op, at, cx)).await;
            accepting.waiting = None;
        }
        if let Some(op) = &mut accepting.pending {
            op.cancel();
            let ended = poll_fn(|cx| home.poll(op, at, cx)).await;
            accepting.pending = None;
            accepting.left = ended.ok();
        }
    }

    /// Closes it, when nothing is in flight, and with it the connection that nobody has taken.
    #[cfg(not(filch_loom))]
    pub(super) async fn close(mut self, at: &'static Location<'static>) -> io::Result<()> {
        self.recall(at).await;
        self.accepting.get_mut().left = None;
        let (fd, home) = (self.fd.clone(), self.home.clone());
        // Nothing is pending: no more than another holder that goes.
        drop(self);
        close(fd, home, Ok(()), at).await
    }

    /// The descriptor, when nothing is in flight. Refused where a connection has come that nobody has
    /// taken.
    pub(super) async fn into_fd(
        mut self,
        at: &'static Location<'static>,
    ) -> Result<OwnedFd, Refused<Self>> {
        self.recall(at).await;
        let vacant = match self.accepting.get_mut().left {
            Some(_) => Err(hand_over::unread("a connection has come that nobody has accepted")),
            None => Ok(()),
        };
        match vacant.and_then(|()| hand_over::duplicate(&self.fd)) {
            Ok(fd) => Ok(fd),
            Err(error) => Err(Refused::new(self, error)),
        }
    }
}

impl Accepting {
    fn poll(
        &mut self,
        listener: &Acceptor,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Accepted>> {
        loop {
            if let Some(op) = &mut self.waiting {
                let ready = ready!(listener.home.poll(op, at, cx));
                self.waiting = None;
                if let Err(error) = ready
                    && !lost_its_ring(&error)
                {
                    return Poll::Ready(Err(error));
                }
            }
            let begin = || Op::new(op::Accept::new(listener.fd.clone()));
            let op = self.pending.get_or_insert_with(begin);
            let accepted = ready!(listener.home.poll(op, at, cx));
            self.pending = None;
            match accepted {
                Err(error) if would_block(&error) => {
                    let ready = op::PollFd::new(listener.fd.clone(), libc::POLLIN);
                    self.waiting = Some(Op::new(ready));
                }
                Err(error) if was_given_up(&error) => {}
                accepted => return Poll::Ready(accepted),
            }
        }
    }
}

/// Whether an accept failed for want of something that may come back.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let accepting = self.accepting.get_mut();
        let is_kept = accepting.pending.is_some() || accepting.waiting.is_some();
        if is_kept && !self.is_adopted {
            // What is kept holds the socket until its ring has cancelled it. The address should be free
            // at once, and nobody be accepted any more. Not so for others who listen on the same socket: they
            // would not listen any more either.
            let _ = SockRef::from(&self.fd).shutdown(Shutdown::Both);
        }
    }
}

/// Implements for a type around an `Acceptor` all that a listener offers.
macro_rules! listener {
    ($type:ident, $stream:ident, $address:ty, $std:ty, $known:expr) => {
        impl $type {
            /// Takes over a listening socket of the standard library.
            ///
            /// Others may have it, too (whoever started the process and passed it on, or a duplicate). It
            /// goes on listening for them when this is dropped; if an accept was left unfinished, the
            /// descriptor itself is closed a moment later, when that has been given up. Whether it blocks,
            /// which is common to all of them, stays as it is: for this side it makes no difference.
            ///
            /// # Errors
            ///
            /// Without a runtime on this thread.
            pub fn from_std(listener: $std) -> io::Result<Self> {
                let home = Home::current()?;
                Ok(Self(Acceptor::adopt(std::os::fd::OwnedFd::from(listener), home)))
            }

            pub(in crate::net) fn new(fd: SharedFd, home: Home) -> Self {
                Self(Acceptor::new(fd, home))
            }

            /// Waits for a connection.
            ///
            /// # Errors
            ///
            /// The system's. When descriptors or memory have run out (`EMFILE`, `ENFILE`, `ENOBUFS`,
            /// `ENOMEM`) the error comes at once, and the next accept begins after 50 ms: a loop that logs
            /// and goes on does not spin, and the connection that was refused a descriptor is accepted
            /// when there is one.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: a connection that comes when nobody accepts any more goes to the next
            /// accept. At most one waits in the listener; the others wait in the kernel. Several tasks may
            /// accept from one listener: they are served in turn.
            #[track_caller]
            pub fn accept(
                &self,
            ) -> impl Future<Output = io::Result<($stream, $address)>> + Send {
                let at = Location::caller();
                async move {
                    let (fd, peer) = self.0.accept(at).await?;
                    let peer = match $known(peer) {
                        Some(peer) => peer,
                        None => socket::Address::peer(std::os::fd::AsFd::as_fd(&fd))?,
                    };
                    Ok(($stream::new(SharedFd::new(fd), self.0.home.clone()), peer))
                }
            }

            /// The address that it listens on.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn local_addr(&self) -> io::Result<$address> {
                socket::Address::local(std::os::fd::AsFd::as_fd(self))
            }

            /// Takes the error that the system keeps for the socket, if there is one (SO_ERROR).
            ///
            /// # Errors
            ///
            /// The system's, about the question itself.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                socket2::SockRef::from(self).take_error()
            }
        }

        $crate::net::hand_over::into_std! { $type, $std,
            /// Hands the listener on to the standard library, when an accept in flight has been given up.
        }
        $crate::net::close::closes! { $type,
            /// Stops listening, and waits until that is so: its address is free then, unless somebody else has the
            /// socket, too. Connections that nobody has accepted are closed.
            ///
            /// # Errors
            ///
            /// The system's. It is closed all the same.
        }
        $crate::net::options::descriptor!($type, listener => listener.0.fd);

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("fd", &std::os::fd::AsRawFd::as_raw_fd(self))
                    .field("address", &self.local_addr().ok())
                    .finish()
            }
        }
    };
}
pub(super) use listener;
