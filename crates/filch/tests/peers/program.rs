//! Programs of others, as long as a test needs them.

use filch_testkit::skip;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Where a program is. Without it, its test is skipped.
#[track_caller]
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(format_args!("{name} is not installed"));
    }
    found
}

/// A program that runs until this is dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("it starts"))
    }

    /// A program that listens at a port of this machine. `command` makes it listen at an address that was
    /// free a moment ago; should somebody else have taken it, it ends, and is tried again elsewhere.
    pub(crate) fn listening(mut command: impl FnMut(SocketAddr) -> Command) -> (Self, SocketAddr) {
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut running = Self::start(&mut command(free));
            // The watchdog ends it if that is never.
            while running.0.try_wait().unwrap().is_none() {
                if TcpStream::connect(free).is_ok() {
                    return (running, free);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("it does not listen");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a program printed, which has to be content.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Vec<u8> {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    assert!(status.success(), "{command:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    stdout
}

/// What a program printed that was given `input`, and the end of it.
#[track_caller]
pub(crate) fn answer(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut to = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || to.write_all(input).expect("it takes all of it"));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}: {}", output.status);
    output.stdout
}
