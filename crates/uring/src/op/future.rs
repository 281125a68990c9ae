//! The future of one operation.

use super::Operation;
use crate::cell::{Handle, Home, Key, Message, Polled};
use crate::driver::{Remote, unpark_for_mail};
use crate::error::NoDriver;
use crate::local::Local;
use crate::sys;
use filch_atomic::current;
use filch_atomic::scope::{self, Leaf};
use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The future of one operation.
///
/// Its first poll stages it, in the current thread's driver, or, on a thread without one, through the
/// [`Remote`] it was given. Later polls may happen on any thread: they look at the operation's cell. It
/// is `Unpin`, so it can be kept and polled by `&mut`: an object whose read future is dropped keeps the
/// pending operation itself, and nothing that arrives is lost (C1).
///
/// # Cancel safety
///
/// Dropping it in flight gives the result up: the kernel is asked to stop (if
/// [`Operation::CANCEL_ON_DROP`]), whatever it did by then is disposed of, and everything the operation
/// owns is freed when the kernel is done. To learn the result, [`cancel`](Self::cancel) it and await it.
#[must_use = "an operation does nothing unless it is polled"]
pub struct Op<T: Operation> {
    state: State<T>,
    /// Somebody asked for it to stop.
    is_cancelled: bool,
    /// The scope that it was waited for in was cancelled, and the kernel asked to stop it for that.
    is_stopping: bool,
    /// Its place in the cancel scope that it is waited for in, if there is one.
    leaf: Option<Box<Leaf>>,
    resource: usize,
    location: &'static Location<'static>,
}

enum State<T: Operation> {
    /// Not staged yet.
    New(T, Option<Remote>),
    /// In a cell.
    Staged(Handle<T>),
    /// Cancelled before it was staged.
    Cancelled(T),
    /// The output was given out.
    Finished,
}

// No field is ever pinned: what the kernel has addresses of is in the cell.
impl<T: Operation> Unpin for Op<T> {}

impl<T: Operation> Op<T> {
    /// An operation for the driver of the thread that polls it first.
    #[track_caller]
    pub fn new(operation: T) -> Self {
        Self::with(operation, None)
    }

    /// As [`new`](Self::new); polled first on a thread without a driver, it goes to that of `remote`.
    #[track_caller]
    pub fn with_remote(operation: T, remote: Remote) -> Self {
        Self::with(operation, Some(remote))
    }

    #[track_caller]
    fn with(operation: T, remote: Option<Remote>) -> Self {
        // Without a descriptor: 0, which stands for nothing in particular.
        let resource = usize::try_from(operation.descriptor()).unwrap_or(0);
        let state = State::New(operation, remote);
        let location = Location::caller();
        Self { state, is_cancelled: false, is_stopping: false, leaf: None, resource, location }
    }

    /// Says where in the source it is waited for from now on, in place of where it was made: an object
    /// that keeps an operation from one future to the next says it for each.
    pub fn waited_for_at(&mut self, location: &'static Location<'static>) {
        self.location = location;
    }

    /// As [`Future::poll`]; on the first poll, if the thread has no driver, `remote` is asked for one.
    /// Saves counting references per operation where the caller can look one up.
    pub fn poll_or(
        &mut self,
        cx: &mut Context<'_>,
        remote: impl FnOnce() -> Option<Remote>,
    ) -> Poll<T::Output> {
        if let State::Staged(handle) = &mut self.state {
            return match handle.poll(cx.waker()) {
                Polled::Pending => {
                    self.wait(cx.waker());
                    Poll::Pending
                }
                Polled::Done => {
                    if current::poll_proceed(cx).is_pending() {
                        self.tell_later();
                        return Poll::Pending;
                    }
                    let (operation, result) = self.take();
                    self.leaf = None;
                    let was_stopping = mem::take(&mut self.is_stopping);
                    let is_unbegun =
                        result == sys::NOT_BEGUN || was_stopping && sys::was_given_up(result);
                    if is_unbegun && !self.is_cancelled {
                        // Nothing has happened (C2): the thread that was to stage it is stuck in something, or
                        // its scope is cancelled. It begins elsewhere, if it is polled where it may.
                        self.state = State::New(operation, None);
                        return self.start(cx.waker(), remote);
                    }
                    Poll::Ready(operation.complete(sys::result(result)))
                }
                Polled::Lost => {
                    self.state = State::Finished;
                    self.leaf = None;
                    Poll::Ready(T::lost(NoDriver::Lost.into()))
                }
            };
        }
        self.start(cx.waker(), remote)
    }

