//! What several tests need. Each test binary uses its own part of it.
#![allow(dead_code, unreachable_pub)]

pub mod asked;
pub mod confined;
pub mod server;
pub mod signals;

use filch::net::TcpStream;
use filch::task::Report;
use filch::{Builder, Runtime};
use filch_testkit::leaks::{Before, descriptors};
use filch_testkit::{Cut, DropAtEveryPoll, Job, Summary};
use socket2::{Domain, Socket, Type};
use std::cell::Cell;
use std::ffi::CString;
use std::future::Future;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// How long a test may take before it counts as hung. Far beyond what it takes, on a busy machine too.
pub const PATIENCE: u64 = 120;

/// A runtime with so many workers.
pub fn runtime(workers: usize) -> Runtime {
    watched(workers).build().expect("a runtime")
}

/// How to build one with so many workers that watches over its buffers. A write to one that should not have
/// been ends the process: by then nothing in it can be trusted.
pub fn watched(workers: usize) -> Builder {
    Runtime::builder().workers(workers).quarantine(true).on_error(|report| {
        eprintln!("filch: {report}");
        if matches!(report, Report::MemoryWritten { .. }) {
            std::process::abort();
        }
    })
}

/// Two ends of a connection: ours, and one of the standard library that does not block.
pub fn pair() -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).expect("it listens");
    let (ours, _) = listener.accept().expect("it is connected");
    theirs.set_nonblocking(true).unwrap();
    (TcpStream::from_std(ours).expect("a runtime"), theirs)
}

/// Lets a few other things happen.
pub async fn breathe() {
    for _ in 0..3 {
        filch_testkit::exec::yield_now().await;
    }
}

/// Everything that a socket of the standard library receives until the other side ends or resets.
pub async fn drain<S>(mut from: &S) -> Vec<u8>
where
    for<'a> &'a S: Read,
{
    let mut all = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&chunk[..read]),
            // Short: who fills a small buffer again and again waits for this each time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                filch::time::sleep(Duration::from_micros(100)).await;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("the peer cannot read: {error}"),
        }
    }
}

/// Waits until the process has no more descriptors than it had.
pub async fn until_closed(before: usize) {
    let mut tries = 0;
    while descriptors().len() > before {
        tries += 1;
        assert!(tries < 20_000, "still open: {:?}", descriptors());
        filch::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A port where connecting takes for ever: nobody accepts, and the line is full.
pub fn full() -> (Socket, SocketAddr, Vec<Socket>) {
    full_at(Ipv4Addr::LOCALHOST.into())
}

/// As [`full`], at such an address.
pub fn full_at(address: IpAddr) -> (Socket, SocketAddr, Vec<Socket>) {
    let address = SocketAddr::from((address, 0));
    let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        waiting.push(socket);
    }
    (listener, address.as_socket().unwrap(), waiting)
}

/// A file without a name that says something.
pub fn file(text: &str) -> OwnedFd {
    // SAFETY: the name ends with a NUL.
    let fd = unsafe { libc::memfd_create(c"filch".as_ptr(), libc::MFD_CLOEXEC) };
    assert_ne!(fd, -1, "a descriptor");
    // SAFETY: new and ours.
    let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
    io::Write::write_all(&mut file, text.as_bytes()).expect("it has room");
    file.into()
}

/// What such files say. Each is close-on-exec.
pub fn texts(files: Vec<OwnedFd>) -> Vec<String> {
    let read = |fd: OwnedFd| {
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
        let (mut file, mut text) = (std::fs::File::from(fd), String::new());
        io::Seek::rewind(&mut file).expect("it can");
        file.read_to_string(&mut text).expect("it says");
        text
    };
    files.into_iter().map(read).collect()
}

/// Sends bytes in small pieces, with pauses.
pub async fn send_pieces<S>(mut to: &S, bytes: &[u8])
where
    for<'a> &'a S: io::Write,
{
    for piece in bytes.chunks(7) {
        breathe().await;
        io::Write::write_all(&mut to, piece).expect("it fits");
    }
}

/// Reads once and keeps what came.
pub async fn read_some(mut stream: impl filch::io::Read, size: usize, to: &Bytes) -> usize {
    let mut buf = vec![0; size];
    let read = stream.read(&mut buf).await.expect("the connection holds");
    to.add(&buf[..read]);
    read
}

/// Bytes of which each one's place can be told.
pub fn pattern(from: usize, len: usize) -> Vec<u8> {
    // Some tests ask a thousand times for a hundred thousand of them.
    const FEW: usize = 300_000;
    static FIRST: LazyLock<Vec<u8>> = LazyLock::new(|| (0..FEW).map(pattern_at).collect());
    let places = from..from + len;
    if places.end <= FEW { FIRST[places].to_vec() } else { places.map(pattern_at).collect() }
}

/// The byte of [`pattern`] at one place.
pub fn pattern_at(place: usize) -> u8 {
    (place.wrapping_mul(0x9e37_79b1) >> 7) as u8
}

/// A path of this test alone.
pub fn temp(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("filch-{name}-{}-{number}", std::process::id()))
}

