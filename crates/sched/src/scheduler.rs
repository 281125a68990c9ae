//! Starting a scheduler and shutting it down.

use crate::block_on::BlockOnWorker;
use crate::blocking::{self, BlockingPool};
use crate::clock::Clock;
use crate::context;
use crate::handle::Handle;
use crate::local::Local;
use crate::main_task::{Interrupter, Main, MainTask};
use crate::order::Order;
use crate::park::Park;
use crate::peer_cell::PeerCell;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::shared::{Remote, Shared};
use crate::slot::Slot;
use crate::still::Stillness;
use crate::task::{
    ErrorHook, KeepOutside, Polled, Report, Task, Who, caught, drop_caught, message_of,
};
use crate::timer::Timers;
use crate::wind_up::WindUp;
use crate::worker::Worker;
use filch_atomic::scope;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Why a worker's [`Park`] could not be made.
pub type ParkError = Box<dyn Error + Send + Sync>;

/// How a scheduler is to be.
pub struct Config {
    /// How many workers, at least 1.
    pub workers: usize,
    /// What the threads are called; the number of the worker is added.
    pub thread_name: String,
    /// How long shutting down may take before what is stuck is left behind (D7).
    pub grace: Duration,
    /// Where to report what has nobody else to go to.
    pub hook: ErrorHook,
    /// When a task that is stuck in one poll is first reported, by name; again at doubling intervals
    /// while it is, and at most one line a second. `None`: never. With one worker there is nobody to
    /// notice.
    pub stuck_report: Option<Duration>,
    /// Where time comes from.
    pub clock: Clock,
    /// What the scheduler's random choices follow from.
    pub seed: u64,
    /// In which order tasks run. With several workers it is [`Order::Warm`], whatever this says.
    pub order: Order,
    /// The pool for closures that block.
    pub blocking: blocking::Config,
    /// Anything that the crate above wants to find again in the [`Handle`].
    pub extension: Arc<dyn Any + Send + Sync>,
}

impl Default for Config {
    /// One worker per core that the process may use, 5 s of grace, and a report after 100 ms in one poll.
    fn default() -> Self {
        Self {
            workers: thread::available_parallelism().map_or(1, usize::from),
            thread_name: "filch".into(),
            grace: Duration::from_secs(5),
            hook: ErrorHook::default(),
            stuck_report: Some(Duration::from_millis(100)),
            clock: Clock::real(),
            seed: 0,
            order: Order::Warm,
            blocking: blocking::Config::default(),
            extension: Arc::new(()),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("workers", &self.workers)
            .field("grace", &self.grace)
            .field("stuck_report", &self.stuck_report)
            .finish_non_exhaustive()
    }
}

/// Why a scheduler could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A worker's park could not be made.
    Park {
        /// Which worker's.
        worker: usize,
        /// Why.
        source: ParkError,
    },
    /// The system gave no thread.
    Thread {
        /// For which worker.
        worker: usize,
        /// Why.
        source: std::io::Error,
    },
    /// It was to be run on a thread that is a worker already.
    OnWorker(BlockOnWorker),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Park { worker, source } => write!(f, "worker {worker} cannot start: {source}"),
            Self::Thread { worker, source } => {
                write!(f, "cannot start a thread for worker {worker}: {source}")
            }
            Self::OnWorker(source) => source.fmt(f),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Park { source, .. } => Some(&**source),
            Self::Thread { source, .. } => Some(source),
            Self::OnWorker(source) => Some(source),
        }
    }
}

/// A running scheduler. Dropping it shuts it down within its grace period.
pub struct Scheduler {
    handle: Handle,
    grace: Duration,
    threads: Vec<JoinHandle<()>>,
}

