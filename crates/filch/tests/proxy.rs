//! The example `proxy`, between servers and clients of the standard library.

#[path = "../examples/proxy.rs"]
#[allow(dead_code, reason = "its `main` has nothing to do here")]
mod proxy;
mod support;

use filch_testkit::limits::alone;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::{PATIENCE, pattern, runtime};

/// Runs `client` with a connection through a proxy to `server`, and gives what the proxy said.
fn through<S, C>(workers: usize, server: S, client: C) -> String
where
    S: FnOnce(TcpStream) + Send + 'static,
    C: FnOnce(TcpStream),
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || server(listener.accept().unwrap().0));
    let (proxy, said, _runtime) = proxy(workers, address);
    client(TcpStream::connect(proxy).unwrap());
    serving.join().expect("the server was content");
    said.recv().unwrap()
}

fn proxy(
    workers: usize,
    server: SocketAddr,
) -> (SocketAddr, mpsc::Receiver<String>, filch::Runtime) {
    let runtime = runtime(workers);
    let (say, said) = mpsc::channel();
    let listener = runtime.block_on(filch::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.handle().spawn(async move {
        let say = move |line: &dyn std::fmt::Display| {
            let _nobody_listens_any_more = say.send(line.to_string());
        };
        proxy::serve(&listener, &server.to_string(), say).await;
    });
    (address, said, runtime)
}

fn read_all(mut from: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn bytes_of_every_number_come_through() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        for len in [0, 1, 65_537, 1 << 20] {
            let server = move |stream: TcpStream| {
                let mut stream = &stream;
                // Both ways at once: it answers while it is asked.
                std::io::copy(&mut { stream }, &mut stream).unwrap();
            };
            let said = through(workers, server, |stream| {
                let all = pattern(3, len);
                thread::scope(|scope| {
                    let answer = scope.spawn(|| read_all(&stream));
                    (&stream).write_all(&all).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                    assert!(answer.join().unwrap() == all, "each byte once, in order");
                });
            });
            assert!(said.ends_with(&format!(": {len} B there, {len} B back")), "{said}");
        }
    }
}

#[test]
fn the_client_may_end_first() {
    let _alone = alone(PATIENCE);
    let server = |mut stream: TcpStream| {
        // Sees the end before it says anything.
        let asked = read_all(&stream);
        stream.write_all(&asked.repeat(1000)).unwrap();
    };
    let said = through(1, server, |mut stream| {
        stream.write_all(b"a question").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&stream), b"a question".repeat(1000));
    });
    assert!(said.ends_with(": 10 B there, 10000 B back"), "{said}");
}

#[test]
fn the_server_may_end_first() {
    let _alone = alone(PATIENCE);
    let server = |mut stream: TcpStream| {
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&stream), pattern(0, 100_000));
    };
    let said = through(1, server, |mut stream| {
        // Sees the end before it says anything.
        assert_eq!(read_all(&stream), b"hello");
        stream.write_all(&pattern(0, 100_000)).unwrap();
    });
    assert!(said.ends_with(": 100000 B there, 5 B back"), "{said}");
}

#[test]
fn who_resets_is_heard_of_on_the_other_side() {
    let _alone = alone(PATIENCE);
    let server = |mut stream: TcpStream| {
        stream.write_all(b"hello").unwrap();
        // The proxy is done with both.
        let end = stream.read(&mut [0; 8]);
        assert!(matches!(&end, Ok(0)) || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
    };
    let said = through(1, server, |mut stream| {
        stream.read_exact(&mut [0; 5]).unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert!(said.ends_with(": 0 B there, 5 B back"), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let _alone = alone(PATIENCE);
    // Bound and not listening: nobody else gets the port.
    let nobody = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = nobody.local_addr().unwrap().as_socket().unwrap();
    let (proxy, said, _runtime) = proxy(1, address);
    let stream = TcpStream::connect(proxy).unwrap();
    assert_eq!(read_all(&stream), b"");
    assert!(said.recv().unwrap().contains(&format!("cannot connect to {address}: ")));
}
