//! The load generator of the bulk row: one thread, one ring, and as much as goes through some connections in one direction.
//!
//! Each byte tells its place in the stream, modulo 256. Both sides look at the ends of what they receive: looking at every
//! byte would cost more than what is measured.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::{opcode, squeue, types};

use crate::load::{Target, Window};
use crate::measure::{MB_CPU, MB_S, Sample};
use crate::ring;

/// Bytes that are read or written at once.
pub const BLOCK: usize = 64 * 1024;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    In,
    /// From the server.
    Out,
}

/// What is sent, again and again.
pub fn block() -> Vec<u8> {
    (0..BLOCK).map(byte_at).collect()
}

/// What stands at that place of a stream. A block is a multiple of 256.
fn byte_at(place: usize) -> u8 {
    (place as u8).wrapping_mul(7)
}

/// How far a stream has been received.
#[derive(Debug, Default)]
pub struct Place(usize);

impl Place {
    /// Goes on behind what has come.
    ///
    /// # Errors
    ///
    /// When that is not what was sent.
    pub fn advance(&mut self, came: &[u8]) -> io::Result<()> {
        let (before, behind) = (self.0, self.0 + came.len());
        self.0 = behind;
        match came {
            [] => Ok(()),
            [first, ..]
                if *first == byte_at(before) && came[came.len() - 1] == byte_at(behind - 1) =>
            {
                Ok(())
            }
            _ => Err(io::Error::other("something else came than was sent")),
        }
    }
}

struct Flow {
    stream: TcpStream,
    buffer: Vec<u8>,
    place: Place,
}

/// Keeps `count` connections busy for `warm_ms` and then, measured, for `size_ms` milliseconds.
///
/// # Errors
///
/// When a system call fails, the server closes a connection, or something else comes than was sent.
pub fn run(
    target: Target,
    count: usize,
    direction: Direction,
    warm_ms: u64,
    size_ms: u64,
) -> io::Result<Sample> {
    let flows: Vec<_> = (0..count)
        .map(|_| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port))?;
            let buffer = match direction {
                Direction::In => block(),
                Direction::Out => vec![0; 4 * BLOCK],
            };
            Ok(Flow { stream, buffer, place: Place::default() })
        })
        .collect::<io::Result<_>>()?;
    // What is in flight when the time is over uses them (D1).
    let flows = flows.leak();
    let mut ring = ring::ring(256)?;
    let descriptors: Vec<_> = flows.iter().map(|it| it.stream.as_raw_fd()).collect();
    ring.submitter().register_files(&descriptors)?;
    for (index, flow) in flows.iter_mut().enumerate() {
        ring::push(&mut ring, flow.next(index, direction))?;
    }
    let warm_end = Instant::now() + Duration::from_millis(warm_ms);
    let mut window: Option<Window> = None;
    let mut bytes = 0;
    let mut done = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        let now = Instant::now();
        match &window {
            None if now >= warm_end => window = Some(Window::open(target.pid, now)?),
            Some(window) if now >= window.opened + Duration::from_millis(size_ms) => {
                return window.close(target.pid, now, bytes as f64 / 1e6, [MB_S, MB_CPU]);
            }
            _ => {}
        }
        done.extend(ring.completion().map(|cqe| (cqe.user_data(), cqe.result())));
        for (index, result) in done.drain(..) {
            let (index, count) = (index as usize, ring::positive(result)?);
            let flow = &mut flows[index];
            match direction {
                Direction::In if count < BLOCK => {
                    return Err(io::Error::other("a send stopped short"));
                }
                Direction::Out if count == 0 => {
                    return Err(io::Error::other("the server closed a connection"));
                }
                Direction::Out => flow.place.advance(&flow.buffer[..count])?,
                Direction::In => {}
            }
            if window.is_some() {
                bytes += count;
            }
            ring::push(&mut ring, flow.next(index, direction))?;
        }
    }
}

impl Flow {
    fn next(&mut self, index: usize, direction: Direction) -> squeue::Entry {
        let (fd, length) = (types::Fixed(index as u32), self.buffer.len() as u32);
        let entry = match direction {
            Direction::In => opcode::Send::new(fd, self.buffer.as_ptr(), length)
                .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
                .build(),
            Direction::Out => opcode::Recv::new(fd, self.buffer.as_mut_ptr(), length).build(),
        };
        entry.user_data(index as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_follows_the_stream_and_notices_a_gap() {
        let block = block();
        let mut place = Place::default();
        for piece in [&block[..1], &block[1..300], &block[300..], &block[..5]] {
            place.advance(piece).unwrap();
        }
        assert!(place.advance(&block[6..9]).is_err());
    }
}
