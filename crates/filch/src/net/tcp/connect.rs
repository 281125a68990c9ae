//! Connecting to the first of several addresses that answers (RFC 8305).

use crate::handle::Handle;
use crate::home::Home;
use crate::io::failed;
use crate::net::socket;
use crate::time::{Sleep, sleep};
use filch_uring::{Op, SharedFd, op};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long an attempt is alone before the next begins: what RFC 8305 advises.
const STAGGER: Duration = Duration::from_millis(250);

/// A connection to the first of the addresses that answers. There is at least one.
///
/// Dropped, every attempt is cancelled, and its socket closed (D6).
pub(super) async fn first(
    home: &Home,
    addresses: Vec<SocketAddr>,
    at: &'static Location<'static>,
) -> io::Result<SharedFd> {
    let mut race = Race {
        waiting: in_turn(addresses).into(),
        running: Vec::new(),
        next: None,
        failed: None,
        at,
    };
    poll_fn(|cx| race.poll(home, cx)).await
}

/// Connects one socket, made by the user.
pub(super) async fn one(
    home: &Home,
    fd: SharedFd,
    address: SocketAddr,
    at: &'static Location<'static>,
) -> io::Result<SharedFd> {
    let connect = op::Connect::new(fd.clone(), address);
    let connected = home.run(connect, at).await;
    connected.map(|()| fd).map_err(|error| failed("connect to", address, error))
}

/// IPv6 and IPv4 addresses in turn, beginning with what came first, each kind in its own order.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let begins_with_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == begins_with_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    loop {
        let before = order.len();
        order.extend(first.next());
        order.extend(second.next());
        if order.len() == before {
            return order;
        }
    }
}

struct Race {
    /// Not tried yet.
    waiting: VecDeque<SocketAddr>,
    /// In the order in which they began.
    running: Vec<Attempt>,
    /// When the next one begins if none of them has ended by then, and the runtime that tells.
    next: Option<(Sleep, Handle)>,
    /// Why the last one that failed did.
    failed: Option<io::Error>,
    at: &'static Location<'static>,
}

struct Attempt {
    address: SocketAddr,
    fd: SharedFd,
    op: Op<op::Connect>,
}

impl Attempt {
    fn begin(address: SocketAddr) -> io::Result<Self> {
        let fd = SharedFd::new(OwnedFd::from(socket::tcp(&address)?));
        Ok(Self { address, op: Op::new(op::Connect::new(fd.clone(), address)), fd })
    }
}

impl Race {
    fn poll(&mut self, home: &Home, cx: &mut Context<'_>) -> Poll<io::Result<SharedFd>> {
        loop {
            let mut place = 0;
            let before = self.running.len();
            while let Some(attempt) = self.running.get_mut(place) {
                match home.poll(&mut attempt.op, self.at, cx) {
                    Poll::Pending => place += 1,
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(self.running.remove(place).fd)),
                    Poll::Ready(Err(error)) => {
                        let Attempt { address, .. } = self.running.remove(place);
                        self.failed = Some(failed("connect to", address, error));
                    }
                }
            }
            let may_begin =
                self.running.is_empty() || self.running.len() < before || self.is_time(cx);
            if !may_begin {
                return Poll::Pending;
            }
            match self.waiting.pop_front() {
                Some(address) => self.begin(address),
                None if self.running.is_empty() => {
                    let error = self.failed.take();
                    return Poll::Ready(Err(error.expect("there was at least one address")));
                }
                None => return Poll::Pending,
            }
        }
    }

    fn begin(&mut self, address: SocketAddr) {
        match Attempt::begin(address) {
            Ok(attempt) => self.running.push(attempt),
            Err(error) => self.failed = Some(failed("connect to", address, error)),
        }
        // Without a runtime there is nothing to sleep on: then one after the other.
        let handle = Handle::try_current().ok().filter(|_| !self.waiting.is_empty());
        self.next = handle.map(|handle| (sleep(STAGGER), handle));
    }

    fn is_time(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((next, handle)) = &mut self.next else { return false };
        // A sleep is none where the runtime has ended. So will have what is in its rings, in a moment.
        let is_over = handle.is_closing();
        let is_time = !is_over && Pin::new(next).poll(cx).is_ready();
        if is_time || is_over {
            self.next = None;
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let order = |text: &str| {
            let addresses = text.split(' ').map(|one| match one.strip_prefix('v') {
                Some(port) => SocketAddr::from(([0u16; 8], port.parse().unwrap())),
                None => SocketAddr::from(([0; 4], one.parse().unwrap())),
            });
            let ports = in_turn(addresses.collect()).into_iter().map(|one| one.port().to_string());
            ports.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order("v1 v2 v3 4 5"), "1 4 2 5 3");
        assert_eq!(order("1 v2 v3 v4"), "1 2 3 4");
        assert_eq!(order("1 2 3"), "1 2 3");
        assert_eq!(order("v1"), "1");
        assert_eq!(in_turn(Vec::new()), []);
    }
}
