//! The receiving half: what of a read outlives the future that began it.

use super::moving::Filling;
use super::now::LARGE;
use super::{Inward, ReadBuffer, Site, was_given_up, would_block};
use crate::home::lost_its_ring;
use filch_uring::{IoBuf, IoBufMut, IoBufsMut, Op, op};
use std::io::IoSliceMut;
use std::ops::Range;
use std::task::{Context, Poll, Waker, ready};
use std::{fmt, io, mem, ptr};

/// As much as one read of a stream asks the kernel for: a longer buffer is filled by several.
const MOST: usize = 64 * 1024;

/// The largest buffer that is kept for its memory: as large as a datagram may be, with some room.
const MOST_KEPT: usize = 256 * 1024;

/// One direction of a stream, or a datagram socket's. At most one operation is in flight, and it belongs
/// to the object: the future of a read only looks at it. So a future that is dropped leaves the operation
/// to the next read, whatever the size of that one's buffer, and bytes that are more than it asked for stay
/// here (C1).
///
/// The kernel writes into a buffer of the object's own, because a borrowed one may be gone before the
/// kernel is done with it (D1). Of a stream it is as large as the largest read so far, up to 64 KiB. Or it
/// writes into one that was handed over, which the operation keeps for as long.
///
/// Dropped with the object, the operation is cancelled (D6).
pub(crate) enum Reading<T: Inward> {
    /// Nothing is in flight. The buffer is kept for its memory.
    Idle(Vec<u8>),
    /// An operation is, whether anybody waits for it or not, and what it has room for.
    Pending(Filling<T>, Want),
    /// One would have had to wait: this waits until there is something, and then another is begun.
    Waiting(Op<op::PollFd>, ReadBuffer),
    /// Bytes have come that nobody has taken yet, and what came beside them.
    Left(ReadBuffer, Range<usize>, T::Beside),
}

/// What there is for who does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// Something to [take](Reading::take).
    Here,
    /// An operation, which will bring what comes.
    Later,
    /// Nothing: ask the system.
    Ask,
}

/// What a read asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    /// How many bytes to ask the kernel for, should an operation be begun.
    pub(crate) room: usize,
    /// With how much room one that is pending will do: a datagram that does not fit is cut off.
    pub(crate) least: usize,
    /// Whether there has to be room for descriptors.
    pub(crate) descriptors: bool,
}

impl Want {
    /// Bytes of a stream, into so much room: any operation will do.
    pub(crate) fn bytes(room: usize) -> Self {
        Self { room: room.min(MOST), least: 0, descriptors: false }
    }
}

impl<T: Inward> Reading<T> {
    pub(crate) fn new() -> Self {
        Self::Idle(Vec::new())
    }

    /// Waits until something is there to take. The caller has the direction's turn.
    ///
    /// A pending operation that has too little room for it is given up, and begun anew with more, unless
    /// it was faster (C2).
    pub(crate) fn poll(
        &mut self,
        site: Site<'_>,
        want: Want,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !matches!(self, Self::Left(..)) {
            if let Self::Waiting(op, buffer) = self {
                let ready = ready!(site.poll(op, cx));
                let buffer = taken(buffer);
                self.rest(buffer);
                if let Err(error) = ready
                    && !lost_its_ring(&error)
                {
                    return Poll::Ready(Err(error));
                }
            }
            if let Self::Idle(buffer) = self {
                let mut buffer = mem::take(buffer);
                buffer.clear();
                buffer.reserve_exact(want.room);
                self.begin(site, ReadBuffer::Vec(buffer), want);
            }
            let Self::Pending(op, has) = self else { unreachable!("it has begun") };
            if has.room < want.least || want.descriptors && !has.descriptors {
                op.cancel();
                // Asked for once.
                *has = Want { room: usize::MAX, descriptors: true, ..*has };
            }
            match ready!(self.poll_done(site, cx)).expect("it was pending") {
                Err(error) if would_block(&error) => {
                    let Self::Idle(buffer) = self else { unreachable!("nothing is in flight") };
                    let buffer = ReadBuffer::Vec(mem::take(buffer));
                    self.wait(site, buffer);
                }
                Err(error) if !was_given_up(&error) => return Poll::Ready(Err(error)),
                _ => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until something is there to take, or until a read would find something. Begins none.
    pub(crate) fn poll_ready(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Left(..) => return Poll::Ready(Ok(())),
                Self::Idle(buffer) => {
                    let buffer = ReadBuffer::Vec(mem::take(buffer));
                    self.wait(site, buffer);
                }
                Self::Waiting(op, buffer) => {
                    let ready = ready!(site.poll(op, cx));
                    let buffer = taken(buffer);
                    self.rest(buffer);
                    match ready {
                        Err(error) if lost_its_ring(&error) => {}
                        ready => return Poll::Ready(ready.map(drop)),
                    }
                }
                Self::Pending(..) => match ready!(self.poll_done(site, cx)) {
                    Some(Err(error)) if !would_block(&error) && !was_given_up(&error) => {
                        return Poll::Ready(Err(error));
                    }
                    _ => {}
                },
            }
        }
    }

    /// What there is now, for who does not wait.
    pub(crate) fn look_now(&mut self, site: Site<'_>) -> io::Result<Now> {
        if let Self::Pending(op, _) = self {
            // Whoever waits for it as well is woken after this turn, and waits anew.
            let mut cx = Context::from_waker(Waker::noop());
            if !op.is_done() {
                return Ok(Now::Later);
            }
            match self.poll_done(site, &mut cx) {
                // It has used up its budget.
                Poll::Pending => return Ok(Now::Later),
                Poll::Ready(Some(Err(error))) if !would_block(&error) && !was_given_up(&error) => {
                    return Err(error);
                }
                Poll::Ready(_) => {}
            }
        }
        Ok(if self.has_come() { Now::Here } else { Now::Ask })
    }

    /// Whether nothing is in flight, and nothing left.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(_))
    }

