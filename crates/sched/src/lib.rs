//! The work-stealing scheduler of filch: tasks, per-core queues, timers and the blocking pool.
//!
//! A [`Scheduler`] has one worker per core, each on a thread of its own. A worker runs the tasks of its
//! own queue, takes over half of another's when that is empty, and sleeps when there is nothing left.
//! What it sleeps *in* it does not know: that is a [`Park`], one per worker, which the crate above
//! provides (a ring of io_uring, say). Between the two there is nothing but that seam, so all of this
//! crate can be tested, and model-checked, on a machine without io_uring.
//!
//! A task is one allocation. It is woken into the slot or the queue of the worker that woke it, or into
//! the injector by anybody else; any worker may steal it from either (S1).
//!
//! ```
//! use filch_sched::task::Builder;
//! use filch_sched::{Config, ThreadPark, run};
//!
//! let answer = run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
//!     let task = filch_sched::spawn(async { 6 * 7 }, Builder::new().name("answer").meta());
//!     task.await.unwrap()
//! });
//! assert_eq!(answer.unwrap(), 42);
//! ```
//!
//! This crate promises nothing to outsiders: `filch` is the one to depend on.

#[cfg(not(target_os = "linux"))]
compile_error!("filch runs on Linux only: it is built on io_uring");

pub mod blocking;
pub mod clock;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod closing;
#[cfg_attr(filch_loom, path = "context_model.rs")]
mod context;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod idle;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod injector;
mod park;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod peer_cell;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod queue;
pub mod scope;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod slot;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod still;
mod submit;
pub mod task;
mod thread_park;
pub mod timer;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod wake_flag;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod watch;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod wind_up;

#[cfg(filch_loom)]
pub use context::{set_own_timers, set_timers};
pub use park::{Leaked, Park, Peer};
pub use still::InFlight;
pub use submit::Submitted;
pub use thread_park::{ThreadPark, ThreadPeer};

// What the parts above are put together to. A model takes the parts and puts them together itself.
#[cfg(not(filch_loom))]
mod block_on;
#[cfg(not(filch_loom))]
mod handle;
#[cfg(not(filch_loom))]
mod keeper;
#[cfg(not(filch_loom))]
mod left;
#[cfg(not(filch_loom))]
mod local;
#[cfg(not(filch_loom))]
mod main_task;
#[cfg(not(filch_loom))]
mod metrics;
#[cfg(not(filch_loom))]
mod order;
#[cfg(not(filch_loom))]
mod rng;
#[cfg(not(filch_loom))]
mod scheduler;
#[cfg(not(filch_loom))]
mod search;
#[cfg(not(filch_loom))]
mod shared;
#[cfg(not(filch_loom))]
mod worker;

#[cfg(not(filch_loom))]
pub use {
    block_on::BlockOnWorker,
    context::{Enter, NO_RUNTIME, Role, deliberately, role, with_handle, worker_index},
    handle::Handle,
    keeper::Keeper,
    left::Left,
    main_task::Interrupter,
    metrics::WorkerMetrics,
    order::Order,
    scheduler::{Config, ParkError, Scheduler, StartError, run, run_interruptible},
    spawn::{spawn, spawn_shield},
    still::{NotVirtual, advance, settle},
};

#[cfg(not(filch_loom))]
mod spawn {
    //! Spawning onto whatever scheduler the thread belongs to.

    use crate::NO_RUNTIME;
    use crate::task::{JoinHandle, Meta};
    use crate::with_handle;
    use std::future::Future;

    /// Spawns a task onto the scheduler of this thread: its worker's, or the one it has entered.
    ///
    /// # Panics
    ///
    /// On a thread without a scheduler.
    #[track_caller]
    pub fn spawn<F>(future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let spawned = with_handle(|handle| handle.map(|handle| handle.spawn(future, meta)));
        match spawned {
            Some(handle) => handle,
            None => panic!("{NO_RUNTIME}"),
        }
    }

    /// As [`spawn`], a task that the end of the scheduler waits for ([`Handle::spawn_shield`]).
    ///
    /// [`Handle::spawn_shield`]: crate::Handle::spawn_shield
    ///
    /// # Panics
    ///
    /// On a thread without a scheduler.
    #[track_caller]
    pub fn spawn_shield<F>(future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let spawned = with_handle(|handle| handle.map(|handle| handle.spawn_shield(future, meta)));
        match spawned {
            Some(handle) => handle,
            None => panic!("{NO_RUNTIME}"),
        }
    }
}
