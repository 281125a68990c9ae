//! socat: connections of which one half ends, TCP and Unix.

use super::program::{Running, answer, find};
use super::{Folder, Proxy};
use crate::support::server::echo_any;
use crate::support::{PATIENCE, pattern, runtime};
use filch::io::{Read, Write};
use filch::net::{UnixDatagram, UnixListener, UnixStream};
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn socat(program: &Path, options: &[&str], from: &str, to: &str) -> Command {
    let mut command = Command::new(program);
    // What ends it when one half has: the other half, and not half a second.
    command.args(["-t", "600"]).args(options).args([from, to]).stdin(Stdio::null());
    command
}

/// What coreutils say of some bytes.
fn sum(bytes: &[u8]) -> Vec<u8> {
    answer(&mut Command::new("sha256sum"), bytes)
}

/// The server answers when the client has ended its half, and not before.
#[test]
fn one_half_ends_and_the_other_goes_on_through_the_proxy() {
    let _alone = alone(PATIENCE);
    let Some(program) = find("socat") else { return };
    let before = Before::now("filch");
    let (_socat, address) = Running::listening(|address| {
        let listen = format!("TCP4-LISTEN:{},bind={},fork", address.port(), address.ip());
        socat(&program, &[], &listen, "EXEC:sha256sum")
    });
    let proxy = Proxy::new(address);
    let connect = format!("TCP4:{}", proxy.address);
    for len in [0, 1, 65_536, 5_000_000] {
        let bytes = pattern(len, len);
        let got = answer(&mut socat(&program, &[], "-", &connect), &bytes);
        assert_eq!(got, sum(&bytes), "{len} bytes");
        assert_eq!(proxy.moved(), [(len as u64, got.len() as u64)]);
    }
    drop(proxy);
    before.check();
}

/// socat connects to a Unix socket of ours.
#[test]
fn a_unix_listener_echoes() {
    let _alone = alone(PATIENCE);
    let Some(program) = find("socat") else { return };
    let before = Before::now("filch");
    let folder = Folder::new("unix-listener");
    let path = folder.path("socket");
    let runtime = runtime(2);
    let listener = runtime.block_on(async { UnixListener::bind(&path) }).unwrap();
    runtime.handle().spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("it accepts");
            filch::spawn(async move { echo_any(&stream).await.expect("the connection holds") });
        }
    });
    let connect = format!("UNIX-CONNECT:{}", path.display());
    for len in [0, 1, 3_000_000] {
        let bytes = pattern(len, len);
        let got = answer(&mut socat(&program, &[], "-", &connect), &bytes);
        assert!(got == bytes, "{len} bytes, in order");
    }
    drop(runtime);
    before.check();
}

/// We connect to a Unix socket of socat's, and end our half before it answers.
#[test]
fn a_unix_stream_ends_its_half() {
    let _alone = alone(PATIENCE);
    let Some(program) = find("socat") else { return };
    let before = Before::now("filch");
    let folder = Folder::new("unix-stream");
    let path = folder.path("socket");
    let listen = format!("UNIX-LISTEN:{},fork", path.display());
    let _socat = Running::start(&mut socat(&program, &[], &listen, "EXEC:sha256sum"));
    let runtime = runtime(2);
    for len in [0, 1, 65_536, 3_000_000] {
        let (bytes, path) = (pattern(len, len), path.clone());
        let expected = sum(&bytes);
        let task = runtime.handle().spawn(async move {
            let mut stream = loop {
                match UnixStream::connect(&path).await {
                    Ok(stream) => break stream,
                    Err(error) => {
                        let kinds = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];
                        assert!(kinds.contains(&error.kind()), "{error}");
                        filch::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            };
            stream.write_all(&bytes).await.expect("the connection holds");
            stream.shutdown(std::net::Shutdown::Write).await.expect("the connection holds");
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.expect("the connection holds");
            got
        });
        assert_eq!(runtime.block_on(task).unwrap(), expected, "{len} bytes");
    }
    drop(runtime);
    before.check();
}

/// Datagrams of socat's: what it reads at once is one.
#[test]
fn unix_datagrams_come_whole() {
    let _alone = alone(PATIENCE);
    let Some(program) = find("socat") else { return };
    let folder = Folder::new("unix-datagrams");
    let path = folder.path("socket");
    let runtime = runtime(2);
    let socket = runtime.block_on(async { UnixDatagram::bind(&path) }).unwrap();
    let send = format!("UNIX-SENDTO:{}", path.display());
    for len in [1, 100, 4000] {
        let bytes = pattern(len, len);
        let receiving = async {
            let mut got = vec![0; 10_000];
            let (len, _) = socket.recv_from(&mut got).await.unwrap();
            got.truncate(len);
            got
        };
        answer(&mut socat(&program, &["-u"], "-", &send), &bytes);
        assert!(runtime.block_on(receiving) == bytes, "{len} bytes");
    }
}
