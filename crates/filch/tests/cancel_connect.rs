//! A connect that is dropped leaves no connection and no descriptor.

mod support;

use filch::net::TcpStream;
use filch_testkit::Cut;
use filch_testkit::leaks::{Before, descriptors};
use filch_testkit::limits::alone;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;
use support::{PATIENCE, everywhere, runtime};

/// Waits until the process has no more descriptors than it had.
async fn until_closed(before: usize) {
    let mut tries = 0;
    while descriptors().len() > before {
        tries += 1;
        assert!(tries < 2_000, "still open: {:?}", descriptors());
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn connects(cut: Cut) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let before = descriptors().len();
    let connected = cut.run(TcpStream::connect(address)).await;
    let kept = connected.map(|connected| connected.expect("it listens"));
    // Who was accepted is alive, or ends at once.
    listener.set_nonblocking(true).unwrap();
    let mut alive = 0;
    loop {
        let (mut accepted, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        };
        if let Some(kept) = &kept {
            assert_eq!(kept.local_addr().unwrap(), peer);
            alive += 1;
            continue;
        }
        accepted.set_nonblocking(true).unwrap();
        let mut tries = 0;
        while accepted.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            tries += 1;
            assert!(tries < 2_000, "a connection of nobody's stays open");
            filch::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(alive, usize::from(kept.is_some()));
    drop(kept);
    until_closed(before).await;
}

#[test]
fn no_connection_is_left_at_any_poll() {
    everywhere(2, connects);
}

async fn looks_up_a_name(cut: Cut) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let before = descriptors().len();
    drop(cut.run(TcpStream::connect(("localhost", port))).await);
    until_closed(before).await;
}

#[test]
fn a_look_up_may_be_dropped() {
    everywhere(2, looks_up_a_name);
}

/// A port where connecting takes for ever: nobody accepts, and the line is full.
fn full() -> (Socket, SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        waiting.push(socket);
    }
    (listener, address.as_socket().unwrap(), waiting)
}

#[test]
fn a_connect_that_hangs_is_given_up() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for workers in [1, 2] {
        let runtime = runtime(workers);
        runtime.block_on(async {
            let (_listener, address, _waiting) = full();
            let before = descriptors().len();
            for _ in 0..20 {
                let connect = filch::spawn(filch::time::timeout(
                    Duration::from_millis(2),
                    TcpStream::connect(address),
                ));
                assert!(connect.await.unwrap().is_err(), "nobody accepts");
            }
            until_closed(before).await;
        });
        drop(runtime);
        before.check();
    }
}
