//! UDP.

use super::addr::ToSocketAddrs;
use super::batch::Batch;
use super::datagram::{Datagrams, datagrams};
use super::options::options;
use super::socket;
use crate::home::Home;
use filch_uring::{SharedFd, SockAddr};
use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::panic::Location;

/// As long as a datagram can be.
const ROOM: usize = 64 * 1024;

/// A socket for UDP.
///
/// It may be used by several tasks at once: receives take their turn, sends are independent of each other.
///
/// ```
/// # filch::run(async {
/// use filch::net::UdpSocket;
///
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// client.send_to(b"ping", server.local_addr()?).await?;
/// let mut buf = [0; 1500];
/// let (len, from) = server.recv_from(&mut buf).await?;
/// assert_eq!((&buf[..len], from), (&b"ping"[..], client.local_addr()?));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// Dropped while a receive is left unfinished, its address is free again when the runtime has got round to
/// cancelling that, a moment later.
///
/// # Deadlocks
///
/// Who receives has the turn until it is done or dropped. A task that polls a receive once and then keeps it
/// without polling it keeps everybody else from receiving.
#[doc(alias = "create_datagram_endpoint")]
pub struct UdpSocket(Datagrams);

impl UdpSocket {
    /// A socket at the first of the addresses that can be bound. Port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved, or no address can be bound; without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is bound.
    pub fn bind(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> + Send {
        let resolve = address.resolve();
        async move {
            let home = Home::current()?;
            let fd = resolve.first("bind to", socket::udp).await?;
            Ok(Self::new(SharedFd::new(fd), home))
        }
    }

    /// Makes the first of the addresses that will do the peer: [`send`](Self::send) sends to it, and nothing
    /// from elsewhere is received any more, but for what has come already. Nothing is sent to find out
    /// whether anybody is there.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved; the system's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has not happened.
    pub fn connect(
        &self,
        address: impl ToSocketAddrs,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let resolve = address.resolve();
        async move {
            let connect = |address: &SocketAddr| SockRef::from(self).connect(&(*address).into());
            resolve.first("connect to", connect).await
        }
    }

    /// Sends a datagram to the first of the addresses. Gives its length.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved; the system's. A datagram that is too long is refused, never sent in part.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the datagram may or may not be sent, never twice. What is sent later does not wait for it.
    #[track_caller]
    pub fn send_to(
        &self,
        buf: &[u8],
        address: impl ToSocketAddrs,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        let (resolve, at) = (address.resolve(), Location::caller());
        async move {
            let address = resolve.addresses().await?[0];
            self.0.send(buf, Some(address.into()), Vec::new(), at).await
        }
    }

    /// As [`send_to`](Self::send_to), without waiting and without a copy.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; the system's.
    pub fn try_send_to(&self, buf: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.try_send(buf, Some(&to.into()))
    }

    /// Receives the datagrams that are there, as many as `batch` has room for, by one call; waits until there is
    /// one. Gives their number.
    ///
    /// ```
    /// # filch::run(async {
    /// use filch::net::{Batch, UdpSocket};
    ///
    /// let one = UdpSocket::bind("127.0.0.1:0").await?;
    /// let other = UdpSocket::bind("127.0.0.1:0").await?;
    /// let to = other.local_addr()?;
    /// let sent = one.send_many_to(&[("first", to), ("second", to), ("third", to)]).await?;
    /// let (mut batch, mut came) = (Batch::new(32, 1500), Vec::new());
    /// while came.len() < sent {
    ///     other.recv_many_from(&mut batch).await?;
    ///     came.extend(batch.iter().map(|one| one.bytes().to_vec()));
    /// }
    /// assert_eq!(came, [&b"first"[..], b"second", b"third"][..sent]);
    /// # Ok::<(), std::io::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The system's, if no datagram comes before it; those that it has to tell about earlier sends, too.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, it has received nothing.
    #[doc(alias = "recvmmsg")]
    #[track_caller]
    pub fn recv_many_from(
        &self,
        batch: &mut Batch,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        self.0.receive_many(batch, Location::caller())
    }

    /// Sends datagrams, each to its address, as many as there is room for, at most 1024, by one call and without
    /// a copy; waits until there is room for one. Gives their number: those behind are to be sent again.
    ///
    /// # Errors
    ///
    /// The system's, if it comes with the first of them. With another it comes when that is the first.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has sent nothing.
    #[doc(alias = "sendmmsg")]
    #[track_caller]
    pub fn send_many_to<B: AsRef<[u8]> + Sync>(
        &self,
        datagrams: &[(B, SocketAddr)],
    ) -> impl Future<Output = io::Result<usize>> + Send {
        let each = datagrams.iter().map(|(bytes, to)| (bytes.as_ref(), Some((*to).into())));
        self.0.send_many(each, Location::caller())
    }

    /// As [`send_many_to`](Self::send_many_to), to the peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// As [`send_many_to`](Self::send_many_to).
    ///
    /// # Cancel safety
    ///
    /// As [`send_many_to`](Self::send_many_to).
    #[track_caller]
    pub fn send_many<B: AsRef<[u8]> + Sync>(
        &self,
        datagrams: &[B],
    ) -> impl Future<Output = io::Result<usize>> + Send {
        let each = datagrams.iter().map(|bytes| (bytes.as_ref(), None));
        self.0.send_many(each, Location::caller())
    }

    /// Joins an IPv4 multicast group: what is sent to it is received here, too. On the interface that has
    /// this address; if that is unspecified the system chooses one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).join_multicast_v4(&group, &interface)
    }

