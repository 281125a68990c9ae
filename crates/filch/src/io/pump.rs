//! Moving bytes from a source to a sink.

use super::outbox::Outbox;
use super::{CHUNK, Read, Write, retry_interrupted};
use std::future::poll_fn;
use std::io::Result;
use std::pin::pin;
use std::task::Poll;

/// How much is asked for at first. It grows up to [`CHUNK`].
const FIRST: usize = 8 * 1024;

/// Moves bytes from a source to a sink, and can be interrupted.
///
/// What was read and is not known to be written is in here and not in the future of
/// [`run`](Self::run): dropped, that has lost nothing, and the next one goes on.
///
/// ```
/// # filch::run(async {
/// # use filch::io::{Pump, Read, Write, duplex};
/// # use std::time::Duration;
/// # let (mut near, mut far) = duplex(4);
/// let mut source = &b"more than fits"[..];
/// let mut pump = Pump::new();
/// // Nobody reads, so it gets stuck on the way.
/// let patience = Duration::from_millis(10);
/// let run = pump.run(&mut source, &mut near);
/// assert!(filch::time::timeout(patience, run).await.is_err());
/// assert_eq!((pump.moved(), pump.held()), (4, &b" than fits"[..]));
///
/// let rest = async {
///     pump.run(&mut source, &mut near).await?;
///     near.finish().await
/// };
/// let mut received = String::new();
/// filch::try_join!(rest, far.read_to_string(&mut received))?;
/// assert_eq!(received, "more than fits");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Pump {
    held: Outbox,
    at_end: bool,
}

impl Pump {
    /// A pump that has moved nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves everything up to the source's end, and flushes the sink: at the end, and whenever there is
    /// nothing to read. Returns how many bytes that were, in all runs. To be given the same source and the
    /// same sink each time, to which nobody else has written in between.
    ///
    /// # Errors
    ///
    /// Those of either side. What was read and not written is held here.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost: what was read and is not known to be written is held here, and the next
    /// run begins with it.
    pub async fn run<R, W>(&mut self, from: &mut R, to: &mut W) -> Result<u64>
    where
        R: Read + ?Sized,
        W: Write + ?Sized,
    {
        loop {
            self.held.drain(to).await?;
            if self.at_end {
                to.flush().await?;
                return Ok(self.held.gone);
            }
            // Room for more only where there was too little: of many connections most say little.
            let room = self.held.buffer.len();
            if self.held.end == room && room < CHUNK {
                self.held.buffer = vec![0; (room * 4).clamp(FIRST, CHUNK)];
            }
            let buffer = &mut self.held.buffer;
            let reading = async { retry_interrupted!(from.read(buffer).await) };
            let read = flush_meanwhile(reading, to).await?;
            (self.held.start, self.held.end) = (0, read);
            self.at_end = read == 0;
        }
    }

    /// How many bytes are known to be written so far.
    pub fn moved(&self) -> u64 {
        self.held.gone
    }

    /// What was read and is not known to be written. Some of it may be on its way, if a run was dropped:
    /// [`settle`](Write::settle) the sink to learn how much.
    pub fn held(&self) -> &[u8] {
        self.held.bytes()
    }

    /// Whether the source's end was seen, and everything before it is written.
    pub fn is_done(&self) -> bool {
        self.at_end && self.held().is_empty()
    }
}

/// Waits for more of a source. While there is nothing, has the sink hand on what it keeps back: what is
/// waited for may be the answer to that.
pub(super) async fn flush_meanwhile<T, W: Write + ?Sized>(
    reading: impl Future<Output = Result<T>>,
    to: &mut W,
) -> Result<T> {
    let mut reading = pin!(reading);
    let mut flushing = pin!(to.flush());
    let mut is_flushed = false;
    poll_fn(|cx| {
        // A flush that has to wait does not hold up what has come: the next one goes on with it.
        let read = reading.as_mut().poll(cx);
        if read.is_pending()
            && !is_flushed
            && let Poll::Ready(flushed) = flushing.as_mut().poll(cx)
        {
            is_flushed = true;
            flushed?;
        }
        read
    })
    .await
}
