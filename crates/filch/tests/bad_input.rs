//! Bad input and trouble: each a clear error.

mod support;

use filch::fs::{File, OpenOptions};
use filch::io::{Read, Write};
use filch::net::{TcpListener, TcpStream};
use filch::task::Report;
use filch::time::{sleep, timeout};
use filch_testkit::limits::watchdog;
use filch_testkit::{child, leaks, skip};
use socket2::SockRef;
use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{PATIENCE, TempFile, drain, pair, pattern, runtime, temp};

/// The error's own text and number.
fn number(error: &std::io::Error) -> Option<i32> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<filch::io::Failed>());
    inner.map_or(error.raw_os_error(), |failed| failed.system().raw_os_error())
}

#[filch::test]
async fn connect_refused_names_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(number(&error), Some(libc::ECONNREFUSED));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[filch::test]
async fn the_next_address_is_tried() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [refused, listener.local_addr().unwrap()];
    let stream = TcpStream::connect(&addresses[..]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
    let none: [std::net::SocketAddr; 0] = [];
    let error = TcpStream::connect(&none[..]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = TcpListener::bind(&none[..]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[filch::test]
async fn address_in_use_names_the_address() {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().unwrap();
    let error = TcpListener::bind(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let error = TcpListener::bind("192.0.2.1:0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[filch::test]
async fn names_that_cannot_be_resolved() {
    for bad in ["no-such-host.invalid:80", "no port", "127.0.0.1:99999", "", ":", "a\0b:1"] {
        let error = TcpStream::connect(bad).await.unwrap_err();
        assert!(!error.to_string().is_empty(), "{bad:?}: {error:?}");
        let error = TcpListener::bind(bad).await.unwrap_err();
        assert!(!error.to_string().is_empty(), "{bad:?}: {error:?}");
    }
    assert!(TcpStream::connect(("no-such-host.invalid", 80)).await.is_err());
}

#[filch::test]
async fn a_missing_file_is_named() {
    let path = temp("missing");
    let shown = path.display().to_string();
    for error in [
        File::open(&path).await.unwrap_err(),
        filch::fs::read(&path).await.unwrap_err(),
        filch::fs::read_to_string(&path).await.unwrap_err(),
        filch::fs::metadata(&path).await.unwrap_err(),
        filch::fs::write(path.join("in it"), "x").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(&shown), "{error}");
        assert_eq!(number(&error), Some(libc::ENOENT));
    }
}

#[filch::test]
async fn a_path_with_nul_is_invalid() {
    let path = "/nul\0byte";
    for error in [
        File::open(path).await.unwrap_err(),
        File::create(path).await.unwrap_err(),
        filch::fs::read(path).await.unwrap_err(),
        filch::fs::write(path, "x").await.unwrap_err(),
        filch::fs::metadata(path).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[filch::test]
async fn other_paths_that_fail_are_named() {
    let directory = std::env::temp_dir();
    let shown = directory.display().to_string();
    let error = filch::fs::read(&directory).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    assert!(error.to_string().contains(&shown), "{error}");
    let error = filch::fs::read_to_string(&directory).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    let error = filch::fs::write(&directory, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    assert!(error.to_string().contains(&shown), "{error}");
    // A directory can be opened; then its reads fail.
    let file = File::open(&directory).await.unwrap();
    assert_eq!(file.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::IsADirectory);
    let (read, buf) = file.read_at(vec![0; 8], 0).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(buf.capacity(), 8, "the buffer comes back");

    let temp = TempFile::new("other", b"x");
    let error = File::create("/proc/self/exe").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ExecutableFileBusy);
    assert!(error.to_string().contains("/proc/self/exe"), "{error}");
    let error = File::open(temp.0.join("below a file")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    // Reading what is open for writing, and the other way round.
    let file = OpenOptions::new().write(true).open(&temp.0).await.unwrap();
    assert_eq!(number(&file.read(&mut [0; 8]).await.unwrap_err()), Some(libc::EBADF));
    let file = File::open(&temp.0).await.unwrap();
    assert_eq!(number(&file.write(b"y").await.unwrap_err()), Some(libc::EBADF));
    assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 1, "it still reads");
}

#[test]
fn a_file_that_is_denied_is_named() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_file_that_is_denied_is_named", || {
        use std::os::unix::fs::PermissionsExt;
        let temp = TempFile::new("denied", b"x");
        std::fs::set_permissions(&temp.0, std::fs::Permissions::from_mode(0o000)).unwrap();
        // SAFETY: no pointers. The superuser is denied nothing, so it becomes nobody.
        assert!(unsafe { libc::geteuid() != 0 || libc::seteuid(65_534) == 0 });
        runtime(1).block_on(async {
            for error in [
                File::open(&temp.0).await.unwrap_err(),
                File::create(&temp.0).await.unwrap_err(),
                filch::fs::read(&temp.0).await.unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                assert_eq!(number(&error), Some(libc::EACCES));
                assert!(error.to_string().contains(&temp.0.display().to_string()), "{error}");
            }
        });
        // SAFETY: as above. Whoever made the file removes it.
        unsafe { libc::seteuid(0) };
    });
}

#[filch::test]
async fn text_that_is_none_is_said_so() {
    let temp = TempFile::new("text", b"abc\xff");
    let error = filch::fs::read_to_string(&temp.0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains(&temp.0.display().to_string()), "{error}");
}

#[filch::test]
async fn options_that_contradict_each_other() {
    let temp = TempFile::new("options", b"kept");
    let bad: [fn(&mut OpenOptions) -> &mut OpenOptions; 6] = [
        |options| options,
        |options| options.read(true).create(true),
        |options| options.read(true).truncate(true),
        |options| options.read(true).create_new(true),
        |options| options.append(true).truncate(true),
        |options| options.create(true),
    ];
    for (number, set) in bad.into_iter().enumerate() {
        let mut options = OpenOptions::new();
        let error = set(&mut options).open(&temp.0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}: {error}");
    }
    let mut options = OpenOptions::new();
    let error = options.write(true).create_new(true).open(&temp.0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&temp.0).unwrap(), b"kept");
}

#[filch::test]
async fn a_place_before_the_beginning() {
    use std::io::SeekFrom;
    let temp = TempFile::new("seek", b"0123456789");
    let file = File::open(&temp.0).await.unwrap();
    assert_eq!(file.seek(SeekFrom::Start(4)).await.unwrap(), 4);
    let error = file.seek(SeekFrom::Current(-5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 4, "it stays where it was");
    assert_eq!(file.seek(SeekFrom::End(-1)).await.unwrap(), 9);
    // Beyond the end there is nothing; beyond what a file can have there is an error.
    assert_eq!(file.seek(SeekFrom::Start(1 << 40)).await.unwrap(), 1 << 40);
    assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0);
    let error = file.seek(SeekFrom::Start(u64::MAX)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let (ours, _theirs) = std::io::pipe().unwrap();
    let pipe = File::from_std(std::fs::File::from(std::os::fd::OwnedFd::from(ours))).unwrap();
    assert_eq!(number(&pipe.seek(SeekFrom::Start(0)).await.unwrap_err()), Some(libc::ESPIPE));
}

#[test]
fn a_file_larger_than_memory_is_an_error() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_file_larger_than_memory_is_an_error", || {
        runtime(1).block_on(reads_more_than_memory());
    });
}

async fn reads_more_than_memory() {
    let temp = TempFile::new("sparse", b"");
    let file = std::fs::OpenOptions::new().write(true).open(&temp.0).unwrap();
    // As large as the file system takes.
    let Some(_) = (38..=62).rev().find(|&bits| file.set_len(1 << bits).is_ok()) else {
        panic!("the temporary directory takes no sparse files");
    };
    let overcommit = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
    if overcommit.trim() == "1" || file.metadata().unwrap().len() < 1 << 43 {
        // The error below is for what cannot be promised.
        return skip("so much memory would be promised, or no file is so large");
    }
    let error = filch::fs::read(&temp.0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    assert!(error.to_string().contains(&temp.0.display().to_string()), "{error}");
}

#[filch::test]
async fn what_is_appended_moves_the_cursor_to_the_end() {
    use std::io::SeekFrom;
    let temp = TempFile::new("append", b"0123");
    let mut standard = std::fs::OpenOptions::new();
    let standard = standard.read(true).append(true).open(&temp.0).unwrap();
    let files = [
        OpenOptions::new().read(true).append(true).open(&temp.0).await.unwrap(),
        File::from_std(standard).unwrap(),
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_APPEND)
            .open(&temp.0)
            .await
            .unwrap(),
    ];
    for (number, file) in files.iter().enumerate() {
        assert_eq!(file.write(b"45").await.unwrap(), 2);
        let length = 6 + 2 * number as u64;
        assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), length, "file {number}");
        assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0, "file {number}");
    }
}

