//! The load generator of the hog row: one thread, one ring, an open loop.
//!
//! Each connection sends on a schedule of its own that no answer delays, and a latency counts from the moment the request
//! was due, not from when it was sent: a server that stops answering, or a generator that comes late, cannot hide the
//! requests that would have suffered. How late the generator itself was is reported too. The schedules are the same for
//! every contender.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use io_uring::{IoUring, opcode, squeue, types};

use crate::load::{Target, Window};
use crate::measure::{
    KRPS, KRPS_CPU, LATE, MAX_US, SENT_LATE, Sample, UNANSWERED, UNANSWERED_MAX, histogram,
};
use crate::random::Random;
use crate::ring;

/// Bytes of a request, and of its answer, which is the same bytes.
pub const MESSAGE: usize = 128;

/// Bytes of a request before its pattern: what it burns, and its number.
const HEADER: usize = 12;

/// Bytes received at once.
const RECEIVE: usize = 16 * 1024;

/// Entries of the ring.
const ENTRIES: u32 = 1024;

/// How long after the last request the answers may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Later than this is late.
const LATE_NS: u64 = 1_000_000;

/// What the connections send, and when.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The mean interval of a connection's requests; they are between half and one and a half times that.
    pub period: Duration,
    /// Which requests burn.
    pub marks: Marks,
    /// For how long a marked one burns.
    pub burn: Duration,
}

/// Which requests burn CPU.
#[derive(Debug, Clone, Copy)]
pub enum Marks {
    /// All of the first connection's: the first one so long after the beginning of the warm-up, the others at this interval.
    One {
        /// When the first is due.
        first: Duration,
        /// The interval from then on.
        every: Duration,
    },
    /// One in so many, at random, on all connections.
    Among {
        /// One in how many.
        one_in: u64,
    },
}

/// How long the server is to burn CPU for a request; zero for an unmarked one.
pub fn burn_of(request: &[u8]) -> Duration {
    let micros = request[..4].try_into().expect("four bytes");
    Duration::from_micros(u32::from_le_bytes(micros).into())
}

/// Writes a request, which its number and its connection's index tell from every other.
fn write_request(into: &mut [u8], index: usize, number: u64, burn: Duration) {
    into[..4].copy_from_slice(&(burn.as_micros() as u32).to_le_bytes());
    into[4..HEADER].copy_from_slice(&number.to_le_bytes());
    let first = index as u64 * 31 + number * 7;
    for (byte, into) in into[HEADER..].iter_mut().enumerate() {
        *into = (first + byte as u64) as u8;
    }
}

/// Loads the server for `warm` and then, measured, for `size`; waits for all answers. Counts the unanswered connections
/// during each marked request if it is to.
///
/// # Errors
///
/// When a system call fails, the server closes a connection, an answer is not what was sent or does not come at all.
pub fn run(
    target: Target,
    connections: usize,
    pace: &Pace,
    warm: Duration,
    size: Duration,
    count_unanswered: bool,
) -> io::Result<Sample> {
    let mut load = Load::new(target.port, connections, pace, count_unanswered)?;
    let start = Instant::now();
    let measured = start + warm..start + warm + size;
    load.schedule(start);
    let mut window: Option<Window> = None;
    let mut sample = None;
    loop {
        let now = Instant::now();
        if window.is_none() && now >= measured.start {
            window = Some(Window::open(target.pid, now)?);
        }
        if let (Some(window), None) = (&window, &sample)
            && now >= measured.end
        {
            sample = Some(window.close(
                target.pid,
                now,
                load.latencies.len() as f64 / 1e3,
                [KRPS, KRPS_CPU],
            )?);
        }
        load.send_due(now, &measured)?;
        if let Some(sample) = sample.take_if(|_| load.due.is_empty() && load.waiting == 0) {
            return load.complete(sample);
        }
        if now > measured.end + PATIENCE {
            return Err(io::Error::other(format!("{} requests had no answer", load.waiting)));
        }
        let end = if sample.is_none() { measured.end } else { measured.end + PATIENCE };
        let next = load.due.peek().map_or(end, |Reverse((due, _))| *due);
        load.wait(next, &measured)?;
    }
}

/// A request that waits for its answer.
struct Request {
    number: u64,
    due: Instant,
    burn: Duration,
}

/// One connection and what it waits for.
struct Connection {
    stream: TcpStream,
    random: Random,
    waiting: VecDeque<Request>,
    received: Vec<u8>,
    /// Bytes at the beginning of `received` that are not yet a whole answer.
    arrived: usize,
    sent: u64,
}

