//! For those who wait first and then read or write without waiting.
//!
//! Each has the direction's turn for the length of its call, or of its wait: so nobody gets between what an
//! operation has brought and what the system has. Whoever else waits for that operation, by polls, is woken when
//! the turn ends, and looks again.

use super::{Inward, Now, Outward, Reading, Site, Taken, Turn, Writing};
use std::future::poll_fn;
use std::io::{self, IoSliceMut};

/// Waits until a read would not wait.
pub(crate) async fn readable<T: Inward>(half: &Turn<Reading<T>>, site: Site<'_>) -> io::Result<()> {
    let mut reading = half.lock_at(site.at).await;
    poll_fn(|cx| reading.poll_ready(site, cx)).await
}

/// Reads what is there: what an operation has brought, else what `receive` gets from the system.
pub(crate) fn try_read<T: Inward>(
    half: &Turn<Reading<T>>,
    site: Site<'_>,
    buf: &mut [u8],
    receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let (mut reading, is_here) = turn_to_read(half, site)?;
    if is_here { Ok(reading.take(&mut [IoSliceMut::new(buf)])) } else { receive(buf) }
}

/// Has `send` write, when nothing is left of an earlier write.
pub(crate) fn try_write<T: Outward>(
    half: &Turn<Writing<T>>,
    site: Site<'_>,
    send: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut writing = turn_to_write(half, site)?;
    let sent = send()?;
    // These are other bytes.
    writing.unheard.take();
    Ok(sent)
}

/// Has somebody else do it, who reads, writes, or both. Where something was read that comes first, `unread` says
/// so instead.
pub(crate) fn try_io<R: Inward, W: Outward, T>(
    reads: Option<&Turn<Reading<R>>>,
    writes: Option<&Turn<Writing<W>>>,
    site: Site<'_>,
    call: impl FnOnce() -> io::Result<T>,
    unread: impl FnOnce() -> io::Error,
) -> io::Result<T> {
    let reading = reads.map(|half| turn_to_read(half, site)).transpose()?;
    if let Some((_, true)) = reading {
        return Err(unread());
    }
    let writing = writes.map(|half| turn_to_write(half, site)).transpose()?;
    let done = call();
    // Until now.
    drop((reading, writing));
    done
}

/// The turn to read, and whether something has come to take. Not while somebody else has it, or an operation is
/// under way.
fn turn_to_read<'a, T: Inward>(
    half: &'a Turn<Reading<T>>,
    site: Site<'_>,
) -> io::Result<(Taken<'a, Reading<T>>, bool)> {
    let mut reading = half.try_lock().ok_or(io::ErrorKind::WouldBlock)?;
    match reading.look_now(site)? {
        Now::Here => Ok((reading, true)),
        Now::Ask => Ok((reading, false)),
        Now::Later => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The turn to write. Not while somebody else has it, or an operation is under way.
fn turn_to_write<'a, T: Outward>(
    half: &'a Turn<Writing<T>>,
    site: Site<'_>,
) -> io::Result<Taken<'a, Writing<T>>> {
    let mut writing = half.try_lock().ok_or(io::ErrorKind::WouldBlock)?;
    match writing.is_settled_now(site)? {
        true => Ok(writing),
        false => Err(io::ErrorKind::WouldBlock.into()),
    }
}
