//! An operation that moves bytes one way: of one buffer by the one that the stream is made for, of several by
//! another.

use super::{Inward, Outward, ROOM_BESIDE, ReadBuffer, Site, Want, WriteBuffer, until_all_is_sent};
use filch_uring::{Op, op};
use std::io;
use std::task::{Context, Poll};

/// One that fills what it was given.
pub(crate) enum Filling<T: Inward> {
    One(Op<T>),
    /// In a box, so that a stream is no larger for what it seldom does.
    Many(Box<Op<op::RecvVectored<ReadBuffer>>>),
}

impl<T: Inward> Filling<T> {
    pub(super) fn new(site: Site<'_>, buffer: ReadBuffer, want: Want) -> Self {
        if !buffer.is_many() {
            return Self::One(Op::new(T::new(site, buffer, want)));
        }
        let receive = op::RecvVectored::new(site.fd.clone(), buffer).at_most(want.room);
        Self::Many(Box::new(Op::new(match want.descriptors {
            true => receive.descriptors(ROOM_BESIDE),
            false => receive,
        })))
    }

    pub(super) fn poll(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<(io::Result<usize>, ReadBuffer, T::Beside)> {
        match self {
            Self::One(op) => site.poll(op, cx).map(T::end),
            Self::Many(op) => site.poll(op, cx).map(|(received, buffer)| match received {
                Ok(received) => (Ok(received.len), buffer, T::beside(received)),
                Err(error) => (Err(error), buffer, T::Beside::default()),
            }),
        }
    }

    pub(super) fn cancel(&mut self) {
        match self {
            Self::One(op) => op.cancel(),
            Self::Many(op) => op.cancel(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::One(op) => op.is_done(),
            Self::Many(op) => op.is_done(),
        }
    }
}

/// One that empties what it was given.
pub(crate) enum Emptying<T: Outward> {
    One(Op<T>),
    /// In a box, as above.
    Many(Box<Op<op::SendVectored<WriteBuffer>>>),
}

impl<T: Outward> Emptying<T> {
    /// Nothing goes beside several buffers.
    pub(super) fn new(site: Site<'_>, buffer: WriteBuffer, beside: T::Beside, whole: bool) -> Self {
        if !buffer.is_many() {
            return Self::One(Op::new(T::new(site, buffer, beside, whole)));
        }
        let send = op::SendVectored::new(site.fd.clone(), buffer);
        Self::Many(Box::new(Op::new(send.flags(until_all_is_sent(whole)))))
    }

    pub(super) fn poll(
        &mut self,
        site: Site<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<(io::Result<usize>, WriteBuffer, T::Beside)> {
        match self {
            Self::One(op) => site.poll(op, cx).map(T::end),
            Self::Many(op) => {
                site.poll(op, cx).map(|(sent, buffer)| (sent, buffer, T::Beside::default()))
            }
        }
    }

    pub(super) fn cancel(&mut self) {
        match self {
            Self::One(op) => op.cancel(),
            Self::Many(op) => op.cancel(),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        match self {
            Self::One(op) => op.is_stopping(),
            Self::Many(op) => op.is_stopping(),
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        match self {
            Self::One(op) => op.is_in_flight(),
            Self::Many(op) => op.is_in_flight(),
        }
    }
}
