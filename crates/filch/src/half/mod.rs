//! The two halves of what has no positions: a socket, a pipe, a terminal.
//!
//! What is in flight belongs to the half, not to the future that began it (C1).

mod reading;
mod writing;

pub(crate) use reading::Reading;
pub(crate) use writing::Writing;

use crate::home::Home;
use filch_sync::Lock;
use filch_uring::{Op, Operation, Position, SharedFd, op};
use std::future::poll_fn;
use std::io;
use std::panic::Location;
use std::task::{Context, Poll};

/// Reads some bytes into `buf`, when the direction has its turn for it.
pub(crate) async fn read<T: Transfer>(
    half: &Lock<Reading<T>>,
    site: Site<'_>,
    buf: &mut [u8],
) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    let mut reading = half.lock_at(site.at).await;
    poll_fn(|cx| reading.poll(site, buf, cx)).await
}

/// Writes some of `buf`, when the direction has its turn for it, and nothing is left of an earlier write.
pub(crate) async fn write<T: Transfer>(
    half: &Lock<Writing<T>>,
    site: Site<'_>,
    buf: &[u8],
) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    let mut writing = half.lock_at(site.at).await;
    poll_fn(|cx| writing.poll_settled(site, cx)).await?;
    writing.begin(site, buf);
    poll_fn(|cx| writing.poll(site, cx)).await
}

/// An operation that moves bytes one way, between a descriptor and a buffer.
pub(crate) trait Transfer: Operation<Output = (io::Result<usize>, Vec<u8>)> {
    fn new(site: Site<'_>, buffer: Vec<u8>) -> Self;
}

impl Transfer for op::Recv<Vec<u8>> {
    fn new(site: Site<'_>, buffer: Vec<u8>) -> Self {
        Self::new(site.fd.clone(), buffer)
    }
}

impl Transfer for op::Send<Vec<u8>> {
    fn new(site: Site<'_>, buffer: Vec<u8>) -> Self {
        Self::new(site.fd.clone(), buffer)
    }
}

impl Transfer for op::Read<Vec<u8>> {
    fn new(site: Site<'_>, buffer: Vec<u8>) -> Self {
        Self::new(site.fd.clone(), buffer, Position::Current)
    }
}

impl Transfer for op::Write<Vec<u8>> {
    fn new(site: Site<'_>, buffer: Vec<u8>) -> Self {
        let write = Self::new(site.fd.clone(), buffer, Position::Current);
        if site.is_device { write.in_kernel_thread() } else { write }
    }
}

/// What a poll needs to know besides the half: the descriptor, the runtime that it belongs to, and where
/// in the user's source it is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) fd: &'a SharedFd,
    pub(crate) home: &'a Home,
    pub(crate) at: &'static Location<'static>,
    /// A character device. Some of their drivers (terminals) wait in the midst of a write, whatever they
    /// are told.
    pub(crate) is_device: bool,
}

impl Site<'_> {
    pub(crate) fn poll<T: Operation>(
        &self,
        op: &mut Op<T>,
        cx: &mut Context<'_>,
    ) -> Poll<T::Output> {
        self.home.poll(op, self.at, cx)
    }
}