    /// Whether an operation is in flight, or one that waits before it.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self, Self::Pending(..) | Self::Waiting(..))
    }

    /// Has the kernel fill `buffer`.
    pub(crate) fn begin(&mut self, site: Site<'_>, buffer: ReadBuffer, want: Want) {
        assert!(self.is_idle(), "one operation at a time");
        self.pass_to(Self::Pending(Filling::new(site, buffer, want), want));
    }

    /// Waits for what [`begin`](Self::begin) began, by the same future, and gives the buffer back. What came
    /// beside the bytes goes.
    pub(crate) fn poll_begun(
        &mut self,
        site: Site<'_>,
        want: Want,
        cx: &mut Context<'_>,
    ) -> Poll<(io::Result<usize>, ReadBuffer)> {
        loop {
            match self {
                Self::Pending(op, _) => {
                    let (received, buffer, _beside) = ready!(op.poll(site, cx));
                    *self = Self::new();
                    match received {
                        Err(error) if would_block(&error) => self.wait(site, buffer),
                        Err(error) if was_given_up(&error) => self.begin(site, buffer, want),
                        received => return Poll::Ready((received, buffer)),
                    }
                }
                Self::Waiting(op, buffer) => {
                    let ready = ready!(site.poll(op, cx));
                    let buffer = taken(buffer);
                    *self = Self::new();
                    match ready {
                        Err(error) if !lost_its_ring(&error) => {
                            return Poll::Ready((Err(error), buffer));
                        }
                        _ => self.begin(site, buffer, want),
                    }
                }
                Self::Idle(_) | Self::Left(..) => unreachable!("it has begun"),
            }
        }
    }

    /// Waits for the operation, if one is pending, and takes note of how it ended.
    fn poll_done(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<usize>>> {
        let Self::Pending(op, _) = self else { return Poll::Ready(None) };
        let (received, buffer, beside) = ready!(op.poll(site, cx));
        match received {
            Ok(received) => {
                let (bytes, buffers) = buffer.into_one(received);
                self.pass_to(Self::Left(bytes, 0..received, beside));
                // Somebody's own, as in `rest`.
                drop(buffers);
            }
            Err(_) => self.rest(buffer),
        }
        Poll::Ready(Some(received))
    }

    /// Nothing is in flight any more, nor left. Keeps the memory. First of all it says so: a buffer that was
    /// handed over goes, and its destructor, anybody's code, may panic.
    fn rest(&mut self, buffer: ReadBuffer) {
        match buffer {
            ReadBuffer::Vec(buffer) if buffer.capacity() <= MOST_KEPT => {
                self.pass_to(Self::Idle(buffer));
            }
            buffer => {
                *self = Self::new();
                drop(buffer);
            }
        }
    }

    /// Goes over to the next state. As an assignment, but for its cost: as a rule there is nothing in the former that
    /// has to be dropped, which is found out here and not in a destructor of all that there may be.
    #[inline(always)]
    fn pass_to(&mut self, next: Self) {
        let is_empty = match self {
            Self::Idle(buffer) => buffer.capacity() == 0,
            Self::Left(ReadBuffer::Vec(buffer), ..) => {
                !mem::needs_drop::<T::Beside>() && buffer.capacity() == 0
            }
            Self::Pending(Filling::One(op), _) => op.is_over(),
            _ => false,
        };
        if is_empty {
            mem::forget(mem::replace(self, next));
        } else {
            *self = next;
        }
    }

    /// Waits for something to come, before another operation is begun.
    fn wait(&mut self, site: Site<'_>, buffer: ReadBuffer) {
        let ready = op::PollFd::new(site.fd.clone(), libc::POLLIN);
        *self = Self::Waiting(Op::new(ready), buffer);
    }

    /// Whether the last read brought much, and nothing of it is left: then there may be more.
    pub(super) fn flows(&self) -> bool {
        match self {
            // The bytes of the last read are in it, up to here.
            Self::Idle(buffer) => buffer.len() >= LARGE,
            Self::Waiting(_, ReadBuffer::Vec(buffer)) => buffer.len() >= LARGE,
            _ => false,
        }
    }

    /// Takes note of how much a read brought that went past the buffer.
    pub(super) fn came(&mut self, received: usize) {
        if let Self::Idle(buffer) = self
            && received < LARGE
        {
            buffer.clear();
        }
    }

    /// Waits for more to come.
    pub(super) fn wait_more(&mut self, site: Site<'_>) {
        if let Self::Idle(buffer) = self {
            let buffer = ReadBuffer::Vec(mem::take(buffer));
            self.wait(site, buffer);
        }
    }

    /// Hands out what came beside the bytes. To be called before those are [taken](Self::take).
    pub(crate) fn take_beside(&mut self) -> T::Beside {
        let Self::Left(_, _, beside) = self else { panic!("nothing has come") };
        mem::take(beside)
    }

    /// Hands out bytes that have come; none means that the stream has ended. What came beside them goes with
    /// the last of them, if nobody has asked for it: it may belong to those that are left.
    pub(crate) fn take(&mut self, bufs: &mut [IoSliceMut<'_>]) -> usize {
        self.take_by(&mut |mut part| {
            let all = part.len();
            for buf in &mut *bufs {
                let (front, rest) = part.split_at(part.len().min(buf.len()));
                buf[..front.len()].copy_from_slice(front);
                part = rest;
            }
            all - part.len()
        })
    }

    /// As [`take`](Self::take), into one buffer.
    pub(crate) fn take_one(&mut self, buf: &mut [u8]) -> usize {
        self.take_by(&mut |part| {
            let fits = part.len().min(buf.len());
            buf[..fits].copy_from_slice(&part[..fits]);
            fits
        })
    }

    /// As [`take`](Self::take), into the beginning of a buffer.
    pub(crate) fn take_into<B: IoBufMut>(&mut self, buf: &mut B) -> usize {
        self.take_by(&mut |part| {
            let fits = part.len().min(buf.capacity());
            // SAFETY: there is room for so many bytes, which are its own (`IoBufMut`), and then initialised.
            unsafe {
                ptr::copy_nonoverlapping(part.as_ptr(), buf.as_mut_ptr(), fits);
                buf.set_init(fits);
            }
            fits
        })
    }

    /// As [`take`](Self::take), into the beginning of several buffers, one after the other.
    pub(crate) fn take_into_all<B: IoBufsMut>(&mut self, bufs: &mut B) -> usize {
        self.take_by(&mut |part| {
            let mut left = part;
            bufs.parts_mut(&mut |at, room| {
                let (here, rest) = left.split_at(left.len().min(room));
                // SAFETY: there is room for so many bytes, which are its own (`IoBufsMut`).
                unsafe { ptr::copy_nonoverlapping(here.as_ptr(), at, here.len()) };
                left = rest;
            });
            let taken = part.len() - left.len();
            // SAFETY: they were just written.
            unsafe { bufs.set_filled(taken) };
            taken
        })
    }

    /// As [`take`](Self::take), to `put`, which says how many bytes it took.
    pub(crate) fn take_by(&mut self, put: &mut dyn FnMut(&[u8]) -> usize) -> usize {
        let Self::Left(buffer, left, _) = self else { panic!("nothing has come") };
        let taken = put(&buffer.as_slice()[left.clone()]);
        left.start += taken;
        if left.start == left.end {
            self.forget();
        }
        taken
    }

    /// As [`begin`](Self::begin), unless something is in flight or left already. Into the memory that is kept,
    /// if it has just that room, else into a buffer that `more` gives.
    pub(crate) fn begin_with(
        &mut self,
        site: Site<'_>,
        want: Want,
        more: impl FnOnce() -> Vec<u8>,
    ) {
        let Self::Idle(kept) = self else { return };
        let mut buffer = mem::take(kept);
        // Of just that size: what is lent is counted by the number.
        if buffer.capacity() != want.room {
            buffer = more();
        }
        buffer.clear();
        self.begin(site, ReadBuffer::Vec(buffer), want);
    }

    /// Hands out all bytes that have come, in their buffer, as `lend` makes it of the two, or of a copy, where
    /// the buffer was handed over. What `lend` gives back is kept for its memory.
    pub(crate) fn take_all<L>(
        &mut self,
        lend: impl FnOnce(ReadBuffer, Range<usize>) -> (L, Option<Vec<u8>>),
    ) -> L {
        match mem::replace(self, Self::new()) {
            Self::Left(buffer, left, _beside) => {
                let (lease, kept) = lend(buffer, left);
                *self = Self::Idle(kept.unwrap_or_default());
                lease
            }
            _ => panic!("nothing has come"),
        }
    }

    /// What is left is not wanted any more. Keeps the memory.
    fn forget(&mut self) {
        if let Self::Left(buffer, ..) = self {
            let buffer = taken(buffer);
            self.rest(buffer);
        }
    }

    /// As [`take`](Self::take), of a datagram and what came beside it: what does not fit is gone, as it is with
    /// the system's call.
    pub(crate) fn take_whole(&mut self, buf: &mut [u8]) -> (usize, T::Beside) {
        let beside = self.take_beside();
        let taken = self.take(&mut [IoSliceMut::new(buf)]);
        self.forget();
        (taken, beside)
    }

    /// Copies bytes that have come, and lets them stay, along with what came beside them.
    pub(crate) fn look(&self, buf: &mut [u8]) -> (usize, &T::Beside) {
        let Self::Left(buffer, left, beside) = self else { panic!("nothing has come") };
        let part = &buffer.as_slice()[left.clone()];
        let fits = part.len().min(buf.len());
        buf[..fits].copy_from_slice(&part[..fits]);
        (fits, beside)
    }

    /// Whether something has come that nobody has taken: bytes, or a datagram.
    pub(crate) fn has_bytes(&self) -> bool {
        matches!(self, Self::Left(_, left, _) if left.start < left.end)
    }

    /// Whether anything has come that nobody has taken; the end of a stream, for one, or an empty datagram.
    pub(crate) fn has_come(&self) -> bool {
        matches!(self, Self::Left(..))
    }

    /// Gives up what is in flight and waits until the kernel has, too. What was faster stays here.
    ///
    /// # Errors
    ///
    /// The operation's, if it failed before.
    pub(crate) fn poll_recall(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Pending(op, _) => op.cancel(),
            Self::Waiting(op, buffer) => {
                op.cancel();
                let _given_up = ready!(site.poll(op, cx));
                let buffer = taken(buffer);
                self.rest(buffer);
            }
            Self::Idle(_) | Self::Left(..) => {}
        }
        let ended = ready!(self.poll_done(site, cx)).map_or(Ok(()), |received| received.map(drop));
        Poll::Ready(match ended {
            Err(error) if !was_given_up(&error) && !would_block(&error) => Err(error),
            _ => Ok(()),
        })
    }

    /// As [`poll_recall`](Self::poll_recall), when nobody will read any more.
    pub(crate) fn poll_end(&mut self, site: Site<'_>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_recall(site, cx).map(drop)
    }
}

/// The buffer, out of a state that is about to change.
fn taken(buffer: &mut ReadBuffer) -> ReadBuffer {
    mem::replace(buffer, ReadBuffer::Vec(Vec::new()))
}

impl<T: Inward> fmt::Debug for Reading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle(_) => f.pad("Idle"),
            Self::Pending(..) => f.pad("Pending"),
            Self::Waiting(..) => f.pad("Waiting"),
            Self::Left(_, left, _) => write!(f, "Left({} bytes)", left.end - left.start),
        }
    }
}
