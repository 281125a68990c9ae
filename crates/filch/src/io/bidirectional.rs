//! Moving bytes between two streams, both ways at once.

use super::{Pump, Read, Write};
use std::future::poll_fn;
use std::io::Result;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Moves bytes between `a` and `b`, both ways at once, until both have ended. When one ends, the other is
/// told so ([`finish`](Write::finish)), and the other way goes on. What either keeps back is flushed whenever
/// the other has nothing to read. Returns how many bytes went from `a` to `b`, and from `b` to `a`.
///
/// It takes streams that are read and written through shared references: sockets, and pipes from
/// [`duplex`](super::duplex()). For others, give [`Bidirectional`] their halves.
///
/// # Errors
///
/// Those of either side. It ends with the first; what was on the way the other way is lost.
///
/// # Cancel safety
///
/// Dropped, up to 64 KiB each way that were read may not be written, and how much was moved is not known.
/// To learn that, or to go on, use [`Bidirectional`].
pub async fn copy_bidirectional<A, B>(a: &A, b: &B) -> Result<(u64, u64)>
where
    A: ?Sized + Sync,
    B: ?Sized + Sync,
    for<'a> &'a A: Read + Write,
    for<'b> &'b B: Read + Write,
{
    Bidirectional::new((a, a), (b, b)).run().await
}

/// Moves bytes between two streams, both ways at once, and can be interrupted: what
/// [`copy_bidirectional`] does, with everything that is on its way in here and not in the future.
///
/// ```
/// # filch::run(async {
/// use filch::io::{Bidirectional, Read, Write, duplex};
///
/// let (mut client, near) = duplex(64);
/// let (far, mut server) = duplex(64);
/// let mut moving = Bidirectional::new((&near, &near), (&far, &far));
/// let talk = async {
///     client.write_all(b"ping").await?;
///     client.finish().await?;
///     let mut asked = String::new();
///     server.read_to_string(&mut asked).await?;
///     server.write_all(b"pong!").await?;
///     server.finish().await?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer).await?;
///     Ok((asked, answer))
/// };
/// let (moved, (asked, answer)) = filch::try_join!(moving.run(), talk)?;
/// assert_eq!((moved, asked.as_str(), answer.as_str()), ((4, 5), "ping", "pong!"));
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Bidirectional<AR, AW, BR, BW> {
    a: (AR, AW),
    b: (BR, BW),
    there: Way,
    back: Way,
}

/// One of the two ways.
#[derive(Debug, Default)]
struct Way {
    pump: Pump,
    is_finished: bool,
}

impl Way {
    async fn run<R: Read, W: Write>(&mut self, from: &mut R, to: &mut W) -> Result<()> {
        if self.is_finished {
            return Ok(());
        }
        self.pump.run(from, to).await?;
        to.finish().await?;
        self.is_finished = true;
        Ok(())
    }
}

/// Polls what is not done.
fn poll_unless(
    is_done: &mut bool,
    future: Pin<&mut impl Future<Output = Result<()>>>,
    cx: &mut Context<'_>,
) -> Result<()> {
    if *is_done {
        return Ok(());
    }
    match future.poll(cx) {
        Poll::Ready(ended) => {
            *is_done = true;
            ended
        }
        Poll::Pending => Ok(()),
    }
}

impl<AR: Read, AW: Write, BR: Read, BW: Write> Bidirectional<AR, AW, BR, BW> {
    /// Between two streams, of each what it is read from and what it is written to: two shared references
    /// to it, say, or its two halves.
    pub fn new(a: (AR, AW), b: (BR, BW)) -> Self {
        Self { a, b, there: Way::default(), back: Way::default() }
    }

    /// Moves bytes until both have ended. When one ends, the other is told so, and the other way goes on.
    /// Returns what was [moved](Self::moved).
    ///
    /// # Errors
    ///
    /// Those of either side. It ends with the first; what was on its way is held here.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost: what was read and is not known to be written is held here, and the next
    /// run goes on with it.
    pub async fn run(&mut self) -> Result<(u64, u64)> {
        let Self { a, b, there, back } = self;
        {
            let mut there = pin!(there.run(&mut a.0, &mut b.1));
            let mut back = pin!(back.run(&mut b.0, &mut a.1));
            let (mut there_is_done, mut back_is_done) = (false, false);
            let mut there_first = false;
            poll_fn(|cx| {
                // Each goes first in turn: one that never waits would use up all turns of the task (S6).
                there_first = !there_first;
                let mut poll_there =
                    |cx: &mut Context<'_>| poll_unless(&mut there_is_done, there.as_mut(), cx);
                // Both are polled before an error of either ends it: what has been moved by then counts.
                let first = if there_first { poll_there(cx) } else { Ok(()) };
                let back = poll_unless(&mut back_is_done, back.as_mut(), cx);
                let there = if there_first { first } else { poll_there(cx) };
                if let Err(error) = there.and(back) {
                    return Poll::Ready(Err(error));
                }
                if there_is_done && back_is_done { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
            .await?;
        }
        Ok(self.moved())
    }

    /// How many bytes are known to be written so far, from the first stream to the second, and from the
    /// second to the first.
    pub fn moved(&self) -> (u64, u64) {
        (self.there.pump.moved(), self.back.pump.moved())
    }

    /// What was read and is not known to be written, from the first stream to the second, and from the
    /// second to the first. Some of it may be on its way, if a run was dropped: see [`Pump::held`].
    pub fn held(&self) -> (&[u8], &[u8]) {
        (self.there.pump.held(), self.back.pump.held())
    }

    /// The two streams. What is held is lost.
    #[allow(clippy::type_complexity, reason = "they are what it was made of")]
    pub fn into_inner(self) -> ((AR, AW), (BR, BW)) {
        (self.a, self.b)
    }
}
