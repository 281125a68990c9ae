//! Building a runtime, running it, ending it.

use crate::error::{BuildError, RunError};
use crate::handle::Handle;
use crate::home::Rings;
use crate::interrupt::{self, Installed, Interrupt};
use crate::net::Pool;
use crate::ring_park::RingPark;
use crate::time_slice::{self, TimeSlice};
use filch_sched::clock::Clock;
use filch_sched::task::{ErrorHook, Report};
use filch_sched::{BlockOnWorker, Config, Enter, Order, ParkError, Scheduler};
use filch_uring::{Driver, Quarantine, Rescue};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Runs `main` to its end on this thread, which is a worker meanwhile, with as many workers as the
/// process may use cores. What is still running when `main` is done is cancelled, and waited for, as by
/// [`shutdown_timeout`](Runtime::shutdown_timeout).
///
/// The future needs neither `Send` nor `'static`, and its I/O costs what a spawned task's does.
///
/// ```
/// let answer = filch::run(async { filch::spawn(async { 42 }).await.unwrap() });
/// assert_eq!(answer, 42);
/// ```
///
/// # Ctrl-C
///
/// The first SIGINT asks `main` to end, as [`JoinHandle::cancel`](crate::JoinHandle::cancel) asks a task: boundaries in
/// it clean up. If that gives it an output after all, this returns it. Otherwise everything else is asked to end,
/// too, and then *the process dies of the signal*, so that the shell knows (it shows 130). The second SIGINT ends
/// the process there and then. A program that has a handler for the signal keeps it, and one that ignores
/// it goes on doing so; [`Builder::interrupt`] turns all this off.
///
/// # Panics
///
/// If the runtime cannot be built (the message says why and what to do; [`Builder::run`] returns it
/// instead), if this thread is a worker already, and with the panic of `main`.
#[track_caller]
#[doc(alias = "block_on")]
pub fn run<F: Future>(main: F) -> F::Output {
    Runtime::builder().run_main(main)
}

/// A running runtime. Its workers have threads of their own; this one is free.
///
/// Dropping it shuts it down as [`shutdown_timeout`](Self::shutdown_timeout) with the builder's
/// [`grace`](Builder::grace) does. Dropped by one of its own tasks it begins to shut down and does not
/// wait: the workers end on their own, this one after the present poll.
#[derive(Debug)]
pub struct Runtime {
    scheduler: Scheduler,
    handle: Handle,
}

impl Runtime {
    /// How a runtime is to be: begin with this.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A runtime with one worker per core that the process may use.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// What spawns onto this runtime from anywhere.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `future` on this thread, which sleeps while it waits. Tasks that it spawns run on the
    /// workers. (To make this thread a worker itself, see [`run`] and [`Builder::run`].)
    ///
    /// # Panics
    ///
    /// On a worker's thread, of whichever runtime: [`try_block_on`](Self::try_block_on) returns the
    /// error instead.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// As [`block_on`](Self::block_on).
    ///
    /// # Errors
    ///
    /// On a worker's thread, of whichever runtime.
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, BlockOnWorker> {
        self.handle.try_block_on(future)
    }

    /// Makes this the runtime of the current thread until the guard goes, so that [`spawn`](crate::spawn)
    /// and the constructors of sockets and files find it.
    pub fn enter(&self) -> Enter {
        self.handle.enter()
    }

    /// Asks every task to end, as [`JoinHandle::cancel`](crate::JoinHandle::cancel) does, and waits until all have:
    /// boundaries clean up, and what is shielded comes to its end. Then it waits until blocking closures and
    /// operations in progress are over, and closes the rings.
    ///
    /// All this takes `grace` at most. A task that has not stopped shortly before that is dropped where it waits,
    /// and reported through the error hook ([`Report::TaskNotStopped`]). What is stuck after that, a poll, a closure or an
    /// operation, is reported too and left behind: its thread, its ring and its buffers are leaked, never
    /// freed under the kernel (D7). With a grace of zero no task is asked: all are dropped at once.
    ///
    /// Meanwhile tasks may still spawn others, which are asked from the start; what other threads spawn is
    /// refused.
    pub fn shutdown_timeout(self, grace: Duration) {
        self.scheduler.shutdown(grace);
    }
}

/// How a [`Runtime`] is to be.
#[derive(Debug, Default)]
pub struct Builder {
    config: Config,
    ring: filch_uring::Config,
    no_rescue: bool,
    slice: Option<Option<Duration>>,
    quarantine: bool,
    leases: Option<usize>,
    interrupt: Interrupt,
    is_virtual: bool,
}