impl Scheduler {
    /// Starts the workers, each on a thread of its own, where `make_park` makes its [`Park`].
    ///
    /// # Errors
    ///
    /// If a thread or a park cannot be had. Then nothing stays behind.
    pub fn start<P, F>(config: Config, make_park: F) -> Result<Self, StartError>
    where
        P: Park + 'static,
        F: Fn(usize) -> Result<P, ParkError> + Send + Sync + 'static,
    {
        let grace = config.grace;
        let plan = Plan::new(config);
        let handle = plan.handle.clone();
        let threads = start_threads(&handle, plan.seats, &Arc::new(make_park))?;
        Ok(Self { handle, grace, threads })
    }

    /// What spawns onto it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Shuts it down: asks every task to end, and waits; then ends what has not. In all that takes `grace` at
    /// most: what is stuck then is reported through the error hook and left behind (D7). With no grace nobody
    /// is asked. On one of its own workers it does not wait.
    pub fn shutdown(mut self, grace: Duration) {
        self.end(grace);
    }

    fn end(&mut self, grace: Duration) {
        end(&self.handle, std::mem::take(&mut self.threads), grace);
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end(self.grace);
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Runs `main` on this thread, which is worker 0 meanwhile, and the other workers on threads of their
/// own. Returns when `main` is done and the scheduler is shut down; and not while this thread is in the midst of a
/// task's poll, which nobody can leave behind: that is reported when the grace is over.
///
/// # Errors
///
/// If this thread is a worker already, or a thread or a park cannot be had.
///
/// # Panics
///
/// With the panic of `main`, after shutting down.
pub fn run<P, F, M>(config: Config, make_park: F, main: M) -> Result<M::Output, StartError>
where
    P: Park + 'static,
    F: Fn(usize) -> Result<P, ParkError> + Send + Sync + 'static,
    M: Future,
{
    let output = run_interruptible(config, make_park, main, drop)?;
    Ok(output.expect("nobody asks it to end"))
}

/// As [`run`], with a main future that can be asked to end: `prepare` gets what does that, and what it returns is
/// kept for as long as the main future is there. `None` if that was asked to end and dropped where it waited.
///
/// # Errors
///
/// As for [`run`].
///
/// # Panics
///
/// As for [`run`].
pub fn run_interruptible<P, F, M, G>(
    config: Config,
    make_park: F,
    main: M,
    prepare: impl FnOnce(Interrupter) -> G,
) -> Result<Option<M::Output>, StartError>
where
    P: Park + 'static,
    F: Fn(usize) -> Result<P, ParkError> + Send + Sync + 'static,
    M: Future,
{
    if context::is_worker() {
        return Err(StartError::OnWorker(BlockOnWorker::new()));
    }
    // Whatever this thread is in the midst of.
    scope::outside(|| run_here(config, make_park, main, prepare))
}

/// As [`run_interruptible`], on a thread that is no worker, in no scope.
fn run_here<P, F, M, G>(
    config: Config,
    make_park: F,
    main: M,
    prepare: impl FnOnce(Interrupter) -> G,
) -> Result<Option<M::Output>, StartError>
where
    P: Park + 'static,
    F: Fn(usize) -> Result<P, ParkError> + Send + Sync + 'static,
    M: Future,
{
    let (grace, seed) = (config.grace, config.seed);
    let mut plan = Plan::new(config);
    let handle = plan.handle.clone();
    let seat = plan.seats.remove(0);
    let make_park = Arc::new(make_park);
    let park = make_park_of(&handle, 0, &*make_park)?;
    let mut worker = Worker::new(local_of(&handle, 0, seat.queue, seed), park, Rng::new(seed));
    let entered = worker.enter();
    let _kept = KeepOutside::new();
    let threads = match start_threads(&handle, plan.seats, &make_park) {
        Ok(threads) => threads,
        Err(error) => {
            worker.wind_up();
            return Err(error);
        }
    };
    let mut output = None;
    let outcome = caught(|| {
        // On the stack of this call, and gone before the scheduler is, whatever its destructor does.
        let mut main = Main { future: pin!(Some(main)), output: &mut output };
        let mut main = MainTask::new(handle.shared().clone(), &mut main);
        let _prepared = prepare(main.interrupter());
        worker.run(Some(&mut main))
    });
    let (until, mut threads) = (ask(&handle, grace), Some(threads));
    // What this thread polls now may not return, and somebody has to say so.
    let finishing = until.and_then(|until| finish_aside(&handle, threads.take()?, until).ok());
    let outcome = match (outcome, until) {
        (outcome, None) | (outcome @ Ok(Err(_)), _) => outcome,
        (outcome, Some(_)) => match worker.run_out() {
            Ok(()) => outcome,
            Err(error) => Ok(Err(error)),
        },
    };
    handle.close();
    worker.wind_up();
    drop(entered);
    match finishing {
        Some(finishing) => drop(finishing.join()),
        // If there was no thread to be had, those of the workers were let go of.
        None => finish(&handle, threads.unwrap_or_default()),
    }
    match outcome {
        Ok(Ok(())) => Ok(output),
        Ok(Err(error)) => broken(0, &error),
        Err(panic) => {
            // The output of a main future whose destructor panicked: another panic would be one too many.
            drop_caught(output);
            resume_unwind(panic)
        }
    }
}

/// What there is of a scheduler before its threads.
struct Plan {
    handle: Handle,
    seats: Vec<Seat>,
}

/// What one worker's thread starts with.
struct Seat {
    worker: usize,
    queue: Queue<Task>,
    thread_name: String,
    seed: u64,
}

impl Plan {
    fn new(config: Config) -> Self {
        let workers = config.workers.max(1);
        let seats: Vec<_> = (0..workers)
            .map(|worker| Seat {
                worker,
                queue: Queue::new(),
                thread_name: format!("{}-{worker}", config.thread_name),
                seed: config.seed.wrapping_add(worker as u64),
            })
            .collect();
        let order = if workers == 1 { config.order } else { Order::Warm };
        let hand = config.clock.hand().cloned();
        let still = (hand.is_some() || order != Order::Warm)
            .then(|| Arc::new(Stillness::new(workers, hand)));
        let remote = |seat| Arc::new(remote(seat, &config.clock, still.clone()));
        let remotes = seats.iter().map(remote).collect();
        let wind_up = WindUp::new(workers);
        let (hook, clock) = (config.hook, config.clock);
        let (stuck, grace, ways) = (config.stuck_report, config.grace, (order, still));
        let shared = Shared::new(remotes, hook, clock, wind_up, stuck, grace, ways);
        let handle = Handle::new(&Arc::new(shared), config.extension);
        let weak = handle.downgrade();
        let around = Arc::new(move |body: &mut dyn FnMut()| {
            // Blocking closures may spawn and block on futures: their thread has entered the scheduler.
            let _enter = weak.upgrade().map(|handle| handle.enter());
            body();
        });
        let hook = handle.shared().hook.clone();
        let weak = handle.downgrade();
        let dispose = Arc::new(move |task: Task| match weak.upgrade() {
            Some(handle) => handle.shared().inject(task),
            None => task.shutdown(),
        });
        handle.set_blocking(BlockingPool::new(blocking::Config {
            around,
            hook,
            dispose,
            ..config.blocking
        }));
        Self { handle, seats }
    }
}

/// A worker's own half. Its draws are others than those of its search.
fn local_of(handle: &Handle, worker: usize, queue: Queue<Task>, seed: u64) -> Local {
    Local::new(handle.clone(), worker, queue, Rng::new(!seed))
}

fn remote(seat: &Seat, clock: &Clock, still: Option<Arc<Stillness>>) -> Remote {
    let peer = Arc::new(PeerCell::new(seat.worker, still));
    let unpark = peer.clone();
    Remote {
        stealer: seat.queue.stealer(),
        slot: Slot::new(),
        hat: Default::default(),
        timers: Timers::new(clock.clone(), move || unpark.unpark()),
        counters: Default::default(),
        polled: Polled::new(),
        is_deliberate: Default::default(),
        peer,
    }
}

/// Starts a thread for each seat and waits until every one of them has its park.
fn start_threads<P, F>(
    handle: &Handle,
    seats: Vec<Seat>,
    make_park: &Arc<F>,
) -> Result<Vec<JoinHandle<()>>, StartError>
where
    P: Park + 'static,
    F: Fn(usize) -> Result<P, ParkError> + Send + Sync + 'static,
{
    let (ready, all_ready) = mpsc::channel();
    let mut threads = Vec::with_capacity(seats.len());
    let mut failed = None;
    for seat in seats {
        let (worker, name) = (seat.worker, seat.thread_name.clone());
        let (handle, make_park, ready) = (handle.clone(), make_park.clone(), ready.clone());
        let body = move || work(handle, seat, &*make_park, &ready);
        match thread::Builder::new().name(name).spawn(body) {
            Ok(thread) => threads.push(thread),
            Err(source) => {
                failed = Some(StartError::Thread { worker, source });
                break;
            }
        }
    }
    drop(ready);
    let started = threads.len();
    // Everybody's answer: a worker that has yet to make its park could miss the unpark of the closing.
    let refused = all_ready.iter().take(started).filter_map(Result::err).last();
    let failed = failed.or(refused);
    let Some(error) = failed else { return Ok(threads) };
    // Those that did start wind up without a wait: there are no tasks yet.
    handle.shared().wind_up.begin(Instant::now());
    handle.shared().close();
    for thread in threads {
        let _ = thread.join();
    }
    Err(error)
}

/// Makes a worker's park, on its thread, and tells the others how to unpark it.
fn make_park_of<P, F>(handle: &Handle, worker: usize, make_park: &F) -> Result<P, StartError>
where
    P: Park,
    F: Fn(usize) -> Result<P, ParkError>,
{
    let made = caught(|| make_park(worker).map(|park| (park.peer(), park)));
    let (peer, park) = made
        .unwrap_or_else(|payload| {
            drop_caught(payload);
            Err("making what it sleeps in panicked".into())
        })
        .map_err(|source| StartError::Park { worker, source })?;
    handle.shared().remotes[worker].peer.set(peer);
    Ok(park)
}

/// The body of a worker's thread.
fn work<P, F>(
    handle: Handle,
    seat: Seat,
    make_park: &F,
    ready: &mpsc::Sender<Result<(), StartError>>,
) where
    P: Park,
    F: Fn(usize) -> Result<P, ParkError>,
{
    let worker = seat.worker;
    let park = match make_park_of(&handle, worker, make_park) {
        Ok(park) => park,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    let local = local_of(&handle, worker, seat.queue, seat.seed);
    let mut worker = Worker::new(local, park, Rng::new(seat.seed));
    let entered = worker.enter();
    match caught(|| worker.run(None)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => broken(seat.worker, &error),
        // Tasks catch their own panics, and so do wakers: this is a mistake of ours.
        Err(payload) => {
            broken(seat.worker, &format_args!("it panicked: {}", message_of(&*payload)))
        }
    }
    worker.wind_up();
    drop(entered);
}

/// A worker's loop failed beyond repair. What is in flight there can neither be finished nor cancelled,
/// and its tasks would wait for ever: better a dead process that says why than one that hangs.
fn broken(worker: usize, error: &dyn fmt::Display) -> ! {
    use std::io::Write;
    // Not `eprintln!`: what that writes in a test is held back, and would be lost.
    let _ =
        writeln!(io::stderr(), "filch: worker {worker} cannot go on, ending the process: {error}");
    process::abort()
}

/// Sets the deadline, and asks every task to end. Until when they have time for that; `None` if there is nothing
/// to wait for.
fn ask(handle: &Handle, grace: Duration) -> Option<Instant> {
    let now = Instant::now();
    // A grace beyond what the clock can tell is a month: for ever, in practice.
    let far = now + Duration::from_secs(30 * 24 * 3600);
    let deadline = now.checked_add(grace).unwrap_or(far);
    handle.shared().wind_up.begin(deadline);
    if grace.is_zero() {
        return None;
    }
    // What comes after them needs some of the time, too.
    let until = deadline - (grace / 8).min(LEFT_OVER);
    handle.shared().wind_up.lets_tasks_run(until);
    handle.ask_all();
    (!handle.shared().is_closing()).then_some(until)
}

/// So much of the grace is not for the tasks, but for the end of those that did not stop, and of the rings.
const LEFT_OVER: Duration = Duration::from_millis(250);

fn end(handle: &Handle, threads: Vec<JoinHandle<()>>, grace: Duration) {
    let until = ask(handle, grace);
    if !handle.has_this_worker() {
        if let Some(until) = until {
            handle.shared().wind_up.wait_for_close(until);
        }
        handle.close();
        finish(handle, threads);
        return;
    }
    // The workers end on their own, this one after the poll in which its scheduler was dropped.
    let waits = until.is_some_and(|until| finish_aside(handle, threads, until).is_ok());
    if !waits {
        handle.close();
        handle.blocking().shutdown(Some(Instant::now()));
    }
}

/// Has a thread see to it that the grace is kept, and say what is stuck: a worker cannot wait for itself.
fn finish_aside(
    handle: &Handle,
    threads: Vec<JoinHandle<()>>,
    until: Instant,
) -> io::Result<JoinHandle<()>> {
    let handle = handle.clone();
    let wait = move || {
        handle.shared().wind_up.wait_for_close(until);
        handle.close();
        finish(&handle, threads);
    };
    thread::Builder::new().name("filch-end".into()).spawn(wait)
}

/// Waits for the workers and the blocking pool, at most until the deadline, and reports what is stuck.
fn finish(handle: &Handle, threads: Vec<JoinHandle<()>>) {
    let closures = handle.blocking().shutdown(handle.shared().wind_up.deadline());
    let left_behind = handle.shared().wind_up.all_ended();
    let workers = left_behind.workers.clone();
    if workers.is_empty() {
        for thread in threads {
            // It has ended its park, and only returns from its function.
            let _ = thread.join();
        }
    }
    let mut stuck = Vec::new();
    for worker in left_behind.workers {
        let of = match handle.who(worker) {
            Who::Task { id, name, location } => {
                let name = name.map(|name| format!(" `{name}`")).unwrap_or_default();
                format!(" (task {id}{name}, spawned at {location})")
            }
            _ => String::new(),
        };
        stuck.push(format!("worker {worker}, in a poll that does not return{of}"));
    }
    for (worker, leaked) in left_behind.leaked {
        stuck.push(format!("worker {worker}: {leaked}"));
    }
    for closure in closures.running {
        stuck.push(format!("a blocking closure spawned at {}", closure.location));
    }
    if !stuck.is_empty() {
        handle.shared().hook.report(&Report::shutdown_stuck(stuck.join("; ")));
    }
    if workers.is_empty() {
        seal(handle);
    } else {
        seal_aside(handle.clone(), workers);
    }
}

/// Ends what still comes from outside. The destructors of that may spawn, as on a worker.
fn seal(handle: &Handle) {
    let _entered = handle.enter();
    handle.shared().seal();
}

/// The same where workers were left behind, and with them tasks: whoever waits for these is not to wait for ever.
/// Their destructors may wait for that worker, and the one who shuts down has waited long enough.
fn seal_aside(handle: Handle, left_behind: Vec<usize>) {
    let thread = thread::Builder::new().name("filch-end".into());
    let seal_all = move || {
        let _entered = handle.enter();
        for worker in left_behind {
            handle.end_tasks_of(worker);
        }
        handle.shared().seal();
    };
    // Without a thread they stay where they are.
    drop(thread.spawn(seal_all));
}
