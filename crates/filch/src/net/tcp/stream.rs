//! A TCP connection.

use super::connect;
use crate::half;
use crate::home::Home;
use crate::io::failed;
use crate::net::addr::ToSocketAddrs;
use crate::net::connection::Connection;
use crate::net::options::tcp_options;
use crate::net::socket;
use crate::net::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::stream::sealed::Sealed;
use crate::net::stream::{Stream, stream};
use crate::time::timeout;
use filch_uring::SharedFd;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::panic::Location;
use std::time::Duration;

/// A TCP connection.
///
/// Reading and writing take `&self`: put it into an `Arc`, or borrow it twice in one task, to do both at
/// once. There is one operation in flight per direction; further readers, or writers, wait for their
/// turn in the order in which they came.
///
/// Dropping it closes the connection: operations in flight are cancelled first, so the peer sees the end
/// promptly (D6).
///
/// ```
/// # filch::run(async {
/// # let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # let echo = filch::spawn(async move {
/// #     let (mut stream, _) = listener.accept().await?;
/// #     filch::io::copy(&mut &stream, &mut &stream).await
/// # });
/// use filch::io::{Read, Write};
/// use filch::net::TcpStream;
///
/// let mut stream = TcpStream::connect(address).await?;
/// stream.write_all(b"ping").await?;
/// stream.shutdown(std::net::Shutdown::Write).await?;
/// let mut answer = Vec::new();
/// stream.read_to_end(&mut answer).await?;
/// assert_eq!(answer, b"ping");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Deadlocks
///
/// Who reads, or writes, has that direction's turn until it is done or dropped. A task that polls a read
/// once, keeps it without polling it, and begins another one waits for itself.
#[doc(alias = "open_connection")]
#[doc(alias = "StreamReader")]
#[doc(alias = "StreamWriter")]
pub struct TcpStream(pub(in crate::net) Connection<half::Recv, half::Send>);

impl TcpStream {
    /// Connects to the address that answers first, as RFC 8305 ("happy eyeballs") has it: the addresses of
    /// a name are tried in the order in which the resolver gives them, IPv6 and IPv4 in turn. Each has
    /// 250 ms, or until it fails, before the next is tried as well; when one answers, the others are given
    /// up and closed.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved, or no address answers: the error of the last of them, which it names.
    /// Without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, there is no connection: one that came about meanwhile is closed.
    #[track_caller]
    pub fn connect(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> + Send {
        let (resolve, at) = (address.resolve(), Location::caller());
        async move {
            let home = Home::current()?;
            let fd = connect::first(&home, resolve.addresses().await?, at).await?;
            Ok(Self::new(fd, home))
        }
    }

    /// As [`connect`](Self::connect), and gives up after `patience`, which is for the look-up, too.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and [`TimedOut`](io::ErrorKind::TimedOut) when the time is over.
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_timeout(
        address: impl ToSocketAddrs,
        patience: Duration,
    ) -> impl Future<Output = io::Result<Self>> + Send {
        let text = address.resolve().to_string();
        let connect = Self::connect(address);
        async move {
            match timeout(patience, connect).await {
                Ok(connected) => connected,
                Err(_elapsed) => {
                    let error = io::Error::from_raw_os_error(libc::ETIMEDOUT);
                    Err(failed("connect to", text, error))
                }
            }
        }
    }
}

stream!(TcpStream, SocketAddr, std::net::TcpStream);
tcp_options!(TcpStream);
