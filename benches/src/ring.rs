//! The bare ring loops: what io_uring allows when no runtime is in between.
//!
//! One ring a thread with the flags that suit a thread that alone submits and reaps; each loop turns a batch of completions
//! into the next batch of submissions, with one system call a batch. No tasks, no wakers, no cancellation: a limit to
//! compare with, not a contender on equal terms.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use io_uring::{IoUring, opcode, squeue, types};

use crate::child;

/// A ring for the calling thread alone.
///
/// # Errors
///
/// When the kernel refuses.
pub fn ring(entries: u32) -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .build(entries)
}

/// An echo server, which serves until the load generator goes.
///
/// Accepts that many connections, shares them out among `threads` threads, and echoes what they send: a single-shot
/// receive into the connection's own buffer, then a send, then the next receive. `heed` looks at what has arrived, and may
/// take its time, before it is sent back.
///
/// # Errors
///
/// When a system call fails.
pub fn echo(threads: usize, connections: usize, buffer: usize, heed: fn(&[u8])) -> io::Result<()> {
    served(threads, connections, |share| echo_share(share, buffer, heed))
}

/// Accepts that many connections, and has `serve` serve them on so many threads, each a share.
///
/// # Errors
///
/// When a system call fails.
pub(crate) fn served(
    threads: usize,
    connections: usize,
    serve: impl Fn(Vec<TcpStream>) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    child::announce(listener.local_addr()?.port())?;
    let mut shares: Vec<Vec<TcpStream>> = (0..threads).map(|_| Vec::new()).collect();
    for connection in 0..connections {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        shares[connection % threads].push(stream);
    }
    shares.retain(|share| !share.is_empty());
    each_on_its_thread(shares, serve).map(|_| ())
}

/// One connection of an echo server.
struct Echo {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The mark of a send's completion.
pub(crate) const SEND: u64 = 1 << 32;

fn echo_share(streams: Vec<TcpStream>, buffer: usize, heed: fn(&[u8])) -> io::Result<()> {
    let connections: Vec<_> =
        streams.into_iter().map(|stream| Echo { stream, buffer: vec![0; buffer] }).collect();
    let connections = connections.leak();
    let mut ring = ring(1024)?;
    for (index, connection) in connections.iter_mut().enumerate() {
        push(&mut ring, connection.receive(index))?;
    }
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (id, result) in done.drain(..) {
            let count = match positive(result) {
                // The load generator has gone, so that this process is about to be killed.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                result => result?,
            };
            let index = (id & !SEND) as usize;
            let connection = &mut connections[index];
            let next = if id & SEND != 0 {
                connection.receive(index)
            } else if count > 0 {
                heed(&connection.buffer[..count]);
                connection.send(index, count)
            } else {
                return Ok(());
            };
            push(&mut ring, next)?;
        }
    }
}

impl Echo {
    fn receive(&mut self, index: usize) -> squeue::Entry {
        let fd = types::Fd(self.stream.as_raw_fd());
        let (start, length) = (self.buffer.as_mut_ptr(), self.buffer.len() as u32);
        opcode::Recv::new(fd, start, length).build().user_data(index as u64)
    }

    fn send(&mut self, index: usize, count: usize) -> squeue::Entry {
        let fd = types::Fd(self.stream.as_raw_fd());
        // Waits for room until all is sent, so that the completion needs no look at the count.
        opcode::Send::new(fd, self.buffer.as_ptr(), count as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(index as u64 | SEND)
    }
}

/// Runs `work` on each share; on the calling thread when there is one share only.
///
/// # Errors
///
/// Those of `work`.
pub(crate) fn each_on_its_thread<S: Send, T: Send>(
    shares: Vec<S>,
    work: impl Fn(S) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let mut shares = shares.into_iter();
        let first = shares.next().expect("there is a share");
        let others: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        let mut results = vec![work(first)?];
        for other in others {
            results.push(other.join().expect("the loop does not panic")?);
        }
        Ok(results)
    })
}

/// Stages an entry, submitting what is staged when there is no room.
///
/// # Errors
///
/// When the kernel refuses to take what is staged.
pub(crate) fn push(ring: &mut IoUring, entry: squeue::Entry) -> io::Result<()> {
    loop {
        // SAFETY: D1. The buffers belong to connections and readers, or are slots, that are leaked, so that they live as long
        // as the process, however a loop ends. Each has one operation in flight that writes, so that nobody else touches its
        // buffer.
        if unsafe { ring.submission().push(&entry) }.is_ok() {
            return Ok(());
        }
        ring.submit()?;
    }
}

/// The count in a completion, or the error.
///
/// # Errors
///
/// When the operation failed.
pub(crate) fn positive(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