    /// The first poll.
    fn start(&mut self, waker: &Waker, remote: impl FnOnce() -> Option<Remote>) -> Poll<T::Output> {
        if matches!(self.state, State::New(..)) && scope::here_is_cancelled() {
            return self.refuse(waker);
        }
        // First, for it may panic: then the operation is as it was.
        let own = waker.clone();
        let (operation, own_remote) = match mem::replace(&mut self.state, State::Finished) {
            State::New(operation, own_remote) => (operation, own_remote),
            State::Cancelled(operation) => {
                return Poll::Ready(operation.complete(Err(NoDriver::Cancelled.into())));
            }
            State::Staged(_) | State::Finished => {
                panic!("an operation polled after it was finished")
            }
        };
        if let Err(error) = operation.check() {
            return Poll::Ready(operation.complete(Err(error)));
        }
        let refused = if let Some(local) = Local::current() {
            Ok(local.submit(operation, own))
        } else if let Some(remote) = own_remote {
            submit_remotely(&remote, operation, own, Message::SubmitHere)
        } else if let Some(remote) = remote() {
            submit_remotely(&remote, operation, own, Message::Submit)
        } else {
            Err((operation, NoDriver::None))
        };
        match refused {
            Ok(handle) => {
                // In place of `Finished`, in which there is nothing to drop.
                mem::forget(mem::replace(&mut self.state, State::Staged(handle)));
                self.wait(waker);
                Poll::Pending
            }
            Err((operation, reason)) => Poll::Ready(operation.complete(Err(reason.into()))),
        }
    }

    /// Nothing begins in a scope that is cancelled: who waits there is dropped. Unless it is polled elsewhere: it
    /// has a place there to hear of that.
    #[cold]
    fn refuse(&mut self, waker: &Waker) -> Poll<T::Output> {
        current::note_wait(T::WAIT, self.resource, self.location);
        if !self.leaf.as_ref().is_some_and(|leaf| leaf.was_refused() && leaf.is_here()) {
            // The former one first.
            self.leaf = None;
            self.leaf = Leaf::refused_here().map(Box::new);
        }
        if let Some(leaf) = &self.leaf {
            leaf.register(waker);
        }
        if scope::is_refused_in_passing() {
            waker.wake_by_ref();
        }
        Poll::Pending
    }

    /// It is done, and its task has used up its turn. Its boundary waits for it to be told.
    #[cold]
    fn tell_later(&mut self) {
        if let Some(leaf) = &mut self.leaf
            && leaf.is_cancelled()
        {
            leaf.end().wake_by_ref();
        }
    }

    /// It is in flight, and waited for.
    #[inline]
    fn wait(&mut self, waker: &Waker) {
        current::note_wait(T::WAIT, self.resource, self.location);
        if self.leaf.is_some() || scope::is_bounded() {
            self.wait_in_scope(waker);
        }
    }

    /// Has its place in the scope of this thread. If that is cancelled, asks the kernel to stop, and the
    /// boundary to wait for the last completion: what was done by then is delivered (C2).
    #[cold]
    fn wait_in_scope(&mut self, waker: &Waker) {
        if !self.leaf.as_ref().is_some_and(|leaf| leaf.is_here() && !leaf.was_refused()) {
            // The former one first.
            self.leaf = None;
            self.leaf = Leaf::here().map(Box::new);
        }
        let (Some(leaf), State::Staged(handle)) = (&mut self.leaf, &mut self.state) else { return };
        leaf.register(waker);
        if !leaf.is_cancelled() {
            return;
        }
        let ending = leaf.end();
        if !mem::replace(&mut self.is_stopping, true) && !self.is_cancelled {
            request_cancel(handle);
        }
        if handle.poll(&ending) != Polled::Pending {
            // Just now, and nobody else wakes it.
            ending.wake_by_ref();
        }
    }

    /// Takes an operation that is done out of its cell, and the kernel's result.
    fn take(&mut self) -> (T, i32) {
        let State::Staged(handle) = mem::replace(&mut self.state, State::Finished) else {
            unreachable!("only a staged operation is done");
        };
        let local = Local::current();
        let owner = local.as_deref().and_then(|local| local.owner_of(&handle));
        handle.take(owner)
    }

