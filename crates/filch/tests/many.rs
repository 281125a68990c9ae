//! Many connections that are open at once and wait: what each costs, and that nothing is left of them.
//!
//! A process may not have descriptors for both ends, nor, for many connections, for all of one kind: there are
//! processes for the servers and for the clients, as many as it takes, each with a runtime.

use filch::net::{TcpListener, TcpStream};
use filch::{JoinHandle, Runtime};
use filch_testkit::leaks::descriptors;
use filch_testkit::limits::watchdog;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROLE: &str = "FILCH_TEST_ROLE";
/// What a line of a child's begins with, among those of the test harness.
const MARK: &str = "many: ";
/// Listeners of each server, each at an address of its own: so there are enough ports for the clients.
const LISTENERS: usize = 4;
/// What a connection's task reads into, and the kernel for it.
const BUFFER: usize = 64;
/// How often all of them are opened and dropped.
const ROUNDS: usize = 6;
const WORKERS: usize = 2;
/// Descriptors of a process that are no connections.
const OTHERS: usize = 200;

/// Counts what is allocated and not yet freed.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator; the counter is a number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a process has.
#[derive(Clone, Copy)]
struct Has {
    tasks: usize,
    descriptors: usize,
    allocated: usize,
    resident: usize,
}

impl Has {
    fn now(runtime: &Runtime) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("proc is there");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident: usize = resident.unwrap().split_whitespace().next().unwrap().parse().unwrap();
        Self {
            tasks: runtime.handle().metrics().tasks,
            descriptors: descriptors().len(),
            allocated: ALLOCATED.load(Ordering::Relaxed),
            resident: resident * 1024,
        }
    }
}

/// Tells the parent.
fn say(what: std::fmt::Arguments<'_>) {
    println!("{MARK}{what}");
    std::io::stdout().flush().unwrap();
}

/// Waits until the parent says so.
fn wait_for(what: &str) {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line.trim(), what);
}