/// How many descriptors a process has that has few.
const FEW: u64 = 64;

/// Uses up the descriptors of this process; gives them back when dropped.
fn use_up_descriptors() -> Vec<std::fs::File> {
    let mut held = Vec::new();
    // An accept that the kernel tries meanwhile has a number for that long, and gives it back. It is no descriptor,
    // so ask for each number whether it is one.
    // SAFETY: no pointers.
    while !(0..FEW as i32).all(|fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1) {
        match std::fs::File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(_) => std::thread::yield_now(),
        }
    }
    held
}

#[test]
fn accepting_without_descriptors_does_not_spin_and_recovers() {
    let _watchdog = watchdog(PATIENCE);
    let name = "accepting_without_descriptors_does_not_spin_and_recovers";
    child::run(name, || {
        child::limit_descriptors(FEW).unwrap();
        runtime(2).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let errors = Arc::new(Mutex::new(Vec::new()));
            let accepted = Arc::new(AtomicBool::new(false));
            let start = Instant::now();
            let server = {
                let (errors, accepted) = (errors.clone(), accepted.clone());
                filch::spawn(async move {
                    loop {
                        match listener.accept().await {
                            Ok((stream, _)) => {
                                accepted.store(true, Ordering::Relaxed);
                                return stream;
                            }
                            Err(error) => errors.lock().unwrap().push(error),
                        }
                    }
                })
            };
            let client = socket2::Socket::new(
                socket2::Domain::IPV4,
                socket2::Type::STREAM,
                Some(socket2::Protocol::TCP),
            )
            .unwrap();
            // The accept waits by now, or is yet to begin: it has no descriptor.
            let mut held = use_up_descriptors();
            client.connect(&address.into()).unwrap();
            while errors.lock().unwrap().len() < 4 && !server.is_finished() {
                sleep(Duration::from_millis(10)).await;
            }
            let errors = std::mem::take(&mut *errors.lock().unwrap());
            let waited = start.elapsed();
            assert!(!accepted.load(Ordering::Relaxed), "after {errors:?}");
            // An error every 50 ms, not as many as fit.
            let most = waited.as_millis() / 50 + 1;
            assert!(errors.len() as u128 <= most, "{} errors in {waited:?}", errors.len());
            assert!(errors.iter().all(|error| error.raw_os_error() == Some(libc::EMFILE)));
            held.pop();
            held.pop();
            let stream = server.await.unwrap();
            assert_eq!(
                stream.peer_addr().unwrap(),
                client.local_addr().unwrap().as_socket().unwrap()
            );
        });
    });
}

