//! Reading and writing streams by polls.

use super::connection::{Connection, finished};
use super::{TcpStream, UnixStream};
use crate::half::{Inward, Outward, Role};
use crate::io::{PollRead, PollWrite};
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::panic::Location;
use std::task::{Context, Poll};

impl<R: Inward, W: Outward> PollRead for Connection<R, W> {
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        put: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let (site, want) = (self.site(Location::caller()), self.want(room));
        self.reading.poll(Role::Reads, cx, |reading, cx| {
            let come = reading.poll(site, want, cx);
            // Descriptors that came along are closed with the last of the bytes, as the system does.
            come.map_ok(|()| reading.take_by(put)).into()
        })
    }
}

impl<R: Inward, W: Outward> PollWrite for Connection<R, W> {
    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let site = self.site(Location::caller());
        self.writing.poll(Role::Writes, cx, |writing, cx| writing.poll_send(site, bufs, cx).into())
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let site = self.site(Location::caller());
        self.writing.poll(Role::Writes, cx, |writing, cx| writing.poll_settled(site, cx).into())
    }

    fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let site = self.site(Location::caller());
        self.writing.poll(Role::Writes, cx, |writing, cx| {
            let settled = writing.poll_settled(site, cx);
            let finish = |()| {
                let again = mem::replace(&mut writing.is_ending, true) || self.was_shut();
                // Does not wait.
                let ended = SockRef::from(&self.fd).shutdown(Shutdown::Write);
                let ended = finished(again, ended);
                writing.is_ending = ended.is_ok();
                ended
            };
            settled.map(|settled| settled.and_then(finish)).into()
        })
    }
}

macro_rules! by_connection {
    ($($type:ty)*) => {
        $(
            impl PollRead for $type {
                fn poll_read(
                    &self,
                    cx: &mut Context<'_>,
                    room: usize,
                    put: &mut dyn FnMut(&[u8]) -> usize,
                ) -> Poll<io::Result<usize>> {
                    self.0.poll_read(cx, room, put)
                }
            }

            impl PollWrite for $type {
                fn poll_write(
                    &self,
                    cx: &mut Context<'_>,
                    bufs: &[IoSlice<'_>],
                ) -> Poll<io::Result<usize>> {
                    self.0.poll_write(cx, bufs)
                }

                fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                    self.0.poll_flush(cx)
                }

                fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                    self.0.poll_finish(cx)
                }
            }
        )*
    };
}

by_connection!(TcpStream UnixStream);
