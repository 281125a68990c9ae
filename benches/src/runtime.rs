//! What a row asks of a runtime: tasks, and where it does I/O, streams and datagrams. Files are in [`crate::files`].
//!
//! The functions are thin: each is the runtime's own call for that purpose, so that a row measures the runtime and not
//! these traits.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Tasks: enough for the executor rows.
pub trait Runtime: 'static {
    /// How the tables, the command line and the JSON name it.
    const NAME: &'static str;

    /// Why a task has no result.
    type JoinError: Debug;
    /// Awaits a task's result.
    type JoinHandle<T: Send + 'static>: Future<Output = Result<T, Self::JoinError>> + Send + 'static;

    /// Builds a runtime with `workers` workers and runs `future` on it *as a task*: what the rows measure happens where
    /// the runtime runs its tasks, not on a thread that merely waits.
    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static;

    /// Spawns a task on the current runtime.
    fn spawn<F>(future: F) -> Self::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static;

    /// Lets the other tasks run once.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Gives a future so much time.
    fn timeout<F>(wait: Duration, future: F) -> impl Future<Output: Send> + Send
    where
        F: Future<Output: Send> + Send;

    /// Waits for so much time to pass.
    fn sleep(wait: Duration) -> impl Future<Output: Send> + Send + 'static;
}

/// Groups of tasks, as the library has them.
pub trait Groups: Runtime {
    /// Spawns so many trivial tasks as a group, and waits for all.
    fn group(tasks: u64) -> impl Future<Output = ()> + Send;
}

/// Streams over loopback TCP, read into and written from a borrowed buffer.
pub trait Net: Runtime {
    /// Accepts connections.
    type Listener: Send + 'static;
    /// One connection.
    type Stream: Send + 'static;

    /// Listens on a free port of 127.0.0.1.
    fn listen() -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;

    /// The next connection, with `TCP_NODELAY` set.
    fn accept(
        listener: &mut Self::Listener,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Reads what is there, at least a byte; 0 at the end of the stream.
    fn read(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Writes all of `bytes`.
    fn write_all(
        stream: &mut Self::Stream,
        bytes: &[u8],
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// Datagrams over loopback UDP, received into and sent from a borrowed buffer.
pub trait Udp: Runtime {
    /// A socket.
    type Socket: Send + 'static;

    /// A socket at that address.
    fn bind(
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;

    /// Receives a datagram: its length, and who sent it.
    fn receive_from(
        socket: &mut Self::Socket,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// Sends a datagram.
    fn send_to(
        socket: &mut Self::Socket,
        bytes: &[u8],
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send;
}

/// A runtime whose tasks stay on the one thread that runs it, and that reads and writes by buffers that are handed over and
/// come back. What is read starts at a buffer's beginning and is as long as the buffer then says; what is written is all of it.
pub trait OneThread: 'static {
    /// How the tables, the command line and the JSON name it.
    const NAME: &'static str;

    /// Accepts connections.
    type Listener: 'static;
    /// One connection.
    type Stream: 'static;
    /// Sends and receives datagrams.
    type Socket: 'static;

    /// Runs `future` on this thread.
    fn run<F: Future>(future: F) -> F::Output;

    /// Spawns a task on this thread.
    fn spawn<F: Future<Output = io::Result<()>> + 'static>(future: F);

    /// Runs `future` on this thread *as a task*, with whatever sleeping takes. (The future that [`run`](Self::run) is given
    /// keeps some runtimes from their tasks as long as it wakes itself.)
    fn run_with_timers<F: Future<Output: 'static> + 'static>(future: F) -> F::Output;

    /// Spawns a task on this thread, to be awaited.
    fn spawn_awaited<F: Future<Output: 'static> + 'static>(
        future: F,
    ) -> impl Future<Output = F::Output> + 'static;

    /// Waits for so much time to pass.
    fn sleep(wait: Duration) -> impl Future<Output: 'static> + 'static;

    /// Listens on a free port of 127.0.0.1.
    fn listen() -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>>;

    /// The next connection, with `TCP_NODELAY` set.
    fn accept(listener: &mut Self::Listener) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Reads what is there, at least a byte; nothing at the end of the stream.
    fn read(
        stream: &mut Self::Stream,
        buffer: Vec<u8>,
    ) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;

    /// Writes all of `buffer`.
    fn write_all(
        stream: &mut Self::Stream,
        buffer: Vec<u8>,
    ) -> impl Future<Output = (io::Result<()>, Vec<u8>)>;

    /// A socket at that address.
    fn bind(address: SocketAddr) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>>;

    /// Receives a datagram; who sent it.
    fn receive_from(
        socket: &mut Self::Socket,
        buffer: Vec<u8>,
    ) -> impl Future<Output = (io::Result<SocketAddr>, Vec<u8>)>;

    /// Sends a datagram.
    fn send_to(
        socket: &mut Self::Socket,
        buffer: Vec<u8>,
        to: SocketAddr,
    ) -> impl Future<Output = (io::Result<()>, Vec<u8>)>;
}
