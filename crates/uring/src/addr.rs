//! Socket addresses as the kernel wants them.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;
use std::{fmt, io, mem};

/// Where the path begins in the address of a Unix socket, and how much room it has.
const UNIX_OFFSET: usize = mem::offset_of!(libc::sockaddr_un, sun_path);
const UNIX_ROOM: usize = mem::size_of::<libc::sockaddr_un>() - UNIX_OFFSET;

/// A socket address of any family, laid out for system calls.
#[derive(Clone)]
pub struct SockAddr {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl SockAddr {
    /// As much as any address takes.
    pub(crate) const ROOM: libc::socklen_t = mem::size_of::<libc::sockaddr_storage>() as _;

    /// The address of a Unix socket in the file system.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is empty, too long (108 bytes with the end), or has a NUL in it.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.len() >= UNIX_ROOM || bytes.contains(&0) {
            let message = "a Unix socket's path has 1 to 107 bytes, none of them NUL";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        // The end counts.
        Ok(Self::of_unix(0, bytes, 1))
    }

    /// The address of a Unix socket: `gap` zeroes, bytes, zeroes that count. They fit.
    fn of_unix(gap: usize, bytes: &[u8], end: usize) -> Self {
        debug_assert!(gap + bytes.len() + end <= UNIX_ROOM, "it fits");
        let mut address = Self::empty();
        let un = (&raw mut address.storage).cast::<libc::sockaddr_un>();
        // SAFETY: the storage is large and aligned enough for every family; the bytes fit.
        unsafe {
            (*un).sun_family = libc::AF_UNIX as libc::sa_family_t;
            let path = (&raw mut (*un).sun_path).cast::<u8>();
            path.add(gap).copy_from(bytes.as_ptr(), bytes.len());
        }
        address.len = (UNIX_OFFSET + gap + bytes.len() + end) as libc::socklen_t;
        address
    }

    /// The address of a Unix socket, if it is one. No address at all, which is how the kernel speaks of a
    /// socket without a name, is one of these. A path that fills all of an address (108 bytes, with no NUL
    /// behind it) is told as no name: the standard library has no way to say it.
    pub fn to_unix(&self) -> Option<net::SocketAddr> {
        if self.family() != libc::AF_UNIX && self.len != 0 {
            return None;
        }
        let len = (self.len as usize).saturating_sub(UNIX_OFFSET).min(UNIX_ROOM);
        let path = (&raw const self.storage).cast::<u8>();
        // SAFETY: all of the storage is initialised.
        let bytes = unsafe { std::slice::from_raw_parts(path.add(UNIX_OFFSET), len) };
        match bytes {
            [0, name @ ..] => net::SocketAddr::from_abstract_name(name).ok(),
            bytes => {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(len);
                // An empty path stands for none.
                let path = OsStr::from_bytes(if end < UNIX_ROOM { &bytes[..end] } else { b"" });
                net::SocketAddr::from_pathname(path).ok()
            }
        }
    }

    pub(crate) fn set_len(&mut self, len: libc::socklen_t) {
        self.len = len.min(Self::ROOM);
    }

    /// None.
    pub(crate) fn empty() -> Self {
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

    /// Room for an address of any family.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
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

impl From<&net::SocketAddr> for SockAddr {
    fn from(address: &net::SocketAddr) -> Self {
        match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => {
                let path = path.as_os_str().as_bytes();
                // The end counts, but for a path so long that there is no room for it.
                Self::of_unix(0, path, usize::from(path.len() < UNIX_ROOM))
            }
            (None, Some(name)) => Self::of_unix(1, name, 0),
            (None, None) => Self::of_unix(0, b"", 0),
        }
    }
}

impl fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.to_inet(), self.to_unix()) {
            _ if self.len == 0 => f.write_str("no address"),
            (Some(address), _) => address.fmt(f),
            (None, Some(address)) => address.fmt(f),
            (None, None) => write!(f, "address of family {}", self.family()),
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

    #[test]
    fn unix_addresses_survive_the_trip() {
        let long = [b'x'; 107];
        for name in [&b""[..], b"name", b"\0with\0zeroes\0", &long] {
            let address = net::SocketAddr::from_abstract_name(name).expect("a short name");
            let back = SockAddr::from(&address).to_unix().expect("a Unix address");
            assert_eq!(back.as_abstract_name(), Some(name));
        }
        for path in ["/a", "a b", std::str::from_utf8(&long).unwrap()] {
            let address = net::SocketAddr::from_pathname(path).expect("a short path");
            let raw = SockAddr::from(&address);
            assert_eq!(raw.to_unix().unwrap().as_pathname(), Some(Path::new(path)));
            let other = SockAddr::unix(Path::new(path)).expect("a short path");
            assert_eq!((raw.len, format!("{raw:?}")), (other.len, format!("{other:?}")));
        }
        let unnamed = net::SocketAddr::from_pathname("").expect("none");
        assert!(SockAddr::from(&unnamed).to_unix().unwrap().is_unnamed());
        assert!(SockAddr::empty().to_unix().unwrap().is_unnamed());
        let inet: SocketAddr = "1.2.3.4:5".parse().expect("a valid address");
        assert!(SockAddr::from(inet).to_unix().is_none());
    }
}
