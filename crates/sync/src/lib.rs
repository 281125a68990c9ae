//! Synchronisation primitives for async code, on any executor.
//!
//! They know no I/O and no runtime: a future of theirs works wherever it is polled. Common to all:
//! waiters are served in the order in which they first waited, and a waiter that is dropped at any of
//! its polls leaves nothing behind and loses nothing (C1).
//!
//! ```
//! use filch_sync::Lock;
//! use std::future::Future;
//! use std::pin::pin;
//! use std::task::{Context, Poll, Waker};
//!
//! let lock = Lock::new(1);
//! let mut cx = Context::from_waker(Waker::noop());
//! let Poll::Ready(mut guard) = pin!(lock.lock()).poll(&mut cx) else { panic!("nobody holds it") };
//! *guard += 1;
//! assert!(lock.try_lock().is_none());
//! drop(guard);
//! assert_eq!(lock.into_inner(), 2);
//! ```
//!
//! | | |
//! |---|---|
//! | [`Lock`] | a value that one task at a time may use |
//! | [`RwLock`] | a value that many may read, or one change |
//! | [`Semaphore`], [`BoundedSemaphore`] | so many at a time |
//! | [`Queue`], [`LifoQueue`], [`PriorityQueue`] | items from many to many, each to one; with room for so many, and an end |
//! | [`Event`] | something happened, and whoever waits for it goes on |
//! | [`Condition`] | wait, with a lock, until what it guards is as wanted |
//! | [`Barrier`] | so many meet, and go on together |
//! | [`promise()`], [`shared_promise()`] | one value, given once, to one or to many |
//! | [`watch()`] | the latest value, to many |
//! | [`broadcast()`] | every value, to many |
//! | [`OnceCell`] | a value that is made by whoever needs it first |
//!
//! What each of them promises is numbered in `docs/semantics.md`.

#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only: it is built on io_uring");

/// A `const fn`, save under the model checkers, whose atomics and locks cannot be made at compile time.
macro_rules! const_unless_modelled {
    ($(#[$attr:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> Self $body:block) => {
        $(#[$attr])*
        #[cfg(not(any(filch_loom, filch_shuttle)))]
        $vis const fn $name($($arg: $ty),*) -> Self $body

        $(#[$attr])*
        #[cfg(any(filch_loom, filch_shuttle))]
        $vis fn $name($($arg: $ty),*) -> Self $body
    };
}

mod barrier;
mod blocking;
mod broadcast;
mod condition;
mod crowd;
mod event;
mod lock;
mod once_cell;
mod permits;
mod promise;
pub mod queue;
mod rwlock;
mod semaphore;
#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod testing;
mod wait_list;
mod watch;

pub use barrier::{Barrier, BarrierWait, BrokenBarrier};
pub use broadcast::{Broadcast, BroadcastSender, RecvError, TryRecvError, broadcast};
pub use condition::{Condition, ConditionWait};
pub use event::{Event, EventWait, OwnedEventWait};
pub use lock::{Acquire, AcquireOwned, Guard, Lock, OwnedGuard};
pub use once_cell::{OnceCell, SetError};
pub use permits::{Closed, TryAcquireError};
pub use promise::{
    Abandoned, Promise, PromiseDropped, Setter, SharedPromise, SharedSetter, TryGetError, Unwanted,
    promise, shared_promise,
};
pub use queue::{LifoQueue, PriorityQueue, Queue};
pub use rwlock::{
    AcquireRead, AcquireReadOwned, AcquireWrite, AcquireWriteOwned, OwnedReadGuard,
    OwnedWriteGuard, ReadGuard, RwLock, WriteGuard,
};
pub use semaphore::{
    AcquirePermits, AcquirePermitsOwned, BoundedSemaphore, OverRelease, OwnedPermit, Permit,
    Semaphore,
};
pub use watch::{SendersGone, Watch, WatchRef, WatchSender, watch};
