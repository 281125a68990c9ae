//! monoio, on a ring with the flags that suit a thread that alone submits and reaps.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::udp::UdpSocket;
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};

use crate::runtime::OneThread;

/// monoio. It leaves these flags off unless it is told otherwise, which costs it up to a fifth.
#[derive(Debug)]
pub struct Monoio;

impl OneThread for Monoio {
    const NAME: &'static str = "monoio";
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Socket = UdpSocket;

    fn run<F: Future>(future: F) -> F::Output {
        builder().build().expect("monoio starts").block_on(future)
    }

    fn run_with_timers<F: Future<Output: 'static> + 'static>(future: F) -> F::Output {
        let mut runtime = builder().enable_timer().build().expect("monoio starts");
        runtime.block_on(async { monoio::spawn(future).await })
    }

    fn spawn<F: Future<Output = io::Result<()>> + 'static>(future: F) {
        drop(monoio::spawn(future));
    }

    fn spawn_awaited<F: Future<Output: 'static> + 'static>(
        future: F,
    ) -> impl Future<Output = F::Output> + 'static {
        monoio::spawn(future)
    }

    fn sleep(wait: Duration) -> impl Future<Output: 'static> + 'static {
        monoio::time::sleep(wait)
    }

    async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut TcpStream, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut TcpStream, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (result, buffer) = stream.write_all(buffer).await;
        (result.map(drop), buffer)
    }

    async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
        let socket = UdpSocket::bind(address)?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    }

    async fn receive_from(
        socket: &mut UdpSocket,
        buffer: Vec<u8>,
    ) -> (io::Result<SocketAddr>, Vec<u8>) {
        let (result, buffer) = socket.recv_from(buffer).await;
        (result.map(|(_, from)| from), buffer)
    }

    async fn send_to(
        socket: &mut UdpSocket,
        buffer: Vec<u8>,
        to: SocketAddr,
    ) -> (io::Result<()>, Vec<u8>) {
        let (result, buffer) = socket.send_to(buffer, to).await;
        (result.map(drop), buffer)
    }
}

fn builder() -> RuntimeBuilder<IoUringDriver> {
    let mut ring = io_uring_of_monoio::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun();
    RuntimeBuilder::<IoUringDriver>::new().uring_builder(ring)
}
