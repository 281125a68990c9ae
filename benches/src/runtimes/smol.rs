//! smol, as people use it: `smol::spawn` on the global executor.
//!
//! The global executor has `SMOL_THREADS` threads, which is how many workers are asked for. Beside them are the thread that
//! called `block_on`, which only waits for its task but takes its turn at polling the reactor meanwhile, and the reactor's
//! own thread, `async-io`, which polls when nobody else does.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream, UdpSocket};

use crate::runtime::{Groups, Net, Runtime, Udp};

/// The global executor.
#[derive(Debug)]
pub struct Smol;

/// A task that goes on when this is dropped, as other runtimes' do; a `smol::Task` would be cancelled.
#[derive(Debug)]
pub struct Handle<T>(Option<smol::Task<T>>);

impl<T> Future for Handle<T> {
    type Output = Result<T, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.0.as_mut().expect("the task is given up by the drop only");
        Pin::new(task).poll(context).map(Ok)
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

impl Runtime for Smol {
    const NAME: &'static str = "smol";
    /// A panic goes on in whoever awaits the task.
    type JoinError = Infallible;
    type JoinHandle<T: Send + 'static> = Handle<T>;

    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // SAFETY: a trial's process calls this once, before it has a second thread that might read the environment.
        unsafe { std::env::set_var("SMOL_THREADS", workers.to_string()) };
        smol::block_on(smol::spawn(future))
    }

    fn spawn<F>(future: F) -> Handle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Handle(Some(smol::spawn(future)))
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }

    fn timeout<F>(wait: Duration, future: F) -> impl Future<Output: Send> + Send
    where
        F: Future<Output: Send> + Send,
    {
        // It has none of its own; this is what its documentation shows.
        let output = async { Some(future.await) };
        let over = async move {
            smol::Timer::after(wait).await;
            None
        };
        smol::future::or(output, over)
    }

    fn sleep(wait: Duration) -> impl Future<Output: Send> + Send + 'static {
        smol::Timer::after(wait)
    }
}

impl Groups for Smol {
    /// By hand: there is none.
    async fn group(tasks: u64) {
        let all: Vec<_> = (0..tasks).map(|_| smol::spawn(async {})).collect();
        for task in all {
            task.await;
        }
    }
}

impl Net for Smol {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await
    }
}

impl Udp for Smol {
    type Socket = UdpSocket;

    async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    }

    async fn receive_from(
        socket: &mut UdpSocket,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buffer).await
    }

    async fn send_to(socket: &mut UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        socket.send_to(bytes, to).await
    }
}
