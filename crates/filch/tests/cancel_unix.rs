//! Unix streams and listeners: wherever a future is dropped, no byte, no connection and no descriptor is
//! lost (C1, D2).

mod support;

use filch::io::Write;
use filch::net::{UnixListener, UnixStream};
use filch_testkit::Cut;
use filch_testkit::leaks::descriptors;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::asked::asked_everywhere;
use support::{
    Bytes, breathe, drain, everywhere, file, pattern, read_some, send_pieces, texts, until_closed,
};

/// Two ends of a connection: ours, and one of the standard library that does not block.
fn pair() -> (UnixStream, net::UnixStream) {
    let (ours, theirs) = net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    (UnixStream::from_std(ours).expect("a runtime"), theirs)
}

/// An abstract name of this test alone.
fn name() -> PathBuf {
    PathBuf::from(format!("\0{}", support::temp("unix").display()))
}

async fn reads(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for size in [1, 4, 16] {
                let mut seen = [0; 4];
                let len = stream.peek(&mut seen).await.expect("the connection holds");
                assert_eq!(seen[..len], pattern(got.len(), len));
                read_some(&*stream, size, &got).await;
            }
        }
    };
    let writer = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    };
    filch::join!(cut.run(reader), writer);
    while read_some(&*stream, 3, &got).await > 0 {}
    assert_eq!(got.take(), sent);
}

#[test]
fn no_byte_is_lost_at_any_poll() {
    everywhere(5, reads);
}

async fn writes(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let all = Arc::new(pattern(0, 500_000));
    let writer = {
        let (stream, all) = (stream.clone(), all.clone());
        async move { (&*stream).write_all(&all).await.expect("the connection holds") }
    };
    let next = async {
        cut.run(writer).await;
        (&*stream).write_all(b"the next write").await.expect("the connection holds");
        stream.shutdown(std::net::Shutdown::Write).await.unwrap();
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let ((), received) = filch::join!(next, reader);
    let (before, end) = received.split_at(received.len() - b"the next write".len());
    assert_eq!(end, b"the next write");
    assert!(before == &all[..before.len()], "a prefix, each byte once");
}

#[test]
fn a_dropped_write_is_a_prefix_and_once() {
    everywhere(4, writes);
}

async fn the_stream_goes_with_its_write(cut: Cut) {
    let (stream, peer) = pair();
    let all = Arc::new(pattern(0, 500_000));
    let writer = {
        let all = all.clone();
        async move { (&stream).write_all(&all).await.expect("the connection holds") }
    };
    let reader = async {
        breathe().await;
        drain(&peer).await
    };
    let (done, received) = filch::join!(cut.run(writer), reader);
    assert!(received == all[..received.len()], "a prefix, each byte once");
    assert!(done.is_none() || received.len() == all.len());
}

#[test]
fn a_stream_that_goes_with_its_write_closes() {
    everywhere(3, the_stream_goes_with_its_write);
}

async fn descriptors_come(cut: Cut) {
    let (stream, peer) = pair();
    let peer = UnixStream::from_std(peer).expect("a runtime");
    let stream = Arc::new(stream);
    // All the bytes, and all that came beside them.
    let got = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    async fn one(stream: &UnixStream, size: usize, got: &Mutex<(Vec<u8>, Vec<String>)>) -> usize {
        let mut buf = vec![0; size];
        let (len, files) = stream.recv_with_fds(&mut buf).await.expect("the connection holds");
        let mut got = got.lock().unwrap();
        got.0.extend_from_slice(&buf[..len]);
        got.1.extend(texts(files));
        len
    }
    let receiver = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for size in [1, 100, 2] {
                one(&stream, size, &got).await;
            }
        }
    };
    let sender = async {
        for number in 0..5 {
            breathe().await;
            let files: Vec<_> = (0..number).map(|file| support::file(&file.to_string())).collect();
            let files: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
            let sent = peer.send_with_fds(format!("<{number}>").as_bytes(), &files).await;
            assert_eq!(sent.expect("it fits"), 3);
        }
        peer.shutdown(std::net::Shutdown::Write).await.unwrap();
    };
    filch::join!(cut.run(receiver), sender);
    while one(&stream, 5, &got).await > 0 {}
    let (bytes, files) = std::mem::take(&mut *got.lock().unwrap());
    assert_eq!(bytes, b"<0><1><2><3><4>");
    assert_eq!(files, ["0", "0", "1", "0", "1", "2", "0", "1", "2", "3"]);
}

