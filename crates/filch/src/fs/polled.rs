//! Reading and writing files by polls.

use super::cursor::Cursor;
use super::file::{Access, File};
use crate::half::{Polled, Role, Want};
use crate::io::{PollRead, PollWrite};
use std::io::{self, IoSlice, SeekFrom};
use std::panic::Location;
use std::task::{Context, Poll};

impl PollRead for File {
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        put: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let site = self.site(Location::caller());
        match self.access() {
            Access::Cursor(cursor) => cursor.poll_common(Role::Reads, cx, |cursor, cx| {
                // A writer that was told to wait hears of its write when it polls again.
                let was_writing = cursor.is_writing();
                if cursor.poll_written(site, cx).is_pending() {
                    return Poll::Pending.into();
                }
                let poll = cursor.poll_read(site, room, put, cx);
                Polled { poll, disturbed: was_writing }
            }),
            Access::Halves(reading, _) => reading.poll(Role::Reads, cx, |reading, cx| {
                let come = reading.poll(site, Want::bytes(room), cx);
                come.map_ok(|()| reading.take_by(put)).into()
            }),
        }
    }
}

impl PollWrite for File {
    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let site = self.site(Location::caller());
        match self.access() {
            Access::Cursor(cursor) => cursor.poll_common(Role::Writes, cx, |cursor, cx| {
                // A reader that was told to wait reads again, from behind what is written.
                let disturbed = cursor.give_up_reading();
                Polled { poll: cursor.poll_write_by_copy(site, bufs, cx), disturbed }
            }),
            Access::Halves(_, writing) => writing
                .poll(Role::Writes, cx, |writing, cx| writing.poll_write(site, bufs, cx).into()),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let site = self.site(Location::caller());
        match self.access() {
            Access::Cursor(cursor) => cursor.poll_common(Role::Writes, cx, |cursor, cx| {
                cursor.poll_written(site, cx).map(|()| cursor.take_failure()).into()
            }),
            Access::Halves(_, writing) => {
                writing.poll(Role::Writes, cx, |writing, cx| writing.poll_settled(site, cx).into())
            }
        }
    }

    /// There is nobody to be told of the end. The file itself is closed when it is dropped.
    fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl File {
    /// Moves the cursor.
    #[cfg_attr(not(feature = "futures-io"), expect(dead_code))]
    pub(crate) fn poll_seek(&self, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        let site = self.site(Location::caller());
        let Access::Cursor(cursor) = self.access() else {
            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ESPIPE)));
        };
        // Whoever seeks may read or write next; whoever does, its old waker is of no more use.
        cursor.poll_common(Role::Writes, cx, |cursor: &mut Cursor, cx| {
            let disturbed = cursor.give_up_reading();
            let settled = cursor.poll_settled(site, cx);
            Polled { poll: settled.map(|()| cursor.seek(&self.fd, to)), disturbed }
        })
    }
}

/// A seek in two calls. Both have the file to themselves: of two tasks that seek by shared reference, each might be told
/// of the other's.
#[cfg(feature = "tokio-io")]
impl File {
    /// Asks for the cursor to be moved, when what is in flight there is over, and before whatever comes next.
    pub(crate) fn start_seek(&mut self, to: SeekFrom) -> io::Result<()> {
        match self.cursor_mut() {
            Some(cursor) => cursor.ask_for_seek(to),
            None => Err(io::Error::from_raw_os_error(libc::ESPIPE)),
        }
    }

    /// Waits for what [`start_seek`](Self::start_seek) asked for. With nothing asked for it says where the cursor is,
    /// and leaves alone what is in flight; 0 for what has none.
    pub(crate) fn poll_complete(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        match self.cursor_mut() {
            None => return Poll::Ready(Ok(0)),
            Some(cursor) if !cursor.is_asked_for_seek() => {
                return Poll::Ready(Ok(cursor.position()));
            }
            Some(_) => {}
        }
        let site = self.site(Location::caller());
        let Access::Cursor(cursor) = self.access() else { unreachable!("it has one") };
        // Made, it has given up a read; until then there is none, but what a read would wait for, too.
        cursor
            .poll_common(Role::Writes, cx, |cursor, cx| cursor.poll_seek_as_asked(site, cx).into())
    }
}
