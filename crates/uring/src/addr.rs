//! Socket addresses as the kernel wants them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{fmt, io, mem};

/// A socket address of any family, laid out for system calls.
#[derive(Clone)]
pub struct SockAddr {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl SockAddr {
    /// The address of a Unix socket in the file system.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is empty, too long (108 bytes with the end), or has a NUL in it.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let mut address = Self::empty();
        let room =
            mem::size_of::<libc::sockaddr_un>() - mem::offset_of!(libc::sockaddr_un, sun_path);
        if bytes.is_empty() || bytes.len() >= room || bytes.contains(&0) {
            let message = "a Unix socket's path has 1 to 107 bytes, none of them NUL";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let un = (&raw mut address.storage).cast::<libc::sockaddr_un>();
        // SAFETY: the storage is large and aligned enough for every family; the path fits.
        unsafe {
            (*un).sun_family = libc::AF_UNIX as libc::sa_family_t;
            (&raw mut (*un).sun_path).cast::<u8>().copy_from(bytes.as_ptr(), bytes.len());
        }
        let len = mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
        address.len = len as libc::socklen_t;
        Ok(address)
    }

    fn empty() -> Self {
        // SAFETY: all zeroes is a value of it: the unspecified address family.
        Self { storage: unsafe { mem::zeroed() }, len: 0 }
    }

    /// The Internet address, if it is one.
    pub fn to_inet(&self) -> Option<SocketAddr> {
        // SAFETY: the storage has at least as many bytes as the inet addresses.
        unsafe { inet((&raw const self.storage).cast(), self.len) }
    }

    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        self.len
    }

    /// The address family, such as `AF_INET`.
    pub fn family(&self) -> i32 {
        self.storage.ss_family.into()
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(address: SocketAddr) -> Self {
        let mut this = Self::empty();
        let storage = &raw mut this.storage;
        match address {
            SocketAddr::V4(v4) => {
                let sin = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                this.len = mem::size_of_val(&sin) as libc::socklen_t;
                // SAFETY: the storage is large and aligned enough for every family.
                unsafe { storage.cast::<libc::sockaddr_in>().write(sin) };
            }
            SocketAddr::V6(v6) => {
                let sin6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                this.len = mem::size_of_val(&sin6) as libc::socklen_t;
                // SAFETY: as above.
                unsafe { storage.cast::<libc::sockaddr_in6>().write(sin6) };
            }
        }
        this
    }
}

impl fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_inet() {
            Some(address) => address.fmt(f),
            None => write!(f, "address of family {}", self.family()),
        }
    }
}

/// The Internet address at `address`, if it is one.
///
/// # Safety
///
/// There are at least `min(len, size of sockaddr_in6)` initialised bytes.
pub(crate) unsafe fn inet(
    address: *const libc::sockaddr,
    len: libc::socklen_t,
) -> Option<SocketAddr> {
    let len = len as usize;
    if len < mem::size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: so many bytes are there; unaligned, because nothing was promised.
    let family = unsafe { (&raw const (*address).sa_family).read_unaligned() };
    match i32::from(family) {
        libc::AF_INET if len >= mem::size_of::<libc::sockaddr_in>() => {
            // SAFETY: so many bytes are there.
            let sin = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(sin.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(sin.sin_port)).into())
        }
        libc::AF_INET6 if len >= mem::size_of::<libc::sockaddr_in6>() => {
            // SAFETY: so many bytes are there.
            let sin6 = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(sin6.sin6_addr.s6_addr);
            let port = u16::from_be(sin6.sin6_port);
            Some(SocketAddrV6::new(ip, port, sin6.sin6_flowinfo, sin6.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inet_addresses_survive_the_trip() {
        for text in ["1.2.3.4:5", "0.0.0.0:0", "[::1]:65535", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().expect("a valid address");
            assert_eq!(SockAddr::from(address).to_inet(), Some(address));
        }
    }

    #[test]
    fn unix_paths_have_their_limits() {
        let long = "x".repeat(107);
        assert!(SockAddr::unix(Path::new(&long)).is_ok());
        for bad in ["", "a\0b", &"x".repeat(108)] {
            assert!(SockAddr::unix(Path::new(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(SockAddr::unix(Path::new("/a")).unwrap().to_inet(), None);
    }
}
