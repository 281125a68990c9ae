//! What the models reach: the parts of streams and listeners that outlive their futures, as they are; and what
//! signals' handlers read.

mod handlers;

pub use handlers::{Action, Board, Machine};

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use crate::half::Role;
use crate::half::{self, Inward, Outward, ReadBuffer, Reading, Site, Transfer, Turn, Want};
use crate::half::{WriteBuffer, Writing};
use crate::home::Home;
use crate::net::Acceptor;
use filch_atomic::current::WaitKind;
use filch_uring::{Operation, Remote, SharedFd, WaitWithout, op};
use io_uring::squeue;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::task::{Context, Poll};

std::thread_local! {
    /// How many results were disposed of. A model's threads share a thread of the system's.
    static DISPOSED: Cell<usize> = const { Cell::new(0) };
}

/// How many receives were disposed of with what they had brought, since this was last asked.
pub fn disposed() -> usize {
    DISPOSED.take()
}

/// A receive of two bytes: the result, and the next number.
struct Receive(ReadBuffer);

// SAFETY: never given to a kernel.
unsafe impl Operation for Receive {
    type Output = (io::Result<usize>, ReadBuffer);
    const NAME: &'static str = "receive";
    const WAIT: WaitKind = WaitKind::Read;

    fn entry(&mut self) -> squeue::Entry {
        unreachable!("no kernel in a model")
    }

    fn call(&mut self) -> io::Result<i32> {
        unreachable!("no kernel in a model")
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Immediate
    }

    fn complete(mut self, result: io::Result<i32>) -> Self::Output {
        let received = result.map(|first| {
            let ReadBuffer::Vec(bytes) = &mut self.0 else { unreachable!("none was handed over") };
            bytes.extend([first as u8, first as u8 + 1]);
            2
        });
        (received, self.0)
    }

    fn dispose(self, result: io::Result<i32>) {
        DISPOSED.set(DISPOSED.get() + usize::from(result.is_ok()));
    }

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), ReadBuffer::Vec(Vec::new()))
    }
}

impl Transfer for Receive {
    type Buffer = ReadBuffer;
    type Beside = ();

    fn end((received, buffer): Self::Output) -> (io::Result<usize>, ReadBuffer, ()) {
        (received, buffer, ())
    }
}

impl Inward for Receive {
    fn new(_: Site<'_>, buffer: ReadBuffer, _: Want) -> Self {
        Self(buffer)
    }

    fn beside(_: op::Received) {}
}

/// A send.
struct Transmit(WriteBuffer);

// SAFETY: never given to a kernel.
unsafe impl Operation for Transmit {
    type Output = (io::Result<usize>, WriteBuffer);
    const NAME: &'static str = "transmit";
    const WAIT: WaitKind = WaitKind::Write;

    fn entry(&mut self) -> squeue::Entry {
        unreachable!("no kernel in a model")
    }

    fn call(&mut self) -> io::Result<i32> {
        unreachable!("no kernel in a model")
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Immediate
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        (result.map(|sent| sent as usize), self.0)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), Vec::new().into())
    }
}

impl Transfer for Transmit {
    type Buffer = WriteBuffer;
    type Beside = ();

    fn end((sent, buffer): Self::Output) -> (io::Result<usize>, WriteBuffer, ()) {
        (sent, buffer, ())
    }
}

impl Outward for Transmit {
    fn new(_: Site<'_>, buffer: WriteBuffer, (): (), _: bool) -> Self {
        Self(buffer)
    }
}

/// What came of something that does not wait.
fn now<T>(done: io::Result<T>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            None
        }
    }
}

/// The receiving half of a stream.
#[derive(Debug)]
pub struct Stream {
    reading: Turn<Reading<Receive>>,
    fd: SharedFd,
    home: Home,
}

impl Stream {
    /// One whose operations go to `remote`.
    pub fn new(fd: OwnedFd, remote: Remote) -> Self {
        let reading = Turn::new(Reading::new());
        Self { reading, fd: fd.into(), home: Home::for_model(remote) }
    }