/// The whole generator.
struct Load<'a> {
    pace: &'a Pace,
    ring: IoUring,
    connections: &'static mut [Connection],
    /// What is being sent: a send copies it when it is submitted. More slots than the ring has entries, used in turn, so
    /// that none is written again before that.
    slots: &'static mut [[u8; MESSAGE]],
    slot: usize,
    /// Each connection's next request; no connection when its time is over.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    waiting: usize,
    latencies: Histogram<u64>,
    late: u64,
    sent_late: Histogram<u64>,
    spins: Option<Spins>,
}

const SEND: u64 = 1 << 32;

impl<'a> Load<'a> {
    fn new(port: u16, connections: usize, pace: &'a Pace, count: bool) -> io::Result<Self> {
        // Receives are in flight when the time is over.
        let connections: Vec<_> = (0..connections)
            .map(|index| Connection::open(port, index))
            .collect::<io::Result<_>>()?;
        let connections = connections.leak();
        let mut ring = ring::ring(ENTRIES)?;
        let descriptors: Vec<_> = connections.iter().map(|it| it.stream.as_raw_fd()).collect();
        ring.submitter().register_files(&descriptors)?;
        for (index, connection) in connections.iter_mut().enumerate() {
            ring::push(&mut ring, connection.receive(index))?;
        }
        Ok(Self {
            pace,
            ring,
            spins: count.then(|| Spins::new(pace.burn, connections.len())),
            connections,
            slots: vec![[0; MESSAGE]; 2 * ENTRIES as usize].leak(),
            slot: 0,
            due: BinaryHeap::new(),
            waiting: 0,
            latencies: histogram(),
            late: 0,
            sent_late: histogram(),
        })
    }

    /// The first request of each connection, anywhere in its first period.
    fn schedule(&mut self, start: Instant) {
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let first = match self.pace.marks {
                Marks::One { first, .. } if index == 0 => first,
                _ => self.pace.period.mul_f64(connection.random.fraction()),
            };
            self.due.push(Reverse((start + first, index)));
        }
    }

    /// Stages all requests that are due, but none from the end of the measured time on.
    fn send_due(&mut self, now: Instant, measured: &Range<Instant>) -> io::Result<()> {
        while let Some(Reverse((due, index))) = self.due.peek().copied() {
            if due >= measured.end {
                // The earliest is: so are all.
                self.due.clear();
            }
            if due > now || self.due.is_empty() {
                break;
            }
            self.due.pop();
            let connection = &mut self.connections[index];
            let (burn, next) = match self.pace.marks {
                Marks::One { every, .. } if index == 0 => (self.pace.burn, every),
                Marks::One { .. } => (Duration::ZERO, connection.interval(self.pace.period)),
                Marks::Among { one_in } => {
                    let marked = connection.random.below(one_in) == 0;
                    let burn = if marked { self.pace.burn } else { Duration::ZERO };
                    (burn, connection.interval(self.pace.period))
                }
            };
            self.due.push(Reverse((due + next, index)));
            let number = connection.sent;
            connection.sent += 1;
            connection.waiting.push_back(Request { number, due, burn });
            self.waiting += 1;
            if measured.contains(&due) {
                self.sent_late.saturating_record((now - due).as_nanos() as u64);
            }
            if let Some(spins) = &mut self.spins
                && burn > Duration::ZERO
            {
                spins.begin(now);
            }
            let slot = &mut self.slots[self.slot];
            write_request(slot, index, number, burn);
            // Sent when it is submitted, or not at all; only a failure completes visibly.
            let send = opcode::Send::new(types::Fixed(index as u32), slot.as_ptr(), MESSAGE as u32)
                .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(index as u64 | SEND);
            self.slot = (self.slot + 1) % self.slots.len();
            ring::push(&mut self.ring, send)?;
        }
        Ok(())
    }

    /// Submits, waits for answers until `next`, and deals with those that came.
    fn wait(&mut self, next: Instant, measured: &Range<Instant>) -> io::Result<()> {
        let time = next.saturating_duration_since(Instant::now());
        let timespec = types::Timespec::from(time);
        let args = types::SubmitArgs::new().timespec(&timespec);
        match self.ring.submitter().submit_with_args(1, &args) {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {
                return Err(error);
            }
            _ => {}
        }
        let now = Instant::now();
        let done: Vec<_> =
            self.ring.completion().map(|cqe| (cqe.user_data(), cqe.result())).collect();
        for (id, result) in done {
            let count = ring::positive(result)?;
            if id & SEND != 0 {
                return Err(io::Error::other("a send stopped short"));
            }
            if count == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            let index = id as usize;
            self.connections[index].arrived += count;
            self.answers(index, now, measured)?;
            ring::push(&mut self.ring, self.connections[index].receive(index))?;
        }
        Ok(())
    }

    /// Notes the whole answers that a connection has received.
    fn answers(&mut self, index: usize, now: Instant, measured: &Range<Instant>) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let whole = connection.arrived - connection.arrived % MESSAGE;
        let mut expected = [0; MESSAGE];
        for answer in connection.received[..whole].chunks_exact(MESSAGE) {
            let request = connection.waiting.pop_front();
            let request = request.ok_or_else(|| io::Error::other("an answer to nothing"))?;
            write_request(&mut expected, index, request.number, request.burn);
            if answer != expected {
                return Err(io::Error::other("the server answered something else"));
            }
            self.waiting -= 1;
            if request.burn > Duration::ZERO {
                continue;
            }
            if measured.contains(&request.due) {
                let latency = (now - request.due).as_nanos() as u64;
                self.latencies.saturating_record(latency);
                self.late += u64::from(latency > LATE_NS);
            }
            if let Some(spins) = &mut self.spins {
                spins.answered(index, request.due, now);
            }
        }
        connection.received.copy_within(whole..connection.arrived, 0);
        connection.arrived -= whole;
        Ok(())
    }

    /// Adds what this generator measured.
    fn complete(self, sample: Sample) -> io::Result<Sample> {
        let late = self.late as f64 / self.latencies.len() as f64 * 100.0;
        let sample = sample
            .latencies(&self.latencies)
            .with(MAX_US.name, self.latencies.max() as f64 / 1e3)
            .with(LATE.name, late)
            .with(SENT_LATE.name, self.sent_late.value_at_quantile(0.99) as f64 / 1e3);
        let Some(spins) = self.spins else { return Ok(sample) };
        let counts = spins.counts();
        let worst = counts.iter().max().ok_or_else(|| io::Error::other("nothing ever spun"))?;
        let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        Ok(sample.with(UNANSWERED.name, mean).with(UNANSWERED_MAX.name, *worst as f64))
    }
}