    /// Leaves what [`join_multicast_v4`](Self::join_multicast_v4) joined.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v4(&group, &interface)
    }

    /// Through which interface it sends to IPv4 groups, by that one's address (IP_MULTICAST_IF); unspecified if the
    /// system chooses, as at first.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        SockRef::from(self).multicast_if_v4()
    }

    /// Sets what [`multicast_if_v4`](Self::multicast_if_v4) tells.
    ///
    /// # Errors
    ///
    /// The system's, if no interface has that address.
    pub fn set_multicast_if_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v4(&interface)
    }

    /// Joins an IPv6 multicast group, on the interface with this index; 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).join_multicast_v6(group, interface)
    }

    /// Leaves what [`join_multicast_v6`](Self::join_multicast_v6) joined.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v6(group, interface)
    }
}

datagrams!(UdpSocket, SocketAddr, std::net::UdpSocket, sender);
options! { UdpSocket:
    /// Whether it may send to broadcast addresses (SO_BROADCAST).
    broadcast, set_broadcast(bool) = broadcast, set_broadcast;
    /// Over how many routers a packet may go (IP_TTL).
    ttl, set_ttl(u32) = ttl_v4, set_ttl_v4;
    /// Over how many routers a packet to an IPv4 group may go (IP_MULTICAST_TTL); 1 at first.
    multicast_ttl_v4, set_multicast_ttl_v4(u32) = multicast_ttl_v4, set_multicast_ttl_v4;
    /// Whether what it sends to an IPv4 group comes back to this machine, if somebody here is in the group.
    multicast_loop_v4, set_multicast_loop_v4(bool) = multicast_loop_v4, set_multicast_loop_v4;
    /// Through which interface it sends to IPv6 groups, by that one's index (IPV6_MULTICAST_IF); 0 if the system
    /// chooses, as at first.
    multicast_if_v6, set_multicast_if_v6(u32) = multicast_if_v6, set_multicast_if_v6;
    /// Whether what it sends to an IPv6 group comes back to this machine, if somebody here is in the group.
    multicast_loop_v6, set_multicast_loop_v6(bool) = multicast_loop_v6, set_multicast_loop_v6;
}

fn sender(address: &SockAddr) -> io::Result<SocketAddr> {
    address.to_inet().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the datagram's sender has no Internet address")
    })
}
