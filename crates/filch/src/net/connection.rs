//! What a stream of bytes is made of, whatever its addresses.

use super::close::close;
use super::hand_over::{self, Refused};
use super::lease::{Lease, Pool};
use super::socket;
use crate::half::{self, Inward, Outward, ReadBuffer, Reading, Site, Turn, Want, Writing};
use crate::home::Home;
use filch_uring::{IoBuf, IoBufMut, IoBufs, IoBufsMut, SharedFd, op};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connected socket that carries a stream of bytes.
pub(super) struct Connection<R: Inward, W: Outward> {
    pub(super) fd: SharedFd,
    pub(super) home: Home,
    pub(super) reading: Turn<Reading<R>>,
    pub(super) writing: Turn<Writing<W>>,
    /// Somebody has asked for descriptors: from then on every read has room for some, so that none is
    /// lost to a read that another one takes over.
    descriptors: AtomicBool,
    /// The end of both directions, or of the reading one, was asked for, and may have come about.
    was_shut: AtomicBool,
}

impl<R: Inward, W: Outward> Connection<R, W> {
    pub(super) fn new(fd: SharedFd, home: Home) -> Self {
        let (reading, writing) = (Turn::new(Reading::new()), Turn::new(Writing::new()));
        let (descriptors, was_shut) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { fd, home, reading, writing, descriptors, was_shut }
    }