/// A pipe with a name.
pub fn make_fifo(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: the text ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

/// Removes a file at the end.
pub struct TempFile(pub PathBuf);

impl TempFile {
    pub fn new(name: &str, contents: &[u8]) -> Self {
        let path = temp(name);
        std::fs::write(&path, contents).expect("the temporary directory takes files");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Collects what was delivered, from wherever.
#[derive(Clone, Default)]
pub struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    pub fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Runs a future each of whose calls waits for a while: otherwise they might be done before they are waited for.
/// Before each there is a closure that waits, on the only thread for what blocks.
pub async fn gated<F: Future>(future: F) -> F::Output {
    fn gate() -> mpsc::Sender<()> {
        let (open, opened) = mpsc::channel();
        drop(filch::spawn_blocking(move || opened.recv().unwrap_err()));
        open
    }
    let is_over = AtomicBool::new(false);
    let gates = async {
        let mut _closed = gate();
        // Relaxed: it is the same task.
        while !is_over.load(Ordering::Relaxed) {
            breathe().await;
            // The next one stands before the last one is opened.
            _closed = gate();
        }
    };
    let future = async {
        let output = future.await;
        is_over.store(true, Ordering::Relaxed);
        output
    };
    filch::join!(gates, future).1
}

/// Drops the future of `scenario` at every poll: as the main future of a runtime with one worker and with
/// two, as a task, with each poll made by another worker than the one before, with each poll made by a
/// thread that is no worker, and on a thread that blocks. No descriptor and no thread may be left by any.
/// Each kind has to find at least `least` points to drop it at; and one of them one at which the future has been polled.
pub fn everywhere<F>(least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    everywhere_in(watched, least, scenario);
}

/// As [`everywhere`], in runtimes that are built as `build` says, with so many workers.
pub fn everywhere_in<F>(build: fn(usize) -> Builder, least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    in_all_places(build, |_place, harness| harness, [least; 2], scenario);
}

/// Where a scenario runs.
#[derive(Clone, Copy)]
enum Place {
    /// In a task.
    Task,
    Elsewhere,
}

/// As [`everywhere_in`], by the harness that `of` makes of a plain one for each place. `least`: in a task, and elsewhere.
fn in_all_places<F>(
    build: fn(usize) -> Builder,
    of: fn(Place, DropAtEveryPoll) -> DropAtEveryPoll,
    least: [u32; 2],
    scenario: fn(Cut) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime_of = |workers| build(workers).build().expect("a runtime");
    let _alone = filch_testkit::limits::alone(PATIENCE);
    let before = Before::now("filch");
    let begun = Cell::new(0);
    let check_at = |place: &str, least: u32, summary: Summary| {
        before.check();
        begun.set(begun.get() + summary.begun);
        assert!(summary.dropped >= least, "{place}: {summary:?}");
    };
    let [in_a_task, elsewhere] = least;
    let check = |place: &str, summary| check_at(place, elsewhere, summary);
    for workers in [1, 2] {
        let harness = of(Place::Elsewhere, DropAtEveryPoll::new());
        let summary = build(workers).run(harness.run(scenario)).expect("a runtime");
        check(&format!("main, {workers} workers"), summary);

        let runtime = runtime_of(workers);
        let task = runtime
            .spawn(async move { of(Place::Task, DropAtEveryPoll::new()).run(scenario).await });
        let summary = runtime.block_on(task).expect("it does not panic");
        drop(runtime);
        check_at(&format!("a task, {workers} workers"), in_a_task, summary);
    }

    let moved = Arc::new(AtomicU32::new(0));
    let count = moved.clone();
    let harness = DropAtEveryPoll::polled_by(move |job| {
        count.fetch_add(u32::from(by_another_worker(job)), Ordering::Relaxed);
    });
    let harness = of(Place::Elsewhere, harness);
    let summary = build(2).run(harness.run(scenario)).expect("a runtime");
    check("moved", summary);
    // On a busy machine the other worker may not come in time, now and then.
    let moved = moved.load(Ordering::Relaxed);
    assert!(moved > 0, "never moved, in {} polls", summary.polls);

    let runtime = runtime_of(1);
    let handle = runtime.handle().clone();
    let harness = DropAtEveryPoll::polled_by(move |job| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let _enter = handle.enter();
                job();
            });
        });
    });
    let harness = of(Place::Elsewhere, harness);
    let task = runtime.spawn(async move { harness.run(scenario).await });
    let summary = runtime.block_on(task).expect("it does not panic");
    check_after(runtime, || check("polled by threads", summary));

    let runtime = runtime_of(1);
    let summary = runtime.block_on(of(Place::Elsewhere, DropAtEveryPoll::new()).run(scenario));
    check_after(runtime, || check("a thread that blocks", summary));
    assert!(begun.get() > 0, "it never waits");
}

fn check_after(runtime: Runtime, check: impl FnOnce()) {
    drop(runtime);
    check();
}

trait Spawn {
    fn spawn<F>(&self, future: F) -> filch::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
}

impl Spawn for Runtime {
    fn spawn<F>(&self, future: F) -> filch::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle().spawn(future)
    }
}

/// Has another worker than this one run `job`, and waits for it. If none comes, runs it here: false.
pub fn by_another_worker(job: Job) -> bool {
    struct Done(Arc<AtomicBool>);
    impl Drop for Done {
        fn drop(&mut self) {
            // Release: pairs with the Acquires below.
            self.0.store(true, Ordering::Release);
        }
    }
    let done = Arc::new(AtomicBool::new(false));
    let place = Arc::new(Mutex::new(Some((job, Done(done.clone())))));
    let theirs = place.clone();
    let run = |taken: Option<(Job, Done)>| {
        if let Some((job, _done)) = taken {
            job();
        }
    };
    // The first goes to this worker's slot; the second puts it from there into the queue, and calls
    // somebody.
    filch::spawn(async move {
        let taken = theirs.lock().unwrap().take();
        run(taken);
    });
    filch::spawn(async {});
    for _ in 0..20_000 {
        if done.load(Ordering::Acquire) {
            return true;
        }
        thread::yield_now();
    }
    let taken = place.lock().unwrap().take();
    if taken.is_some() {
        run(taken);
        return false;
    }
    while !done.load(Ordering::Acquire) {
        thread::yield_now();
    }
    true
}