#[test]
fn an_accept_loop_with_a_timeout_recovers_too() {
    let _watchdog = watchdog(PATIENCE);
    child::run("an_accept_loop_with_a_timeout_recovers_too", || {
        child::limit_descriptors(FEW).unwrap();
        runtime(1).block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = socket2::Socket::new(
                socket2::Domain::IPV4,
                socket2::Type::STREAM,
                Some(socket2::Protocol::TCP),
            )
            .unwrap();
            let held = use_up_descriptors();
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            drop(held);
            client.connect(&address.into()).unwrap();
            // Each accept has less time than the pause after an error takes: the pause is the
            // listener's, and passes whether anybody waits for it or not.
            for _ in 0..200 {
                let accept = timeout(Duration::from_millis(5), listener.accept()).await;
                if let Ok(accepted) = accept {
                    accepted.unwrap();
                    return;
                }
            }
            panic!("not accepted within 200 times 5 ms");
        });
    });
}

#[test]
fn without_descriptors_everything_else_fails_clearly() {
    let _watchdog = watchdog(PATIENCE);
    child::run("without_descriptors_everything_else_fails_clearly", || {
        child::limit_descriptors(FEW).unwrap();
        let (built, opened, connected, bound) = runtime(2).block_on(async {
            let held = use_up_descriptors();
            let opened = File::open("/dev/null").await.unwrap_err();
            let connected = TcpStream::connect("127.0.0.1:9").await.unwrap_err();
            let bound = TcpListener::bind("127.0.0.1:0").await.unwrap_err();
            let built = filch::Runtime::new().unwrap_err();
            drop(held);
            (built, opened, connected, bound)
        });
        for error in [opened, connected, bound] {
            assert_eq!(number(&error), Some(libc::EMFILE), "{error}");
        }
        let text = built.to_string();
        assert!(text.contains("descriptors") && text.contains("ulimit -n"), "{text}");
    });
}

