//! What every datagram socket is made of, whatever its addresses.

use super::batch::Batch;
use super::close::close;
use super::hand_over::{self, Refused};
use super::socket;
use crate::half::{self, Now, Reading, Site, Want, would_block};
use crate::home::{Home, lost_its_ring};
use crate::io::{Interest, ready};
use filch_atomic::current;
use filch_sync::Lock;
use filch_uring::now::{self, Datagram};
use filch_uring::{SharedFd, SockAddr, op};
use socket2::Type;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

/// A socket for datagrams.
///
/// At most one receive is in flight, and it belongs to the socket: a future that is dropped leaves it, or
/// the datagram that it brought, to the next one (C1). So that the next one's buffer may be larger, the
/// kernel writes into a buffer of the socket's own that is as large as any datagram (`room`); what does not
/// fit the user's buffer is cut off only when it is handed out. Memory that no datagram has been long enough
/// to reach is never touched, and so not there.
///
/// Sends are independent of each other: each is an operation of its own, so that one to a peer that takes
/// nothing holds up no other.
pub(super) struct Datagrams {
    pub(super) fd: SharedFd,
    home: Home,
    receiving: Lock<Reading<half::RecvMsg>>,
    room: usize,
    /// Somebody has asked for descriptors: from then on every receive has room for some.
    descriptors: AtomicBool,
}

impl Datagrams {
    /// With room for datagrams of so many bytes.
    pub(super) fn new(fd: SharedFd, home: Home, room: usize) -> Self {
        let receiving = Lock::new(Reading::new());
        Self { fd, home, receiving, room, descriptors: AtomicBool::new(false) }
    }

