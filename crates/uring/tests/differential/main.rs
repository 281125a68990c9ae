//! Every operation, once through the ring and once as its plain call, on two equal little worlds: the
//! same result, the same error number, the same bytes, the same world afterwards.

#[path = "../support/mod.rs"]
mod support;
mod world;

use filch_uring::{Driver, Operation, Position, SockAddr, op};
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use support::{Dice, driver, run};
use world::{BAD_FD, World};

/// The same operation twice: through the ring, and plainly.
fn compare<T: Operation, R: Debug + PartialEq>(
    driver: &mut Driver,
    worlds: &mut [World; 2],
    what: &str,
    make: impl Fn(&World) -> T,
    see: impl Fn(T::Output) -> R,
) {
    worlds.iter_mut().for_each(World::fill);
    let by_ring = see(run(driver, make(&worlds[0])));
    let mut operation = make(&worlds[1]);
    let result = match operation.check() {
        Ok(()) => operation.call(),
        Err(refused) => {
            // Nothing is refused that the call would do. (Where only the end of a transfer lies beyond
            // every file, calls do different things: see `Position`.)
            if !what.contains(&format!("{LAST:?}")) {
                operation.call().expect_err("what is refused fails as a call, too");
            }
            Err(refused)
        }
    };
    let by_call = see(operation.complete(result));
    assert_eq!(by_ring, by_call, "left by the ring, right by the call: {what}");
    assert_eq!(worlds[0].state(), worlds[1].state(), "after {what}");
}

fn number<T>(result: io::Result<T>) -> Result<T, i32> {
    result.map_err(|error| error.raw_os_error().expect("an error number"))
}

fn bytes((result, buffer): (io::Result<usize>, Vec<u8>)) -> (Result<usize, i32>, String) {
    (number(result), String::from_utf8_lossy(&buffer).into_owned())
}

const ANY: [&str; 17] = [
    "both",
    "read only",
    "append",
    "directory",
    "pipe reader",
    "pipe writer",
    "broken pipe",
    "socket",
    "ended socket",
    "sending socket",
    "tcp",
    "ended tcp",
    "no wait pipe",
    "no wait socket",
    "listener",
    "unconnected",
    "bad",
];

/// Those a read from which never blocks (once `fill`ed).
const READABLE: [&str; 15] = [
    "both",
    "read only",
    "append",
    "directory",
    "pipe reader",
    "pipe writer",
    "broken pipe",
    "socket",
    "ended socket",
    "tcp",
    "ended tcp",
    "no wait pipe",
    "no wait socket",
    "unconnected",
    "bad",
];

/// The last position that a file can have.
const LAST: Position = Position::At(i64::MAX as u64);

const POSITIONS: [Position; 9] = [
    Position::Current,
    Position::At(0),
    Position::At(5),
    Position::At(43),
    Position::At(44),
    Position::At(1 << 40),
    LAST,
    Position::At(1 << 63),
    Position::At(u64::MAX),
];

const PATHS: [&str; 15] = [
    "file",
    "empty",
    "dir",
    "link",
    "loop",
    "dangling",
    "fifo",
    "fifo/below",
    "missing",
    "missing/file",
    "file/below",
    "dir/../file",
    "",
    ".",
    "/nowhere/at/all",
];

fn path(dice: &mut Dice, what: &mut String) -> impl Fn(&World) -> PathBuf + use<> {
    let name = match dice.below(16) {
        0 => "n".repeat(256),
        1 => "d/".repeat(2_048) + "x",
        _ => dice.pick(&PATHS).to_owned(),
    };
    named(name, what)
}

/// One that is to be made, moved or removed: not a FIFO, which is waited for under other names.
fn loose_path(dice: &mut Dice, what: &mut String) -> impl Fn(&World) -> PathBuf + use<> {
    let path = path(dice, what);
    move |world| {
        let path = path(world);
        let is_fifo = path.to_string_lossy().contains("fifo");
        if is_fifo { world.directory.join("dir/../missing") } else { path }
    }
}

/// The second of two. Not one that is too long, or empty: a ring reads both before it looks for the first, and
/// so has another reason where both cannot be.
fn second_path(dice: &mut Dice, what: &mut String) -> impl Fn(&World) -> PathBuf + use<> {
    let path = loose_path(dice, what);
    move |world| {
        let path = path(world);
        let is_none = path.as_os_str().is_empty() || path.as_os_str().len() > 200;
        if is_none { world.directory.join("dir/..") } else { path }
    }
}

