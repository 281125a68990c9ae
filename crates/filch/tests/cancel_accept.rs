//! An accept that is dropped loses no connection (C1).

mod support;

use filch::net::{TcpListener, TcpStream};
use filch_testkit::Cut;
use filch_testkit::limits::alone;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{PATIENCE, breathe, everywhere, runtime};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Connects, without waiting for an accept.
fn connect(to: SocketAddr) -> std::net::TcpStream {
    std::net::TcpStream::connect(to).expect("it listens")
}

async fn accepts(cut: Cut) {
    let (listener, address) = listener().await;
    let listener = Arc::new(listener);
    let accepted = Arc::new(Mutex::new(Vec::<(TcpStream, SocketAddr)>::new()));
    let server = {
        let (listener, accepted) = (listener.clone(), accepted.clone());
        async move {
            for _ in 0..3 {
                let connection = listener.accept().await.expect("it accepts");
                accepted.lock().unwrap().push(connection);
            }
        }
    };
    let clients = async {
        let mut clients = Vec::new();
        for _ in 0..5 {
            breathe().await;
            clients.push(connect(address));
        }
        clients
    };
    let (_, clients) = filch::join!(cut.run(server), clients);
    while accepted.lock().unwrap().len() < clients.len() {
        let connection = listener.accept().await.expect("it accepts");
        accepted.lock().unwrap().push(connection);
    }
    let accepted = std::mem::take(&mut *accepted.lock().unwrap());
    let expected: BTreeSet<_> = clients.iter().map(|c| c.local_addr().unwrap()).collect();
    let got: BTreeSet<_> = accepted.iter().map(|(_, peer)| *peer).collect();
    assert_eq!(got, expected);
    for (stream, peer) in &accepted {
        assert_eq!(stream.peer_addr().unwrap(), *peer);
    }
    // There is none more, and what that accept leaves goes with the listener.
    let none = filch::time::timeout(Duration::from_millis(2), listener.accept()).await;
    assert!(none.is_err());
}

#[test]
fn no_connection_is_lost_at_any_poll() {
    everywhere(6, accepts);
}

async fn the_listener_goes_too(cut: Cut) {
    let (listener, address) = listener().await;
    let client = async {
        breathe().await;
        // The listener may be gone.
        std::net::TcpStream::connect(address).ok()
    };
    let server = async move { listener.accept().await.expect("it accepts") };
    let (accepted, client) = filch::join!(cut.run(server), client);
    if accepted.is_some() {
        assert!(client.is_some());
    }
    // Its operation is cancelled, and the port free again, while the runtime runs (D6).
    let mut tries = 0;
    while std::net::TcpStream::connect(address).is_ok() {
        tries += 1;
        assert!(tries < 20_000, "somebody still listens on {address}");
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_listener_that_goes_with_its_accept_closes() {
    everywhere(3, the_listener_goes_too);
}

#[test]
fn cancelled_accepts_in_a_loop_lose_no_connection() {
    const CLIENTS: usize = 400;
    let _alone = alone(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        let (listener, address) = listener().await;
        let clients = filch::spawn_blocking(move || {
            (0..CLIENTS).map(|_| connect(address)).collect::<Vec<_>>()
        });
        // Several accept at once, and each gives up all the time.
        let listener = Arc::new(listener);
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let servers: Vec<_> = (0..4)
            .map(|_| {
                let (listener, accepted) = (listener.clone(), accepted.clone());
                filch::spawn(async move {
                    while accepted.lock().unwrap().len() < CLIENTS {
                        filch::select! {
                            biased;
                            connection = listener.accept() => {
                                accepted.lock().unwrap().push(connection.expect("it accepts"));
                            }
                            () = breathe() => {}
                        }
                    }
                })
            })
            .collect();
        let clients = clients.await.unwrap();
        for server in servers {
            server.await.unwrap();
        }
        let expected: BTreeSet<_> = clients.iter().map(|c| c.local_addr().unwrap()).collect();
        let got: BTreeSet<_> = accepted.lock().unwrap().iter().map(|(_, peer)| *peer).collect();
        assert_eq!(got, expected);
    });
}

/// C2, CANCEL-10.
#[test]
fn no_connection_is_lost_wherever_an_accept_is_asked_to_end() {
    asked_everywhere(6, accepts);
    asked_everywhere(3, the_listener_goes_too);
}
