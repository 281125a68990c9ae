//! A work-stealing async runtime for Linux on io_uring: `Send` futures, completion I/O, and nothing lost
//! when a future is dropped.
//!
//! A [`Runtime`] has one worker per core. Each worker has a ring of io_uring and a queue of tasks. A task
//! that reads a socket or a file leaves an operation in the ring of the worker it runs on and is
//! suspended; the kernel does the work; the worker that reaps the completion queues the task again. A
//! worker with nothing to do steals tasks from the others: *tasks move, operations stay* where they
//! were submitted, and any worker may look at their result.
//!
//! What a future has in flight does not belong to the future. A stream keeps its pending read and a
//! listener its pending accept, so a future that is dropped (by a timeout, a `select!`, a cancelled
//! task) leaves the bytes and the connection to the next one that asks.
//!
//! ```
//! use filch::io::{Read, Write};
//!
//! #[filch::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     let server = filch::spawn(async move {
//!         let (mut stream, _peer) = listener.accept().await?;
//!         stream.write_all(b"hello").await
//!     });
//!     let mut stream = filch::net::TcpStream::connect(address).await?;
//!     let mut greeting = String::new();
//!     stream.read_to_string(&mut greeting).await?;
//!     assert_eq!(greeting, "hello");
//!     server.await.expect("the server does not panic")
//! }
//! ```
//!
//! Coming from tokio, most names are where you expect them; from asyncio, `docs/asyncio.md` and `#[doc(alias)]` lead
//! the way.
//! The invariants that the documentation cites (S1, D1, C1, ..) are in `docs/architecture.md`.

#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only: it is built on io_uring");

// In a model there are no workers: only what outlives futures is there.
#[cfg(not(filch_loom))]
pub mod cpu;
#[cfg(not(filch_loom))]
mod error;
#[cfg(not(filch_loom))]
pub mod fs;
#[cfg_attr(filch_loom, allow(unused, reason = "models use a part"))]
mod half;
#[cfg(not(filch_loom))]
mod handle;
#[cfg_attr(filch_loom, allow(dead_code, reason = "models use a part"))]
mod handlers;
#[cfg_attr(filch_loom, allow(dead_code, reason = "models use a part"))]
mod home;
#[cfg(not(filch_loom))]
mod interrupt;
#[cfg(not(filch_loom))]
pub mod io;
#[cfg(filch_loom)]
pub mod models;
#[cfg_attr(filch_loom, allow(dead_code, reason = "models use a part"))]
pub mod net;
#[cfg(not(filch_loom))]
pub mod process;
#[cfg(not(filch_loom))]
mod ring_park;
#[cfg(not(filch_loom))]
mod runtime;
#[cfg(not(filch_loom))]
pub mod signal;
#[cfg(not(filch_loom))]
pub mod task;
#[cfg(not(filch_loom))]
#[doc(hidden)]
pub mod testing;
#[cfg(not(filch_loom))]
pub mod time;
#[cfg(not(filch_loom))]
mod time_slice;
#[cfg(not(filch_loom))]
mod with;

#[cfg(not(filch_loom))]
pub use error::{BuildError, NoRuntime, RunError};
pub use filch_macros::{main, test};
#[cfg(not(filch_loom))]
pub use filch_sched::{BlockOnWorker, Enter, Submitted, WorkerMetrics, task_local};
#[cfg(not(filch_loom))]
pub use filch_structured::{local_scope, local_set, scope_with, spawn_local};
#[cfg(not(filch_loom))]
pub use handle::{Handle, Metrics, RingMetrics};
#[cfg(not(filch_loom))]
pub use interrupt::Interrupt;
#[cfg(not(filch_loom))]
pub use runtime::{Builder, Runtime, run};
#[cfg(not(filch_loom))]
pub use task::{
    Cancelled, ContextVar, GroupError, JoinError, JoinHandle, TaskGroup, cancellable,
    check_cancelled, group, is_cancelled, shield, shielded, spawn, spawn_blocking,
};
#[cfg(not(filch_loom))]
pub use task::{
    TaskSet, Until, as_completed, gather, gather_all, race, race_all, try_gather, try_gather_all,
};
#[cfg(not(filch_loom))]
pub use with::{Close, with};

/// Synchronisation primitives, usable on any executor.
pub mod sync {
    #[doc(inline)]
    pub use filch_sync::*;
}

/// Waits for several futures at once, in one task, and gives all their outputs.
pub use tokio::join;
/// Waits for the first of several futures, in one task, and drops the others, as they are. [`race()`] cancels them and
/// waits for their clean-up.
///
/// # Cancel safety
///
/// What the dropped futures had in flight is not lost where they are filch's own: the next future on
/// the same object finds it (C1).
pub use tokio::select;
/// Waits for several fallible futures at once, in one task, until all succeed or one fails.
pub use tokio::try_join;

/// The example in the README compiles and does what it says.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The examples of the page for those who come from asyncio compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/asyncio.md")]
struct Asyncio;

/// The example of the page on cancelling does what it says.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/cancellation.md")]
struct Cancellation;

/// The examples of the page on borrowing do what it says.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/borrowing.md")]
struct Borrowing;
