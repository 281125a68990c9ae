//! The one place where filch meets the machine's memory model, and the small pieces its crates share.
//!
//! The scheduler, the driver and the primitives never name `std::sync::atomic` themselves. They take
//! atomics, fences, cells, locks, threads and the work-stealing deque from here, and a private cfg
//! decides what those are:
//!
//! | cfg | atomics, locks, threads | deque |
//! |---|---|---|
//! | none | `std` and `parking_lot` | `crossbeam-deque` |
//! | `filch_loom` | `loom` (every interleaving, weak memory) | a stand-in as weak as the real one |
//! | `filch_shuttle` | `shuttle` (random schedules of whole programs) | the same stand-in |
//!
//! Beside the switch live five pieces that more than one crate needs: [`WakerCell`] (one waker, set
//! by one side and taken by the other), [`Inbox`] (messages from any thread to one owner),
//! [`current`] (what is known of the task being polled on this thread), [`scope`] (what a cancel
//! reaches) and [`panics`] (of code that is anybody's).
//!
//! ```
//! use filch_atomic::{Inbox, thread};
//! use std::sync::Arc;
//!
//! let inbox = Arc::new(Inbox::new());
//! let sender = inbox.clone();
//! thread::spawn(move || sender.push("hello")).join().unwrap();
//! let mut mail = Vec::new();
//! inbox.drain(&mut mail);
//! assert_eq!(mail, ["hello"]);
//! ```
//!
//! This crate promises nothing to outsiders: it changes whenever the crates above it need it to.

#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only: it is built on io_uring");
#[cfg(all(filch_loom, filch_shuttle))]
compile_error!("choose one model checker: filch_loom or filch_shuttle");

pub mod cell;
pub mod current;
pub mod deque;
mod inbox;
#[cfg(any(filch_loom, filch_shuttle))]
mod model;
pub mod panics;
pub mod scope;
pub mod sync;
mod waker_cell;

pub use inbox::Inbox;
pub use waker_cell::WakerCell;

/// Threads: spawn, join, yield, park.
pub mod thread {
    #[cfg(filch_loom)]
    pub use crate::model::parking::{Thread, current, park};
    #[cfg(filch_loom)]
    pub use loom::thread::{JoinHandle, spawn, yield_now};
    #[cfg(filch_shuttle)]
    pub use shuttle::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
    #[cfg(not(any(filch_loom, filch_shuttle)))]
    pub use std::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
}

/// What a spin loop must call on each turn, or a model checker never leaves it.
pub mod hint {
    #[cfg(filch_loom)]
    pub use loom::hint::spin_loop;
    #[cfg(filch_shuttle)]
    pub use shuttle::hint::spin_loop;
    #[cfg(not(any(filch_loom, filch_shuttle)))]
    pub use std::hint::spin_loop;
}

/// Declares a thread-local that each *modelled* thread has its own of.
///
/// Written as with [`std::thread_local`], one static each; `const { .. }` initialisers are kept in the
/// real build (no lazy initialisation, so a signal handler may read one) and unwrapped for a model.
#[cfg(not(any(filch_loom, filch_shuttle)))]
#[macro_export]
macro_rules! thread_local {
    ($($tokens:tt)*) => { ::std::thread_local! { $($tokens)* } };
}

/// Declares a thread-local that each *modelled* thread has its own of.
#[cfg(any(filch_loom, filch_shuttle))]
#[macro_export]
macro_rules! thread_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $ty:ty = const { $($init:tt)* }; $($rest:tt)*) => {
        $crate::modelled_thread_local! { $(#[$attr])* $vis static $name: $ty = { $($init)* }; }
        $crate::thread_local! { $($rest)* }
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $ty:ty = const { $($init:tt)* }) => {
        $crate::modelled_thread_local! { $(#[$attr])* $vis static $name: $ty = { $($init)* }; }
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $ty:ty = $init:expr; $($rest:tt)*) => {
        $crate::modelled_thread_local! { $(#[$attr])* $vis static $name: $ty = $init; }
        $crate::thread_local! { $($rest)* }
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $ty:ty = $init:expr) => {
        $crate::modelled_thread_local! { $(#[$attr])* $vis static $name: $ty = $init; }
    };
}

#[cfg(filch_loom)]
#[doc(hidden)]
pub use loom::thread_local as modelled_thread_local;
#[cfg(filch_shuttle)]
#[doc(hidden)]
pub use shuttle::thread_local as modelled_thread_local;
