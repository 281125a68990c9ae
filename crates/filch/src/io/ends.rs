//! Sources and sinks with nothing behind them.

use super::{BufRead, Read, Write};
use std::io::Result;

/// A source that is at its end.
pub fn empty() -> Empty {
    Empty
}

/// A source of `byte` without end. It never waits: a task that reads it for long should
/// [yield](crate::task::yield_now) now and then.
pub fn repeat(byte: u8) -> Repeat {
    Repeat(byte)
}

/// A sink that takes everything and keeps nothing.
pub fn sink() -> Sink {
    Sink
}

/// What [`empty`] gives.
#[derive(Debug, Clone, Copy, Default)]
pub struct Empty;

/// What [`repeat`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Repeat(u8);

/// What [`sink`] gives.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sink;

impl Read for Empty {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
}

impl BufRead for Empty {
    fn buffer(&self) -> &[u8] {
        &[]
    }

    async fn fill_more(&mut self) -> Result<usize> {
        Ok(0)
    }

    fn consume(&mut self, amount: usize) {
        assert_eq!(amount, 0, "consumed more than there is");
    }
}

impl Read for Repeat {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        buf.fill(self.0);
        Ok(buf.len())
    }
}

impl Write for Sink {
    async fn write(&mut self, buf: &[u8]) -> Result<usize> {
        Ok(buf.len())
    }
}
