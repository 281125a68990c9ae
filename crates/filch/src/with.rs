//! A resource, and code that uses it: it is closed behind that, on every path.

use crate::task::{Report, cancellable, is_cancelled, shielded};
use filch_atomic::panics::{Payload, drop_caught, poll_and_end};
use filch_sched::scope::clean_up;
use filch_sched::task::report as tell;
use std::future::{Future, poll_fn};
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::task::Poll;

/// What is closed by something that waits, and may fail.
///
/// A destructor can do neither: it closes as well as it can, and nobody hears how that went.
#[doc(alias = "AsyncDrop")]
#[doc(alias = "AbstractAsyncContextManager")]
pub trait Close {
    /// What may go wrong.
    type Error: std::error::Error;

    /// Closes it, and says how that went.
    ///
    /// # Errors
    ///
    /// What went wrong with it, now or before. It is closed all the same.
    fn close(self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Runs `body` with a resource, closes that, and only then gives what the body gave.
///
/// The resource is closed behind a value, an error, a panic and a cancel, and the close is waited for. It is
/// shielded: no cancel and no timeout stops it in its midst. Where the way out is a cancel or a panic it is clean-up, and
/// has the runtime's grace (C4).
///
/// ```
/// use filch::fs::File;
/// use filch::io::Write;
///
/// # let path = std::env::temp_dir().join(format!("filch-with-doc-{}", std::process::id()));
/// # filch::run(async {
/// let written = filch::with(File::create(&path).await?, async |file| {
///     file.write_all(b"hello").await?;
///     Ok::<_, std::io::Error>(5)
/// });
/// // Had the close failed, that would be the error.
/// assert_eq!(written.await?, 5);
/// # std::fs::remove_file(&path)
/// # }).unwrap();
/// ```
///
/// In asyncio: `async with`.
///
/// # Errors
///
/// The body's, or else that of the close. A close that fails behind an error, a panic or a cancel has nobody
/// to tell: the error hook hears of it ([`Report::CloseFailed`]).
///
/// # Panics
///
/// With the panic of the body, when the resource is closed. If it is polled again behind a timeout, or a race, that
/// it was lent to (`&mut`) and that has ended it: it has nothing to give then.
///
/// # Cancel safety
///
/// *Cancelled*, the body is cut where it waits, the resource is closed, and then what is around is cut.
/// *Dropped* (by `select!`, an abort), it cannot wait: body and resource are dropped, and the resource's
/// destructor does what it can.
#[doc(alias = "async with")]
#[track_caller]
pub fn with<R, T, E, F>(resource: R, body: F) -> impl Future<Output = Result<T, E>>
where
    R: Close,
    E: From<R::Error>,
    F: AsyncFnOnce(&mut R) -> Result<T, E>,
{
    let at = Location::caller();
    async move {
        let mut resource = resource;
        let used = cancellable(async { body(&mut resource).await });
        match caught(used).await {
            Ok(Ok(Ok(value))) => {
                shielded(resource.close()).await?;
                Ok(value)
            }
            Ok(Ok(Err(error))) => {
                report(shielded(resource.close()).await, at);
                Err(error)
            }
            Ok(Err(_cancelled)) => {
                clean_up(async { report(resource.close().await, at) }, at).await;
                // The cancel is still in force: what is around is cut here.
                poll_fn(|_| {
                    assert!(
                        is_cancelled(),
                        "this was lent to a timeout or a race that has ended it"
                    );
                    Poll::Pending
                })
                .await
            }
            Err(payload) => {
                match caught(clean_up(async { report(resource.close().await, at) }, at)).await {
                    Ok(()) => {}
                    // The first one goes on.
                    Err(another) => {
                        tell(&Report::close_failed(at, "it panicked"));
                        drop_caught(another);
                    }
                }
                resume_unwind(payload)
            }
        }
    }
}

/// Polls `future`, and drops it when it is over; its panics, and those of its destructors, are given.
async fn caught<F: Future>(future: F) -> Result<F::Output, Payload> {
    let mut future = pin!(Some(future));
    poll_fn(|cx| match poll_and_end(future.as_mut(), |future| future.poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(payload)),
    })
    .await
}

/// The way out is taken already.
fn report<E: std::error::Error>(closed: Result<(), E>, at: &'static Location<'static>) {
    if let Err(error) = closed {
        tell(&Report::close_failed(at, error.to_string()));
    }
}
