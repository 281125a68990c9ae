//! What operations are tried on.

use filch_uring::{SharedFd, op};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A directory with some of everything, and descriptors of every kind, in one of two equal copies.
pub(crate) struct World {
    pub(crate) directory: PathBuf,
    /// Descriptors under the names that the generator knows.
    pub(crate) fds: Vec<(&'static str, SharedFd)>,
    pipe_reader: File,
    full_peer: UnixStream,
    /// What keeps a read from blocking: a descriptor's name, and the other end.
    feeders: Vec<(&'static str, File)>,
    tcp_peer: TcpStream,
    /// Keeps both ends of the FIFO open.
    _fifo: File,
    pub(crate) listener: TcpListener,
    pub(crate) clients: Vec<TcpStream>,
}

const CONTENT: &[u8] = b"the quick brown fox jumps over the lazy dog";
pub(crate) const BAD_FD: i32 = 1_000_000;

impl World {
    pub(crate) fn new(seed: u64, copy: &str) -> io::Result<Self> {
        let name = format!("filch-differential-{}-{seed}-{copy}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory)?;
        fs::write(directory.join("file"), CONTENT)?;
        fs::write(directory.join("empty"), b"")?;
        fs::create_dir(directory.join("dir"))?;
        symlink("file", directory.join("link"))?;
        symlink("loop", directory.join("loop"))?;
        symlink("nowhere", directory.join("dangling"))?;

        for name in ["fifo", "lonely fifo"] {
            let path = op::c_path(&directory.join(name)).expect("no NUL");
            // SAFETY: the path ends with a NUL.
            assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        }
        let fifo = File::options().read(true).write(true).open(directory.join("fifo"))?;

        let both = File::options().read(true).write(true).open(directory.join("file"))?;
        let append = File::options().append(true).open(directory.join("empty"))?;
        let (read, write) = io::pipe()?;
        let (reader, broken) = io::pipe()?;
        drop(reader);
        let (read, write): (OwnedFd, OwnedFd) = (read.into(), write.into());
        let (pipe_reader, pipe_writer) = (File::from(read), File::from(write));
        let (socket, peer) = UnixStream::pair()?;
        let (ended, _) = UnixStream::pair()?;
        let (sending, full_peer) = UnixStream::pair()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let tcp_peer = TcpStream::connect(listener.local_addr()?)?;
        let (tcp, _) = listener.accept()?;
        let ended_tcp = {
            let _client = TcpStream::connect(listener.local_addr()?)?;
            listener.accept()?.0
        };
        let (no_wait_reader, no_wait_writer) = io::pipe()?;
        let (no_wait, no_wait_peer) = UnixStream::pair()?;
        for fd in [no_wait_reader.as_raw_fd(), no_wait.as_raw_fd()] {
            // SAFETY: no pointers.
            assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) }, 0);
        }
        let feeders = vec![
            ("pipe reader", pipe_writer.try_clone()?),
            ("socket", OwnedFd::from(peer.try_clone()?).into()),
            ("tcp", OwnedFd::from(tcp_peer.try_clone()?).into()),
            ("no wait pipe", OwnedFd::from(no_wait_writer).into()),
            ("no wait socket", OwnedFd::from(no_wait_peer).into()),
        ];
        // SAFETY: no pointers; the descriptor is new and ours.
        let unconnected =
            unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)) };
        // SAFETY: nobody uses this number; it is never dropped (see `forget`), so never closed.
        let bad = SharedFd::from(unsafe { OwnedFd::from_raw_fd(BAD_FD) });
        std::mem::forget(bad.clone());
        let fds = vec![
            ("both", OwnedFd::from(both).into()),
            ("read only", OwnedFd::from(File::open(directory.join("file"))?).into()),
            ("append", OwnedFd::from(append).into()),
            ("directory", OwnedFd::from(File::open(directory.join("dir"))?).into()),
            ("pipe reader", OwnedFd::from(pipe_reader.try_clone()?).into()),
            ("pipe writer", OwnedFd::from(pipe_writer.try_clone()?).into()),
            ("broken pipe", OwnedFd::from(broken).into()),
            ("socket", OwnedFd::from(socket).into()),
            ("ended socket", OwnedFd::from(ended).into()),
            ("sending socket", OwnedFd::from(sending).into()),
            ("tcp", OwnedFd::from(tcp).into()),
            ("ended tcp", OwnedFd::from(ended_tcp).into()),
            ("no wait pipe", OwnedFd::from(no_wait_reader).into()),
            ("no wait socket", OwnedFd::from(no_wait).into()),
            ("listener", OwnedFd::from(listener.try_clone()?).into()),
            ("unconnected", unconnected.into()),
            ("bad", bad),
        ];
        let clients = Vec::new();
        Ok(Self {
            directory,
            fds,
            pipe_reader,
            full_peer,
            feeders,
            tcp_peer,
            _fifo: fifo,
            listener,
            clients,
        })
    }

    pub(crate) fn fd(&self, name: &str) -> SharedFd {
        self.fds.iter().find(|fd| fd.0 == name).expect("one of ours").1.clone()
    }

    /// There is something to read from whatever can block.
    pub(crate) fn fill(&mut self) {
        let waiting = |fd: i32| {
            let mut count = 0;
            // SAFETY: FIONREAD writes one int.
            assert_eq!(unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) }, 0);
            count
        };
        for (name, feeder) in &mut self.feeders {
            let fd = self.fds.iter().find(|fd| fd.0 == *name).expect("one of ours").1.as_raw_fd();
            let before = waiting(fd);
            if before < 64 {
                feeder.write_all(&[b'f'; 256]).expect("it has room");
            }
            // Through a network it may take a moment.
            while waiting(fd) < before.max(64) {
                std::thread::yield_now();
            }
        }
        if waiting(self.pipe_reader.as_raw_fd()) > 16_384 {
            self.pipe_reader.read_exact(&mut [0; 16_000]).expect("it is there");
        }
        if waiting(self.full_peer.as_raw_fd()) > 16_384 {
            self.full_peer.read_exact(&mut [0; 16_000]).expect("it is there");
        }
        if waiting(self.tcp_peer.as_raw_fd()) > 16_384 {
            self.tcp_peer.read_exact(&mut [0; 16_000]).expect("it is there");
        }
    }

    pub(crate) fn connect(&mut self) {
        let address = self.listener.local_addr().expect("it is bound");
        self.clients.push(TcpStream::connect(address).expect("the listener has room"));
    }

    /// What the generator knows by name is there again, as far as it can tell; what was made beside it is not.
    pub(crate) fn restore(&mut self) {
        let at = |name: &str| self.directory.join(name);
        let is_dir = fs::symlink_metadata(at("dir")).is_ok_and(|found| found.is_dir());
        let _ = fs::remove_file(at("missing"));
        let _ = fs::remove_dir_all(at("missing"));
        if !is_dir {
            let _ = fs::remove_file(at("dir"));
            let _ = fs::create_dir(at("dir"));
        }
        for (name, target) in [("link", "file"), ("loop", "loop"), ("dangling", "nowhere")] {
            if fs::symlink_metadata(at(name)).is_err() {
                symlink(target, at(name)).expect("nothing is there");
            }
        }
        for name in ["file", "empty"] {
            if fs::symlink_metadata(at(name)).is_err() {
                fs::write(at(name), CONTENT).expect("nothing is there");
            }
        }
    }

    /// What can be seen of it from outside.
    pub(crate) fn state(&self) -> String {
        let mut names: Vec<_> = fs::read_dir(&self.directory)
            .expect("it is there")
            .map(|entry| entry.expect("it is there").file_name())
            .collect();
        names.sort();
        let contents: Vec<_> = names
            .iter()
            // Reading a FIFO would wait.
            .filter(|name| !name.to_string_lossy().contains("fifo"))
            .map(|name| fs::read(self.directory.join(name)).map_err(|error| error.kind()))
            .collect();
        let positions: Vec<_> = ["both", "read only", "append"]
            .map(|name| {
                let fd = self.fd(name);
                // SAFETY: borrowed for the call; `forget` keeps it from being closed.
                let mut file =
                    std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(fd.as_raw_fd()) });
                file.stream_position().map_err(|error| error.kind())
            })
            .into();
        format!("{names:?} {contents:?} {positions:?}")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
