//! Two other ways in which a bare ring loop may receive, beside the single-shot receive of [`ring`](crate::ring): multishot
//! into provided buffers, and polling for readiness with a plain system call.
//!
//! Both send as that one does: by one entry, when the message has come.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{self, BufRingEntry};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::ring::{SEND, positive, push, ring, served};

/// The group of the provided buffers.
const GROUP: u16 = 0;

/// An echo server as [`ring::echo`](crate::ring::echo), with a multishot receive for each connection. The kernel takes a
/// buffer when a message comes; it is sent from where it is, and then provided again. There are as many as connections.
///
/// # Errors
///
/// When a system call fails.
pub fn multishot(threads: usize, connections: usize, buffer: usize) -> io::Result<()> {
    served(threads, connections, |share| multishot_share(share, buffer))
}

/// One connection, and what has come on it and is not sent yet: buffer and length. The first is being sent.
struct Streaming {
    stream: TcpStream,
    come: VecDeque<(u16, usize)>,
}

fn multishot_share(streams: Vec<TcpStream>, buffer: usize) -> io::Result<()> {
    let mut ring = ring(1024)?;
    let mut provided = Provided::new(&ring, streams.len().next_power_of_two().max(8), buffer)?;
    let mut connections: Vec<_> =
        streams.into_iter().map(|stream| Streaming { stream, come: VecDeque::new() }).collect();
    for (index, connection) in connections.iter().enumerate() {
        push(&mut ring, connection.receive(index))?;
    }
    let (mut done, mut ended) = (Vec::new(), Vec::new());
    loop {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result(), cqe.flags())));
        for (id, result, flags) in done.drain(..) {
            let index = (id & !SEND) as usize;
            let connection = &mut connections[index];
            if id & SEND != 0 {
                let (sent, _) = connection.come.pop_front().expect("it was sent");
                provided.give_back(sent);
            } else {
                if !cqueue::more(flags) {
                    ended.push(index);
                }
                match positive(result) {
                    // No buffer: those of this round come back before it is begun again.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => continue,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                    Ok(0) => return Ok(()),
                    result => {
                        let taken = cqueue::buffer_select(flags).expect("bytes are in a buffer");
                        connection.come.push_back((taken, result?));
                        if connection.come.len() > 1 {
                            // After what is being sent: two sends could overtake each other.
                            continue;
                        }
                    }
                }
            }
            if let Some(&(next, count)) = connection.come.front() {
                push(&mut ring, connection.send(index, provided.at(next), count))?;
            }
        }
        for index in ended.drain(..) {
            push(&mut ring, connections[index].receive(index))?;
        }
    }
}

impl Streaming {
    fn receive(&self, index: usize) -> squeue::Entry {
        let fd = types::Fd(self.stream.as_raw_fd());
        opcode::RecvMulti::new(fd, GROUP).build().user_data(index as u64)
    }

    fn send(&self, index: usize, start: *const u8, count: usize) -> squeue::Entry {
        send(&self.stream, index, start, count)
    }
}

/// Buffers that the kernel chooses from.
struct Provided {
    entries: *mut BufRingEntry,
    mask: u16,
    tail: u16,
    memory: *mut u8,
    size: usize,
}

impl Provided {
    fn new(ring: &IoUring, count: usize, size: usize) -> io::Result<Self> {
        // An entry is 16 bytes, so that a page and its multiples hold the ring; both live as long as the process (D1).
        let layout =
            std::alloc::Layout::array::<BufRingEntry>(count).and_then(|it| it.align_to(4096));
        // SAFETY: the layout is not empty.
        let entries = unsafe { std::alloc::alloc_zeroed(layout.expect("it is small")) };
        let memory = vec![0u8; count * size].leak().as_mut_ptr();
        // SAFETY: page-aligned memory for so many entries, which is never freed.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries as u64, count as u16, GROUP, 0)?
        };
        let entries = entries.cast();
        let mut provided = Self { entries, mask: count as u16 - 1, tail: 0, memory, size };
        for buffer in 0..count as u16 {
            provided.give_back(buffer);
        }
        Ok(provided)
    }

    fn at(&self, buffer: u16) -> *mut u8 {
        // SAFETY: the kernel names buffers that it was given, which are within the memory.
        unsafe { self.memory.add(usize::from(buffer) * self.size) }
    }

    fn give_back(&mut self, buffer: u16) {
        let address = self.at(buffer);
        // SAFETY: the mask keeps it within the ring; the kernel does not read beyond the tail.
        let entry = unsafe { &mut *self.entries.add(usize::from(self.tail & self.mask)) };
        entry.set_addr(address as u64);
        entry.set_len(self.size as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, in a part that nobody else uses, aligned for it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries).cast_mut()) };
        // Release: the kernel's acquire of the tail sees the entry.
        tail.store(self.tail, Ordering::Release);
    }
}

/// An echo server as [`ring::echo`](crate::ring::echo), that polls each connection for readiness, by one entry for as long as
/// it lives, and receives by a plain system call.
///
/// # Errors
///
/// When a system call fails.
pub fn polled(threads: usize, connections: usize, buffer: usize) -> io::Result<()> {
    served(threads, connections, |share| polled_share(share, buffer))
}

struct Polled {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Something may have come since the last receive that found less than the buffer holds.
    is_ready: bool,
    is_sending: bool,
}

fn polled_share(streams: Vec<TcpStream>, buffer: usize) -> io::Result<()> {
    let polled =
        |stream| Polled { stream, buffer: vec![0; buffer], is_ready: false, is_sending: false };
    let connections = streams.into_iter().map(polled).collect::<Vec<_>>().leak();
    let mut ring = ring(1024)?;
    for (index, connection) in connections.iter().enumerate() {
        push(&mut ring, connection.poll(index))?;
    }
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result(), cqe.flags())));
        for (id, result, flags) in done.drain(..) {
            let index = (id & !SEND) as usize;
            let connection = &mut connections[index];
            if id & SEND != 0 {
                connection.is_sending = false;
            } else {
                positive(result)?;
                connection.is_ready = true;
                if !cqueue::more(flags) {
                    push(&mut ring, connection.poll(index))?;
                }
            }
            match connection.receive()? {
                None => {}
                Some(0) => return Ok(()),
                Some(count) => {
                    connection.is_sending = true;
                    let start = connection.buffer.as_ptr();
                    push(&mut ring, send(&connection.stream, index, start, count))?;
                }
            }
        }
    }
}

impl Polled {
    fn poll(&self, index: usize) -> squeue::Entry {
        let fd = types::Fd(self.stream.as_raw_fd());
        opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build().user_data(index as u64)
    }

    fn receive(&mut self) -> io::Result<Option<usize>> {
        if !self.is_ready || self.is_sending {
            return Ok(None);
        }
        let (fd, start) = (self.stream.as_raw_fd(), self.buffer.as_mut_ptr().cast());
        // SAFETY: the buffer has room for so many bytes, and nobody sends from it.
        let count = unsafe { libc::recv(fd, start, self.buffer.len(), libc::MSG_DONTWAIT) };
        let Ok(count) = usize::try_from(count) else {
            self.is_ready = false;
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error if error.kind() == io::ErrorKind::ConnectionReset => Ok(Some(0)),
                error => Err(error),
            };
        };
        self.is_ready = count == self.buffer.len();
        Ok(Some(count))
    }
}

fn send(stream: &TcpStream, index: usize, start: *const u8, count: usize) -> squeue::Entry {
    opcode::Send::new(types::Fd(stream.as_raw_fd()), start, count as u32)
        .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
        .build()
        .user_data(index as u64 | SEND)
}