impl Builder {
    /// How many workers, at least 1. By default one per core that the process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self.config.order = Order::Warm;
        self
    }

    /// What the workers' threads are called; `-0`, `-1`, .. is added. By default `filch`.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.config.thread_name = name.into();
        self
    }

    /// How long shutting down may take before what is stuck is left behind. By default 5 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// At most so many threads for closures that block. By default 512.
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        self.config.blocking.cap = threads;
        self
    }

    /// How long a thread for closures that block stays when it has nothing to do. By default 10 s.
    pub fn blocking_keep_alive(mut self, keep_alive: Duration) -> Self {
        self.config.blocking.keep_alive = keep_alive;
        self
    }

    /// Where to report what has nobody else to go to: the panic or the error of a detached task, what
    /// is stuck at the end. By default one line on standard error.
    pub fn on_error(mut self, hook: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.config.hook = ErrorHook::new(hook);
        self
    }

    /// One worker, and the order of asyncio: tasks, the main future of [`run`](Self::run) among them, run in the order
    /// in which they were spawned or woken.
    ///
    /// It is the same scheduler as ever, without a second worker to steal from, so tasks are as they are elsewhere. With
    /// [`run`](Self::run) that worker is the calling thread; with [`build`](Self::build) it has one of its own.
    ///
    /// [`workers`](Self::workers) after this takes it back.
    #[doc(alias = "new_current_thread")]
    pub fn current_thread(mut self) -> Self {
        self.config.workers = 1;
        self.config.order = Order::Woken;
        self
    }

    /// One worker, and an order of tasks that is drawn from this number: which task of those that can runs next, the
    /// main future of [`run`](Self::run) among them, whatever order they were woken in. So a test finds orders that no
    /// machine happens to come upon, and finds them again.
    ///
    /// With [`virtual_time`](Self::virtual_time) too, a program runs alike for the same number, each time and on every
    /// machine, as long as nothing comes into it from outside: not the time it takes, nor other threads (blocking
    /// closures), nor sockets, and no randomness but its own. (The order of a `HashMap` is random, and the first
    /// arm that `select!` looks at, unless it is `biased`.)
    ///
    /// [`workers`](Self::workers) after this takes it back; the number is then for where they begin to steal.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.workers = 1;
        self.config.order = Order::Drawn;
        self.config.seed = seed;
        self
    }

    /// Whether the clock that sleeps, timeouts, intervals and [`Instant`](crate::time::Instant) go by is a virtual one.
    /// By default no.
    ///
    /// A virtual clock stands, and when nothing can run on any worker, it jumps to the next timer: an hour of sleep
    /// takes microseconds, and how long something took is exact. With something in flight in a ring it jumps when that
    /// has been quiet for a millisecond of real time: data on a socket, or a file, may still come. It does not
    /// jump while a blocking closure has not ended, nor while a thread polls a future in
    /// [`Runtime::block_on`]. See [`advance`](crate::time::advance) and [`settle`](crate::time::settle), too.
    ///
    /// What is about the runtime itself stays in real time: its [`grace`](Self::grace), what is reported as
    /// stuck, `wait_timeout`.
    ///
    /// # Deadlocks
    ///
    /// A blocking closure that waits for the clock (by `Handle::block_on` of a sleep) waits for itself. So does a thread
    /// in `block_on` that blocks, inside of that future, for what takes the clock: a `block_on` in the `block_on`, or the
    /// end of a task that it waits for without an `await`.
    #[doc(alias = "start_paused")]
    pub fn virtual_time(mut self, is_virtual: bool) -> Self {
        self.is_virtual = is_virtual;
        self
    }

    /// How many operations a worker's ring takes between two entries to the kernel before they queue in
    /// user space. Rounded up to a power of two; by default 256.
    pub fn ring_entries(mut self, entries: u32) -> Self {
        self.ring.entries = entries;
        self
    }

    /// How many results a worker's ring has room for before the kernel keeps the rest until there is. Nothing
    /// is lost then, it only costs system calls: more is for programs with many thousands of operations that
    /// may end at once. Rounded up to a power of two, and no fewer than
    /// [`ring_entries`](Self::ring_entries); by default 4096.
    pub fn ring_completions(mut self, completions: u32) -> Self {
        self.ring.completions = completions;
        self
    }

    /// Whether a worker that is stuck in a long poll may be sent a signal, so that what lies in its ring
    /// goes on meanwhile (S5). By default yes.
    ///
    /// The signal's handler runs on the stuck thread, in the middle of whatever code keeps it busy. It
    /// makes a few system calls and touches nothing else. But a wait of the system's that the signal
    /// interrupts may return `EINTR`: `poll`, `epoll_wait`, `nanosleep` and sockets with a time-out do,
    /// whatever the handler says. The standard library begins such waits again, most C libraries do too;
    /// turn this off where one that blocks your tasks does not. Then the tasks and timers of a stuck worker
    /// still go on elsewhere, only its completions wait.
    ///
    /// With one worker there is nobody to help, and no signal.
    pub fn rescue(mut self, rescue: bool) -> Self {
        self.no_rescue = !rescue;
        self
    }

    /// Which signal that is. By default SIGURG, which does nothing to a program that does not wait for it.
    /// A handler that is installed for it already is called as well.
    pub fn rescue_signal(mut self, number: i32) -> Self {
        self.ring.rescue = Rescue::Signal(number);
        self
    }

    /// How long the kernel lets a worker run before it looks for a thread that is more urgent, from 0.1 to
    /// 100 ms; `None` leaves it as it is, some 3 ms. By default 0.1 ms.
    ///
    /// A worker with short slices gets as much of the processor as any other thread, only sooner when it is
    /// woken on a core that is busy: behind one that burns processor time, answers come after a third of
    /// the time. It makes no difference while each worker has a core to itself. Threads that are started by a
    /// task inherit it; what a [`Command`](crate::process::Command) starts has the slice that the program was
    /// given. Before Linux 6.12, for threads with a real-time policy, and where a sandbox forbids it, nothing
    /// is changed.
    pub fn time_slice(mut self, slice: Option<Duration>) -> Self {
        self.slice = Some(slice);
        self
    }

    /// How long a worker may be stuck in one poll before that is reported through the error hook, with the
    /// task's name ([`Report::TaskStuck`]). By default 100 ms; `None` for never.
    pub fn report_stuck_after(mut self, time: Option<Duration>) -> Self {
        self.config.stuck_report = time;
        self
    }

    /// Whether to watch over the buffers of operations, for tests: that the kernel writes no more to them than
    /// it reports, and nothing to those that nobody waits for any more, which are kept for a while instead of
    /// being freed ([`filch_uring::quarantine`]). What is found is reported through the error hook
    /// ([`Report::MemoryWritten`]) and counted
    /// ([`RingMetrics::violations`](crate::RingMetrics::violations)). Costs a copy or a filling of each
    /// buffer, and some megabytes a worker. By default no.
    pub fn quarantine(mut self, quarantine: bool) -> Self {
        self.quarantine = quarantine;
        self
    }

    /// What SIGINT (Ctrl-C) does while [`run`](Self::run) runs its main future. By default the first one asks
    /// that to end, and the second one ends the process.
    ///
    /// One that is interrupted and has no output of its own is an error of `run`, once all other tasks have ended,
    /// too: [`RunError::Interrupted`]. (The function [`run`] ends the process then.) If the program has a handler
    /// for the signal when `run` begins, or ignores it, that is left alone; of several `run`s at a time the
    /// first one hears of the signal. When its main future is over the signal has its default again.
    ///
    /// With [`build`](Self::build) this has no effect: there is no main future.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = interrupt;
        self
    }

    /// Builds the runtime: starts the workers, each with its ring.
    ///
    /// # Errors
    ///
    /// If the system refuses io_uring or a thread: the error says which call failed, the likely cause
    /// and what to do.
    pub fn build(self) -> Result<Runtime, BuildError> {
        let (config, make_park) = self.into_parts();
        let scheduler = Scheduler::start(config, make_park)?;
        let handle = Handle::new(scheduler.handle().clone());
        Ok(Runtime { scheduler, handle })
    }

    /// At most so many receive buffers, of 16 KiB each, are lent at a time. By default 1,024. See
    /// [`Lease`](crate::net::Lease) for what happens when all are out: nobody waits.
    pub fn leases(mut self, leases: usize) -> Self {
        self.leases = Some(leases);
        self
    }

    /// Builds a runtime and runs `main` on this thread, which is worker 0 meanwhile. Returns when `main`
    /// is done and the runtime is shut down; and not while this thread is in a task's poll, which is reported when the grace
    /// is over ([`Report::ShutdownStuck`]). See [`run`].
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), if this thread is a worker already, and if `main` was
    /// [interrupted](Self::interrupt) and so has no output.
    ///
    /// # Panics
    ///
    /// With the panic of `main`.
    pub fn run<F: Future>(self, main: F) -> Result<F::Output, RunError> {
        let interrupt = self.interrupt;
        let (config, make_park) = self.into_parts();
        let prepare = |interrupter| match interrupt {
            Interrupt::CancelMain => Installed::new(interrupter),
            Interrupt::Leave => None,
        };
        let output = filch_sched::run_interruptible(config, make_park, main, prepare)?;
        output.ok_or(RunError::Interrupted)
    }

    /// As [`run`](Self::run), for a program that has nobody to tell of an error: what [`run`] and
    /// `#[filch::main]` do.
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[track_caller]
    pub fn run_main<F: Future>(self, main: F) -> F::Output {
        match self.run(main) {
            Ok(output) => output,
            Err(RunError::Interrupted) => interrupt::die(),
            Err(error) => panic!("{error}"),
        }
    }

    fn into_parts(
        self,
    ) -> (Config, impl Fn(usize) -> Result<RingPark, ParkError> + Send + Sync + 'static) {
        let workers = self.config.workers.max(1);
        let rings = Arc::new(Rings::new(workers, self.leases.unwrap_or(Pool::LEASES)));
        let mut config = Config { workers, extension: rings.clone(), ..self.config };
        if self.is_virtual {
            // One for each runtime.
            config.clock = Clock::virtual_time();
        }
        let mut ring = self.ring;
        if self.no_rescue || workers == 1 {
            ring.rescue = Rescue::Off;
        }
        let slice = self.slice.unwrap_or(Some(time_slice::SHORTEST));
        let (quarantine, hook) = (self.quarantine, config.hook.clone());
        let make_park = move |worker| {
            let mut ring = ring.clone();
            if quarantine {
                let hook = hook.clone();
                ring.quarantine = Some(Quarantine::new(move |violation| {
                    hook.report(&Report::memory_written(worker, violation.to_string()));
                }));
            }
            let driver = Driver::new(&ring)?;
            rings.set(worker, driver.remote());
            Ok(RingPark::new(driver, slice.and_then(TimeSlice::ask_for)))
        };
        (config, make_park)
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Rings, Runtime};
    use std::io::{PipeWriter, Write};
    use std::os::fd::AsRawFd;
    use std::sync::{Arc, Mutex};

    /// A read that was dropped with its stream; then the kernel is made to write to its buffer.
    #[test]
    fn a_kernel_that_writes_late_is_reported_and_counted() {
        found_out(false);
    }

    /// The same of a read into several, and to the second.
    #[test]
    fn a_kernel_that_writes_to_one_of_several_late_is_reported_and_counted() {
        found_out(true);
    }

    fn found_out(several: bool) {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let to = reports.clone();
        let hook = move |report: &Report| to.lock().unwrap().push(report.to_string());
        let runtime =
            Runtime::builder().workers(1).quarantine(true).on_error(hook).build().unwrap();
        let handle = runtime.handle().clone();
        let rings: Arc<Rings> = handle.extension().downcast().expect("its rings");
        let ring = rings.iter().flatten().next().expect("it runs");
        let read = runtime.handle().spawn(async move {
            let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            let ours = crate::net::UnixStream::from_std(ours).unwrap();
            let read = async {
                if several {
                    let bufs = [Vec::with_capacity(5), Vec::with_capacity(95)];
                    drop(ours.read_vectored_owned(bufs).await);
                } else {
                    drop(ours.read(&mut [0; 100]).await);
                }
            };
            tokio::select! {
                biased;
                () = read => panic!("nothing comes"),
                () = crate::task::yield_now() => {}
            }
        });
        runtime.block_on(read).expect("it does not panic");
        while ring.quarantined().is_empty() {
            std::thread::yield_now();
        }
        let (from, mut to): (_, PipeWriter) = std::io::pipe().unwrap();
        to.write_all(b"!").unwrap();
        let (nth, offset, all) = if several { (1, 2, 95) } else { (0, 7, 100) };
        let (at, len) = ring.quarantined()[nth];
        // SAFETY: it is kept until the runtime goes.
        let read = unsafe { libc::read(from.as_raw_fd(), at.add(offset).cast(), 1) };
        assert_eq!((read, len), (1, all));
        drop(runtime);
        assert_eq!(handle.metrics().rings[0].violations, 1);
        let reports = reports.lock().unwrap();
        assert!(reports[..].len() == 1 && reports[0].contains("byte 7 of 100"), "{reports:?}");
    }
}
