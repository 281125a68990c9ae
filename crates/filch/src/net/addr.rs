//! From what a person writes to socket addresses.

use crate::handle::Handle;
use crate::io::failed;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

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
