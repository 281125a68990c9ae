//! The two halves of what has no positions: a socket, a pipe, a terminal.
//!
//! What is in flight belongs to the half, not to the future that began it (C1).

mod buffer;
mod moving;
mod now;
mod reading;
mod ready;
mod turn;
mod unheard;
mod writing;

pub(crate) use buffer::{ReadBuffer, WriteBuffer};
use now::LARGE;
pub(crate) use now::{recv_now, send_now};
pub(crate) use reading::{Now, Reading, Want};
pub(crate) use ready::{readable, try_io, try_read, try_write};
#[cfg(all(test, any(feature = "futures-io", feature = "tokio-io")))]
pub(crate) use turn::Poller;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub(crate) use turn::{Due, Polled, Role};
pub(crate) use turn::{Taken, Turn};
pub(crate) use unheard::Unheard;
pub(crate) use writing::Writing;

use crate::home::Home;
use filch_uring::{
    IoBuf, IoBufMut, IoBufs, IoBufsMut, NoDriver, Op, Operation, Position, SharedFd, op,
};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::task::{Context, Poll};

/// Room beside one message, in descriptors. The kernel passes 253 at most; before them it puts whatever else the
/// socket was told to take (the sender's credentials, say), and closes those for which there is no room left.
const ROOM_BESIDE: usize = 253 + 64;

/// Reads some bytes into `buf`, when the direction has its turn for it. `want` says what to ask for, for so much room.
pub(crate) async fn read<T: Inward>(
    half: &Turn<Reading<T>>,
    site: Site<'_>,
    buf: &mut [u8],
    want: impl FnOnce(usize) -> Want,
) -> io::Result<usize> {
    let want = want(buf.len());
    if want.room == 0 {
        return Ok(0);
    }
    let mut reading = match half.lock_now() {
        Some(reading) => reading,
        None => half.lock_at(site.at).await,
    };
    if T::IS_PLAIN
        && buf.len() >= LARGE
        && let Some(read) = poll_fn(|cx| reading.poll_flow(site, buf, cx)).await
    {
        return read;
    }
    poll_fn(|cx| reading.poll(site, want, cx)).await?;
    Ok(reading.take_one(buf))
}

/// Reads some bytes into `bufs`, one after the other, and takes what came beside them, if there is a place
/// for it.
pub(crate) async fn read_with<T: Inward>(
    half: &Turn<Reading<T>>,
    site: Site<'_>,
    bufs: &mut [IoSliceMut<'_>],
    want: Want,
    beside: Option<&mut T::Beside>,
) -> io::Result<usize> {
    if want.room == 0 {
        return Ok(0);
    }
    let mut reading = half.lock_at(site.at).await;
    if T::IS_PLAIN
        && let Some(buf) = bufs.first_mut()
        && let Some(read) = poll_fn(|cx| reading.poll_flow(site, buf, cx)).await
    {
        return read;
    }
    poll_fn(|cx| reading.poll(site, want, cx)).await?;
    if let Some(beside) = beside {
        *beside = reading.take_beside();
    }
    Ok(reading.take(bufs))
}

/// Reads some bytes into a buffer that is handed over for it.
///
/// If nothing is left of an earlier read, the kernel writes into that buffer, and nothing is copied.
pub(crate) async fn read_owned<T: Inward, B: IoBufMut>(
    half: &Turn<Reading<T>>,
    site: Site<'_>,
    mut buf: B,
    want: Want,
) -> (io::Result<usize>, B) {
    if want.room == 0 {
        return (Ok(0), buf);
    }
    let mut reading = match half.lock_now() {
        Some(reading) => reading,
        None => half.lock_at(site.at).await,
    };
    if reading.is_idle() {
        reading.begin(site, ReadBuffer::of(buf), want);
        let (received, buffer) = poll_fn(|cx| reading.poll_begun(site, want, cx)).await;
        return (received, buffer.give_back());
    }
    let come = poll_fn(|cx| reading.poll(site, want, cx)).await;
    (come.map(|()| reading.take_into(&mut buf)), buf)
}

/// As [`read_owned`], into several buffers, one after the other.
pub(crate) async fn read_vectored_owned<T: Inward, B: IoBufsMut>(
    half: &Turn<Reading<T>>,
    site: Site<'_>,
    mut bufs: B,
    want: impl FnOnce(usize) -> Want,
) -> (io::Result<usize>, B) {
    let mut room = 0usize;
    bufs.parts_mut(&mut |_, part| room = room.saturating_add(part));
    if room == 0 {
        return (Ok(0), bufs);
    }
    let want = want(room);
    let mut reading = half.lock_at(site.at).await;
    if reading.is_idle() {
        reading.begin(site, ReadBuffer::of_many(bufs), want);
        let (received, buffer) = poll_fn(|cx| reading.poll_begun(site, want, cx)).await;
        return (received, buffer.give_back_many());
    }
    let come = poll_fn(|cx| reading.poll(site, want, cx)).await;
    (come.map(|()| reading.take_into_all(&mut bufs)), bufs)
}

/// Writes some of `buf`, when the direction has its turn for it, and nothing is left of an earlier write.
pub(crate) async fn write<T: Outward>(
    half: &Turn<Writing<T>>,
    site: Site<'_>,
    buf: &[u8],
) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    let mut writing = match half.lock_now() {
        Some(writing) => writing,
        None => half.lock_at(site.at).await,
    };
    poll_fn(|cx| writing.poll_settled(site, cx)).await?;
    if T::IS_PLAIN
        && buf.len() >= LARGE
        && let Some(sent) = poll_fn(|cx| writing.poll_flow(site, buf, cx)).await
    {
        return sent;
    }
    writing.begin(site, &[IoSlice::new(buf)], T::Beside::default());
    poll_fn(|cx| writing.poll(site, cx)).await
}

