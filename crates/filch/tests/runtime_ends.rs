//! A runtime that ends while something goes on that began on it: it goes on elsewhere, or an error says so.

mod support;

use filch::Runtime;
use filch::net::{TcpListener, TcpStream, UnixDatagram};
use filch::time::timeout;
use filch_testkit::child;
use filch_testkit::limits::alone;
use std::pin::pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::{PATIENCE, full, runtime};

/// What waits for a while by itself, for the next address or the next accept, waits on the runtime. When that
/// ends, an error says so, as that of an operation does.
#[test]
fn a_runtime_that_ends_while_a_connect_has_another_address() {
    let _alone = alone(PATIENCE);
    let (_listener, hangs, _waiting) = full();
    let runtime = runtime(1);
    let handle = runtime.handle().clone();
    let connects = thread::spawn(move || handle.block_on(TcpStream::connect([hangs; 100])));
    // Less than the time until the last address is tried, by far.
    thread::sleep(Duration::from_millis(20));
    drop(runtime);
    let error = connects.join().expect("it does not panic").expect_err("nobody answers");
    assert!(error.to_string().contains("shut down"), "{error}");
}

#[test]
fn a_runtime_that_ends_while_an_accept_has_a_pause() {
    let _alone = alone(PATIENCE);
    child::run("a_runtime_that_ends_while_an_accept_has_a_pause", || {
        child::limit_descriptors(64).unwrap();
        let runtime = runtime(1);
        let handle = runtime.handle().clone();
        let (failed, has_failed) = mpsc::channel();
        let accepts = thread::spawn(move || {
            handle.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let mut held = Vec::new();
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    held.push(file);
                }
                assert!(listener.accept().await.is_err(), "no descriptor is left");
                drop(held);
                failed.send(()).unwrap();
                listener.accept().await
            })
        });
        has_failed.recv().unwrap();
        // Less than the pause.
        thread::sleep(Duration::from_millis(10));
        drop(runtime);
        let error = accepts.join().expect("it does not panic").expect_err("nobody connects");
        assert!(error.to_string().contains("shut down"), "{error}");
    });
}

/// A send that waits in the ring of another runtime, which then ends.
#[test]
fn a_datagram_outlives_a_ring() {
    let _alone = alone(PATIENCE);
    let name = format!("\0filch-outlives-{}", std::process::id());
    let home = runtime(1);
    let (receiver, socket) = home
        .block_on(async { (UnixDatagram::bind(&name).unwrap(), UnixDatagram::unbound().unwrap()) });
    let filler = std::os::unix::net::UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    let address = receiver.local_addr().unwrap();
    let mut full = 0;
    while filler.send_to_addr(b"x", &address).is_ok() {
        full += 1;
    }
    let mut send = pin!(socket.send_to_addr(b"waits", &address));
    // Polled by a worker of another runtime, in whose ring it then waits.
    Runtime::builder()
        .workers(1)
        .run(async {
            assert!(timeout(Duration::from_millis(10), send.as_mut()).await.is_err());
        })
        .expect("a runtime");
    home.block_on(async {
        let mut buf = [0; 8];
        for _ in 0..full {
            assert_eq!(receiver.recv(&mut buf).await.unwrap(), 1);
        }
        assert_eq!(send.await.expect("no error of the other runtime's"), 5);
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), 5);
    });
}
