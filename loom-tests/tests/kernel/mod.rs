//! A driver that a model plays, and a kernel: what futures send to its inbox is completed as the model says.

use filch_uring::Remote;
use filch_uring::cell::{Home, Message, Owner};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::task::Waker;

/// The driver. It stays on its thread.
pub(crate) struct Kernel {
    owner: Owner,
    home: filch_atomic::sync::Arc<Home>,
    /// Operations that it has, and has not completed.
    begun: VecDeque<filch_uring::cell::Key>,
}

impl Kernel {
    /// One whose futures reach it by what [`remote`](Self::remote) returns.
    pub(crate) fn new() -> Self {
        Self::at(Home::for_model())
    }

    /// The same of a driver that sleeps, and is woken by `bell` as a ring is by its eventfd.
    #[allow(dead_code, reason = "each model uses its part")]
    pub(crate) fn of_a_sleeper(bell: Waker) -> Self {
        Self::at(Home::for_model_of_a_sleeper(bell))
    }

    fn at(home: filch_atomic::sync::Arc<Home>) -> Self {
        Self { owner: Owner::new(home.clone()), home, begun: VecDeque::new() }
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote::for_model(self.home.clone())
    }

    /// Takes what was sent, and completes as cancelled what is to be.
    pub(crate) fn look(&mut self) {
        let mut mail = Vec::new();
        self.home.inbox.drain(&mut mail);
        for message in mail {
            match message {
                Message::Submit(key) | Message::SubmitHere(key) => self.begun.push_back(key),
                Message::Cancel(key) => {
                    if let Some(at) = self.begun.iter().position(|begun| *begun == key) {
                        self.begun.remove(at);
                        // SAFETY: it was begun here, and is forgotten.
                        unsafe { self.owner.complete(key, -libc::ECANCELED) };
                    }
                }
            }
        }
    }

    /// Whether something was sent that it has not taken.
    #[allow(dead_code, reason = "each model uses its part")]
    pub(crate) fn has_mail(&self) -> bool {
        self.home.has_mail()
    }

    /// Whether it has operations that it has not completed.
    #[allow(dead_code, reason = "each model uses its part")]
    pub(crate) fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Completes the operation that was begun first with what `result` makes. False if there is none.
    pub(crate) fn complete(&mut self, result: impl FnOnce() -> i32) -> bool {
        let Some(key) = self.begun.pop_front() else { return false };
        // SAFETY: it was begun here, and is forgotten.
        unsafe { self.owner.complete(key, result()) };
        true
    }

    /// Ends: nothing is in flight that was not given up.
    pub(crate) fn end(mut self) {
        self.home.close();
        self.look();
        assert!(self.begun.is_empty(), "nobody gave it up");
    }
}

/// A future that a model can poll and drop while its operation completes.
pub(crate) fn modelled<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    let mut polled = false;
    poll_fn(move |cx| {
        if mem::replace(&mut polled, true) {
            // A poll in the midst of a completion wakes itself: let the completer get on.
            filch_atomic::thread::yield_now();
        } else {
            // Never freed: a cell takes two wakers for the same one by their address. Where an address is used
            // again, the allocator orders what came before, of which loom knows nothing.
            mem::forget(cx.waker().clone());
        }
        future.as_mut().poll(cx)
    })
}

/// A descriptor, and something that tells whether it is closed.
pub(crate) fn descriptor() -> (OwnedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    theirs.set_nonblocking(true).expect("it can be");
    (ours.into(), theirs)
}
