//! The load generator of the echo row: one thread, one ring, a closed loop over all connections.
//!
//! Every answer is compared with what was sent. The clock is read once a batch, before the answers of that batch are looked
//! at and answered in turn: a latency includes the generator's own work on the batch, for every contender alike.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, squeue, types};

use crate::measure::{KRPS, KRPS_CPU, LOAD_CPU, SERVER_CPU, Sample, histogram};
use crate::ring;
use crate::sys;

/// The server to load.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its process, whose CPU time is looked at.
    pub pid: u32,
}

/// One connection and the request it waits for.
struct Connection {
    stream: TcpStream,
    message: Vec<u8>,
    answer: Vec<u8>,
    /// Bytes of the answer that have arrived.
    arrived: usize,
    sent: Instant,
}

const SEND: u64 = 1 << 32;

/// Loads the server for `warm_ms` and then, measured, for `size_ms` milliseconds.
///
/// # Errors
///
/// When a system call fails, the server closes a connection, or an answer is not what was sent.
pub fn run(
    target: Target,
    connections: usize,
    message: usize,
    warm_ms: u64,
    size_ms: u64,
) -> io::Result<Sample> {
    let connections: Vec<_> = (0..connections)
        .map(|index| Connection::open(target.port, index, message))
        .collect::<io::Result<_>>()?;
    // Receives are in flight when the time is over.
    let connections = connections.leak();
    let mut ring = ring::ring(1024)?;
    // Registered descriptors save the generator, which should cost less than what it loads, a look-up a request.
    let descriptors: Vec<_> = connections.iter().map(|it| it.stream.as_raw_fd()).collect();
    ring.submitter().register_files(&descriptors)?;
    let mut latencies = histogram();

    let mut now = Instant::now();
    for (index, connection) in connections.iter_mut().enumerate() {
        connection.ask(&mut ring, index, now)?;
    }
    let warm_end = now + Duration::from_millis(warm_ms);
    let mut window: Option<Window> = None;
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        now = Instant::now();
        match &window {
            None if now >= warm_end => window = Some(Window::open(target.pid, now)?),
            Some(window) if now >= window.opened + Duration::from_millis(size_ms) => {
                let requests = latencies.len();
                return Ok(window.close(target.pid, now, requests)?.latencies(&latencies));
            }
            _ => {}
        }
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (id, result) in done.drain(..) {
            let count = ring::positive(result)?;
            if id & SEND != 0 {
                return Err(io::Error::other("a send stopped short"));
            }
            let connection = &mut connections[id as usize];
            if connection.arrive(count)? {
                if window.is_some() {
                    latencies.saturating_record((now - connection.sent).as_nanos() as u64);
                }
                connection.ask(&mut ring, id as usize, now)?;
            } else {
                let receive = connection.receive(id as usize);
                ring::push(&mut ring, receive)?;
            }
        }
    }
}

impl Connection {
    fn open(port: u16, index: usize, message: usize) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let message: Vec<u8> = (0..message).map(|byte| (byte * 7 + index * 31) as u8).collect();
        let answer = vec![0; message.len()];
        Ok(Self { stream, message, answer, arrived: 0, sent: Instant::now() })
    }

    /// Sends the request and waits for the beginning of the answer.
    fn ask(&mut self, ring: &mut IoUring, index: usize, now: Instant) -> io::Result<()> {
        let fd = types::Fixed(index as u32);
        // Only a failed send completes visibly.
        let send = opcode::Send::new(fd, self.message.as_ptr(), self.message.len() as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(index as u64 | SEND);
        self.sent = now;
        self.arrived = 0;
        self.answer.fill(0);
        ring::push(ring, send)?;
        ring::push(ring, self.receive(index))
    }

    /// Waits for what is missing of the answer.
    fn receive(&mut self, index: usize) -> squeue::Entry {
        let fd = types::Fixed(index as u32);
        let rest = &mut self.answer[self.arrived..];
        opcode::Recv::new(fd, rest.as_mut_ptr(), rest.len() as u32).build().user_data(index as u64)
    }

    /// Notes that so many bytes have arrived. Whether that was all.
    fn arrive(&mut self, count: usize) -> io::Result<bool> {
        if count == 0 {
            return Err(io::Error::other("the server closed a connection"));
        }
        self.arrived += count;
        if self.arrived < self.answer.len() {
            return Ok(false);
        }
        if self.answer != self.message {
            return Err(io::Error::other("the server answered something else"));
        }
        Ok(true)
    }
}

/// The measured part.
pub(crate) struct Window {
    pub(crate) opened: Instant,
    server: Duration,
    own: Duration,
}

impl Window {
    pub(crate) fn open(server: u32, now: Instant) -> io::Result<Self> {
        let server = sys::cpu_of_process(server)?;
        Ok(Self { opened: now, server, own: sys::cpu_of_self() })
    }

    pub(crate) fn close(&self, server: u32, now: Instant, requests: u64) -> io::Result<Sample> {
        let wall = (now - self.opened).as_secs_f64();
        let server = (sys::cpu_of_process(server)? - self.server).as_secs_f64();
        let own = (sys::cpu_of_self() - self.own).as_secs_f64();
        let thousands = requests as f64 / 1e3;
        Ok(Sample::new()
            .with(KRPS.name, thousands / wall)
            .with(KRPS_CPU.name, thousands / server)
            .with(SERVER_CPU.name, server / wall)
            .with(LOAD_CPU.name, own / wall))
    }
}
