//! Those who wait until nothing else can run.

use super::{Stillness, Workers};
use filch_atomic::current::{WaitKind, note_wait};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Those who wait for the stillness.
#[derive(Debug, Default)]
pub(super) struct Settling {
    waiting: Vec<(u64, Waker)>,
    /// The number of the next one.
    next: u64,
}

impl Settling {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all of them, if there are any.
    pub(super) fn release(&mut self) -> Option<Vec<Waker>> {
        let released = std::mem::take(&mut self.waiting);
        (!released.is_empty()).then(|| released.into_iter().map(|(_, waker)| waker).collect())
    }
}

/// The future of [`Stillness::settled`].
///
/// # Cancel safety
///
/// Dropped, it leaves nothing behind.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Settled {
    still: Arc<Stillness>,
    number: Option<u64>,
    is_over: bool,
    location: &'static Location<'static>,
    /// Whose worker 0 is to look again, if nobody does so by himself.
    workers: Option<Arc<dyn Workers>>,
}

impl Stillness {
    /// Waits until nothing can run but those who wait for just that.
    #[track_caller]
    pub fn settled(self: &Arc<Self>) -> Settled {
        Settled {
            still: self.clone(),
            number: None,
            is_over: false,
            location: Location::caller(),
            workers: None,
        }
    }
}

impl Settled {
    /// The same among whole `workers`, on behalf of the code at `location`. `None` if they keep none.
    pub fn of(workers: &Arc<impl Workers>, location: &'static Location<'static>) -> Option<Self> {
        let mut settled = workers.stillness()?.settled();
        settled.location = location;
        settled.workers = Some(workers.clone());
        Some(settled)
    }

    /// Somebody began to wait. A worker that does so is up, and looks before it is still; others may all be still, and
    /// have seen that nobody waits.
    fn tell(&self) {
        if let Some(workers) = &self.workers
            && !workers.are_here()
        {
            workers.unpark(0);
        }
    }
}

impl Future for Settled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_over {
            return Poll::Ready(());
        }
        // Cloning and dropping wakers is foreign code: under no lock (D8).
        let waker = cx.waker().clone();
        let still = self.still.clone();
        let mut state = still.state.lock();
        let settling = &mut state.settling;
        let is_new = self.number.is_none();
        let unneeded = match self.number {
            None => {
                let number = settling.next;
                settling.next += 1;
                settling.waiting.push((number, waker));
                self.number = Some(number);
                None
            }
            Some(number) => match settling.waiting.iter_mut().find(|(it, _)| *it == number) {
                Some((_, former)) => Some(std::mem::replace(former, waker)),
                None => {
                    drop(state);
                    self.is_over = true;
                    return Poll::Ready(());
                }
            },
        };
        drop(state);
        drop(unneeded);
        if is_new {
            self.tell();
        }
        note_wait(WaitKind::Other, 0, self.location);
        Poll::Pending
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.still.state.lock();
        let waiting = &mut state.settling.waiting;
        let place = waiting.iter().position(|(it, _)| *it == number);
        let waker = place.map(|place| waiting.remove(place));
        drop(state);
        // Here, under no lock (D8).
        drop(waker);
    }
}
