//! A socket's own calls, where they cost less than an operation: those of who polls, whose buffer is there for one
//! poll only; and large ones, where the copy that an operation needs is dearer than entering the kernel once more.
//!
//! They do not wait, and what they have moved is told by the same poll: nothing of them is left when a future is
//! dropped (C1). To wait there is an operation that moves nothing.

use super::{Inward, Outward, Reading, Site, Writing};
use crate::home::lost_its_ring;
use filch_atomic::{current, scope};
use filch_uring::{Op, SharedFd, op};
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

/// From so many bytes on a read or a write is large.
pub(super) const LARGE: usize = 32 * 1024;

/// As much as one large read or write moves: others have their turn in between.
const MOST: usize = 128 * 1024;

/// Receives what there is, without waiting.
pub(crate) fn recv_now(fd: &SharedFd, buf: &mut [u8]) -> io::Result<usize> {
    let (at, len) = (buf.as_mut_ptr().cast(), buf.len());
    loop {
        // SAFETY: the buffer is there for the call.
        let received = unsafe { libc::recv(fd.as_raw_fd(), at, len, libc::MSG_DONTWAIT) };
        match usize::try_from(received) {
            Ok(received) => return Ok(received),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Sends what there is room for, without waiting.
pub(crate) fn send_now(fd: &SharedFd, buf: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    loop {
        match SockRef::from(fd).send_with_flags(buf, flags) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent,
        }
    }
}

impl<T: Inward> Reading<T> {
    /// Reads into a large buffer where the last read brought much, too. None if it does not, or may not here: then
    /// it is to be done by an operation.
    pub(super) fn poll_flow(
        &mut self,
        site: Site<'_>,
        buf: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<usize>>> {
        while buf.len() >= LARGE && self.flows() {
            if !self.is_idle() {
                // Its own wait, or one that was left.
                match ready!(self.poll_ready(site, cx)) {
                    Ok(()) => continue,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            // Nothing begins in a scope that is cancelled.
            if scope::here_is_cancelled() {
                break;
            }
            ready!(current::poll_proceed(cx));
            let most = buf.len().min(MOST);
            match recv_now(site.fd, &mut buf[..most]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_more(site),
                received => {
                    self.came(*received.as_ref().unwrap_or(&0));
                    return Poll::Ready(Some(received));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// As many buffers as the kernel takes in one call.
const MOST_BUFFERS: usize = libc::UIO_MAXIOV as usize;

/// Waiting until a socket takes more. Whoever polls next finds it here. In a box: streams seldom wait for that.
pub(crate) type Room = Option<Box<Op<op::PollFd>>>;

impl<T: Outward> Writing<T> {
    /// Sends a large buffer, or its beginning. None if it is not, or may not be done here: then it is to be done by
    /// an operation.
    pub(super) fn poll_flow(
        &mut self,
        site: Site<'_>,
        buf: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<usize>>> {
        // Nothing begins in a scope that is cancelled; what waits there is waited for.
        if buf.len() < LARGE || self.room.is_none() && scope::here_is_cancelled() {
            return Poll::Ready(None);
        }
        let buf = IoSlice::new(&buf[..buf.len().min(MOST)]);
        self.poll_send(site, &[buf], cx).map(Some)
    }

    /// Sends what a socket takes without waiting. `Pending` means that nothing of `bufs` is sent, nor will
    /// be: the caller may come again with anything.
    pub(crate) fn poll_send(
        &mut self,
        site: Site<'_>,
        bufs: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_settled(site, cx))?;
        let first = bufs.iter().position(|buf| !buf.is_empty()).unwrap_or(0);
        let bufs = &bufs[first..bufs.len().min(first + MOST_BUFFERS)];
        loop {
            if let Some(op) = &mut self.room {
                let ready = ready!(site.poll(op, cx));
                self.room = None;
                if let Err(error) = ready
                    && !lost_its_ring(&error)
                {
                    return Poll::Ready(Err(error));
                }
            }
            ready!(current::poll_proceed(cx));
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            let sent = SockRef::from(site.fd).send_vectored_with_flags(bufs, flags);
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let room = op::PollFd::new(site.fd.clone(), libc::POLLOUT);
                    self.room = Some(Box::new(Op::new(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => {
                    self.unheard.take();
                    return Poll::Ready(sent);
                }
            }
        }
    }

    /// Gives up waiting until a socket takes more, and waits until the kernel has, too.
    pub(crate) fn poll_room_left(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(op) = &mut self.room {
            op.cancel();
            let _given_up = ready!(site.poll(op, cx));
            self.room = None;
        }
        Poll::Ready(())
    }

    /// Writes by an operation, which has a copy of the bytes, and reports when it is done. See
    /// [`Unheard::tell`](super::Unheard::tell) for who comes again with other bytes.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(crate) fn poll_write(
        &mut self,
        site: Site<'_>,
        bufs: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.forget_unbegun();
        ready!(self.poll_stopped(site, cx));
        loop {
            if self.is_pending() {
                match ready!(self.poll(site, cx))? {
                    0 => return Poll::Ready(Ok(0)),
                    written => self.note(written),
                }
            }
            ready!(self.poll_settled(site, cx))?;
            if let Some(told) = self.unheard.tell(bufs) {
                return Poll::Ready(Ok(told));
            }
            self.begin(site, bufs, T::Beside::default());
        }
    }
}