#[test]
fn descriptors_come_with_their_bytes() {
    everywhere(4, descriptors_come);
}

async fn the_stream_goes_too(cut: Cut) {
    let (stream, peer) = pair();
    let before = descriptors().len();
    let receiver = async move { stream.recv_with_fds(&mut [0; 8]).await.map(drop) };
    let sender = async {
        breathe().await;
        let peer = UnixStream::from_std(peer.try_clone().unwrap()).expect("a runtime");
        let file = file("nobody reads this");
        // The stream may be gone.
        let _ = peer.send_with_fds(b"x", &[file.as_fd(), file.as_fd()]).await;
    };
    filch::join!(cut.run(receiver), sender);
    // It ends promptly (D6), and what came for it is closed (D2): one less than before, the stream itself.
    peer.set_nonblocking(true).unwrap();
    drain(&peer).await;
    until_closed(before - 1).await;
}

#[test]
fn descriptors_that_come_for_nobody_are_closed() {
    everywhere(2, the_stream_goes_too);
}

async fn descriptors_are_sent(cut: Cut) {
    let is_asking = cut.is_asking();
    let (stream, peer) = pair();
    socket2::SockRef::from(&stream).set_send_buffer_size(4_096).unwrap();
    let stream = Arc::new(stream);
    let acknowledged = Arc::new(Mutex::new(0));
    let sender = {
        let (stream, acknowledged) = (stream.clone(), acknowledged.clone());
        async move {
            for number in 0..4 {
                // Closed when the future goes, and sent all the same, if it is.
                let file = file(&number.to_string());
                let mut record = vec![number; 6_000];
                let mut files = vec![file.as_fd()];
                while !record.is_empty() {
                    let sent = stream.send_with_fds(&record, &files).await.expect("it holds");
                    record.drain(..sent);
                    files.clear();
                    *acknowledged.lock().unwrap() += sent;
                }
            }
        }
    };
    let sending = async {
        cut.run(sender).await;
        stream.shutdown(std::net::Shutdown::Write).await.unwrap();
    };
    let receiving = async {
        let peer = UnixStream::from_std(peer).expect("a runtime");
        breathe().await;
        let (mut bytes, mut found) = (Vec::new(), Vec::new());
        loop {
            let mut buf = vec![0; 1_000];
            let (len, files) = peer.recv_with_fds(&mut buf).await.expect("it holds");
            bytes.extend_from_slice(&buf[..len]);
            found.extend(texts(files));
            if len == 0 {
                return (bytes, found);
            }
        }
    };
    let ((), (bytes, found)) = filch::join!(sending, receiving);
    let all: Vec<u8> = (0..4).flat_map(|number| [number; 6_000]).collect();
    assert!(bytes == all[..bytes.len()], "a prefix, each byte once");
    let acknowledged = *acknowledged.lock().unwrap();
    assert!(bytes.len() == acknowledged || bytes.len() > acknowledged && !is_asking);
    // As many as there are records that began.
    let expected: Vec<_> = (0..bytes.len().div_ceil(6_000)).map(|file| file.to_string()).collect();
    assert_eq!(found, expected);
}

#[test]
fn descriptors_are_sent_with_the_first_byte() {
    everywhere(4, descriptors_are_sent);
}

async fn accepts(cut: Cut) {
    let name = name();
    let listener = Arc::new(UnixListener::bind(&name).expect("a free name"));
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let server = {
        let (listener, accepted) = (listener.clone(), accepted.clone());
        async move {
            for _ in 0..3 {
                let (stream, _) = listener.accept().await.expect("it accepts");
                accepted.lock().unwrap().push(stream);
            }
        }
    };
    let clients = async {
        let mut clients = Vec::new();
        for number in 0..5 {
            breathe().await;
            let client = UnixStream::connect(&name).await.expect("it listens");
            client.write(&[number]).await.unwrap();
            clients.push(client);
        }
        clients
    };
    let (_, clients) = filch::join!(cut.run(server), clients);
    while accepted.lock().unwrap().len() < clients.len() {
        let (stream, _) = listener.accept().await.expect("it accepts");
        accepted.lock().unwrap().push(stream);
    }
    let mut seen = Vec::new();
    let accepted = std::mem::take(&mut *accepted.lock().unwrap());
    for stream in accepted {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).await.unwrap(), 1);
        seen.push(byte[0]);
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn no_connection_is_lost_at_any_poll() {
    everywhere(3, accepts);
}

