//! Many connections at once, whose reads are given up all the time on both sides: every byte is checked.

mod support;

use filch::io::Write;
use filch::net::{TcpListener, TcpStream};
use filch::time::{Duration, timeout};
use filch_testkit::Random;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use support::{PATIENCE, breathe, runtime};

const CONNECTIONS: usize = 200;
const MOST: usize = 200 * 1024;

/// Reads, giving up now and then, until some bytes come.
async fn read(stream: &TcpStream, buf: &mut [u8], random: &mut Random) -> std::io::Result<usize> {
    loop {
        let size = 1 + random.below(buf.len());
        match random.below(4) {
            // In the poll that began it.
            0 => {
                if let Ok(read) = timeout(Duration::ZERO, stream.read(&mut buf[..size])).await {
                    return read;
                }
            }
            1 => {
                let patience = Duration::from_millis(1 + random.below(3) as u64);
                if let Ok(read) = timeout(patience, stream.read(&mut buf[..size])).await {
                    return read;
                }
            }
            2 => {
                filch::select! {
                    read = stream.read(&mut buf[..size]) => return read,
                    () = breathe() => {}
                }
            }
            _ => return stream.read(&mut buf[..size]).await,
        }
    }
}

async fn echo(mut stream: TcpStream, mut random: Random) -> std::io::Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        let read = read(&stream, &mut buf, &mut random).await?;
        if read == 0 {
            return stream.shutdown(Shutdown::Write).await;
        }
        stream.write_all(&buf[..read]).await?;
    }
}

async fn client(address: SocketAddr, mut random: Random) -> usize {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let size = random.below(MOST);
    let data = random.bytes(size);
    let mut reader_random = Random::new(random.next_u64());
    let send = async {
        let mut rest = &data[..];
        while !rest.is_empty() {
            let size = 1 + random.below(rest.len().min(64 * 1024));
            (&stream).write_all(&rest[..size]).await.expect("the connection holds");
            rest = &rest[size..];
        }
        stream.shutdown(Shutdown::Write).await.expect("the connection holds");
    };
    let receive = async {
        let mut buf = vec![0; 16 * 1024];
        let mut got = 0;
        loop {
            let read = read(&stream, &mut buf, &mut reader_random).await;
            let read = read.expect("the connection holds");
            if read == 0 {
                return got;
            }
            assert!(buf[..read] == data[got..got + read], "wrong bytes behind {got} of {size}");
            got += read;
        }
    };
    let ((), got) = filch::join!(send, receive);
    assert_eq!(got, size, "as much comes back as was sent");
    got
}

/// Sends without end until it is bored, in the midst of a write, and goes: what came back is checked.
async fn fickle_client(address: SocketAddr, mut random: Random) {
    let stream = Arc::new(TcpStream::connect(address).await.expect("it listens"));
    let data = random.bytes(MOST);
    let sender = async {
        let mut rest = &data[..];
        let patience = Duration::from_millis(random.below(20) as u64);
        let _ = timeout(patience, async {
            while !rest.is_empty() {
                let sent = stream.write(rest).await.expect("the connection holds");
                rest = &rest[sent..];
            }
        })
        .await;
    };
    let mut reader_random = Random::new(7);
    let receiver = async {
        let mut buf = vec![0; 16 * 1024];
        let mut got = 0;
        loop {
            let read = read(&stream, &mut buf, &mut reader_random).await.expect("it holds");
            assert!(buf[..read] == data[got..got + read], "wrong bytes behind {got}");
            got += read;
        }
    };
    filch::select! {
        () = sender => {}
        () = receiver => {}
    }
}

fn stress(workers: usize) {
    let seed = Random::seed();
    println!("FILCH_SEED={seed}, {workers} workers");
    let before = Before::now("filch");
    let runtime = runtime(workers);
    let task = runtime.handle().spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = filch::spawn(async move {
            let mut connections = Vec::new();
            for number in 0..CONNECTIONS as u64 {
                let (stream, _) = listener.accept().await.expect("it accepts");
                connections.push(filch::spawn(echo(stream, Random::new(seed ^ number << 32))));
            }
            connections
        });
        let mut clients = Vec::new();
        let mut fickle = Vec::new();
        for number in 0..CONNECTIONS as u64 {
            let random = Random::new(seed.wrapping_add(number));
            if number % 10 == 0 {
                fickle.push(filch::spawn(fickle_client(address, random)));
            } else {
                clients.push(filch::spawn(client(address, random)));
            }
        }
        let mut bytes = 0;
        for client in clients {
            bytes += client.await.expect("every byte is right");
        }
        for client in fickle {
            client.await.expect("every byte is right");
        }
        // Those of fickle clients end with an error, or not.
        for connection in server.await.unwrap() {
            let _ = connection.await.expect("it does not panic");
        }
        bytes
    });
    let bytes = runtime.block_on(task).expect("every byte is right");
    assert!(bytes > CONNECTIONS * MOST / 10, "{bytes} bytes");
    assert_eq!(runtime.handle().metrics().tasks, 0);
    drop(runtime);
    before.check();
}

#[test]
fn every_byte_comes_back_on_one_worker() {
    let _alone = alone(PATIENCE);
    stress(1);
}

#[test]
fn every_byte_comes_back_on_two_workers() {
    let _alone = alone(PATIENCE);
    stress(2);
}

#[test]
fn every_byte_comes_back_on_more_workers_than_cores() {
    let _alone = alone(PATIENCE);
    stress(5);
}

#[test]
#[ignore = "a soak test: takes minutes"]
fn soak_every_byte_comes_back() {
    let _alone = alone(20 * PATIENCE);
    for round in 0..60 {
        stress(1 + round % 5);
    }
}
