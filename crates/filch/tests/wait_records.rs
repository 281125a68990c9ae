//! A task that waits says for what, and where in the program.

use filch::io::duplex;
use filch::io::{Read, Write};
use filch::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use filch::sync::{
    Barrier, Condition, Event, Lock, OnceCell, Queue, RwLock, Semaphore, broadcast, promise,
    shared_promise, watch,
};
use filch::task::yield_now;
use filch::time::{Duration, interval, sleep, timeout};
use filch::{cancellable, shielded};
use filch_atomic::current::{WaitKind, WaitRecord, enter};
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Waker};

/// Polls once, and tells what was noted.
fn noted(future: impl Future) -> (WaitKind, &'static Location<'static>) {
    let record = WaitRecord::new();
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    let poll = || assert!(future.as_mut().poll(&mut cx).is_pending());
    // SAFETY: null.
    unsafe { enter(std::ptr::null(), &record, poll) };
    let (kind, _, location) = record.get().expect("it waits");
    (kind, location)
}

#[filch::test]
async fn operations_are_waited_for_where_the_program_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (kind, at) = noted(listener.accept());
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Accept, file!(), line!() - 1));
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_server, _) = listener.accept().await.unwrap();
    let mut buf = [0; 4];
    let (kind, at) = noted(client.read(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    // The operation was kept: it is waited for somewhere else now.
    let (kind, at) = noted(client.read(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let file = filch::fs::File::open("/proc/self/comm").await.unwrap();
    let (_, at) = noted(file.read_at(Vec::with_capacity(8), 0));
    assert_eq!((at.file(), at.line()), (file!(), line!() - 1));
}

#[filch::test]
async fn every_kind_of_socket_says_so() {
    let mut buf = [0; 4];
    let (mut stream, _other) = UnixStream::pair().unwrap();
    let (kind, at) = noted(stream.recv_with_fds(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let (reader, _writer) = stream.split();
    let (kind, at) = noted(reader.peek(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (kind, at) = noted(udp.recv_from(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let address = udp.local_addr().unwrap();
    let (kind, at) = noted(udp.send_to(b"x", address));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Write, file!(), line!() - 1));
    let (datagram, _peer) = UnixDatagram::pair().unwrap();
    let (kind, at) = noted(datagram.peek_from(&mut buf));
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Read, file!(), line!() - 1));
    let listener = UnixListener::bind(format!("\0filch-noted-{}", std::process::id())).unwrap();
    let (kind, at) = noted(listener.accept());
    assert_eq!((kind, at.file(), at.line()), (WaitKind::Accept, file!(), line!() - 1));
    let (_, at) = noted(listener.into_std());
    assert_eq!((at.file(), at.line()), (file!(), line!() - 1));
}

/// The kind of what was noted, and that it was noted here.
#[track_caller]
fn kind(future: impl Future) -> WaitKind {
    let here = Location::caller();
    let (kind, at) = noted(future);
    assert_eq!((at.file(), at.line()), (here.file(), here.line()), "{kind:?}");
    kind
}

#[filch::test]
async fn every_primitive_says_so() {
    let lock = Lock::new(0);
    let guard = lock.lock().await;
    assert_eq!(kind(lock.lock()), WaitKind::Lock);
    drop(guard);
    let condition = Condition::new();
    let guard = lock.lock().await;
    kind(condition.wait(guard));
    let both = RwLock::new(0);
    let writes = both.write().await;
    assert_eq!(kind(both.read()), WaitKind::Lock);
    assert_eq!(kind(both.write()), WaitKind::Lock);
    drop(writes);
    assert_eq!(kind(Semaphore::new(0).acquire()), WaitKind::Lock);
    kind(Event::new().wait());
    kind(Barrier::new(2).wait());
    let queue = Queue::bounded(1);
    assert_eq!(kind(queue.get()), WaitKind::Queue);
    queue.put(1).await.unwrap();
    assert_eq!(kind(queue.put(2)), WaitKind::Queue);
    assert_eq!(kind(queue.reserve()), WaitKind::Queue);
    assert_eq!(kind(queue.join()), WaitKind::Queue);
    let (_sender, mut watch) = watch(0);
    kind(watch.changed());
    let (_sender, mut items) = broadcast::<u8>(1);
    kind(items.recv());
    let cell = OnceCell::new();
    let mut first = pin!(cell.get_or_init(std::future::pending::<u8>));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    kind(cell.get_or_init(std::future::pending::<u8>));
    let (mut setter, promised) = promise::<u8>();
    kind(setter.closed());
    // A promise is a future itself: it was made where it was made.
    let made = line!() - 3;
    assert_eq!(noted(promised).1.line(), made);
    let (_setter, shared) = shared_promise::<u8>();
    kind(shared.get());
}

#[filch::test]
async fn what_waits_for_time_or_for_others_says_so() {
    let hour = Duration::from_secs(3600);
    assert_eq!(kind(sleep(hour)), WaitKind::Timer);
    assert_eq!(kind(timeout(hour, std::future::pending::<()>())), WaitKind::Timer);
    // What is inside knows better.
    assert_eq!(kind(timeout(hour, Semaphore::new(0).acquire())), WaitKind::Lock);
    assert_eq!(kind(cancellable(shielded(Semaphore::new(0).acquire()))), WaitKind::Lock);
    let mut ticks = interval(hour);
    ticks.tick().await;
    assert_eq!(noted(ticks.tick()).0, WaitKind::Timer);
    assert_eq!(kind(yield_now()), WaitKind::Yield);
    // Where the task was spawned.
    let handle = filch::Handle::current();
    assert_eq!(kind(filch::spawn(std::future::pending::<()>())), WaitKind::Join);
    let mut shield = filch::shield(std::future::pending::<()>());
    assert_eq!(noted(&mut shield).0, WaitKind::Join);
    shield.abort();
    assert_eq!(kind(handle.submit(std::future::pending::<()>())), WaitKind::Join);
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    assert_eq!(kind(filch::spawn_blocking(move || held.recv())), WaitKind::Blocking);
    drop(let_go);
    let (mut one, mut other) = duplex(1);
    assert_eq!(noted(Read::read(&mut one, &mut [0])).0, WaitKind::Read);
    other.write_all(b"x").await.unwrap();
    assert_eq!(noted(other.write(b"x")).0, WaitKind::Write);
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(kind(udp.recv(&mut [0; 1])), WaitKind::Read);
    let file = filch::fs::File::open("/proc/self/comm").await.unwrap();
    assert_eq!(kind(file.sync_all()), WaitKind::File);
    // That nobody listens there is found out by the kernel, later.
    let connect = noted(TcpStream::connect("127.0.0.1:9"));
    assert_eq!(connect.0, WaitKind::Connect);
}

/// What is carried to another task is on record there: what gathers, and whatever the body of a group waits for.
#[filch::test]
async fn what_is_carried_is_on_record_where_it_is_polled() {
    let pending = std::future::pending::<()>;
    let mut both = pin!(filch::gather((pending(), pending())));
    let gathered = line!() - 1;
    for _ in 0..2 {
        let (kind, at) = noted(both.as_mut());
        assert_eq!((kind, at.file(), at.line()), (WaitKind::Join, file!(), gathered));
    }
    let waits = filch::group(async |g| {
        g.spawn_ok(pending());
        sleep(Duration::from_secs(3600)).await;
        Ok(())
    });
    let mut waits = pin!(waits);
    let (first, then) = (noted(waits.as_mut()), noted(waits.as_mut()));
    assert_eq!((first.0, first.1.line()), (WaitKind::Timer, line!() - 5));
    assert_eq!(then, first);
}