#[test]
fn a_look_up_without_a_thread_is_an_error() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_look_up_without_a_thread_is_an_error", || {
        let runtime = runtime(1);
        // A thread's stack is memory: with none left to map, there are no threads.
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        let most = pages * 4096 + (1 << 20);
        let limit = libc::rlimit { rlim_cur: most, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the structure is there.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
        let error = runtime.block_on(TcpStream::connect("localhost:9")).unwrap_err();
        assert!(error.to_string().contains("thread"), "{error}");
    });
}

#[filch::test]
async fn a_peer_that_resets() {
    let (stream, peer) = pair();
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    let mut buf = [0; 8];
    let (read, ()) = filch::join!(stream.read(&mut buf), async { drop(peer) });
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.read(&mut buf).await.unwrap(), 0, "and then it has ended");
    assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[filch::test]
async fn a_half_closed_connection_still_works_the_other_way() {
    let (mut stream, mut peer) = pair();
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last words");
    assert_eq!(stream.read(&mut [0; 4]).await.unwrap(), 0, "the end stays the end");
    stream.write_all(b"answer").await.unwrap();
    stream.shutdown(Shutdown::Write).await.unwrap();
    assert_eq!(drain(&peer).await, b"answer");
    assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let error = stream.read_exact(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[filch::test]
async fn shutting_down_ends_a_read_in_flight() {
    let (stream, _peer) = pair();
    let mut buf = [0; 8];
    let (read, shut) = filch::join!(stream.read(&mut buf), stream.shutdown(Shutdown::Read));
    shut.unwrap();
    assert_eq!(read.unwrap(), 0);
}

#[filch::test]
async fn a_peer_that_sends_byte_by_byte() {
    let (mut stream, mut peer) = pair();
    peer.set_nodelay(true).unwrap();
    let sent = pattern(0, 2000);
    let writer = filch::spawn_blocking({
        let sent = sent.clone();
        move || {
            peer.set_nonblocking(false).unwrap();
            for &byte in &sent {
                peer.write_all(&[byte]).unwrap();
            }
            peer
        }
    });
    let mut got = vec![0; sent.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, sent);
    drop(writer.await.unwrap());
    assert_eq!(stream.read(&mut got).await.unwrap(), 0);
}

#[filch::test]
async fn no_bytes_are_no_end() {
    let (stream, mut peer) = pair();
    assert_eq!(stream.read(&mut []).await.unwrap(), 0);
    assert_eq!(stream.write(&[]).await.unwrap(), 0);
    peer.write_all(b"x").unwrap();
    assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 1);
}

/// What a runtime has reported until now.
type Reports = Arc<Mutex<Vec<String>>>;

/// All that a runtime reports.
fn reported(run: impl AsyncFnOnce(Reports)) -> Vec<String> {
    let _watchdog = watchdog(PATIENCE);
    let reports = Reports::default();
    let hook = {
        let reports = reports.clone();
        move |report: &Report| reports.lock().unwrap().push(report.to_string())
    };
    // Printing a backtrace takes long.
    let builder = filch::Runtime::builder().workers(2).report_stuck_after(None).on_error(hook);
    builder.run(run(reports.clone())).expect("a runtime");
    std::mem::take(&mut reports.lock().unwrap())
}

#[test]
fn a_panic_is_the_awaiters() {
    let reports = reported(async |_| {
        let task = filch::spawn(async { std::panic::panic_any(42) });
        let error = task.await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.into_panic().downcast_ref(), Some(&42));
        let task = filch::task::Builder::new().name("teller").spawn(async { panic!("boo {}", 1) });
        let error = task.await.unwrap_err();
        assert!(error.to_string().contains("boo 1"), "{error}");
        assert!(error.to_string().contains("teller"), "{error}");
        let task = filch::spawn_blocking(|| panic!("blocked"));
        assert!(task.await.unwrap_err().to_string().contains("blocked"));
    });
    assert_eq!(reports, [""; 0]);
}