fn named(name: String, what: &mut String) -> impl Fn(&World) -> PathBuf + use<> {
    what.push_str(&format!(" {:.30}", name));
    move |world| match name.as_str() {
        "" => PathBuf::new(),
        name => world.directory.join(name),
    }
}

/// One random operation with random arguments.
fn step(dice: &mut Dice, driver: &mut Driver, worlds: &mut [World; 2]) {
    match dice.below(16) {
        0 => {
            let (fd, at) = (dice.pick(&READABLE), dice.pick(&POSITIONS));
            let room = dice.pick(&[0, 1, 7, 43, 64, 4_096, 1 << 20]);
            let what = format!("read {fd} {at:?} {room}");
            let make = |world: &World| op::Read::new(world.fd(fd), Vec::with_capacity(room), at);
            compare(driver, worlds, &what, make, bytes);
        }
        1 => {
            let (fd, at) = (dice.pick(&ANY), dice.pick(&POSITIONS));
            // A file of 2^40 bytes is sparse, but not comparable.
            let at = if at == Position::At(1 << 40) { Position::At(99) } else { at };
            let len = dice.pick(&[0, 1, 7, 500]);
            let what = format!("write {fd} {at:?} {len}");
            let make = |world: &World| op::Write::new(world.fd(fd), vec![b'w'; len], at);
            compare(driver, worlds, &what, make, bytes);
        }
        2 => {
            let fd = dice.pick(&READABLE);
            let flags = dice.pick(&[0, libc::MSG_PEEK, libc::MSG_DONTWAIT, libc::MSG_OOB]);
            let room = dice.pick(&[0, 1, 7, 64]);
            let what = format!("recv {fd} {flags:#x} {room}");
            let make =
                |world: &World| op::Recv::new(world.fd(fd), Vec::with_capacity(room)).flags(flags);
            compare(driver, worlds, &what, make, bytes);
        }
        3 => {
            let fd = dice.pick(&ANY);
            let flags = dice.pick(&[0, libc::MSG_MORE, libc::MSG_DONTWAIT, libc::MSG_OOB]);
            let len = dice.pick(&[0, 1, 7, 500]);
            let what = format!("send {fd} {flags:#x} {len}");
            let make = |world: &World| op::Send::new(world.fd(fd), vec![b'm'; len]).flags(flags);
            compare(driver, worlds, &what, make, bytes);
        }
        4 => {
            let fd = dice.pick(&ANY);
            if fd == "listener" {
                worlds.iter_mut().for_each(World::connect);
            }
            let what = format!("accept {fd}");
            let make = |world: &World| op::Accept::new(world.fd(fd));
            compare(driver, worlds, &what, make, |result| {
                number(result).map(|(_, peer)| peer.expect("an inet peer").ip())
            });
        }
        5 => {
            let fd = dice.pick(&["both", "pipe reader", "socket", "tcp", "bad", "listener", "new"]);
            let to = dice.pick(&["listener", "nobody", "v6", "no path"]);
            let what = format!("connect {fd} to {to}");
            let make = |world: &World| {
                let address = match to {
                    "listener" => world.listener.local_addr().expect("it is bound").into(),
                    // Nobody listens on port 1.
                    "nobody" => SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 1))),
                    "v6" => std::net::SocketAddr::from(([0u16; 8], 1)).into(),
                    _ => SockAddr::unix(&world.directory.join("none")).expect("a short path"),
                };
                let fd = match fd {
                    // SAFETY: no pointers; the descriptor is new and ours.
                    "new" => unsafe {
                        OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0))
                    }
                    .into(),
                    name => world.fd(name),
                };
                op::Connect::new(fd, address)
            };
            compare(driver, worlds, &what, make, number);
            // The connections made, if any, are not to fill the backlog.
            for world in worlds.iter_mut() {
                world.listener.set_nonblocking(true).expect("it can");
                while world.listener.accept().is_ok() {}
                world.listener.set_nonblocking(false).expect("it can");
                world.clients.clear();
            }
        }
        6 => {
            let flags = dice.pick(&[
                libc::O_RDONLY,
                libc::O_WRONLY,
                libc::O_RDWR,
                libc::O_RDWR | libc::O_CREAT,
                libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
                libc::O_RDONLY | libc::O_DIRECTORY,
                libc::O_RDONLY | libc::O_NOFOLLOW,
                libc::O_WRONLY | libc::O_TRUNC,
                libc::O_PATH,
                libc::O_RDWR | libc::O_TMPFILE,
            ]);
            let mut what = format!("open {flags:#o}");
            let path = path(dice, &mut what);
            let make = |world: &World| op::Open::new(&path(world), flags, 0o640).expect("no NUL");
            compare(driver, worlds, &what, make, |(result, _)| {
                number(result).map(|fd| {
                    // SAFETY: no pointers.
                    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }
                })
            });
        }
        7 => {
            let flags = dice.pick(&[0, libc::AT_SYMLINK_NOFOLLOW, libc::AT_EMPTY_PATH]);
            let mut what = format!("statx {flags:#x}");
            let path = path(dice, &mut what);
            let make = |world: &World| op::Statx::path(&path(world)).expect("no NUL").flags(flags);
            compare(driver, worlds, &what, make, |result| {
                number(result).map(|stat| (stat.stx_mode, stat.stx_nlink, stat.stx_mask))
            });
        }
        8 => {
            let fd = dice.pick(&ANY);
            let what = format!("statx of {fd}");
            compare(
                driver,
                worlds,
                &what,
                |world| op::Statx::fd(world.fd(fd)),
                |result| number(result).map(|stat| (stat.stx_mode, stat.stx_size)),
            );
        }
        9 => {
            // What would wait is not compared: it waits in both.
            let flags = dice.pick(&[
                libc::O_RDWR,
                libc::O_RDONLY | libc::O_NONBLOCK,
                libc::O_WRONLY | libc::O_NONBLOCK,
                libc::O_WRONLY | libc::O_NONBLOCK | libc::O_CREAT,
                libc::O_PATH,
                libc::O_RDONLY | libc::O_DIRECTORY,
            ]);
            let in_kernel_thread = dice.below(2) == 0;
            let what = format!("open FIFO {flags:#o} {in_kernel_thread}");
            let make = |world: &World| {
                let path = world.directory.join("lonely fifo");
                let open = op::Open::new(&path, flags, 0o640).expect("no NUL");
                if in_kernel_thread { open.in_kernel_thread() } else { open }
            };
            compare(driver, worlds, &what, make, |(result, _)| number(result).map(drop));
        }
        10 => {
            let (fd, data_only) = (dice.pick(&ANY), dice.below(2) == 0);
            let what = format!("fsync {fd} {data_only}");
            let make = |world: &World| match data_only {
                true => op::Fsync::data_only(world.fd(fd)),
                false => op::Fsync::new(world.fd(fd)),
            };
            compare(driver, worlds, &what, make, number);
        }
        11 => {
            let mut what = "rename".to_owned();
            let (from, to) = (loose_path(dice, &mut what), second_path(dice, &mut what));
            let flags = dice.pick(&[0, libc::RENAME_NOREPLACE, libc::RENAME_EXCHANGE]);
            what.push_str(&format!(" {flags:#x}"));
            let make = |world: &World| {
                op::Rename::new(&from(world), &to(world)).expect("no NUL").flags(flags)
            };
            compare(driver, worlds, &what, make, number);
            worlds.iter_mut().for_each(World::restore);
        }
        12 => {
            let is_directory = dice.below(2) == 0;
            let mut what = format!("unlink {is_directory}");
            let path = loose_path(dice, &mut what);
            let make = |world: &World| match is_directory {
                true => op::Unlink::directory(&path(world)).expect("no NUL"),
                false => op::Unlink::file(&path(world)).expect("no NUL"),
            };
            compare(driver, worlds, &what, make, number);
            worlds.iter_mut().for_each(World::restore);
        }
        13 => {
            let kind = dice.pick(&["mkdir", "link", "symlink"]);
            let mut what = kind.to_owned();
            let (old, new) = (loose_path(dice, &mut what), second_path(dice, &mut what));
            let mode = dice.pick(&[0o777, 0o700, 0o1750]);
            match kind {
                "mkdir" => {
                    let make = |world: &World| op::MakeDir::new(&new(world), mode).expect("no NUL");
                    compare(driver, worlds, &what, make, number);
                }
                "link" => {
                    let make = |world: &World| {
                        op::HardLink::new(&old(world), &new(world)).expect("no NUL")
                    };
                    compare(driver, worlds, &what, make, number);
                }
                _ => {
                    let make =
                        |world: &World| op::Symlink::new(&old(world), &new(world)).expect("no NUL");
                    compare(driver, worlds, &what, make, number);
                }
            }
            worlds.iter_mut().for_each(World::restore);
        }
        14 => {
            let fd = dice.pick(&ANY);
            let len = dice.pick(&[0, 7, 43, 5_000, i64::MAX as u64, 1 << 63, u64::MAX]);
            let what = format!("truncate {fd} {len}");
            let make = |world: &World| op::Truncate::new(world.fd(fd), len);
            compare(driver, worlds, &what, make, number);
        }
        _ => {
            // Ready as they are; what is not would block for ever.
            let (fd, events) = dice.pick(&[
                ("both", libc::POLLIN | libc::POLLOUT),
                ("directory", libc::POLLIN),
                ("pipe reader", libc::POLLIN),
                ("pipe writer", libc::POLLOUT),
                ("broken pipe", libc::POLLOUT),
                ("broken pipe", 0),
                ("socket", libc::POLLIN | libc::POLLOUT | libc::POLLPRI),
                ("ended socket", libc::POLLIN | libc::POLLRDHUP),
                ("tcp", libc::POLLIN | libc::POLLOUT),
                ("ended tcp", libc::POLLIN | libc::POLLRDHUP),
                ("no wait pipe", libc::POLLIN),
                ("no wait socket", libc::POLLIN | libc::POLLOUT),
                ("unconnected", 0),
                ("bad", libc::POLLIN),
            ]);
            let what = format!("poll {fd} {events:#x}");
            let make = |world: &World| op::PollFd::new(world.fd(fd), events);
            compare(driver, worlds, &what, make, number);
        }
    }
}

