//! compio, on a ring with the flags that suit a thread that alone submits and reaps.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use compio::buf::BufResult;
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream, UdpSocket};
use compio::runtime::RuntimeBuilder;

use crate::runtime::OneThread;

/// compio. It leaves these flags off unless it is told otherwise, which costs it up to a fifth.
#[derive(Debug)]
pub struct Compio;

impl OneThread for Compio {
    const NAME: &'static str = "compio";
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Socket = UdpSocket;

    fn run<F: Future>(future: F) -> F::Output {
        let mut ring = ProactorBuilder::new();
        ring.driver_type(DriverType::IoUring);
        ring.single_issuer(true).defer_taskrun(true).coop_taskrun(true);
        let runtime = RuntimeBuilder::new().with_proactor(ring).build().expect("compio starts");
        runtime.block_on(future)
    }

    fn spawn<F: Future<Output = io::Result<()>> + 'static>(future: F) {
        compio::runtime::spawn(future).detach();
    }

    fn run_with_timers<F: Future<Output: 'static> + 'static>(future: F) -> F::Output {
        Self::run(async { Self::spawn_awaited(future).await })
    }

    fn spawn_awaited<F: Future<Output: 'static> + 'static>(
        future: F,
    ) -> impl Future<Output = F::Output> + 'static {
        let task = compio::runtime::spawn(future);
        async { task.await.expect("the task finishes") }
    }

    fn sleep(wait: Duration) -> impl Future<Output: 'static> + 'static {
        compio::time::sleep(wait)
    }

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

    async fn read(stream: &mut TcpStream, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let BufResult(result, buffer) = stream.read(buffer).await;
        (result, buffer)
    }

    async fn write_all(stream: &mut TcpStream, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let BufResult(result, buffer) = stream.write_all(buffer).await;
        (result, buffer)
    }

    async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    }

    async fn receive_from(
        socket: &mut UdpSocket,
        buffer: Vec<u8>,
    ) -> (io::Result<SocketAddr>, Vec<u8>) {
        let BufResult(result, buffer) = socket.recv_from(buffer).await;
        (result.map(|(_, from)| from), buffer)
    }

    async fn send_to(
        socket: &mut UdpSocket,
        buffer: Vec<u8>,
        to: SocketAddr,
    ) -> (io::Result<()>, Vec<u8>) {
        let BufResult(result, buffer) = socket.send_to(buffer, to).await;
        (result.map(drop), buffer)
    }
}