impl Connection {
    fn open(port: u16, index: usize) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            random: Random::new(index as u64),
            waiting: VecDeque::new(),
            received: vec![0; RECEIVE],
            arrived: 0,
            sent: 0,
        })
    }

    fn receive(&mut self, index: usize) -> squeue::Entry {
        let rest = &mut self.received[self.arrived..];
        opcode::Recv::new(types::Fixed(index as u32), rest.as_mut_ptr(), rest.len() as u32)
            .build()
            .user_data(index as u64)
    }

    fn interval(&mut self, period: Duration) -> Duration {
        period.mul_f64(0.5 + self.random.fraction())
    }
}

/// The times when a marked request spun, and who was answered meanwhile.
struct Spins {
    length: Duration,
    connections: usize,
    all: Vec<Spin>,
}

struct Spin {
    sent: Instant,
    answered: Vec<bool>,
}

impl Spins {
    fn new(length: Duration, connections: usize) -> Self {
        Self { length, connections, all: Vec::new() }
    }

    fn begin(&mut self, sent: Instant) {
        self.all.push(Spin { sent, answered: vec![false; self.connections] });
    }

    /// An answer to a request that was due at `due` has come. It says something when the request was due after the spinning
    /// had begun, surely by a twentieth of its length, and the answer came before it can have ended.
    fn answered(&mut self, index: usize, due: Instant, now: Instant) {
        if let Some(spin) = self.all.last_mut()
            && due >= spin.sent + self.length / 20
            && now < spin.sent + self.length
        {
            spin.answered[index] = true;
        }
    }

    /// How many connections had no answer, for each time; the first connection, which spins, is not counted.
    fn counts(&self) -> Vec<usize> {
        let unanswered = |spin: &Spin| spin.answered[1..].iter().filter(|it| !**it).count();
        self.all.iter().map(unanswered).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_it_burns() {
        let mut request = [0; MESSAGE];
        write_request(&mut request, 3, 9, Duration::from_millis(20));
        assert_eq!(burn_of(&request), Duration::from_millis(20));
        let mut other = [0; MESSAGE];
        write_request(&mut other, 4, 9, Duration::from_millis(20));
        assert_ne!(request, other);
    }

    #[test]
    fn only_an_answer_while_it_spins_counts() {
        let sent = Instant::now();
        let at = |ms| sent + Duration::from_millis(ms);
        let mut spins = Spins::new(Duration::from_millis(1_000), 5);
        spins.begin(sent);
        spins.answered(1, at(60), at(500));
        // Due before it can have begun to spin; answered when it may have ended.
        spins.answered(2, at(10), at(70));
        spins.answered(3, at(60), at(1_000));
        assert_eq!(spins.counts(), [3]);
        spins.begin(at(2_000));
        for index in 1..5 {
            spins.answered(index, at(2_100), at(2_101));
        }
        assert_eq!(spins.counts(), [3, 0]);
    }
}
