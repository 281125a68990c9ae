//! filch.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use filch::io::Write;
use filch::net::{TcpListener, TcpStream, UdpSocket};
use filch::task::{JoinError, JoinHandle};

use crate::runtime::{Groups, Net, Runtime, Udp};

/// filch, as its builder makes it.
#[derive(Debug)]
pub struct Filch;

impl Runtime for Filch {
    const NAME: &'static str = "filch";
    type JoinError = JoinError;
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn run<F>(workers: usize, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // The calling thread is worker 0 and only waits there: the body is a task like any other.
        let main = async { filch::spawn(future).await.expect("the task finishes") };
        filch::Runtime::builder().workers(workers).run(main).expect("filch starts")
    }

    fn spawn<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        filch::spawn(future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        filch::task::yield_now()
    }

    fn timeout<F>(wait: Duration, future: F) -> impl Future<Output: Send> + Send
    where
        F: Future<Output: Send> + Send,
    {
        filch::time::timeout(wait, future)
    }

    fn sleep(wait: Duration) -> impl Future<Output: Send> + Send + 'static {
        filch::time::sleep(wait)
    }
}

impl Groups for Filch {
    async fn group(tasks: u64) {
        let all = filch::group(async |g| {
            for _ in 0..tasks {
                g.spawn_ok(async {});
            }
            Ok(())
        });
        all.await.expect("none of them fails");
    }
}

impl Net for Filch {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
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

impl Udp for Filch {
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
