//! Listening for connections from processes of this machine.

use super::{SocketAddr, UnixStream, addr};
use crate::home::Home;
use crate::io::failed;
use crate::net::acceptor::{Acceptor, listener};
use crate::net::socket;
use filch_uring::SharedFd;
use socket2::Type;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::Path;

/// Listens for connections from processes of this machine.
///
/// ```
/// # let path = std::env::temp_dir().join(format!("filch-unix-doc-{}", std::process::id()));
/// # filch::run(async {
/// use filch::net::{UnixListener, UnixStream};
///
/// let listener = UnixListener::bind(&path)?;
/// let client = UnixStream::connect(&path).await?;
/// let (server, _peer) = listener.accept().await?;
/// assert_eq!(server.peer_cred()?.pid(), Some(std::process::id() as i32));
/// std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// Dropping it ends the listening at once, also for duplicates of its descriptor if an accept was left
/// unfinished; not so if it was [taken over](Self::from_std) from elsewhere. Connections that nobody has
/// accepted are closed. The file at its path stays.
///
/// # Deadlocks
///
/// As for [`TcpListener`](crate::net::TcpListener).
#[doc(alias = "start_unix_server")]
pub struct UnixListener(Acceptor);

impl UnixListener {
    /// Listens at `path`, or, if that begins with a NUL, at an abstract name.
    ///
    /// # Errors
    ///
    /// The system's, naming the path: `AddrInUse` if there is a file already. Without a runtime on this
    /// thread.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&addr::of_path(path.as_ref())?)
    }

    /// As [`bind`](Self::bind), at an address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let home = Home::current()?;
        let listen = || {
            let socket = addr::bound(Type::STREAM, address)?;
            socket.listen(socket::BACKLOG)?;
            Ok(SharedFd::new(OwnedFd::from(socket)))
        };
        let fd = listen().map_err(|error| failed("listen on", addr::shown(address), error))?;
        Ok(Self::new(fd, home))
    }
}

listener!(UnixListener, UnixStream, SocketAddr, std::os::unix::net::UnixListener, |_inet| None);
