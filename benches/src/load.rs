//! The load generator of the echo rows, over TCP and UDP: one thread, one ring, a closed loop over all connections, each with so many requests
//! in flight.
//!
//! Every answer is compared with what was sent. The clock is read once a batch, before the answers of that batch are looked
//! at and answered in turn: a latency includes the generator's own work on the batch, for every contender alike.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, squeue, types};

use crate::measure::{KRPS, KRPS_CPU, LOAD_CPU, Metric, SERVER_CPU, Sample, histogram};
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

/// What is asked of a server.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many connections.
    pub connections: usize,
    /// How long a message is, in bytes.
    pub message: usize,
    /// How many messages are under way on each connection.
    pub in_flight: usize,
    /// Which way they go.
    pub over: Over,
}

/// What messages go by.
#[derive(Debug, Clone, Copy)]
pub enum Over {
    /// Streams to the server's port.
    Tcp,
    /// Datagrams, one in flight from each of as many sockets as there are connections, to so many sockets of the server's,
    /// which all have the same port: see [`socket_of`].
    Udp {
        /// The server's sockets.
        sockets: usize,
    },
}

/// Where the server's `nth` socket for datagrams is.
pub fn socket_of(nth: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, nth as u8 + 1)
}

/// One connection and the requests whose answers it waits for.
struct Connection {
    socket: OwnedFd,
    /// How long a message is.
    message: usize,
    /// The same message again and again, once more than there may be in flight: whatever comes back, from wherever
    /// within a message, is a part of it.
    messages: Vec<u8>,
    answer: Vec<u8>,
    /// Bytes that have arrived of the first answer that is not complete.
    arrived: usize,
    /// When those were asked that are not answered.
    asked: VecDeque<Instant>,
}

const SEND: u64 = 1 << 32;

/// How long after its time a trial waits for datagrams that were not answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Loads the server for `warm_ms` and then, measured, for `size_ms` milliseconds.
///
/// # Errors
///
/// When a system call fails, the server closes a connection, an answer is not what was sent, or a datagram was lost.
pub fn run(target: Target, load: Load, warm_ms: u64, size_ms: u64) -> io::Result<Sample> {
    let connections: Vec<_> = (0..load.connections)
        .map(|index| Connection::open(target.port, index, load))
        .collect::<io::Result<_>>()?;
    // Receives are in flight when the time is over.
    let connections = connections.leak();
    let mut ring = ring::ring(1024)?;
    // Registered descriptors save the generator, which should cost less than what it loads, a look-up a request.
    let descriptors: Vec<_> = connections.iter().map(|it| it.socket.as_raw_fd()).collect();
    ring.submitter().register_files(&descriptors)?;
    let mut latencies = histogram();

    let mut now = Instant::now();
    for (index, connection) in connections.iter_mut().enumerate() {
        connection.ask(&mut ring, index, load.in_flight, now)?;
        ring::push(&mut ring, connection.receive(index))?;
    }
    let warm_end = now + Duration::from_millis(warm_ms);
    let mut window: Option<Window> = None;
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        now = Instant::now();
        let over = window.as_ref().map(|window| window.opened + Duration::from_millis(size_ms));
        match (&window, over) {
            (None, _) if now >= warm_end => window = Some(Window::open(target.pid, now)?),
            (Some(window), Some(over)) if now >= over => {
                // Of datagrams some may be lost, or have to wait on a machine that has no time for them. Streams lose none.
                let is_old = |it: &Connection| it.asked.iter().any(|asked| *asked < window.opened);
                let waits = matches!(load.over, Over::Udp { .. }) && connections.iter().any(is_old);
                if waits && now >= over + PATIENCE {
                    return Err(io::Error::other("a datagram was lost"));
                } else if !waits {
                    let thousands = latencies.len() as f64 / 1e3;
                    let sample = window.close(target.pid, now, thousands, [KRPS, KRPS_CPU])?;
                    return Ok(sample.latencies(&latencies));
                }
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
            let answers = connection.arrive(count)?;
            for asked in connection.asked.drain(..answers) {
                if window.is_some() {
                    latencies.saturating_record((now - asked).as_nanos() as u64);
                }
            }
            connection.ask(&mut ring, id as usize, answers, now)?;
            let receive = connection.receive(id as usize);
            ring::push(&mut ring, receive)?;
        }
    }
}

impl Connection {
    fn open(port: u16, index: usize, load: Load) -> io::Result<Self> {
        let socket = match load.over {
            Over::Tcp => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
                stream.set_nodelay(true)?;
                OwnedFd::from(stream)
            }
            Over::Udp { sockets } => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.connect((socket_of(index % sockets), port))?;
                OwnedFd::from(socket)
            }
        };
        let message: Vec<u8> =
            (0..load.message).map(|byte| (byte * 7 + index * 31) as u8).collect();
        let (messages, answer) =
            (message.repeat(load.in_flight + 1), message.repeat(load.in_flight));
        let message = load.message;
        Ok(Self { socket, message, messages, answer, arrived: 0, asked: VecDeque::new() })
    }

    /// Sends so many requests, in one piece.
    fn ask(
        &mut self,
        ring: &mut IoUring,
        index: usize,
        requests: usize,
        now: Instant,
    ) -> io::Result<()> {
        if requests == 0 {
            return Ok(());
        }
        let fd = types::Fixed(index as u32);
        let length = (requests * self.message) as u32;
        // Only a failed send completes visibly. What is in flight fits the socket's buffer, so that one send is over before
        // the next begins.
        let send = opcode::Send::new(fd, self.messages.as_ptr(), length)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(index as u64 | SEND);
        self.asked.extend(std::iter::repeat_n(now, requests));
        ring::push(ring, send)
    }

    /// Waits for what is missing.
    fn receive(&mut self, index: usize) -> squeue::Entry {
        let fd = types::Fixed(index as u32);
        let missing = self.asked.len() * self.message - self.arrived;
        let start = self.answer.as_mut_ptr();
        opcode::Recv::new(fd, start, missing as u32).build().user_data(index as u64)
    }

    /// Notes that so many bytes have arrived. How many answers are complete.
    fn arrive(&mut self, count: usize) -> io::Result<usize> {
        if count == 0 {
            return Err(io::Error::other("the server closed a connection"));
        }
        if self.answer[..count] != self.messages[self.arrived..self.arrived + count] {
            return Err(io::Error::other("the server answered something else"));
        }
        self.answer[..count].fill(0);
        let answers = (self.arrived + count) / self.message;
        self.arrived = (self.arrived + count) % self.message;
        Ok(answers)
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

    /// What the server did, in the unit of `rate`, in the window: so much a second, and a second of its CPU time.
    pub(crate) fn close(
        &self,
        server: u32,
        now: Instant,
        amount: f64,
        [rate, cost]: [Metric; 2],
    ) -> io::Result<Sample> {
        let wall = (now - self.opened).as_secs_f64();
        let server = (sys::cpu_of_process(server)? - self.server).as_secs_f64();
        let own = (sys::cpu_of_self() - self.own).as_secs_f64();
        Ok(Sample::new()
            .with(rate.name, amount / wall)
            .with(cost.name, amount / server)
            .with(SERVER_CPU.name, server / wall)
            .with(LOAD_CPU.name, own / wall))
    }
}
