//! A server that gives back what it is sent, and clients that find out whether it still does.

use filch::Runtime;
use filch::net::{TcpListener, TcpStream};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;

use super::{pattern, runtime};

/// Sends everything back, and at the end the end. Gives how much that was.
pub async fn echo(stream: TcpStream) -> io::Result<u64> {
    echo_any(&stream).await
}

/// As [`echo`], on any stream.
pub async fn echo_any<S: Sync>(stream: &S) -> io::Result<u64>
where
    for<'a> &'a S: filch::io::Read + filch::io::Write,
{
    let echoed = filch::io::copy(&mut { stream }, &mut { stream }).await?;
    filch::io::Write::finish(&mut { stream }).await?;
    Ok(echoed)
}

/// A server in a runtime of its own.
pub struct Server {
    pub address: SocketAddr,
    /// How each connection ended, in that order.
    pub ended: mpsc::Receiver<io::Result<u64>>,
    pub runtime: Runtime,
}

impl Server {
    /// With so many workers.
    pub fn new(workers: usize) -> Self {
        Self::on(runtime(workers))
    }

    /// On a runtime that was made for it.
    pub fn on(runtime: Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().unwrap();
        let (end, ended) = mpsc::channel();
        runtime.handle().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("it accepts");
                let end = end.clone();
                filch::spawn(async move {
                    let echoed = echo(stream).await;
                    let _nobody_asks_any_more = end.send(echoed);
                });
            }
        });
        Self { address, ended, runtime }
    }

    /// A connection to it.
    pub fn connect(&self) -> std::net::TcpStream {
        std::net::TcpStream::connect(self.address).expect("it listens")
    }

    /// How the connection ended that was the next to end.
    pub fn next(&self) -> io::Result<u64> {
        self.ended.recv().expect("it serves")
    }

    /// Waits until it has so many tasks: one, and one for each connection. The test's watchdog ends it if that
    /// is never.
    pub fn until_tasks(&self, tasks: usize) {
        while self.runtime.handle().metrics().tasks != tasks {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Checks that it serves, with a connection that does as it should. No other may end meanwhile.
    pub fn check(&self) {
        let (mut stream, all) = (self.connect(), pattern(11, 10_000));
        stream.write_all(&all).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(read_all(&stream) == all, "every byte, in order");
        assert_eq!(self.next().unwrap(), 10_000);
    }
}

/// Everything up to the end.
pub fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).expect("the connection holds");
    all
}
