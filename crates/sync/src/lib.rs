#![doc = include_str!("../README.md")]

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
