//! tokio, in the flavours that people run.
//!
//! `tokio-mt` is the multi-thread runtime and `tokio-ct` the current-thread one, with everything enabled. `tokio-fs` is the
//! former with another way to use files: see `files/tokio.rs`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::runtime::{Groups, Net, Runtime, Udp};

/// The multi-thread runtime; files by `spawn_blocking`.
#[derive(Debug)]
pub struct TokioMt;

/// The current-thread runtime; files by `spawn_blocking`.
#[derive(Debug)]
pub struct TokioCt;

/// The multi-thread runtime; files by `tokio::fs`.
#[derive(Debug)]
pub struct TokioFs;

macro_rules! runtime {
    ($flavour:ident, $name:literal, $builder:expr) => {
        impl Runtime for $flavour {
            const NAME: &'static str = $name;
            type JoinError = JoinError;
            type JoinHandle<T: Send + 'static> = JoinHandle<T>;

            fn run<F>(workers: usize, future: F) -> F::Output
            where
                F: Future<Output: Send> + Send + 'static,
            {
                let builder: fn(usize) -> Builder = $builder;
                let runtime = builder(workers).enable_all().build().expect("tokio starts");
                runtime.block_on(async { tokio::spawn(future).await.expect("the task finishes") })
            }

            fn spawn<F>(future: F) -> JoinHandle<F::Output>
            where
                F: Future<Output: Send> + Send + 'static,
            {
                tokio::spawn(future)
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                tokio::task::yield_now()
            }

            fn timeout<F>(wait: Duration, future: F) -> impl Future<Output: Send> + Send
            where
                F: Future<Output: Send> + Send,
            {
                tokio::time::timeout(wait, future)
            }

            fn sleep(wait: Duration) -> impl Future<Output: Send> + Send + 'static {
                tokio::time::sleep(wait)
            }
        }
    };
}

fn multi_thread(workers: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers);
    builder
}

runtime!(TokioMt, "tokio-mt", multi_thread);
runtime!(TokioCt, "tokio-ct", |_| Builder::new_current_thread());
runtime!(TokioFs, "tokio-fs", multi_thread);

macro_rules! groups {
    ($flavour:ident) => {
        impl Groups for $flavour {
            async fn group(tasks: u64) {
                let mut all = JoinSet::new();
                for _ in 0..tasks {
                    all.spawn(async {});
                }
                while let Some(ended) = all.join_next().await {
                    ended.expect("the task finishes");
                }
            }
        }
    };
}

groups!(TokioMt);
groups!(TokioCt);

macro_rules! net {
    ($flavour:ident) => {
        impl Net for $flavour {
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

        impl Udp for $flavour {
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

            async fn send_to(
                socket: &mut UdpSocket,
                bytes: &[u8],
                to: SocketAddr,
            ) -> io::Result<usize> {
                socket.send_to(bytes, to).await
            }
        }
    };
}

net!(TokioMt);
net!(TokioCt);
