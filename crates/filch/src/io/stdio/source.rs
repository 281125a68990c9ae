//! What standard input is read from.

use super::call::Call;
use super::{Here, Kind, What, standard};
use crate::half::{self, Reading, Site, Want, would_block};
use crate::home::lost_its_ring;
use crate::io::Read;
use filch_atomic::scope;
use filch_uring::{Op, SharedFd, op};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::Location;
use std::task::{Context, Poll, ready};

/// As much as one call asks for: a longer buffer is filled by several.
const MOST: usize = 64 * 1024;

/// Standard input, without anything that was read ahead. At most one read is in flight, and a future that is dropped
/// leaves it, and what it brings, to the next one (C1).
pub(super) struct Source {
    fd: SharedFd,
    /// What was there when something was last begun.
    on: Option<What>,
    /// Where in the user's source it is waited for.
    pub(super) at: &'static Location<'static>,
    /// By the ring.
    reading: Reading<half::Read>,
    /// By a call. While one of the two is under way the other is idle.
    called: Called,
}

/// What reads by calls.
enum Called {
    Idle,
    /// Until there is something to read; or, in a scope that is cancelled, for ever: nothing begins there (C2).
    Waiting(Op<op::PollFd>),
    /// The bytes, and whether there was an error in place of them.
    Reads(Call<(Vec<u8>, io::Result<()>)>),
    /// Bytes that nobody has taken yet, from so many on.
    Left(Vec<u8>, usize),
}

impl Source {
    pub(super) fn new() -> Self {
        Self {
            fd: standard(libc::STDIN_FILENO),
            on: None,
            at: Location::caller(),
            reading: Reading::new(),
            called: Called::Idle,
        }
    }

    /// Gives up what a dropped read has left, if something else is in the descriptor's place by now. What it has brought
    /// stays, and a call that a thread is in goes on.
    fn poll_left(&mut self, here: &Here, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (waits, calls) = match &self.called {
            Called::Waiting(_) => (true, None),
            Called::Reads(call) => (false, Some(call)),
            Called::Idle | Called::Left(..) => (false, None),
        };
        let is_left = waits || calls.is_some() || self.reading.is_under_way();
        if !is_left || self.is_same() {
            return Poll::Ready(Ok(()));
        }
        if let Some(call) = calls {
            call.take_back();
        }
        if waits {
            self.called = Called::Idle;
        }
        let Self { fd, reading, .. } = self;
        let site = Site { fd, home: &here.home, at: here.at, is_device: false };
        reading.poll_recall(site, cx)
    }

    /// As a read of its own.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub(super) fn poll_once(
        &mut self,
        buf: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let here = Here::at(self.at)?;
        ready!(self.poll_left(&here, cx))?;
        self.poll_read(&here, &mut false, buf, cx)
    }

    /// `is_own` says whether the call that is under way was begun by this very future.
    fn poll_read(
        &mut self,
        here: &Here,
        is_own: &mut bool,
        buf: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match &mut self.called {
                Called::Left(bytes, from) => {
                    let left = &bytes[*from..];
                    let taken = left.len().min(buf.len());
                    buf[..taken].copy_from_slice(&left[..taken]);
                    *from += taken;
                    if *from == bytes.len() {
                        self.called = Called::Idle;
                    }
                    return Poll::Ready(Ok(taken));
                }
                Called::Reads(call) => {
                    let done = ready!(call.poll(cx));
                    self.called = Called::Idle;
                    match done {
                        Ok((bytes, Ok(()))) => self.called = Called::Left(bytes, 0),
                        Ok((_, Err(error))) if would_block(&error) => self.wait(),
                        Ok((_, Err(error))) => return Poll::Ready(Err(error)),
                        // That of another runtime, which has ended; or it was taken back.
                        Err(_) if !*is_own => {}
                        Err(ended) => return Poll::Ready(Err(io::Error::other(ended))),
                    }
                }
                Called::Waiting(op) => {
                    let ready = ready!(here.home.poll(op, here.at, cx));
                    self.called = Called::Idle;
                    match ready {
                        Ok(_) if scope::here_is_cancelled() => self.wait(),
                        Ok(_) if self.is_same() => *is_own = self.call(here, buf.len())?,
                        // That has come to what was there before.
                        Ok(_) => {}
                        Err(error) if lost_its_ring(&error) => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Called::Idle => match self.kind()? {
                    Kind::Stream => {
                        let Self { fd, reading, .. } = self;
                        let site = Site { fd, home: &here.home, at: here.at, is_device: false };
                        ready!(reading.poll(site, Want::bytes(buf.len()), cx))?;
                        return Poll::Ready(Ok(reading.take(&mut [IoSliceMut::new(buf)])));
                    }
                    Kind::File if !scope::here_is_cancelled() => {
                        *is_own = self.call(here, buf.len())?;
                    }
                    Kind::File | Kind::Device => self.wait(),
                },
            }
        }
    }

    /// How to go on.
    fn kind(&mut self) -> io::Result<Kind> {
        if !self.reading.is_idle() {
            return Ok(Kind::Stream);
        }
        let what = What::now(&self.fd)?;
        self.on = Some(what);
        Ok(what.kind)
    }

    fn is_same(&self) -> bool {
        self.on.is_some_and(|what| what.is_there(&self.fd))
    }

    fn wait(&mut self) {
        let ready = op::PollFd::new(self.fd.clone(), libc::POLLIN);
        self.called = Called::Waiting(Op::new(ready));
    }

    /// True.
    fn call(&mut self, here: &Here, room: usize) -> io::Result<bool> {
        let (fd, room) = (self.fd.as_raw_fd(), room.min(MOST));
        self.called = Called::Reads(Call::begin(here, move || read_now(fd, room))?);
        Ok(true)
    }
}

/// Reads once, on a thread that may wait.
fn read_now(fd: RawFd, room: usize) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::<u8>::with_capacity(room);
    loop {
        // SAFETY: there is room for so many bytes.
        let read = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), room) };
        match usize::try_from(read) {
            Ok(read) => {
                // SAFETY: so many were just written.
                unsafe { bytes.set_len(read) };
                return (bytes, Ok(()));
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return (bytes, Err(error));
                }
            }
        }
    }
}

impl Read for Source {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let here = Here::at(self.at)?;
        let source = Cut(self);
        poll_fn(|cx| source.0.poll_left(&here, cx)).await?;
        let mut is_own = false;
        poll_fn(|cx| source.0.poll_read(&here, &mut is_own, buf, cx)).await
    }
}

/// A read that is dropped in a scope that is cancelled: a call that has not begun never does (C2).
struct Cut<'a>(&'a mut Source);

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if let Called::Reads(call) = &self.0.called
            && scope::here_is_cancelled()
        {
            call.take_back();
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("reading", &self.reading).finish_non_exhaustive()
    }
}
