//! The bare ring loops of the rows beside echo: bulk, accept and udp.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use io_uring::{cqueue, opcode, squeue, types};

use crate::child;
use crate::flood::{BLOCK, Direction, Place, block};
use crate::load::socket_of;
use crate::ring::{SEND, positive, push, ring, served};

/// Takes, or gives, as many bytes as go through so many connections, shared out among `threads` threads.
///
/// # Errors
///
/// When a system call fails, or something else comes than was sent.
pub fn bulk(threads: usize, connections: usize, direction: Direction) -> io::Result<()> {
    served(threads, connections, |share| bulk_share(share, direction))
}

fn bulk_share(streams: Vec<TcpStream>, direction: Direction) -> io::Result<()> {
    let flows: Vec<_> =
        streams.into_iter().map(|stream| (stream, block(), Place::default())).collect();
    let flows = flows.leak();
    let next = |index: usize, stream: &TcpStream, buffer: &mut [u8]| {
        let fd = types::Fd(stream.as_raw_fd());
        let entry = match direction {
            Direction::In => opcode::Recv::new(fd, buffer.as_mut_ptr(), BLOCK as u32).build(),
            Direction::Out => opcode::Send::new(fd, buffer.as_ptr(), BLOCK as u32)
                .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
                .build(),
        };
        entry.user_data(index as u64)
    };
    let mut ring = ring(256)?;
    for (index, (stream, buffer, _)) in flows.iter_mut().enumerate() {
        push(&mut ring, next(index, stream, buffer))?;
    }
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (index, result) in done.drain(..) {
            // The load generator goes when the time is over, and this process is killed.
            let count = positive(result).unwrap_or(0);
            if count == 0 {
                return Ok(());
            }
            let (stream, buffer, place) = &mut flows[index as usize];
            if direction == Direction::In {
                place.advance(&buffer[..count])?;
            }
            push(&mut ring, next(index as usize, stream, buffer))?;
        }
    }
}

/// Accepts connections and closes them: by an entry for each, or by one for all of them.
///
/// # Errors
///
/// When a system call fails.
pub fn accepted(is_multishot: bool) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    child::announce(listener.local_addr()?.port())?;
    let fd = types::Fd(listener.as_raw_fd());
    let accept = || match is_multishot {
        true => opcode::AcceptMulti::new(fd).build(),
        false => opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut()).build(),
    };
    let mut ring = ring(1024)?;
    push(&mut ring, accept())?;
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result(), cqe.flags())));
        for (id, result, flags) in done.drain(..) {
            let accepted = positive(result)? as i32;
            if id != 0 {
                continue;
            }
            // SAFETY: the kernel has just given out this descriptor, and nobody else knows of it.
            let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(accepted) });
            stream.set_nodelay(true)?;
            let close = opcode::Close::new(types::Fd(accepted)).build().user_data(1);
            push(&mut ring, close.flags(squeue::Flags::SKIP_SUCCESS))?;
            // The entry closes it.
            mem::forget(stream);
            if !cqueue::more(flags) {
                push(&mut ring, accept())?;
            }
        }
    }
}

/// One socket for datagrams, and the one that is being received or sent.
struct Datagram {
    socket: UdpSocket,
    buffer: Vec<u8>,
    from: libc::sockaddr_in,
    room: libc::iovec,
    message: libc::msghdr,
}

/// Sends the datagrams that come to so many sockets back, one at a time on each.
///
/// # Errors
///
/// When a system call fails.
pub fn datagrams(sockets: usize, buffer: usize) -> io::Result<()> {
    let mut port = 0;
    let mut all = Vec::new();
    for nth in 0..sockets {
        let socket = UdpSocket::bind(SocketAddr::from((socket_of(nth), port)))?;
        port = socket.local_addr()?.port();
        // SAFETY: all of them are plain numbers and pointers, which may be zero.
        let (from, room, message) = unsafe { mem::zeroed() };
        all.push(Datagram { socket, buffer: vec![0; buffer], from, room, message });
    }
    let all = all.leak();
    let mut ring = ring(256)?;
    for (index, datagram) in all.iter_mut().enumerate() {
        push(&mut ring, datagram.receive(index))?;
    }
    child::announce(port)?;
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (id, result) in done.drain(..) {
            let count = positive(result)?;
            let index = (id & !SEND) as usize;
            let next = match id & SEND {
                0 => all[index].send(index, count),
                _ => all[index].receive(index),
            };
            push(&mut ring, next)?;
        }
    }
}

impl Datagram {
    fn receive(&mut self, index: usize) -> squeue::Entry {
        self.describe(self.buffer.len());
        let fd = types::Fd(self.socket.as_raw_fd());
        opcode::RecvMsg::new(fd, &raw mut self.message).build().user_data(index as u64)
    }

    fn send(&mut self, index: usize, count: usize) -> squeue::Entry {
        self.describe(count);
        let fd = types::Fd(self.socket.as_raw_fd());
        opcode::SendMsg::new(fd, &raw const self.message).build().user_data(index as u64 | SEND)
    }

    /// The sender's address stays where the receive has put it.
    fn describe(&mut self, length: usize) {
        self.room = libc::iovec { iov_base: self.buffer.as_mut_ptr().cast(), iov_len: length };
        self.message.msg_name = (&raw mut self.from).cast();
        self.message.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        self.message.msg_iov = &raw mut self.room;
        self.message.msg_iovlen = 1;
    }
}
