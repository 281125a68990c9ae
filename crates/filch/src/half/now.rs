//! Writing by polls: to a socket without waiting, to other things by an operation.

use super::{Outward, Site, Writing};
use crate::home::lost_its_ring;
use filch_atomic::current;
use filch_uring::{Op, op};
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// As many buffers as the kernel takes in one call.
const MOST_BUFFERS: usize = libc::UIO_MAXIOV as usize;

/// Waiting until a socket takes more. Whoever polls next finds it here.
pub(crate) type Room = Option<Op<op::PollFd>>;

impl<T: Outward> Writing<T> {
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
                    self.room = Some(Op::new(room));
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
