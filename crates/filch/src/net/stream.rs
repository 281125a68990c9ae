//! What every stream of bytes offers, written down once: TCP and Unix streams differ in their addresses.

use std::io;
use std::panic::Location;

/// A stream that can be split in two: [`TcpStream`](super::TcpStream) or
/// [`UnixStream`](super::UnixStream). See [`split`](super::split).
pub trait Stream: sealed::Sealed {
    /// What its addresses are.
    type Address;

    /// This side's address.
    ///
    /// # Errors
    ///
    /// The system's.
    fn local_addr(&self) -> io::Result<Self::Address>;

    /// The other side's address.
    ///
    /// # Errors
    ///
    /// The system's.
    fn peer_addr(&self) -> io::Result<Self::Address>;
}

pub(super) mod sealed {
    use super::{Location, io};
    use crate::io::{IoBuf, IoBufMut, IoBufs, IoBufsMut};
    use crate::net::Lease;
    use std::fmt::Debug;
    use std::io::{IoSlice, IoSliceMut};
    use std::os::fd::AsFd;

    /// What the halves of a stream are made of.
    pub trait Sealed: Debug + AsFd + Send + Sync + 'static {
        /// Reads into `bufs`.
        fn read_from(
            &self,
            bufs: &mut [IoSliceMut<'_>],
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<usize>> + Send;

        /// Reads into a buffer that is handed over.
        fn read_owned_from<B: IoBufMut>(
            &self,
            buf: B,
            at: &'static Location<'static>,
        ) -> impl Future<Output = (io::Result<usize>, B)> + Send;

        /// Reads into several buffers that are handed over.
        fn read_vectored_owned_from<B: IoBufsMut>(
            &self,
            bufs: B,
            at: &'static Location<'static>,
        ) -> impl Future<Output = (io::Result<usize>, B)> + Send;

        /// Lends what has come.
        fn recv_from(
            &self,
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<Lease>> + Send;

        /// Waits until a read would not wait.
        fn readable_from(
            &self,
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<()>> + Send;

        /// Waits until a write would not wait.
        fn writable_from(
            &self,
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<()>> + Send;

        /// Reads without waiting.
        fn try_read_from(&self, buf: &mut [u8]) -> io::Result<usize>;

        /// Writes without waiting.
        fn try_write_from(&self, buf: &[u8]) -> io::Result<usize>;

        /// Looks at what comes next.
        fn peek_from(
            &self,
            buf: &mut [u8],
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<usize>> + Send;

        /// Writes some of `bufs`.
        fn write_from(
            &self,
            bufs: &[IoSlice<'_>],
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<usize>> + Send;

        /// Writes all of a buffer that is handed over.
        fn write_all_owned_from<B: IoBuf>(
            &self,
            buf: B,
            at: &'static Location<'static>,
        ) -> impl Future<Output = (io::Result<()>, B)> + Send;

        /// Writes all of several buffers that are handed over.
        fn write_all_vectored_owned_from<B: IoBufs>(
            &self,
            bufs: B,
            at: &'static Location<'static>,
        ) -> impl Future<Output = (io::Result<()>, B)> + Send;

        /// Waits for a write that was dropped.
        fn settle_from(
            &self,
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<usize>> + Send;

        /// Ends the writing direction.
        fn finish_from(
            &self,
            at: &'static Location<'static>,
        ) -> impl Future<Output = io::Result<()>> + Send;
    }
}

/// Implements for a type around a `Connection` all that a stream offers.
macro_rules! stream {
    ($type:ident, $address:ty, $std:ty) => {
        impl $type {
            /// Takes over a connected socket of the standard library. It is made blocking, which is what
            /// the ring needs.
            ///
            /// # Errors
            ///
            /// Without a runtime on this thread.
            pub fn from_std(stream: $std) -> io::Result<Self> {
                let home = crate::home::Home::current()?;
                let fd = socket::adopt(std::os::fd::OwnedFd::from(stream))?;
                Ok(Self::new(fd, home))
            }

            pub(in crate::net) fn new(fd: SharedFd, home: crate::home::Home) -> Self {
                Self(Connection::new(fd, home))
            }

            /// Reads some bytes into `buf`, at most 128 KiB, and returns how many; 0 at the end of the
            /// stream, or if `buf` is empty.
            ///
            /// # Errors
            ///
            /// The system's, `ConnectionReset` for instance.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost: what arrives when nobody reads any more goes to the next read.
            #[track_caller]
            pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.0.read_one(buf, Location::caller())
            }

            /// As [`read`](Self::read), into several buffers, one after the other.
            ///
            /// # Errors
            ///
            /// As [`read`](Self::read).
            ///
            /// # Cancel safety
            ///
            /// As [`read`](Self::read).
            #[track_caller]
            pub fn read_vectored(
                &self,
                bufs: &mut [IoSliceMut<'_>],
            ) -> impl Future<Output = io::Result<usize>> + Send {
                self.read_from(bufs, Location::caller())
            }

            /// Reads some bytes into a buffer that is handed over, from its beginning, at most its capacity, and
            /// gives the number and the buffer; 0 at the end of the stream, or if there is no room.
            ///
            /// The kernel writes into the buffer itself, unless bytes are there that an earlier read left:
            /// those are copied.
            ///
            /// ```
            /// # filch::run(async {
            /// # let (one, other) = filch::net::UnixStream::pair()?;
            /// one.write_all_owned("ping").await.0?;
            /// let (read, buf) = other.read_owned(Vec::with_capacity(64 * 1024)).await;
            /// assert_eq!((read?, &buf[..]), (4, &b"ping"[..]));
            /// # Ok::<(), std::io::Error>(())
            /// # }).unwrap();
            /// ```
            ///
            /// # Errors
            ///
            /// As [`read`](Self::read), with the buffer.
            ///
            /// # Cancel safety
            ///
            /// No byte is lost: what arrives when nobody reads any more goes to the next read, of whatever
            /// kind. The buffer is gone, and freed when that has happened, or the stream is dropped.
            #[doc(alias = "recv_into")]
            #[track_caller]
            pub fn read_owned<B: crate::io::IoBufMut>(
                &self,
                buf: B,
            ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
                self.read_owned_from(buf, Location::caller())
            }

            /// As [`read_owned`](Self::read_owned), into several buffers, one after the other: each from its
            /// beginning to its capacity, before anything goes to the next. A vector of buffers, an array, or two of
            /// different types.
            ///
            /// ```
            /// # filch::run(async {
            /// # let (one, other) = filch::net::UnixStream::pair()?;
            /// one.write_all_vectored_owned(("GET ", b"/index.html".to_vec())).await.0?;
            /// let bufs = [Vec::with_capacity(4), Vec::with_capacity(60)];
            /// let (read, [verb, path]) = other.read_vectored_owned(bufs).await;
            /// assert_eq!((read?, &verb[..], &path[..]), (15, &b"GET "[..], &b"/index.html"[..]));
            /// # Ok::<(), std::io::Error>(())
            /// # }).unwrap();
            /// ```
            ///
            /// # Errors
            ///
            /// As [`read_owned`](Self::read_owned).
            ///
            /// # Cancel safety
            ///
            /// As [`read_owned`](Self::read_owned).
            #[doc(alias = "recvmsg_into")]
            #[track_caller]
            pub fn read_vectored_owned<B: crate::io::IoBufsMut>(
                &self,
                bufs: B,
            ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
                self.read_vectored_owned_from(bufs, Location::caller())
            }

            /// Receives some bytes in a buffer of the runtime's, which has room for 16 KiB; none at the end of
            /// the stream. See [`Lease`](crate::net::Lease).
            ///
            /// Bytes that an earlier read left come in the memory in which they are.
            ///
            /// # Errors
            ///
            /// As [`read`](Self::read).
            ///
            /// # Cancel safety
            ///
            /// As [`read`](Self::read).
            #[track_caller]
            pub fn recv(&self) -> impl Future<Output = io::Result<crate::net::Lease>> + Send {
                self.recv_from(Location::caller())
            }

            /// Copies some of the bytes that come next into `buf`, and returns how many; they stay, to be
            /// read. Waits until there is at least one; 0 at the end of the stream, or if `buf` is empty.
            ///
            /// # Errors
            ///
            /// As [`read`](Self::read).
            ///
            /// # Cancel safety
            ///
            /// As [`read`](Self::read).
            #[track_caller]
            pub fn peek(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.0.peek(buf, Location::caller())
            }

            /// Writes some of `buf`, at most 128 KiB, and returns how much.
            ///
            /// # Errors
            ///
            /// The system's, `BrokenPipe` for instance. If an earlier write was dropped and failed later,
            /// that one's error, once, and nothing is written.
            ///
            /// # Cancel safety
            ///
            /// Dropped, a prefix of `buf` may or may not be sent: never twice, and never mixed with the
            /// next write, which waits for this one to end.
            #[track_caller]
            pub fn write(&self, buf: &[u8]) -> impl Future<Output = io::Result<usize>> + Send {
                self.0.write_one(buf, Location::caller())
            }

            /// As [`write`](Self::write), from several buffers, one after the other.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Cancel safety
            ///
            /// As [`write`](Self::write).
            #[track_caller]
            pub fn write_vectored(
                &self,
                bufs: &[IoSlice<'_>],
            ) -> impl Future<Output = io::Result<usize>> + Send {
                self.write_from(bufs, Location::caller())
            }

            /// Writes all of a buffer that is handed over, and gives it back. Nothing is copied.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write), with the buffer. A part of it may be written then.
            ///
            /// # Cancel safety
            ///
            /// Dropped before its turn has come, it writes nothing. Dropped later, it *goes on to the end*: all
            /// of it is sent, once, and the next write, or the end of the stream, waits for it. Only when the
            /// stream is dropped, or fails, a part is left out. The buffer is freed afterwards.
            /// [`settle`](Self::settle) waits for it and tells its length. Cut by a cancel, in a
            /// [boundary](crate::cancellable), it does *not* go on: `settle` tells how much it had sent.
            ///
            /// By itself it goes as far as one operation of the kernel's: 2 GiB, 1,024 buffers, before Linux 6.0
            /// what the socket takes at once. The rest goes when the stream is next written to, settled, ended or
            /// closed.
            #[doc(alias = "sendall")]
            #[track_caller]
            pub fn write_all_owned<B: crate::io::IoBuf>(
                &self,
                buf: B,
            ) -> impl Future<Output = (io::Result<()>, B)> + Send {
                self.write_all_owned_from(buf, Location::caller())
            }

            /// As [`write_all_owned`](Self::write_all_owned), of several buffers, one after the other, by as few
            /// operations as the kernel allows: a head and a body go out together. A vector of buffers, an array,
            /// or two of different types.
            ///
            /// # Errors
            ///
            /// As [`write_all_owned`](Self::write_all_owned).
            ///
            /// # Cancel safety
            ///
            /// As [`write_all_owned`](Self::write_all_owned), for all of the buffers together.
            #[doc(alias = "writelines")]
            #[doc(alias = "sendmsg")]
            #[track_caller]
            pub fn write_all_vectored_owned<B: crate::io::IoBufs>(
                &self,
                bufs: B,
            ) -> impl Future<Output = (io::Result<()>, B)> + Send {
                self.write_all_vectored_owned_from(bufs, Location::caller())
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
                self.settle_from(Location::caller())
            }

            /// Ends one direction, or both. Ending the writing one alone waits for writes in progress, so
            /// that everything written so far is sent, and then the end of the stream. Ending both waits
            /// for nothing: it also gets a writer going again that is stuck on a peer that does not read.
            ///
            /// # Errors
            ///
            /// The system's, `NotConnected` for instance.
            ///
            /// # Cancel safety
            ///
            /// Dropped, the end may or may not be sent. To be sure, ask for it again: that is no error.
            #[track_caller]
            pub fn shutdown(
                &self,
                how: std::net::Shutdown,
            ) -> impl Future<Output = io::Result<()>> + Send {
                self.0.shutdown(how, Location::caller())
            }

            /// Borrows the stream as two halves, for two parts of one task. (Both directions can be used
            /// through a shared reference, too.)
            pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
                split::borrow(self)
            }

            /// Takes the stream apart into two halves, for two tasks. When the writing half is dropped the
            /// end of the stream is sent; when both are, the connection is closed.
            pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
                split::own(self)
            }
        }

        $crate::net::options::ends!($type, $address);
        $crate::net::hand_over::into_std! { $type, $std,
            /// Hands the stream on to the standard library, when what is in flight has ended: a read is
            /// given up, a write that was dropped is waited for.
        }
        $crate::net::ready::ready_stream!($type);
        $crate::net::close::closes! { $type,
            /// Closes the connection, and waits until it is closed. A read that was dropped is given up. A write
            /// that was dropped is waited for first, for as long as it takes: a plain drop gives that up, too.
            ///
            /// What has come and was not read is lost, and if there is any, the other side may find the connection
            /// reset: end the writing direction with [`shutdown`](Self::shutdown) and read to the end before, for
            /// an orderly end.
            ///
            /// # Errors
            ///
            /// If a write was dropped and failed later, that one's error; else the system's. It is closed all
            /// the same.
        }
        $crate::net::options::descriptor!($type, stream => stream.0.fd);
        crate::io::by_shared_reference!($type: Read);
        crate::io::by_shared_reference!($type: Write, stream => stream.shutdown(std::net::Shutdown::Write));

        impl Sealed for $type {
            fn read_from(
                &self,
                bufs: &mut [IoSliceMut<'_>],
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<usize>> + Send {
                // Descriptors that nobody asked for are closed, as the system does.
                self.0.read(bufs, None, at)
            }

            fn read_owned_from<B: crate::io::IoBufMut>(
                &self,
                buf: B,
                at: &'static Location<'static>,
            ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
                self.0.read_owned(buf, at)
            }

            fn read_vectored_owned_from<B: crate::io::IoBufsMut>(
                &self,
                bufs: B,
                at: &'static Location<'static>,
            ) -> impl Future<Output = (io::Result<usize>, B)> + Send {
                self.0.read_vectored_owned(bufs, at)
            }

            fn recv_from(
                &self,
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<crate::net::Lease>> + Send {
                self.0.recv(at)
            }

            fn readable_from(
                &self,
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<()>> + Send {
                self.0.readable(at)
            }

            fn writable_from(
                &self,
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<()>> + Send {
                self.0.writable(at)
            }

            fn try_read_from(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.try_read(buf)
            }

            fn try_write_from(&self, buf: &[u8]) -> io::Result<usize> {
                self.0.try_write(buf)
            }

            fn peek_from(
                &self,
                buf: &mut [u8],
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<usize>> + Send {
                self.0.peek(buf, at)
            }

            fn write_from(
                &self,
                bufs: &[IoSlice<'_>],
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<usize>> + Send {
                self.0.write(bufs, Default::default(), at)
            }

            fn write_all_owned_from<B: crate::io::IoBuf>(
                &self,
                buf: B,
                at: &'static Location<'static>,
            ) -> impl Future<Output = (io::Result<()>, B)> + Send {
                self.0.write_all_owned(buf, at)
            }

            fn write_all_vectored_owned_from<B: crate::io::IoBufs>(
                &self,
                bufs: B,
                at: &'static Location<'static>,
            ) -> impl Future<Output = (io::Result<()>, B)> + Send {
                self.0.write_all_vectored_owned(bufs, at)
            }

            fn settle_from(
                &self,
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<usize>> + Send {
                self.0.settle(at)
            }

            fn finish_from(
                &self,
                at: &'static Location<'static>,
            ) -> impl Future<Output = io::Result<()>> + Send {
                self.0.shutdown(std::net::Shutdown::Write, at)
            }
        }

        impl Stream for $type {
            type Address = $address;

            fn local_addr(&self) -> io::Result<$address> {
                self.local_addr()
            }

            fn peer_addr(&self) -> io::Result<$address> {
                self.peer_addr()
            }
        }
    };
}
pub(super) use stream;