    fn site(&self, at: &'static Location<'static>) -> Site<'_> {
        Site { fd: &self.fd, home: &self.home, at, is_device: false }
    }

    fn want(&self, len: usize) -> Want {
        // Relaxed: who asks for descriptors sets it before; for others it makes no difference.
        let descriptors = self.descriptors.load(Ordering::Relaxed);
        Want { room: self.room.max(len), least: len, descriptors }
    }

    /// Asks for descriptors, from now on.
    pub(super) fn want_descriptors(&self) {
        // Relaxed: as in `want`.
        self.descriptors.store(true, Ordering::Relaxed);
    }

    /// Receives a datagram, and what came beside it.
    pub(super) async fn receive(
        &self,
        buf: &mut [u8],
        at: &'static Location<'static>,
    ) -> io::Result<(usize, op::Received)> {
        let (site, want) = (self.site(at), self.want(buf.len()));
        let mut receiving = self.receiving.lock_at(at).await;
        poll_fn(|cx| receiving.poll(site, want, cx)).await?;
        let (len, received) = receiving.take_whole(buf);
        Ok((len, received.expect("every datagram has a header")))
    }

    /// Waits until a receive would not wait.
    pub(super) async fn readable(&self, at: &'static Location<'static>) -> io::Result<()> {
        let site = self.site(at);
        let mut receiving = self.receiving.lock_at(at).await;
        poll_fn(|cx| receiving.poll_ready(site, cx)).await
    }

    /// Waits until a send may not wait.
    pub(super) async fn writable(&self, at: &'static Location<'static>) -> io::Result<()> {
        ready(&self.fd, &self.home, Interest::WRITABLE, at).await.map(drop)
    }

    /// Receives a datagram that is there.
    #[track_caller]
    pub(super) fn try_receive(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        let site = self.site(Location::caller());
        let mut receiving = self.receiving.try_lock().ok_or(io::ErrorKind::WouldBlock)?;
        match receiving.look_now(site)? {
            Now::Here => Ok(taken(&mut receiving, buf)),
            Now::Later => Err(io::ErrorKind::WouldBlock.into()),
            Now::Ask => now::recv_from(self.fd.as_fd(), buf),
        }
    }

    /// Sends a datagram, if there is room.
    pub(super) fn try_send(&self, buf: &[u8], to: Option<&SockAddr>) -> io::Result<usize> {
        now::send_to(self.fd.as_fd(), buf, to)
    }

    /// Receives datagrams until no more are there, or there is no room for more; waits for the first.
    pub(super) async fn receive_many(
        &self,
        batch: &mut Batch,
        at: &'static Location<'static>,
    ) -> io::Result<usize> {
        batch.set(Vec::new());
        if batch.rooms().next().is_none() {
            return Ok(0);
        }
        let site = self.site(at);
        let mut receiving = self.receiving.lock_at(at).await;
        loop {
            poll_fn(|cx| receiving.poll_ready(site, cx)).await?;
            let came = if receiving.has_come() {
                // Of a receive that was dropped. It comes alone: with others an error of theirs could not be told.
                let room = batch.rooms().next().expect("there is one");
                Ok(vec![taken(&mut receiving, room)])
            } else {
                now::recv_many(self.fd.as_fd(), batch.rooms())
            };
            match came {
                Err(error) if would_block(&error) => {}
                came => {
                    batch.set(came?);
                    return Ok(batch.len());
                }
            }
        }
    }

    /// Sends as many of some datagrams as there is room for; waits until that is at least one.
    pub(super) async fn send_many<'a, I>(
        &self,
        datagrams: I,
        at: &'static Location<'static>,
    ) -> io::Result<usize>
    where
        I: Iterator<Item = (&'a [u8], Option<SockAddr>)> + Clone,
    {
        loop {
            poll_fn(current::poll_proceed).await;
            match now::send_many(self.fd.as_fd(), datagrams.clone()) {
                Err(error) if would_block(&error) => self.writable(at).await?,
                sent => return sent,
            }
        }
    }

    /// Copies the next datagram, lets it stay, and tells what `see` sees in its address.
    pub(super) async fn peek<R>(
        &self,
        buf: &mut [u8],
        at: &'static Location<'static>,
        see: impl FnOnce(&SockAddr) -> R,
    ) -> io::Result<(usize, R)> {
        let (site, want) = (self.site(at), self.want(buf.len()));
        let mut receiving = self.receiving.lock_at(at).await;
        poll_fn(|cx| receiving.poll(site, want, cx)).await?;
        let (len, received) = receiving.look(buf);
        let received = received.as_ref().expect("every datagram has a header");
        Ok((len, see(received.address())))
    }

    /// Sends to an address, or else to the socket's peer, with descriptors.
    pub(super) fn send(
        &self,
        buf: &[u8],
        to: Option<SockAddr>,
        descriptors: Vec<OwnedFd>,
        at: &'static Location<'static>,
    ) -> impl Future<Output = io::Result<usize>> + Send + use<'_> {
        self.send_owned(buf.to_vec(), to, descriptors, at)
    }

    /// A datagram that has to wait is tried anew, by an operation of its own each time: the kernel may send
    /// an empty one in its place when it waits itself (see [`op::SendMsg`]).
    async fn send_owned(
        &self,
        mut buffer: Vec<u8>,
        to: Option<SockAddr>,
        mut descriptors: Vec<OwnedFd>,
        at: &'static Location<'static>,
    ) -> io::Result<usize> {
        loop {
            let message = op::SendMsg::new(self.fd.clone(), buffer).flags(libc::MSG_DONTWAIT);
            let message = match &to {
                Some(address) => message.to(address.clone()),
                None => message,
            };
            let sent;
            (sent, buffer, descriptors) = self.home.run(message.descriptors(descriptors), at).await;
            match sent {
                Err(error) if would_block(&error) => {
                    let waited = self.wait_for_room(to.as_ref(), at).await;
                    waited
                        .or_else(|error| if lost_its_ring(&error) { Ok(()) } else { Err(error) })?;
                }
                Err(error) if lost_its_ring(&error) => {}
                sent => return sent,
            }
        }
    }

    /// Waits until a datagram may fit that did not.
    async fn wait_for_room(
        &self,
        to: Option<&SockAddr>,
        at: &'static Location<'static>,
    ) -> io::Result<()> {
        let elsewhere = to.filter(|address| address.family() == libc::AF_UNIX);
        if elsewhere.is_none() || socket::has_sent_all_it_may(&self.fd) {
            self.home.run(op::PollFd::new(self.fd.clone(), libc::POLLOUT), at).await?;
        }
        // That is about what this socket has sent, and about the queue of its peer. The queue of another
        // Unix socket shows only to one that is connected to it.
        let Some(address) = elsewhere else { return Ok(()) };
        let probe = SharedFd::new(OwnedFd::from(socket::unix(Type::DGRAM)?));
        let connect = op::Connect::new(probe.clone(), address.clone());
        if self.home.run(connect, at).await.is_ok() {
            self.home.run(op::PollFd::new(probe, libc::POLLOUT), at).await?;
        }
        // If it could not be connected, the next try will say why.
        Ok(())
    }

    /// Closes it, when no receive is in flight.
    pub(super) async fn close(mut self, at: &'static Location<'static>) -> io::Result<()> {
        let site = Site { fd: &self.fd, home: &self.home, at, is_device: false };
        let receiving = self.receiving.get_mut();
        let recalled = poll_fn(|cx| receiving.poll_recall(site, cx)).await;
        close(self.fd, self.home, recalled, at).await
    }

    /// The descriptor, when nothing is in flight. Refused where a datagram has come that nobody has taken.
    pub(super) async fn into_fd(
        mut self,
        at: &'static Location<'static>,
    ) -> Result<OwnedFd, Refused<Self>> {
        let site = Site { fd: &self.fd, home: &self.home, at, is_device: false };
        let receiving = self.receiving.get_mut();
        let recalled = poll_fn(|cx| receiving.poll_recall(site, cx)).await;
        let vacant = match receiving.has_come() {
            true => Err(hand_over::unread("a datagram has come that nobody has received")),
            false => recalled,
        };
        match vacant.and_then(|()| hand_over::duplicate(&self.fd)) {
            Ok(fd) => Ok(fd),
            Err(error) => Err(Refused::new(self, error)),
        }
    }
}

