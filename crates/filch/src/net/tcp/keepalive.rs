//! Asking an idle peer whether it is still there.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;

/// How the system finds out that the peer of an idle connection is gone. What is none is as the system has
/// it.
///
/// ```
/// # filch::run(async {
/// # let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
/// use filch::net::{Keepalive, TcpStream};
/// use std::time::Duration;
///
/// let stream = TcpStream::connect(listener.local_addr()?).await?;
/// assert_eq!(stream.keepalive()?, None);
/// let time = Some(Duration::from_secs(30));
/// stream.set_keepalive(Keepalive { time, ..Keepalive::default() })?;
/// assert_eq!(stream.keepalive()?.unwrap().time, time);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keepalive {
    /// How long the connection has to be idle before the first question (TCP_KEEPIDLE).
    pub time: Option<Duration>,
    /// How long to wait for an answer before the next (TCP_KEEPINTVL).
    pub interval: Option<Duration>,
    /// How many questions go without an answer before the connection has failed (TCP_KEEPCNT).
    pub retries: Option<u32>,
}

impl Keepalive {
    pub(crate) fn of(socket: &SockRef<'_>) -> io::Result<Option<Self>> {
        if !socket.keepalive()? {
            return Ok(None);
        }
        Ok(Some(Self {
            time: Some(socket.tcp_keepalive_time()?),
            interval: Some(socket.tcp_keepalive_interval()?),
            retries: Some(socket.tcp_keepalive_retries()?),
        }))
    }

    pub(crate) fn set(this: Option<Self>, socket: &SockRef<'_>) -> io::Result<()> {
        let Some(Self { time, interval, retries }) = this else {
            return socket.set_keepalive(false);
        };
        let mut theirs = TcpKeepalive::new();
        theirs = time.map_or(theirs.clone(), |time| theirs.with_time(time));
        theirs = interval.map_or(theirs.clone(), |interval| theirs.with_interval(interval));
        theirs = retries.map_or(theirs.clone(), |retries| theirs.with_retries(retries));
        socket.set_tcp_keepalive(&theirs)
    }
}