    /// Asks the kernel to stop. The operation still has to be awaited: its output is an error
    /// (`ECANCELED`, or [`NoDriver::Cancelled`] if it was never staged) if it stopped, and its ordinary
    /// result if that was faster (C2).
    pub fn cancel(&mut self) {
        let was_asked = mem::replace(&mut self.is_cancelled, true) || self.is_stopping;
        match mem::replace(&mut self.state, State::Finished) {
            State::New(operation, _) => self.state = State::Cancelled(operation),
            State::Staged(handle) => {
                if !was_asked {
                    request_cancel(&handle);
                }
                self.state = State::Staged(handle);
            }
            other => self.state = other,
        }
    }

    /// Whether its output was taken, and nothing is left in it: it may as well be forgotten as dropped.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Finished) && self.leaf.is_none()
    }

    /// Whether it was staged and its output not taken yet.
    pub fn is_in_flight(&self) -> bool {
        matches!(self.state, State::Staged(_))
    }

    /// Whether the kernel was asked to stop it because the scope that it was waited for in was cancelled. If it
    /// did, the next poll begins it anew, where it may: who must not have that [cancels](Self::cancel) it.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Whether the output is there for the next poll to take.
    pub fn is_done(&self) -> bool {
        matches!(&self.state, State::Staged(handle) if handle.is_done())
    }
}

impl<T: Operation> Future for Op<T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        self.poll_or(cx, || None)
    }
}

impl<T: Operation> Drop for Op<T> {
    #[inline]
    fn drop(&mut self) {
        // As a rule it is over, or was never begun.
        if self.is_in_flight() {
            self.leave();
        }
    }
}

impl<T: Operation> Op<T> {
    /// Gives up what is in flight.
    #[cold]
    #[inline(never)]
    fn leave(&mut self) {
        let State::Staged(handle) = mem::replace(&mut self.state, State::Finished) else {
            return;
        };
        // First the request, then the farewell: after that the cell, and with it what keeps the home
        // alive, may be gone.
        if T::CANCEL_ON_DROP && !handle.is_done() {
            request_cancel(&handle);
        }
        let Some(mut handle) = handle.leave() else { return };
        // Polled and then dropped, it runs to its end, though a rescuer gave it back meanwhile.
        let is_to_stop = self.is_cancelled || self.is_stopping;
        if !T::CANCEL_ON_DROP && !is_to_stop && handle.was_not_begun() {
            handle = match handle.begin_unheard() {
                Ok(()) => return,
                Err(handle) => handle,
            };
        }
        let local = Local::current();
        let owner = local.as_deref().and_then(|local| local.owner_of(&handle));
        let ward = handle.home().ward.clone();
        let (operation, result) = handle.take(owner);
        match ward {
            Some(ward) => ward.dispose(operation, result),
            None => operation.dispose(sys::result(result)),
        }
    }
}

impl<T: Operation> fmt::Debug for Op<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::New(..) => "new",
            State::Staged(_) => "staged",
            State::Cancelled(_) => "cancelled",
            State::Finished => "finished",
        };
        f.debug_struct("Op").field("kind", &T::NAME).field("state", &state).finish_non_exhaustive()
    }
}

fn submit_remotely<T: Operation>(
    remote: &Remote,
    operation: T,
    waker: Waker,
    message: fn(Key) -> Message,
) -> Result<Handle<T>, (T, NoDriver)> {
    let submitted = remote.home().submit(operation, waker, message);
    let handle = submitted.map_err(|operation| (operation, NoDriver::Gone))?;
    unpark_for_mail(remote.home());
    Ok(handle)
}

/// On the owner's thread stages a cancel; elsewhere leaves the owner a message (D3). So also there if it has
/// mail: the operation may have been sent from elsewhere, and be in it.
fn request_cancel<T: Operation>(handle: &Handle<T>) {
    match Local::current() {
        Some(local) if local.owner_of(handle).is_some() && handle.home().inbox.is_empty() => {
            local.cancel(handle.key());
        }
        _ => send_cancel(handle.home(), handle.key()),
    }
}

fn send_cancel(home: &Home, key: Key) {
    home.inbox.push(Message::Cancel(key));
    unpark_for_mail(home);
}