/// Waits until no more than so many tasks are left.
fn until_tasks(runtime: &Runtime, tasks: usize) {
    // The watchdog ends it if that is never.
    while runtime.handle().metrics().tasks > tasks {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A runtime that may be told nothing of what it left behind.
fn quiet_runtime() -> (Runtime, Arc<Mutex<Vec<String>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let to = reports.clone();
    let builder = Runtime::builder().workers(WORKERS).report_stuck_after(None);
    let builder = builder.on_error(move |report| to.lock().unwrap().push(report.to_string()));
    (builder.build().expect("a runtime"), reports)
}

/// What connections of either side do: send back what comes.
async fn answer(stream: TcpStream) {
    let mut buffer = [0; BUFFER];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if stream.write(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Opens `connections`, a few times, and checks that nothing is left of them.
fn server(connections: usize) {
    let (runtime, reports) = quiet_runtime();
    let tasks: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
    let mut addresses = String::new();
    for number in 1..=LISTENERS {
        let listener = runtime.block_on(TcpListener::bind(format!("127.0.0.{number}:0"))).unwrap();
        addresses.push_str(&format!("{} ", listener.local_addr().unwrap()));
        let tasks = tasks.clone();
        runtime.handle().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("it accepts");
                tasks.lock().unwrap().push(filch::spawn(answer(stream)));
            }
        });
    }
    // Its memory is no connection's.
    tasks.lock().unwrap().reserve(connections);
    let first = Has::now(&runtime);
    say(format_args!("{addresses}"));
    let mut left = None;
    for _ in 0..ROUNDS {
        wait_for("measure");
        let now = Has::now(&runtime);
        assert_eq!(now.tasks - first.tasks, connections);
        assert_eq!(now.descriptors - first.descriptors, connections);
        let each = |now: usize, first: usize| now.saturating_sub(first) / connections;
        say(format_args!(
            "{} {}",
            each(now.allocated, first.allocated),
            each(now.resident, first.resident),
        ));
        // Every other one is ended by its client.
        wait_for("half");
        until_tasks(&runtime, first.tasks + connections - connections / 2);
        say(format_args!("half"));
        wait_for("all");
        let mut ended = std::mem::take(&mut *tasks.lock().unwrap());
        ended.iter().for_each(JoinHandle::abort);
        until_tasks(&runtime, first.tasks);
        ended.clear();
        *tasks.lock().unwrap() = ended;
        left = Some(nothing_left(&runtime, connections, first, left));
        say(format_args!("nothing is left"));
    }
    drop(runtime);
    assert_eq!(*reports.lock().unwrap(), [""; 0]);
}

/// The other ends.
fn client(connections: usize, addresses: &str) {
    let (runtime, reports) = quiet_runtime();
    let addresses: Vec<SocketAddr> =
        addresses.split_whitespace().map(|address| address.parse().unwrap()).collect();
    let mut streams = Vec::with_capacity(connections);
    let mut tasks = Vec::with_capacity(connections);
    let first = Has::now(&runtime);
    let mut left = None;
    for _ in 0..ROUNDS {
        runtime.block_on(async {
            // A few at a time.
            while streams.len() < connections {
                let batch = (connections - streams.len()).min(256);
                let begin = |number| {
                    let address = addresses[number % addresses.len()];
                    filch::spawn(async move {
                        let stream = TcpStream::connect(address).await.expect("it listens");
                        let number = (number as u32).to_le_bytes();
                        assert_eq!(stream.write(&number).await.unwrap(), 4);
                        let mut answer = [0; 8];
                        assert_eq!(stream.read(&mut answer).await.unwrap(), 4);
                        assert_eq!(answer[..4], number);
                        stream
                    })
                };
                let batch: Vec<_> = (0..batch).map(begin).collect();
                for stream in batch {
                    streams.push(stream.await.expect("it is served"));
                }
            }
        });
        for stream in streams.drain(..) {
            tasks.push(runtime.handle().spawn(answer(stream)));
        }
        say(format_args!("connected"));
        wait_for("half");
        for task in tasks.iter().skip(1).step_by(2) {
            task.abort();
        }
        until_tasks(&runtime, connections - connections / 2);
        wait_for("all");
        // The servers have ended the others.
        until_tasks(&runtime, 0);
        tasks.clear();
        left = Some(nothing_left(&runtime, connections, first, left));
        say(format_args!("nothing is left"));
        wait_for("again");
    }
    drop(runtime);
    assert_eq!(*reports.lock().unwrap(), [""; 0]);
}

/// Checks that nothing is left of all the connections.
///
/// Memory that is kept for the next ones is not lost: what is there after the first round, and what the rings' cells may
/// have grown by since. In the first round both together had one for each connection; later each may have had all.
/// Gives how much there may be.
fn nothing_left(runtime: &Runtime, connections: usize, first: Has, most: Option<usize>) -> usize {
    let mut tries = 0;
    loop {
        let now = Has::now(runtime);
        let is_same = now.tasks == first.tasks && now.descriptors == first.descriptors;
        if is_same && most.is_none_or(|most| now.allocated <= most) {
            let grown = WORKERS * cells(connections + OTHERS) - connections * CELL;
            return most.unwrap_or(now.allocated + grown + 32 * 1024);
        }
        tries += 1;
        assert!(
            tries < 2_000,
            "{} tasks are left, and {} at first; {} descriptors, and {}; {} bytes, and {most:?} at most",
            now.tasks,
            first.tasks,
            now.descriptors,
            first.descriptors,
            now.allocated,
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What an operation's cell takes.
const CELL: usize = 128;

/// How many bytes of cells a ring keeps that had so many operations at a time: there is room for 64 first, then for twice
/// as many and 64, and so on (`crates/uring/src/cell/README.md`).
fn cells(operations: usize) -> usize {
    let mut room = 64;
    while room < operations {
        room = 2 * room + 64;
    }
    room * CELL
}

/// One of the processes, seen by the test.
struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(test: &str, role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary starts again");
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, to, from }
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.to, "{what}").expect("it listens");
    }

    /// What it says next.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.from.read_line(&mut line).expect("it speaks");
            assert!(read > 0, "it ended, and says above why");
            // The harness begins a line with the test's name.
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim().to_owned();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens so many connections at once, and drops them all; a few times.
fn many(test: &str, connections: usize, seconds: u64) {
    let _watchdog = watchdog(seconds);
    let limit = rlimit::increase_nofile_limit(u64::MAX).expect("a limit") as usize;
    if let Ok(role) = std::env::var(ROLE) {
        let (role, rest) = role.split_once(' ').unwrap();
        let (count, addresses) = rest.split_once(' ').unwrap();
        let count = count.parse().unwrap();
        match role {
            "server" => server(count),
            _ => client(count, addresses),
        }
        return;
    }
    let mut shares = Vec::new();
    let mut rest = connections;
    while rest > 0 {
        let share = rest.min(limit - OTHERS);
        shares.push(share);
        rest -= share;
    }
    let mut servers = Vec::new();
    let mut clients = Vec::new();
    for share in &shares {
        let mut server = Process::start(test, &format!("server {share} "));
        let addresses = server.hear();
        servers.push(server);
        clients.push(Process::start(test, &format!("client {share} {addresses}")));
    }
    for round in 0..ROUNDS {
        clients.iter_mut().for_each(|client| assert_eq!(client.hear(), "connected"));
        // Now all of them are open at once.
        for (server, share) in servers.iter_mut().zip(&shares) {
            server.tell("measure");
            let said = server.hear();
            let (allocated, resident) = said.split_once(' ').expect("two numbers");
            let text = format!(
                "{share} connections wait, of {connections}: each costs its server {allocated} bytes \
                 allocated ({} of them buffers), {resident} bytes resident\n",
                2 * BUFFER,
            );
            // To be seen although the test passes.
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            if round == 0 {
                let allocated: usize = allocated.parse().unwrap();
                assert!(allocated > 2 * BUFFER, "{said}: it was not measured");
                assert!(allocated < 4 * 1024, "{said}: much more than it should be");
            }
        }
        for what in ["half", "all"] {
            // Servers end theirs at "all", clients at "half".
            clients.iter_mut().chain(&mut servers).for_each(|process| process.tell(what));
            let said = if what == "half" { "half" } else { "nothing is left" };
            servers.iter_mut().for_each(|server| assert_eq!(server.hear(), said));
        }
        clients.iter_mut().for_each(|client| assert_eq!(client.hear(), "nothing is left"));
        clients.iter_mut().for_each(|client| client.tell("again"));
    }
    for mut process in clients.into_iter().chain(servers) {
        let status = process.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

#[test]
fn nothing_is_left_of_500_connections() {
    many("nothing_is_left_of_500_connections", 500, 120);
}

#[test]
#[ignore = "a soak test: takes all the descriptors that there are"]
fn soak_nothing_is_left_of_20_000_connections() {
    many("soak_nothing_is_left_of_20_000_connections", 20_000, 600);
}
