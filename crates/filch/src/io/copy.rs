//! Copying a source to a sink, in one call.

use super::pump::flush_meanwhile;
use super::{BufRead, Pump, Read, Write, retry_interrupted};
use crate::io::write::takes_no_more;
use std::io::Result;

/// Reads everything from `from` and writes it to `to`. Flushes that at the end, and whenever there is nothing
/// to read. Returns how many bytes there were.
///
/// # Errors
///
/// Those of either side.
///
/// # Cancel safety
///
/// Dropped, up to 64 KiB that were read may not be written, or be written a little later. To go on after
/// that, use a [`Pump`], which holds them.
#[doc(alias = "sendfile")]
pub async fn copy<R, W>(from: &mut R, to: &mut W) -> Result<u64>
where
    R: Read + ?Sized,
    W: Write + ?Sized,
{
    Pump::new().run(from, to).await
}

/// As [`copy`], of a source that reads ahead, without a buffer of its own.
///
/// # Errors
///
/// Those of either side. What is not written is still in `from`.
///
/// # Cancel safety
///
/// Dropped, what is not known to be written is still in `from`. Some of it may be on its way:
/// [`settle`](Write::settle) the sink, [`consume`](BufRead::consume) as much, and copy again, and nothing is
/// lost or doubled.
pub async fn copy_buf<R, W>(from: &mut R, to: &mut W) -> Result<u64>
where
    R: BufRead + ?Sized,
    W: Write + ?Sized,
{
    let mut copied = 0;
    loop {
        if from.buffer().is_empty() {
            let reading = async { retry_interrupted!(from.fill_more().await) };
            flush_meanwhile(reading, to).await?;
        }
        let ahead = from.buffer();
        if ahead.is_empty() {
            to.flush().await?;
            return Ok(copied);
        }
        let written = retry_interrupted!(to.write(ahead).await)?;
        if written == 0 {
            return Err(takes_no_more());
        }
        from.consume(written);
        copied += written as u64;
    }
}
