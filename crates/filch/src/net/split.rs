//! The two halves of a stream, as values of their own.
//!
//! Every stream can be read and written at once through a shared reference. Halves are for code that
//! wants to own what it reads from, or what it writes to, and for the end of the stream that is sent when
//! the owner of the writing half is done.
//!
//! ```
//! # filch::run(async {
//! # let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # let echo = filch::spawn(async move {
//! #     let (stream, _) = listener.accept().await?;
//! #     filch::io::copy(&mut &stream, &mut &stream).await
//! # });
//! use filch::io::{Read, Write};
//! use filch::net::TcpStream;
//!
//! let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();
//! let writing = filch::spawn(async move {
//!     writer.write_all(b"ping").await
//!     // Dropped here: the other side sees the end.
//! });
//! let mut answer = Vec::new();
//! reader.read_to_end(&mut answer).await?;
//! assert_eq!(answer, b"ping");
//! # writing.await.unwrap()
//! # }).unwrap();
//! ```

use super::lease::Lease;
use super::stream::Stream;
use crate::io::{IoBuf, IoBufMut, IoBufs, IoBufsMut, Read, Write};
use socket2::SockRef;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::panic::Location;
use std::sync::Arc;
use std::{error, fmt};

/// The reading half of a borrowed stream.
#[derive(Debug)]
pub struct ReadHalf<'a, S>(&'a S);

/// The writing half of a borrowed stream.
#[derive(Debug)]
pub struct WriteHalf<'a, S>(&'a S);

/// The reading half of a stream that was [taken apart](super::TcpStream::into_split). When it is dropped
/// nothing happens to the connection, as long as the other half is there.
#[derive(Debug)]
pub struct OwnedReadHalf<S>(Arc<S>);

/// The writing half of a stream that was [taken apart](super::TcpStream::into_split). When it is dropped
/// the end of the stream is sent, and a write that was dropped before is given up.
#[derive(Debug)]
pub struct OwnedWriteHalf<S: Stream> {
    /// None only when it is being dropped, and nothing is to be sent.
    stream: Option<Arc<S>>,
}

pub(super) fn borrow<S: Stream>(stream: &mut S) -> (ReadHalf<'_, S>, WriteHalf<'_, S>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(super) fn own<S: Stream>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream: Some(stream) })
}

impl<S: Stream> OwnedReadHalf<S> {
    /// The stream again, from its two halves.
    ///
    /// # Errors
    ///
    /// Gives the halves back if they are not of the same stream.
    pub fn reunite(self, write: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.0, write.stream()) {
            return Err(ReuniteError(self, write));
        }
        drop(self);
        let stream = write.release();
        Ok(Arc::into_inner(stream).expect("there are two halves"))
    }
}

impl<S: Stream> OwnedWriteHalf<S> {
    /// The stream again, from its two halves.
    ///
    /// # Errors
    ///
    /// Gives the halves back if they are not of the same stream.
    pub fn reunite(self, read: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
        read.reunite(self)
    }

    /// Drops this half without sending the end of the stream.
    pub fn forget(self) {
        drop(self.release());
    }

    fn release(mut self) -> Arc<S> {
        self.stream.take().expect("it is there until it is dropped")
    }

    fn stream(&self) -> &Arc<S> {
        self.stream.as_ref().expect("it is there until it is dropped")
    }
}

impl<S: Stream> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            // Does not wait. If the connection is gone the other side knows.
            let _ = SockRef::from(&**stream).shutdown(Shutdown::Write);
        }
    }
}

/// Two halves of different streams cannot become one. They are in here.
pub struct ReuniteError<S: Stream>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S: Stream> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReuniteError").field(&self.0).field(&self.1).finish()
    }
}

impl<S: Stream> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these are halves of different streams")
    }
}

impl<S: Stream> error::Error for ReuniteError<S> {}

