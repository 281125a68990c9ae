//! The load generator of the accept row: one thread, one ring, and connections that are made and waited for to end.
//!
//! It closes each with a reset when the server has closed it, so that none lingers and no port is used up.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, squeue, types};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::load::{Target, Window};
use crate::measure::{KCONN, KCONN_CPU, Sample, histogram};
use crate::ring;

/// One that is being made, and when that began.
struct Call {
    socket: Option<Socket>,
    began: Instant,
    room: u8,
}

const CONNECT: u64 = 1 << 32;

/// Keeps `count` connections under way for `warm_ms` and then, measured, for `size_ms` milliseconds. A connection's latency is
/// the time from its beginning until the server has closed it.
///
/// # Errors
///
/// When a system call fails, a connection is refused, or the server sends something.
pub fn run(target: Target, count: usize, warm_ms: u64, size_ms: u64) -> io::Result<Sample> {
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, target.port).into();
    // What is in flight when the time is over uses them (D1).
    let address = Box::leak(Box::new(SockAddr::from(address)));
    let mut now = Instant::now();
    let none = || Call { socket: None, began: now, room: 0 };
    let calls = (0..count).map(|_| none()).collect::<Vec<_>>().leak();
    let mut ring = ring::ring(1024)?;
    for (index, call) in calls.iter_mut().enumerate() {
        call.begin(&mut ring, index, address, now)?;
    }
    let warm_end = now + Duration::from_millis(warm_ms);
    let mut latencies = histogram();
    let mut window: Option<Window> = None;
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        now = Instant::now();
        match &window {
            None if now >= warm_end => window = Some(Window::open(target.pid, now)?),
            Some(window) if now >= window.opened + Duration::from_millis(size_ms) => {
                let thousands = latencies.len() as f64 / 1e3;
                let sample = window.close(target.pid, now, thousands, [KCONN, KCONN_CPU])?;
                return Ok(sample.latencies(&latencies));
            }
            _ => {}
        }
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (id, result) in done.drain(..) {
            // A connect that failed is the only one that completes visibly; its receive is then cancelled.
            if ring::positive(result)? != 0 || id & CONNECT != 0 {
                return Err(io::Error::other("the server sent something"));
            }
            let call = &mut calls[id as usize];
            if window.is_some() {
                latencies.saturating_record((now - call.began).as_nanos() as u64);
            }
            call.begin(&mut ring, id as usize, address, now)?;
        }
    }
}

impl Call {
    /// Ends the one before, and connects; then waits for the end.
    fn begin(
        &mut self,
        ring: &mut IoUring,
        index: usize,
        address: &'static SockAddr,
        now: Instant,
    ) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        let fd = types::Fd(socket.as_raw_fd());
        self.socket = Some(socket);
        self.began = now;
        let connect = opcode::Connect::new(fd, address.as_ptr().cast(), address.len())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS | squeue::Flags::IO_LINK)
            .user_data(index as u64 | CONNECT);
        ring::push(ring, connect)?;
        let end = opcode::Recv::new(fd, &raw mut self.room, 1).build().user_data(index as u64);
        ring::push(ring, end)
    }
}