/// Hands out a datagram that has come.
fn taken(receiving: &mut Reading<half::RecvMsg>, buf: &mut [u8]) -> Datagram {
    let (len, received) = receiving.take_whole(buf);
    let received = received.expect("every datagram has a header");
    let is_truncated = received.is_truncated() || received.len > len;
    Datagram { len, from: received.address().clone(), is_truncated }
}

/// Implements for a type around `Datagrams` what every datagram socket offers.
macro_rules! datagrams {
    ($type:ident, $address:ty, $std:ty, $from:path) => {
        impl $type {
            /// Takes over a socket of the standard library. It is made blocking, which is what the ring
            /// needs.
            ///
            /// # Errors
            ///
            /// Without a runtime on this thread.
            pub fn from_std(socket: $std) -> io::Result<Self> {
                let home = Home::current()?;
                Ok(Self::new(socket::adopt(OwnedFd::from(socket))?, home))
            }

            fn new(fd: SharedFd, home: Home) -> Self {
                Self(Datagrams::new(fd, home, ROOM))
            }

            /// Sends a datagram to the peer that the socket is connected to. Gives its length.
            ///
            /// # Errors
            ///
            /// The system's. A datagram that is too long is refused, never sent in part.
            ///
            /// # Cancel safety
            ///
            /// Dropped, the datagram may or may not be sent, never twice. What is sent later does not wait
            /// for it.
            #[track_caller]
            pub fn send(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.0.send(buf, None, Vec::new(), Location::caller())
            }

            /// Receives a datagram into `buf`, and gives its length. Of one that is longer than `buf` the
            /// rest is lost.
            ///
            /// # Errors
            ///
            /// The system's; those that it has to tell about earlier sends, too.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: a datagram that comes when nobody receives any more goes to the next
            /// receive, whole. At most one waits in the socket; the others wait in the kernel.
            #[track_caller]
            pub fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                let at = Location::caller();
                async move { self.0.receive(buf, at).await.map(|(len, _)| len) }
            }

            /// As [`recv`](Self::recv), and tells who has sent it.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv).
            ///
            /// # Cancel safety
            ///
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn recv_from(
                &self,
                buf: &mut [u8],
            ) -> impl Future<Output = io::Result<(usize, $address)>> + Send {
                let at = Location::caller();
                async move {
                    let (len, received) = self.0.receive(buf, at).await?;
                    Ok((len, $from(received.address())?))
                }
            }

            /// Waits until a datagram is there, or an error. Takes nothing: see [`try_recv`](Self::try_recv).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            #[track_caller]
            pub fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
                self.0.readable(Location::caller())
            }

            /// Waits until there may be room to send. See [`try_send`](Self::try_send).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// Nothing is sent.
            #[track_caller]
            pub fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
                self.0.writable(Location::caller())
            }

            /// As [`recv`](Self::recv), without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none is there, or somebody else receives; the
            /// system's.
            #[track_caller]
            pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.try_receive(buf).map(|datagram| datagram.len)
            }

            /// As [`recv_from`](Self::recv_from), without waiting.
            ///
            /// # Errors
            ///
            /// As [`try_recv`](Self::try_recv).
            #[track_caller]
            pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, $address)> {
                let datagram = self.0.try_receive(buf)?;
                Ok((datagram.len, $from(&datagram.from)?))
            }

            /// As [`send`](Self::send), without waiting and without a copy.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; the system's.
            pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
                self.0.try_send(buf, None)
            }

            /// Copies the next datagram into `buf`, and lets it stay, to be received.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv).
            ///
            /// # Cancel safety
            ///
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                let at = Location::caller();
                async move { self.0.peek(buf, at, |_| ()).await.map(|(len, ())| len) }
            }

            /// As [`peek`](Self::peek), and tells who has sent it.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv).
            ///
            /// # Cancel safety
            ///
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn peek_from(
                &self,
                buf: &mut [u8],
            ) -> impl Future<Output = io::Result<(usize, $address)>> + Send {
                let at = Location::caller();
                async move {
                    let (len, from) = self.0.peek(buf, at, $from).await?;
                    Ok((len, from?))
                }
            }
        }

        $crate::net::options::ends!($type, $address);
        $crate::net::hand_over::into_std! { $type, $std,
            /// Hands the socket on to the standard library, when a receive in flight has been given up.
        }
        $crate::net::close::closes! { $type,
            /// Closes the socket, and waits until it is closed: its address is free then. Datagrams that nobody has
            /// received are lost. A send that was dropped keeps the socket open until it is over.
            ///
            /// # Errors
            ///
            /// If a receive was dropped and failed later, that one's error; else the system's. It is closed all
            /// the same.
        }
        $crate::net::options::descriptor!($type, socket => socket.0.fd);
        $crate::net::options::common_options!($type);
    };
}
pub(super) use datagrams;