/// What the reading halves, or the writing ones, have in common. `$stream` finds the stream.
macro_rules! half {
    (addresses: [$($generics:tt)*] $type:ty, $half:ident => $stream:expr) => {
        impl<$($generics)*> $type {
            /// This side's address.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn local_addr(&self) -> io::Result<S::Address> {
                let $half = self;
                $stream.local_addr()
            }

            /// The other side's address.
            ///
            /// # Errors
            ///
            /// The system's, `NotConnected` if the other side is gone.
            pub fn peer_addr(&self) -> io::Result<S::Address> {
                let $half = self;
                $stream.peer_addr()
            }
        }

        impl<$($generics)*> AsRef<S> for $type {
            fn as_ref(&self) -> &S {
                let $half = self;
                $stream
            }
        }
    };
    (reads: [$($generics:tt)*] $type:ty, $half:ident => $stream:expr) => {
        half!(addresses: [$($generics)*] $type, $half => $stream);

        impl<$($generics)*> $type {
            /// Reads as [`TcpStream::read`](super::TcpStream::read).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: what arrives when nobody reads any more goes to the next read.
            #[track_caller]
            pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                let ($half, at) = (self, Location::caller());
                async move { $stream.read_from(&mut [IoSliceMut::new(buf)], at).await }
            }

            /// Reads as [`TcpStream::read_owned`](super::TcpStream::read_owned).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// No byte is lost: what arrives when nobody reads any more goes to the next read. The buffer is
            /// gone.
            #[track_caller]
            pub fn read_owned<B: IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
                let $half = self;
                $stream.read_owned_from(buf, Location::caller())
            }

            /// Reads as [`TcpStream::read_vectored_owned`](super::TcpStream::read_vectored_owned).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// As [`read_owned`](Self::read_owned).
            #[track_caller]
            pub fn read_vectored_owned<B: IoBufsMut>(
                &self,
                bufs: B,
            ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
                let $half = self;
                $stream.read_vectored_owned_from(bufs, Location::caller())
            }

            /// Receives as [`TcpStream::recv`](super::TcpStream::recv).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// As [`read`](Self::read).
            #[track_caller]
            pub fn recv(&self) -> impl Future<Output = io::Result<Lease>> + Send {
                let $half = self;
                $stream.recv_from(Location::caller())
            }

            /// Waits as [`TcpStream::readable`](super::TcpStream::readable).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            #[track_caller]
            pub fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
                let $half = self;
                $stream.readable_from(Location::caller())
            }

            /// Reads as [`TcpStream::try_read`](super::TcpStream::try_read).
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there, or somebody else reads; the
            /// system's.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                let $half = self;
                $stream.try_read_from(buf)
            }

            /// Looks at what comes next, as [`TcpStream::peek`](super::TcpStream::peek).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// As [`read`](Self::read).
            #[track_caller]
            pub fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                let $half = self;
                $stream.peek_from(buf, Location::caller())
            }
        }

        impl<$($generics)*> Read for $type {
            async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                Self::read(self, buf).await
            }
        }
    };
    (writes: [$($generics:tt)*] $type:ty, $half:ident => $stream:expr) => {
        half!(addresses: [$($generics)*] $type, $half => $stream);

        impl<$($generics)*> $type {
            /// Writes as [`TcpStream::write`](super::TcpStream::write).
            ///
            /// # Errors
            ///
            /// The system's; that of an earlier write that was dropped and failed later, once.
            ///
            /// # Cancel safety
            ///
            /// Dropped, a prefix of `buf` may or may not be sent: never twice, and never mixed with the next
            /// write, which waits for this one to end.
            #[track_caller]
            pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
                let ($half, at) = (self, Location::caller());
                async move { $stream.write_from(&[IoSlice::new(buf)], at).await }
            }

            /// Writes as [`TcpStream::write_all_owned`](super::TcpStream::write_all_owned).
            ///
            /// # Errors
            ///
            /// The system's; that of an earlier write that was dropped and failed later, once.
            ///
            /// # Cancel safety
            ///
            /// Dropped before its turn has come, it writes nothing; later, it goes on to the end, as long as
            /// there is the stream; cut by a cancel, in a [boundary](crate::cancellable), it does not.
            #[track_caller]
            pub fn write_all_owned<B: IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = (io::Result<()>, B)> + Send {
                let $half = self;
                $stream.write_all_owned_from(buf, Location::caller())
            }

            /// Writes as [`TcpStream::write_all_vectored_owned`](super::TcpStream::write_all_vectored_owned).
            ///
            /// # Errors
            ///
            /// As [`write_all_owned`](Self::write_all_owned).
            ///
            /// # Cancel safety
            ///
            /// As [`write_all_owned`](Self::write_all_owned).
            #[track_caller]
            pub fn write_all_vectored_owned<B: IoBufs>(
                &self,
                bufs: B,
            ) -> impl Future<Output = (io::Result<()>, B)> + Send {
                let $half = self;
                $stream.write_all_vectored_owned_from(bufs, Location::caller())
            }

            /// Waits as [`TcpStream::writable`](super::TcpStream::writable).
            ///
            /// # Errors
            ///
            /// The system's; that of an earlier write that was dropped and failed later, once.
            ///
            /// # Cancel safety
            ///
            /// Nothing is written.
            #[track_caller]
            pub fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
                let $half = self;
                $stream.writable_from(Location::caller())
            }

            /// Writes as [`TcpStream::try_write`](super::TcpStream::try_write).
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, somebody else writes, or a write
            /// that was dropped is under way; the system's.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                let $half = self;
                $stream.try_write_from(buf)
            }

            /// Waits for the end of a write that was dropped, and returns how many bytes it wrote: 0 if
            /// there is none, or that was told before. See [`Write::settle`](crate::io::Write::settle).
            ///
            /// # Errors
            ///
            /// That write's, once; then it wrote nothing, or a part, if it had been given its buffer.
            ///
            /// # Cancel safety
            ///
            /// Dropped, nothing is lost: ask again.
            #[track_caller]
            pub fn settle(&self) -> impl Future<Output = io::Result<usize>> + Send {
                let $half = self;
                $stream.settle_from(Location::caller())
            }

            /// Sends the end of the stream, after all that was written.
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// Dropped, the end may or may not be sent. To be sure, ask for it again: that is no error.
            #[track_caller]
            pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + Send {
                let $half = self;
                $stream.finish_from(Location::caller())
            }
        }

        impl<$($generics)*> Write for $type {
            async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                Self::write(self, buf).await
            }

            async fn finish(&mut self) -> io::Result<()> {
                self.shutdown().await
            }

            async fn settle(&mut self) -> io::Result<usize> {
                Self::settle(self).await
            }
        }
    };
}

half!(reads: ['a, S: Stream] ReadHalf<'a, S>, half => half.0);
half!(reads: [S: Stream] OwnedReadHalf<S>, half => &*half.0);
half!(writes: ['a, S: Stream] WriteHalf<'a, S>, half => half.0);
half!(writes: [S: Stream] OwnedWriteHalf<S>, half => &**half.stream());
