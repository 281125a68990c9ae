//! From what a person writes to addresses of Unix sockets.

use super::SocketAddr;
use crate::io::failed;
use crate::net::socket;
use socket2::{Socket, Type};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The address that a path stands for; an abstract name if it begins with a NUL.
pub(super) fn of_path(path: &Path) -> io::Result<SocketAddr> {
    match path.as_os_str().as_bytes() {
        [] => {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "an empty path is no address");
            Err(error)
        }
        [0, name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(path),
    }
    .map_err(|error| failed("use as an address", path.display(), error))
}

/// The address as a person would write it.
pub(super) fn shown(address: &SocketAddr) -> String {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(name)) => format!("@{}", name.escape_ascii()),
        (None, None) => "no address".into(),
    }
}

/// Who has sent a datagram; an unnamed address if that socket has none.
pub(super) fn sender(address: &filch_uring::SockAddr) -> io::Result<SocketAddr> {
    address.to_unix().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the datagram's sender is no Unix socket")
    })
}

/// A socket at this address.
pub(super) fn bound(kind: Type, address: &SocketAddr) -> io::Result<Socket> {
    let socket = socket::unix(kind)?;
    socket.bind(&socket::unix_address(address)?)?;
    Ok(socket)
}