    pub(super) fn site(&self, at: &'static Location<'static>) -> Site<'_> {
        Site { fd: &self.fd, home: &self.home, at, is_device: false }
    }

    pub(super) fn want(&self, room: usize) -> Want {
        // Relaxed: who asks for descriptors sets it before; for others it makes no difference.
        Want { descriptors: self.descriptors.load(Ordering::Relaxed), ..Want::bytes(room) }
    }

    /// Whether the end of more than the writing direction was asked for.
    pub(super) fn was_shut(&self) -> bool {
        // Relaxed: as in `shutdown`.
        self.was_shut.load(Ordering::Relaxed)
    }

    /// Asks for descriptors, from now on.
    pub(super) fn want_descriptors(&self) {
        // Relaxed: as in `want`.
        self.descriptors.store(true, Ordering::Relaxed);
    }

    /// Reads into one buffer.
    pub(super) fn read_one(
        &self,
        buf: &mut [u8],
        at: &'static Location<'static>,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        half::read(&self.reading, self.site(at), buf, |room| self.want(room))
    }

    /// Reads into `bufs`, and takes what came beside the bytes, if there is a place for it.
    pub(super) async fn read(
        &self,
        bufs: &mut [IoSliceMut<'_>],
        beside: Option<&mut R::Beside>,
        at: &'static Location<'static>,
    ) -> io::Result<usize> {
        let room = bufs.iter().fold(0usize, |room, buf| room.saturating_add(buf.len()));
        half::read_with(&self.reading, self.site(at), bufs, self.want(room), beside).await
    }

    /// Reads into a buffer that is handed over.
    pub(super) async fn read_owned<B: IoBufMut>(
        &self,
        buf: B,
        at: &'static Location<'static>,
    ) -> (io::Result<usize>, B) {
        let want = self.want(buf.capacity());
        half::read_owned(&self.reading, self.site(at), buf, want).await
    }

    /// Reads into several buffers that are handed over.
    pub(super) async fn read_vectored_owned<B: IoBufsMut>(
        &self,
        bufs: B,
        at: &'static Location<'static>,
    ) -> (io::Result<usize>, B) {
        let want = |room| self.want(room);
        half::read_vectored_owned(&self.reading, self.site(at), bufs, want).await
    }

    /// Lends what has come.
    pub(super) async fn recv(&self, at: &'static Location<'static>) -> io::Result<Lease> {
        let (site, want) = (self.site(at), self.want(Pool::ROOM));
        let mut reading = self.reading.lock_at(at).await;
        reading.begin_with(site, want, || self.home.pool().buffer());
        poll_fn(|cx| reading.poll(site, want, cx)).await?;
        Ok(reading.take_all(|buffer, bytes| match buffer {
            ReadBuffer::Vec(buffer) => Lease::new(&self.home, buffer, bytes),
            // Somebody's own, of a read that was dropped.
            other => (Lease::copied(&other.as_slice()[bytes]), None),
        }))
    }

    /// Writes all of a buffer that is handed over.
    pub(super) async fn write_all_owned<B: IoBuf>(
        &self,
        buf: B,
        at: &'static Location<'static>,
    ) -> (io::Result<()>, B) {
        half::write_all_owned(&self.writing, self.site(at), buf).await
    }

    /// Writes all of several buffers that are handed over.
    pub(super) async fn write_all_vectored_owned<B: IoBufs>(
        &self,
        bufs: B,
        at: &'static Location<'static>,
    ) -> (io::Result<()>, B) {
        half::write_all_vectored_owned(&self.writing, self.site(at), bufs).await
    }

    /// Copies what comes next, and lets it stay.
    pub(super) async fn peek(
        &self,
        buf: &mut [u8],
        at: &'static Location<'static>,
    ) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let (site, want) = (self.site(at), self.want(buf.len()));
        let mut reading = self.reading.lock_at(at).await;
        poll_fn(|cx| reading.poll(site, want, cx)).await?;
        let (seen, _) = reading.look(buf);
        // What has come is little, maybe, and stays until somebody reads: who looks again for more has to
        // see what came after it.
        match seen {
            0 => Ok(0),
            seen => Ok(seen + socket::peek_now(&self.fd, &mut buf[seen..])),
        }
    }

    /// Writes some of one buffer.
    pub(super) fn write_one(
        &self,
        buf: &[u8],
        at: &'static Location<'static>,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        half::write(&self.writing, self.site(at), buf)
    }

    /// Writes some of `bufs`, with something beside the bytes.
    pub(super) async fn write(
        &self,
        bufs: &[IoSlice<'_>],
        beside: W::Beside,
        at: &'static Location<'static>,
    ) -> io::Result<usize> {
        half::write_with(&self.writing, self.site(at), bufs, beside).await
    }

    /// Waits for a write that was dropped, and returns how much it wrote.
    pub(super) async fn settle(&self, at: &'static Location<'static>) -> io::Result<usize> {
        half::settle(&self.writing, self.site(at)).await
    }

    /// Ends one direction, or both.
    pub(super) async fn shutdown(
        &self,
        how: Shutdown,
        at: &'static Location<'static>,
    ) -> io::Result<()> {
        let site = self.site(at);
        let shutdown = self.home.run(op::Shutdown::new(self.fd.clone(), how), site.at);
        if how != Shutdown::Write {
            // Relaxed, both: it orders nothing. Whoever asks again has heard of the first time somehow.
            let again = self.was_shut.swap(true, Ordering::Relaxed);
            let ended = finished(again, shutdown.await);
            if ended.is_err() {
                self.was_shut.store(false, Ordering::Relaxed);
            }
            return ended;
        }
        // Kept until the end is on its way: no further write gets in before it.
        let mut writing = self.writing.lock_at(site.at).await;
        poll_fn(|cx| writing.poll_settled(site, cx)).await?;
        let again = mem::replace(&mut writing.is_ending, true) || self.was_shut();
        let ended = finished(again, shutdown.await);
        writing.is_ending = ended.is_ok();
        ended
    }

    /// Closes it, when nothing is in flight: a read is given up, a write that was dropped is waited for.
    pub(super) async fn close(mut self, at: &'static Location<'static>) -> io::Result<()> {
        let site = Site { fd: &self.fd, home: &self.home, at, is_device: false };
        let (reading, writing) = (self.reading.get_mut(), self.writing.get_mut());
        poll_fn(|cx| reading.poll_end(site, cx)).await;
        let settled = poll_fn(|cx| writing.poll_settled(site, cx)).await;
        poll_fn(|cx| writing.poll_room_left(site, cx)).await;
        close(self.fd, self.home, settled, at).await
    }

    /// The descriptor, when nothing is in flight. Refused where bytes have come that nobody has read, and
    /// with the error of a write that was dropped.
    pub(super) async fn into_fd(
        mut self,
        at: &'static Location<'static>,
    ) -> Result<OwnedFd, Refused<Self>> {
        let site = Site { fd: &self.fd, home: &self.home, at, is_device: false };
        let (reading, writing) = (self.reading.get_mut(), self.writing.get_mut());
        let recalled = poll_fn(|cx| reading.poll_recall(site, cx)).await;
        let left = match reading.has_bytes() {
            true => Err(hand_over::unread("bytes were received that nobody has read")),
            false => Ok(()),
        };
        let settled = match (recalled, left) {
            (Ok(()), Ok(())) => poll_fn(|cx| writing.poll_settled(site, cx)).await,
            (recalled, left) => recalled.and(left),
        };
        match settled.and_then(|()| hand_over::duplicate(&self.fd)) {
            Ok(fd) => Ok(fd),
            Err(error) => Err(Refused::new(self, error)),
        }
    }
}

/// How ending the writing direction went. One that was dropped may have ended it: when the other side has
/// ended its own, too, there is no connection any more, and nothing is wrong.
pub(super) fn finished(again: bool, ended: io::Result<()>) -> io::Result<()> {
    match ended {
        Err(error) if again && error.kind() == io::ErrorKind::NotConnected => Ok(()),
        ended => ended,
    }
}