#[test]
fn the_ring_does_what_the_calls_do() {
    let steps =
        std::env::var("FILCH_DIFFERENTIAL_STEPS").map_or(400, |n| n.parse().expect("steps"));
    for seed in 0..6 {
        let mut driver = driver();
        let mut worlds = ["ring", "call"].map(|copy| World::new(seed, copy).expect("a world"));
        let mut dice = Dice(seed);
        for number in 0..steps {
            let before = dice.0;
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                step(&mut dice, &mut driver, &mut worlds);
            }));
            assert!(failed.is_ok(), "seed {seed}, step {number}, dice {before:#x}");
        }
    }
}

#[test]
fn a_buffer_larger_than_any_transfer_is_cut_off_alike() {
    let mut driver = driver();
    let mut worlds = ["ring", "call"].map(|copy| World::new(1_000, copy).expect("a world"));
    let room = (1 << 31) + 4_096;
    let make = |world: &World| {
        // Address space only: nothing is touched beyond the file's few bytes.
        op::Read::new(world.fd("both"), Vec::with_capacity(room), Position::At(0))
    };
    compare(&mut driver, &mut worlds, "read 2 GiB", make, bytes);
}

#[test]
fn shutdown_and_close_do_what_the_calls_do() {
    let mut driver = driver();
    let mut worlds = ["ring", "call"].map(|copy| World::new(1_001, copy).expect("a world"));
    for how in [std::net::Shutdown::Read, std::net::Shutdown::Write, std::net::Shutdown::Both] {
        for fd in ["socket", "ended socket", "unconnected", "both", "bad"] {
            let what = format!("shutdown {fd} {how:?}");
            let make = |world: &World| op::Shutdown::new(world.fd(fd), how);
            // Not `compare`: `fill` cannot write to what was shut down.
            let by_ring = number(run(&mut driver, make(&worlds[0])));
            let mut operation = make(&worlds[1]);
            let result = operation.call();
            assert_eq!(by_ring, number(operation.complete(result)), "{what}");
        }
    }
    for world in &mut worlds {
        world.fds.clear();
    }
    let file = || OwnedFd::from(File::open("/dev/null").expect("it is there"));
    run(&mut driver, op::Close::new(file())).expect("it closes");
    let mut close = op::Close::new(file());
    let result = close.call();
    close.complete(result).expect("it closes");
    // SAFETY: nobody uses this number, and closing gives it up whatever the result.
    let bad = || op::Close::new(unsafe { OwnedFd::from_raw_fd(BAD_FD) });
    let by_ring = number(run(&mut driver, bad()));
    let mut close = bad();
    let result = close.call();
    assert_eq!((by_ring, number(close.complete(result))), (Err(libc::EBADF), Err(libc::EBADF)));
}

#[test]
fn a_nul_in_a_path_is_told_from_a_missing_file() {
    let error = op::Open::new(Path::new("a\0b"), libc::O_RDONLY, 0).expect_err("a NUL");
    assert_eq!(error.path(), Path::new("a\0b"));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    assert!(op::Statx::path(Path::new("\0")).is_err());
}
