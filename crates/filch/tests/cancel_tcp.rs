//! Peeking, halves, and handing a socket on: wherever a future is dropped, nothing is lost (C1).

mod support;

use filch::io::Write;
use filch::net::TcpListener;
use filch_testkit::Cut;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use support::asked::asked_everywhere;
use support::{Bytes, breathe, drain, everywhere, pair, pattern, read_some, send_pieces};

/// Sends everything in small pieces, and then the end.
async fn send(peer: &std::net::TcpStream, bytes: &[u8]) {
    send_pieces(peer, bytes).await;
    peer.shutdown(Shutdown::Write).unwrap();
}

async fn peeks(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for size in [4, 1, 16, 100] {
                let mut buf = vec![0; size];
                let seen = stream.peek(&mut buf).await.expect("the connection holds");
                assert_eq!(buf[..seen], pattern(got.len(), seen), "what comes next");
                let read = read_some(&*stream, 3, &got).await;
                assert!(read >= seen.min(3), "{read} read, {seen} seen");
            }
        }
    };
    filch::join!(cut.run(reader), send(&peer, &sent));
    while read_some(&*stream, 5, &got).await > 0 {}
    assert_eq!(got.take(), sent);
    assert_eq!(stream.peek(&mut [0; 4]).await.unwrap(), 0, "the end stays the end");
}

#[test]
fn looking_takes_nothing() {
    everywhere(6, peeks);
}

async fn the_writing_half_goes(cut: Cut) {
    let (stream, mut peer) = pair();
    let (reader, mut writer) = stream.into_split();
    let all = pattern(0, 5_000);
    let written = {
        let all = all.clone();
        async move { writer.write_all(&all).await.expect("the connection holds") }
    };
    let done = cut.run(written).await;
    // It was dropped with its future: the other side sees the end, while this one still reads.
    let received = drain(&peer).await;
    assert!(received == all[..received.len()], "a prefix, each byte once");
    assert!(done.is_none() || received.len() == all.len());
    peer.write_all(b"answer").unwrap();
    let mut buf = [0; 16];
    let read = reader.read(&mut buf).await.unwrap();
    assert_eq!(&buf[..read], b"answer");
    drop(reader);
    assert_eq!(drain(&peer).await, b"");
}

#[test]
fn the_end_is_sent_when_the_writing_half_goes() {
    everywhere(2, the_writing_half_goes);
}

async fn the_reading_half_goes(cut: Cut) {
    let (stream, mut peer) = pair();
    let (reader, writer) = stream.into_split();
    let (sent, got) = (pattern(0, 30), Bytes::default());
    let reads = {
        let got = got.clone();
        async move {
            for size in [4, 8] {
                let mut buf = vec![0; size];
                let read = reader.read(&mut buf).await.expect("the connection holds");
                got.add(&buf[..read]);
            }
        }
    };
    filch::join!(cut.run(reads), async {
        breathe().await;
        peer.write_all(&sent).unwrap();
    });
    assert!(sent.starts_with(&got.take()));
    // The connection is there as long as the other half is.
    assert_eq!(writer.write(b"still there").await.unwrap(), 11);
    drop(writer);
    assert_eq!(drain(&peer).await, b"still there");
}

#[test]
fn nothing_happens_when_the_reading_half_goes() {
    everywhere(3, the_reading_half_goes);
}

async fn is_handed_on(cut: Cut) {
    let (stream, peer) = pair();
    let stream = Arc::new(stream);
    let (sent, got) = (pattern(0, 60), Bytes::default());
    let reader = {
        let (stream, got) = (stream.clone(), got.clone());
        async move {
            for size in [1, 20, 2] {
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
                    // Only because of bytes, which come back with it.
                    assert_eq!(refused.error().kind(), ErrorKind::ResourceBusy, "{refused}");
                    stream = refused.into_inner();
                    assert!(read_some(&stream, 100, &got).await > 0);
                }
            }
        }
    };
    let (mut standard, ()) = filch::join!(handing, send(&peer, &sent));
    let mut rest = Vec::new();
    standard.read_to_end(&mut rest).expect("it waits");
    got.add(&rest);
    assert_eq!(got.take(), sent);
}

#[test]
fn a_stream_is_handed_on_with_every_byte() {
    everywhere(5, is_handed_on);
}

async fn handing_on_is_given_up(cut: Cut) {
    let (stream, peer) = pair();
    {
        // Leaves its read behind.
        let mut buf = [0; 4];
        let mut read = Box::pin(stream.read(&mut buf));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(read.as_mut(), &mut cx).is_pending());
    }
    match cut.run(stream.into_std()).await {
        Some(standard) => {
            standard.expect("nothing has come").write_all(b"x").unwrap();
            assert_eq!(drain(&peer).await, b"x");
        }
        None => assert_eq!(drain(&peer).await, b""),
    }
}

#[test]
fn a_stream_that_is_not_handed_on_after_all_closes() {
    everywhere(1, handing_on_is_given_up);
}

async fn a_listener_is_handed_on(cut: Cut) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().unwrap();
    let listener = Arc::new(listener);
    let accepted = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let server = {
        let (listener, accepted) = (listener.clone(), accepted.clone());
        async move {
            for _ in 0..2 {
                let (_stream, peer) = listener.accept().await.expect("it accepts");
                accepted.lock().unwrap().insert(peer);
            }
        }
    };
    let clients = async {
        let mut clients = Vec::new();
        for _ in 0..4 {
            breathe().await;
            clients.push(std::net::TcpStream::connect(address).expect("it listens"));
        }
        clients
    };
    let handing = async {
        cut.run(server).await;
        let mut listener = Arc::into_inner(listener).expect("the server is gone");
        loop {
            match listener.into_std().await {
                Ok(listener) => break listener,
                Err(refused) => {
                    assert_eq!(refused.error().kind(), ErrorKind::ResourceBusy, "{refused}");
                    listener = refused.into_inner();
                    let (_stream, peer) = listener.accept().await.expect("it is there");
                    accepted.lock().unwrap().insert(peer);
                }
            }
        }
    };
    let (standard, clients) = filch::join!(handing, clients);
    let mut accepted = std::mem::take(&mut *accepted.lock().unwrap());
    while accepted.len() < clients.len() {
        accepted.insert(standard.accept().expect("it waits").1);
    }
    assert_eq!(accepted, clients.iter().map(|client| client.local_addr().unwrap()).collect());
}

#[test]
fn a_listener_is_handed_on_with_every_connection() {
    everywhere(3, a_listener_is_handed_on);
}

/// C2, CANCEL-10.
#[test]
fn nothing_is_lost_wherever_it_is_asked_to_end() {
    asked_everywhere(6, peeks);
    asked_everywhere(2, the_writing_half_goes);
    asked_everywhere(3, the_reading_half_goes);
    asked_everywhere(5, is_handed_on);
    // By a thread that is no worker it may be done before it is looked at.
    asked_everywhere(1, handing_on_is_given_up);
    asked_everywhere(3, a_listener_is_handed_on);
}