#[test]
fn what_a_detached_task_has_to_say_is_reported_once() {
    let line = line!();
    let reports = reported(async |reports| {
        drop(filch::spawn(async { panic!("nobody hears this") }));
        drop(filch::spawn(async { Err::<(), _>(std::io::Error::other("nor this")) }));
        drop(filch::spawn_blocking(|| panic!("nor what blocks")));
        drop(filch::spawn(async { Ok::<(), String>(()) }));
        // Over before it is let go.
        let task = filch::spawn(async { Err::<(), _>("a late one".to_owned()) });
        while !task.is_finished() {
            filch::task::yield_now().await;
        }
        drop(task);
        // Cancelled is not failed.
        let task = filch::spawn(std::future::pending::<()>());
        task.abort();
        drop(task);
        // A task that runs when the runtime ends is cancelled, too.
        drop(filch::spawn(std::future::pending::<()>()));
        // Those that have something to say come to it; and whoever has said it once has time to say it again.
        while reports.lock().unwrap().len() < 4 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(20)).await;
    });
    for said in ["nobody hears this", "nor this", "nor what blocks", "a late one"] {
        let found: Vec<_> = reports.iter().filter(|report| report.contains(said)).collect();
        assert_eq!(found.len(), 1, "{said}: {reports:?}");
    }
    assert!(reports[0].contains(file!()), "{reports:?} begins after line {line}");
    assert_eq!(reports.len(), 4, "{reports:?}");
}

#[test]
fn a_task_that_panics_harms_nobody_and_leaks_nothing() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_task_that_panics_harms_nobody_and_leaks_nothing", || {
        let before = leaks::Before::now("filch");
        assert_eq!(reported(panics_with_a_stream), [""; 0]);
        before.check();
    });
}

async fn panics_with_a_stream(_: Reports) {
    let (stream, mut peer) = pair();
    let stream = Arc::new(stream);
    let task = {
        let stream = stream.clone();
        filch::spawn(async move {
            // Its read stays the stream's.
            let read = timeout(Duration::from_millis(1), stream.read(&mut [0; 4])).await;
            panic!("{}", read.is_err());
        })
    };
    assert!(task.await.unwrap_err().is_panic());
    peer.write_all(b"ab").unwrap();
    let mut buf = [0; 4];
    assert_eq!(stream.read(&mut buf).await.unwrap(), 2);
    assert_eq!(&buf[..2], b"ab");
}
