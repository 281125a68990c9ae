//! A connect that is dropped leaves no connection and no descriptor.

mod support;

use filch::net::{TcpSocket, TcpStream, lookup_host};
use filch_testkit::Cut;
use filch_testkit::leaks::{Before, descriptors};
use filch_testkit::limits::alone;
use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;
use support::asked::{asked_everywhere, asked_here_and_there};
use support::{PATIENCE, everywhere, full, runtime, until_closed};

async fn connects_by<F>(cut: Cut, connect: fn(SocketAddr) -> F)
where
    F: Future<Output = io::Result<TcpStream>> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let before = descriptors().len();
    let connected = cut.run(connect(address)).await;
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
            assert!(tries < 20_000, "a connection of nobody's stays open");
            filch::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(alive, usize::from(kept.is_some()));
    drop(kept);
    until_closed(before).await;
}

async fn connects(cut: Cut) {
    connects_by(cut, TcpStream::connect).await;
}

async fn connects_a_socket(cut: Cut) {
    connects_by(cut, |address| async move { TcpSocket::new_v4()?.connect(address).await }).await;
}

#[test]
fn no_connection_is_left_at_any_poll() {
    everywhere(2, connects);
    everywhere(2, connects_a_socket);
}

async fn looks_up_a_name(cut: Cut) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let before = descriptors().len();
    drop(cut.run(TcpStream::connect(("localhost", port))).await);
    until_closed(before).await;
}

async fn looks_up(cut: Cut) {
    let Some(found) = cut.run(lookup_host(("localhost", 7))).await else { return };
    let found: Vec<_> = found.expect("it has one").collect();
    assert!(!found.is_empty() && found.iter().all(|it| it.port() == 7 && it.ip().is_loopback()));
}

#[test]
fn a_look_up_may_be_dropped() {
    everywhere(2, looks_up_a_name);
    everywhere(1, looks_up);
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

async fn the_second_address_answers(cut: Cut) {
    let (_listener, hangs, _waiting) = full();
    let answers = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = answers.local_addr().unwrap();
    let before = descriptors().len();
    let connected = cut.run(TcpStream::connect([hangs, address])).await;
    // The first attempt is given up, whoever won; a connection of nobody's ends.
    if let Some(connected) = connected {
        let stream = connected.expect("one answers");
        assert_eq!(stream.peer_addr().unwrap(), address);
        until_closed(before + 1).await;
        drop(stream);
    }
    until_closed(before).await;
}

#[test]
fn a_race_of_attempts_leaves_nothing_at_any_poll() {
    everywhere(3, the_second_address_answers);
}

/// C2, CANCEL-10.
#[test]
fn no_connection_is_left_wherever_a_connect_is_asked_to_end() {
    asked_everywhere(2, connects);
    asked_everywhere(2, connects_a_socket);
    asked_everywhere(2, looks_up_a_name);
    asked_everywhere(1, looks_up);
}

/// C2, CANCEL-10. Not everywhere: each attempt that is given up takes a quarter of a second.
#[test]
fn a_race_of_attempts_leaves_nothing_wherever_it_is_asked_to_end() {
    asked_here_and_there(3, the_second_address_answers);
}