async fn the_listener_goes_too(cut: Cut) {
    let name = name();
    let listener = UnixListener::bind(&name).expect("a free name");
    let server = async move { listener.accept().await.map(drop) };
    let client = async {
        breathe().await;
        // The listener may be gone.
        UnixStream::connect(&name).await.ok()
    };
    let (accepted, client) = filch::join!(cut.run(server), client);
    assert!(accepted.is_none() || client.is_some());
    // Nobody listens any more, and the name is free again, while the runtime runs (D6).
    let error = UnixStream::connect(&name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let mut tries = 0;
    while UnixListener::bind(&name).is_err() {
        tries += 1;
        assert!(tries < 20_000, "the name is still in use");
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_listener_that_goes_with_its_accept_closes() {
    everywhere(2, the_listener_goes_too);
}

async fn connects_to_a_full_listener(cut: Cut) {
    let name = name();
    let before = descriptors().len();
    {
        let listener = UnixListener::bind(&name).expect("a free name");
        socket2::SockRef::from(&listener).listen(0).unwrap();
        let first = UnixStream::connect(&name).await.expect("there is room for one");
        // The next one waits for room.
        let second = UnixStream::connect(name.clone());
        let accepting = async {
            breathe().await;
            listener.accept().await.expect("it accepts")
        };
        let (second, accepted) = filch::join!(cut.run(second), accepting);
        if let Some(second) = second {
            let second = second.expect("there is room now");
            let (other, _) = listener.accept().await.expect("it is there");
            other.write(b"x").await.unwrap();
            assert_eq!(second.read(&mut [0; 4]).await.unwrap(), 1);
        }
        drop((first, accepted));
    }
    until_closed(before).await;
}

#[test]
fn a_connect_that_waits_is_given_up_or_made() {
    everywhere(2, connects_to_a_full_listener);
}

async fn connects_to_a_listener_that_stays_full(cut: Cut) {
    let name = name();
    let listener = UnixListener::bind(&name).expect("a free name");
    socket2::SockRef::from(&listener).listen(0).unwrap();
    let _first = UnixStream::connect(&name).await.expect("there is room for one");
    let before = descriptors().len();
    let second = filch::time::timeout(Duration::from_millis(5), UnixStream::connect(name));
    drop(cut.run(second).await);
    // Whenever it was dropped, and though nobody accepts: the socket closes (D6).
    until_closed(before).await;
}

#[test]
fn a_connect_that_is_given_up_keeps_nothing_open() {
    everywhere(2, connects_to_a_listener_that_stays_full);
}

async fn is_handed_on(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for size in [1, 20] {
                read_some(&*stream, size, &got).await;
            }
        }
    };
    let handing = async {
        cut.run(reader).await;
        let mut stream = Arc::into_inner(stream).expect("the reader is gone");
        loop {
            match stream.into_std().await {
                Ok(stream) => break stream,
                Err(refused) => {
                    assert_eq!(refused.error().kind(), ErrorKind::ResourceBusy, "{refused}");
                    stream = refused.into_inner();
                    assert!(read_some(&stream, 100, &got).await > 0);
                }
            }
        }
    };
    let writer = async {
        send_pieces(&peer, &sent).await;
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    };
    let (mut standard, ()) = filch::join!(handing, writer);
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut standard, &mut rest).expect("it waits");
    got.add(&rest);
    assert_eq!(got.take(), sent);
}

#[test]
fn a_stream_is_handed_on_with_every_byte() {
    everywhere(3, is_handed_on);
}

/// C2, CANCEL-10.
#[test]
fn nothing_is_lost_wherever_it_is_asked_to_end() {
    asked_everywhere(5, reads);
    asked_everywhere(4, writes);
    asked_everywhere(3, the_stream_goes_with_its_write);
    asked_everywhere(3, is_handed_on);
}

/// C2, CANCEL-10.
#[test]
fn no_descriptor_is_lost_wherever_it_is_asked_to_end() {
    asked_everywhere(4, descriptors_come);
    asked_everywhere(2, the_stream_goes_too);
    asked_everywhere(4, descriptors_are_sent);
}

/// C2, CANCEL-10.
#[test]
fn no_connection_is_lost_wherever_it_is_asked_to_end() {
    asked_everywhere(3, accepts);
    asked_everywhere(2, the_listener_goes_too);
    asked_everywhere(2, connects_to_a_full_listener);
    asked_everywhere(2, connects_to_a_listener_that_stays_full);
}