/// Writes some of `bufs`, one after the other, with something beside the bytes.
pub(crate) async fn write_with<T: Outward>(
    half: &Turn<Writing<T>>,
    site: Site<'_>,
    bufs: &[IoSlice<'_>],
    beside: T::Beside,
) -> io::Result<usize> {
    if bufs.iter().all(|buf| buf.is_empty()) {
        return Ok(0);
    }
    let mut writing = half.lock_at(site.at).await;
    poll_fn(|cx| writing.poll_settled(site, cx)).await?;
    if T::IS_PLAIN
        && let Some(buf) = bufs.first()
        && let Some(sent) = poll_fn(|cx| writing.poll_flow(site, buf, cx)).await
    {
        return sent;
    }
    writing.begin(site, bufs, beside);
    poll_fn(|cx| writing.poll(site, cx)).await
}

/// Writes all of a buffer that is handed over for it: once begun, it goes on to the end, whatever becomes of
/// this future.
pub(crate) async fn write_all_owned<T: Outward, B: IoBuf>(
    half: &Turn<Writing<T>>,
    site: Site<'_>,
    buf: B,
) -> (io::Result<()>, B) {
    if buf.is_empty() {
        return (Ok(()), buf);
    }
    let mut writing = match half.lock_now() {
        Some(writing) => writing,
        None => half.lock_at(site.at).await,
    };
    if let Err(error) = poll_fn(|cx| writing.poll_settled(site, cx)).await {
        return (Err(error), buf);
    }
    writing.begin_whole(site, WriteBuffer::of(buf));
    let (written, buffer) = poll_fn(|cx| writing.poll_begun(site, cx)).await;
    (written.map(drop), buffer.give_back())
}

/// As [`write_all_owned`], of several buffers, one after the other.
pub(crate) async fn write_all_vectored_owned<T: Outward, B: IoBufs>(
    half: &Turn<Writing<T>>,
    site: Site<'_>,
    bufs: B,
) -> (io::Result<()>, B) {
    let mut is_empty = true;
    bufs.parts(&mut |_, len| is_empty &= len == 0);
    if is_empty {
        return (Ok(()), bufs);
    }
    let mut writing = half.lock_at(site.at).await;
    if let Err(error) = poll_fn(|cx| writing.poll_settled(site, cx)).await {
        return (Err(error), bufs);
    }
    writing.begin_whole(site, WriteBuffer::of_many(bufs));
    let (written, buffer) = poll_fn(|cx| writing.poll_begun(site, cx)).await;
    (written.map(drop), buffer.give_back_many())
}

/// Waits for a write that was dropped, and returns how much it wrote.
pub(crate) async fn settle<T: Outward>(
    half: &Turn<Writing<T>>,
    site: Site<'_>,
) -> io::Result<usize> {
    let mut writing = half.lock_at(site.at).await;
    poll_fn(|cx| writing.poll_settled(site, cx)).await?;
    Ok(writing.unheard.take())
}

/// An operation that moves bytes one way, between a descriptor and a buffer.
pub(crate) trait Transfer: Operation {
    /// Of a socket's bytes, with nothing beside them: `recv` and `send` do the same.
    const IS_PLAIN: bool = false;

    type Buffer;
    /// What travels beside the bytes.
    type Beside: Default + std::marker::Send;

    /// How it ended.
    fn end(output: Self::Output) -> (io::Result<usize>, Self::Buffer, Self::Beside);
}

/// One that fills a buffer.
pub(crate) trait Inward: Transfer<Buffer = ReadBuffer> {
    fn new(site: Site<'_>, buffer: ReadBuffer, want: Want) -> Self;

    /// What came beside the bytes, of a message.
    fn beside(received: op::Received) -> Self::Beside;
}

/// One that empties a buffer. With `whole` it goes on until that is empty, where the kernel can do that.
pub(crate) trait Outward: Transfer<Buffer = WriteBuffer> {
    fn new(site: Site<'_>, buffer: WriteBuffer, beside: Self::Beside, whole: bool) -> Self;
}

/// The operations of streams.
pub(crate) type Recv = op::Recv<ReadBuffer>;
pub(crate) type RecvMsg = op::RecvMsg<ReadBuffer>;
pub(crate) type Read = op::Read<ReadBuffer>;
pub(crate) type Send = op::Send<WriteBuffer>;
pub(crate) type SendMsg = op::SendMsg<WriteBuffer>;
pub(crate) type Write = op::Write<WriteBuffer>;

macro_rules! bytes_alone {
    ($($operation:ident of $buffer:ident, $is_plain:literal;)*) => {
        $(impl Transfer for $operation {
            const IS_PLAIN: bool = $is_plain;

            type Buffer = $buffer;
            type Beside = ();

            fn end((moved, buffer): Self::Output) -> (io::Result<usize>, $buffer, ()) {
                (moved, buffer, ())
            }
        })*
    };
}

bytes_alone! {
    Recv of ReadBuffer, true;
    Read of ReadBuffer, false;
    Send of WriteBuffer, true;
    Write of WriteBuffer, false;
}

impl Inward for Recv {
    fn new(site: Site<'_>, buffer: ReadBuffer, _: Want) -> Self {
        Self::new(site.fd.clone(), buffer)
    }

    fn beside(_: op::Received) {}
}

impl Outward for Send {
    fn new(site: Site<'_>, buffer: WriteBuffer, (): (), whole: bool) -> Self {
        Self::new(site.fd.clone(), buffer).flags(until_all_is_sent(whole))
    }
}

impl Inward for Read {
    fn new(site: Site<'_>, buffer: ReadBuffer, _: Want) -> Self {
        Self::new(site.fd.clone(), buffer, Position::Current)
    }

    fn beside(_: op::Received) {}
}

impl Outward for Write {
    fn new(site: Site<'_>, buffer: WriteBuffer, (): (), _: bool) -> Self {
        let write = Self::new(site.fd.clone(), buffer, Position::Current);
        if site.is_device { write.in_kernel_thread() } else { write }
    }
}

impl Transfer for RecvMsg {
    type Buffer = ReadBuffer;
    type Beside = Option<op::Received>;

    fn end((received, buffer): Self::Output) -> (io::Result<usize>, ReadBuffer, Self::Beside) {
        match received {
            Ok(received) => (Ok(received.len), buffer, Some(received)),
            Err(error) => (Err(error), buffer, None),
        }
    }
}

impl Inward for RecvMsg {
    fn new(site: Site<'_>, buffer: ReadBuffer, want: Want) -> Self {
        // No more than was asked for: descriptors come with the last of the bytes, and bytes behind those that
        // a plain read takes may be somebody's who asks for descriptors.
        let receive = Self::new(site.fd.clone(), buffer).at_most(want.room);
        if want.descriptors { receive.descriptors(ROOM_BESIDE) } else { receive }
    }

    fn beside(received: op::Received) -> Self::Beside {
        Some(received)
    }
}

impl Transfer for SendMsg {
    type Buffer = WriteBuffer;
    type Beside = Vec<OwnedFd>;

    fn end(output: Self::Output) -> (io::Result<usize>, WriteBuffer, Self::Beside) {
        output
    }
}

impl Outward for SendMsg {
    fn new(site: Site<'_>, buffer: WriteBuffer, beside: Vec<OwnedFd>, whole: bool) -> Self {
        Self::new(site.fd.clone(), buffer).flags(until_all_is_sent(whole)).descriptors(beside)
    }
}

/// The flag with which the kernel waits for room again and again, until all is sent.
fn until_all_is_sent(whole: bool) -> i32 {
    if whole { libc::MSG_WAITALL } else { 0 }
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

/// Whether an operation ended because it was cancelled: in a ring, in one of the kernel's threads, or before it had
/// begun (in a scope that was cancelled none begins, and the object has it all the same). Who has not asked for that
/// begins it anew (see [`lost_its_ring`](crate::home::lost_its_ring)): it has moved nothing.
pub(crate) fn was_given_up(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECANCELED | libc::EINTR))
        || NoDriver::of(error) == Some(NoDriver::Cancelled)
}

/// Whether an operation ended because it would have had to wait, as those in a ring do as a rule by themselves.
/// Not where somebody has made the descriptor non-blocking (that depends on the kernel, and on what it is), nor
/// in a thread of the kernel's, to which a ring gives what it has tried 128 times in vain, when the socket has a
/// time-out. It has moved nothing: wait until the descriptor is ready, and begin it anew.
pub(crate) fn would_block(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}
