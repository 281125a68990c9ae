//! From what a person writes to socket addresses.

use crate::handle::Handle;
use crate::io::failed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{fmt, io};

/// Looks up the addresses of a name, at least one, in the order in which the system would try them. What is
/// an address already is not looked up.
///
/// ```
/// # filch::run(async {
/// let found: Vec<_> = filch::net::lookup_host("localhost:80").await?.collect();
/// assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// If the name is malformed, unknown or has no address; if it has to be looked up and there is no runtime on
/// this thread, or no thread to do it on.
///
/// # Cancel safety
///
/// Dropped, the system's resolver may go on for a while, on a thread of its own. Shutting the runtime down
/// waits for it.
#[doc(alias = "getaddrinfo")]
pub fn lookup_host(
    host: impl ToSocketAddrs,
) -> impl Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send {
    let resolve = host.resolve();
    async move { resolve.addresses().await.map(Vec::into_iter) }
}

/// What can be turned into socket addresses: an address, a string `host:port`, a pair of host and port.
///
/// Names are looked up by the system's resolver, on a thread that may block; addresses cost nothing.
pub trait ToSocketAddrs {
    /// What it takes to find the addresses.
    fn resolve(&self) -> Resolve;
}

/// Addresses, or a name to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Known(Vec<SocketAddr>),
    /// `host:port`, as the standard library takes it.
    Text(String),
    Name(String, u16),
}

impl Resolve {
    /// Addresses that need no look-up.
    pub fn known(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(Kind::Known(addresses.into_iter().collect()))
    }

    /// Looks the addresses up. At least one.
    ///
    /// # Errors
    ///
    /// If the name is malformed, unknown or has no address; if it has to be looked up and there is no
    /// thread for that.
    pub(crate) async fn addresses(self) -> io::Result<Vec<SocketAddr>> {
        let (name, found) = match self.0 {
            Kind::Known(addresses) => (String::new(), addresses),
            Kind::Text(text) => {
                let name = text.clone();
                let query = move || std::net::ToSocketAddrs::to_socket_addrs(&text);
                let found =
                    look_up(query).await.map_err(|error| failed("look up", &name, error))?;
                (name, found)
            }
            Kind::Name(host, port) => {
                let name = format!("{host}:{port}");
                let query = move || std::net::ToSocketAddrs::to_socket_addrs(&(&*host, port));
                let found =
                    look_up(query).await.map_err(|error| failed("look up", &name, error))?;
                (name, found)
            }
        };
        if found.is_empty() {
            let text =
                format!("no address to use{}{name}", if name.is_empty() { "" } else { ": " });
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(found)
    }

    /// What `make` makes of the first of the addresses that it accepts.
    ///
    /// # Errors
    ///
    /// As [`addresses`](Self::addresses); what the last of them was refused with, and what was tried.
    pub(crate) async fn first<T>(
        self,
        verb: &str,
        make: impl Fn(&SocketAddr) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut refused = None;
        for address in self.addresses().await? {
            match make(&address) {
                Ok(made) => return Ok(made),
                Err(error) => refused = Some(failed(verb, address, error)),
            }
        }
        Err(refused.expect("there is at least one address"))
    }
}

/// As a person would write it.
impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Known(addresses) => match &addresses[..] {
                [] => f.write_str("no address"),
                [one] => one.fmt(f),
                [first, rest @ ..] => write!(f, "{first} or {} others", rest.len()),
            },
            Kind::Text(text) => f.write_str(text),
            Kind::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

async fn look_up(
    query: impl FnOnce() -> io::Result<std::vec::IntoIter<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let found =
        Handle::try_current()?.try_spawn_blocking(query)?.await.map_err(io::Error::other)??;
    Ok(found.collect())
}

macro_rules! known {
    ($($type:ty,)*) => {
        $(impl ToSocketAddrs for $type {
            fn resolve(&self) -> Resolve {
                Resolve::known([SocketAddr::from(*self)])
            }
        })*
    };
}

known! {
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16),
}

impl ToSocketAddrs for [SocketAddr] {
    fn resolve(&self) -> Resolve {
        Resolve::known(self.iter().copied())
    }
}

impl<const N: usize> ToSocketAddrs for [SocketAddr; N] {
    fn resolve(&self) -> Resolve {
        self[..].resolve()
    }
}

impl ToSocketAddrs for Vec<SocketAddr> {
    fn resolve(&self) -> Resolve {
        self[..].resolve()
    }
}

impl ToSocketAddrs for str {
    fn resolve(&self) -> Resolve {
        match self.parse() {
            Ok(address) => Resolve::known([address]),
            Err(_) => Resolve(Kind::Text(self.into())),
        }
    }
}

impl ToSocketAddrs for String {
    fn resolve(&self) -> Resolve {
        (**self).resolve()
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn resolve(&self) -> Resolve {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => (ip, port).resolve(),
            Err(_) => Resolve(Kind::Name(host.into(), port)),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    fn resolve(&self) -> Resolve {
        (&*self.0, self.1).resolve()
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn resolve(&self) -> Resolve {
        (**self).resolve()
    }
}