    fn site(&self) -> Site<'_> {
        Site { fd: &self.fd, home: &self.home, at: Location::caller(), is_device: false }
    }

    /// Reads one byte.
    pub async fn read(&self) -> u8 {
        let mut buf = [0];
        let read =
            half::read(&self.reading, self.site(), &mut buf, Want::bytes).await.expect("it works");
        assert_eq!(read, 1, "there is more than this");
        buf[0]
    }

    /// Waits until there is something to read.
    pub async fn readable(&self) {
        half::readable(&self.reading, self.site()).await.expect("it works");
    }

    /// Reads one byte that is there: of what was received, else what `asked` gives, which stands for the system.
    pub fn try_read(&self, asked: impl FnOnce() -> u8) -> Option<u8> {
        let mut buf = [0];
        let receive = |buf: &mut [u8]| {
            buf[0] = asked();
            Ok(1)
        };
        let read = now(half::try_read(&self.reading, self.site(), &mut buf, receive))?;
        assert_eq!(read, 1, "there is more than this");
        Some(buf[0])
    }

    /// Has `call` read, in turn with others. None if it was not called.
    pub fn try_io<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let unread = || io::ErrorKind::WouldBlock.into();
        let writes = None::<&Turn<Writing<Transmit>>>;
        let call = || Ok(call());
        now(half::try_io(Some(&self.reading), writes, self.site(), call, unread))
    }

    /// Reads one byte by polls.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub fn poll_read(&self, cx: &mut Context<'_>) -> Poll<u8> {
        self.reading.poll(Role::Reads, cx, |reading, cx| {
            let come = reading.poll(self.site(), Want::bytes(1), cx);
            come.map(|come| {
                come.expect("it works");
                let mut byte = 0;
                reading.take_by(&mut |bytes| {
                    byte = bytes[0];
                    1
                });
                byte
            })
            .into()
        })
    }
}

/// The sending half of a stream.
#[expect(missing_debug_implementations, reason = "nor has what is in it")]
pub struct Sink {
    writing: Turn<Writing<Transmit>>,
    fd: SharedFd,
    home: Home,
}

impl Sink {
    /// One whose operations go to `remote`.
    pub fn new(fd: OwnedFd, remote: Remote) -> Self {
        let writing = Turn::new(Writing::new());
        Self { writing, fd: fd.into(), home: Home::for_model(remote) }
    }

    fn site(&self) -> Site<'_> {
        Site { fd: &self.fd, home: &self.home, at: Location::caller(), is_device: false }
    }

    /// Writes; gives how much.
    pub async fn write(&self, bytes: &[u8]) -> usize {
        half::write(&self.writing, self.site(), bytes).await.expect("it works")
    }

    /// Waits for a write that was dropped; gives how much it wrote.
    pub async fn settle(&self) -> usize {
        half::settle(&self.writing, self.site()).await.expect("it works")
    }

    /// Has `send`, which stands for the system, write something. None if it was not called.
    pub fn try_write(&self, send: impl FnOnce()) -> Option<()> {
        let send = || {
            send();
            Ok(1)
        };
        now(half::try_write(&self.writing, self.site(), send)).map(drop)
    }
}

/// What accepts.
#[expect(missing_debug_implementations, reason = "nor has what is in it")]
pub struct Listener(Acceptor);

impl Listener {
    /// One whose operations go to `remote`.
    pub fn new(fd: OwnedFd, remote: Remote) -> Self {
        Self(Acceptor::new(fd.into(), Home::for_model(remote)))
    }

    /// Accepts.
    pub async fn accept(&self) -> (OwnedFd, Option<SocketAddr>) {
        self.0.accept(Location::caller()).await.expect("it works")
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub struct Turns(Turn<()>);

impl Default for Turns {
    fn default() -> Self {
        Self(Turn::new(()))
    }
}

impl Turns {
    /// Waits for a turn, and ends it.
    pub async fn take(&self) {
        drop(self.0.lock_at(Location::caller()).await);
    }

    /// Waits until a poll finds nobody else at it. One `reads`, the other does not.
    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
    pub fn poll(&self, reads: bool, cx: &mut Context<'_>) -> Poll<()> {
        let role = if reads { Role::Reads } else { Role::Writes };
        self.0.poll(role, cx, |(), _| Poll::Ready(()).into())
    }
}
