#![doc = include_str!("README.md")]

mod cq_lock;
mod handler;

#[cfg(filch_loom)]
pub use cq_lock::There;
pub use cq_lock::{CqLock, OWN, Queue, is_own};

use crate::cell::{Home, Key, Message};
use crate::driver::{unpark, unpark_for_mail};
#[cfg(filch_loom)]
pub use crate::ring::Completion;
#[cfg(not(filch_loom))]
use crate::ring::Completion;
use crate::ring::{Ring, View};
use crate::sys;
use filch_atomic::panics::{Payload as Panic, caught, drop_caught};
use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use handler::Part;
pub use handler::mask_of_handlers;
use std::collections::HashSet;
use std::ffi::c_int;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Waker;
use std::{hint, io, thread};

/// How often one rescue signals, as long as each signal brings something. For thousands of completions,
/// of which each signal brings some hundreds.
const ROUNDS: usize = 8;
/// How long a rescuer waits for the handler: so many looks while it spins, each time again after giving
/// the processor to others so often. Some ten microseconds, if nobody wants the processor.
const SPINS: usize = 64;
const YIELDS: usize = 8;
/// At most so many calls go without a signal after one that gained nothing.
const PATIENCE: u32 = 64;

impl Queue for Arc<View> {
    fn completions(&self) -> u32 {
        View::completions(self)
    }

    unsafe fn drain(&self, each: impl FnMut(Completion)) {
        // SAFETY: the caller's promise.
        unsafe { View::drain(self, each) };
    }
}

/// What rescuers share with the owner, beside the completion queue.
#[derive(Debug)]
pub(crate) struct Rescuers {
    turn: Mutex<Turn>,
    part: Part,
    /// There may be requests in the part.
    asked: AtomicBool,
}

/// What a rescuer needs to send a signal. Whoever holds it is the one that rescues.
#[derive(Debug)]
struct Turn {
    /// The owner's thread and the signal for it, from when its ring is up until it begins to go. Signals
    /// are sent under this lock only, so never to a thread that has ended.
    target: Option<(libc::pid_t, c_int)>,
    /// So many calls from now go without a signal.
    skip: u32,
    /// So many did, or do, after the last signal that gained nothing.
    penalty: u32,
    /// What that one left undone.
    undone: Need,
}

/// What a signal is sent for.
#[derive(Debug, Clone, Copy, Default)]
struct Need {
    must_enter: bool,
    /// Entries.
    published: u32,
    cancels: usize,
    /// How often the owner had entered the kernel by itself.
    enters: u64,
}

impl Need {
    fn is_none(&self) -> bool {
        !self.must_enter && self.published == 0 && self.cancels == 0
    }

    /// Whether there is something that was not there `before`.
    fn is_new(&self, before: &Self) -> bool {
        self.enters != before.enters
            || (self.must_enter && !before.must_enter)
            || self.published > before.published
            || self.cancels > before.cancels
    }
}

impl Turn {
    fn gained(&mut self) {
        (self.skip, self.penalty) = (0, 0);
    }

    fn gained_nothing(&mut self, undone: Need) {
        self.penalty = (self.penalty * 2).clamp(1, PATIENCE);
        self.skip = self.penalty;
        self.undone = undone;
    }

    /// Whether to wait with a signal, because the last one gained nothing and this is for the same.
    fn is_patient(&mut self, need: &Need) -> bool {
        let is_patient = self.skip > 0 && !need.is_new(&self.undone);
        self.skip -= u32::from(is_patient);
        is_patient
    }
}

impl Rescuers {
    pub(crate) fn new() -> Self {
        Self {
            turn: Mutex::new(Turn { target: None, skip: 0, penalty: 0, undone: Need::default() }),
            part: Part::new(),
            asked: AtomicBool::new(false),
        }
    }

    /// How often the handler was here, and how many entries it submitted.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.part.handled(), self.part.submitted())
    }

    /// For the owner: takes back the cancels that rescuers took from its inbox and nobody saw to.
    pub(crate) fn take_requests(&self, mail: &mut Vec<Message>) {
        // Relaxed: a hint; what is missed now is followed by an unpark (`take_cancels`).
        if self.asked.load(Ordering::Relaxed) {
            // Acquire: pairs with the Release in `take_cancels`.
            self.asked.swap(false, Ordering::Acquire);
            self.part.take_requests(|user_data| {
                mail.push(Message::Cancel(Key::from_user_data(user_data)));
            });
        }
    }

    /// Whether there may be any.
    pub(crate) fn has_requests(&self) -> bool {
        // Relaxed: as in `take_requests`.
        self.asked.load(Ordering::Relaxed)
    }

    /// For a rescuer: takes the cancels out of the owner's inbox, as far as the handler can be given them.
    /// Gives the number of those that it has been given and that mean something still.
    fn take_cancels(&self, home: &Home) -> usize {
        let is_over = |user_data| !home.is_running(Key::from_user_data(user_data));
        self.part.sweep_requests(is_over);
        let mut taken = false;
        home.inbox.retain(|message| match message {
            Message::Submit(_) | Message::SubmitHere(_) => true,
            Message::Cancel(key) if is_over(key.user_data()) => false,
            Message::Cancel(key) => {
                let given = self.part.request(key.user_data());
                taken |= given;
                !given
            }
        });
        if taken {
            // Release: pairs with the Acquire in `take_requests`.
            self.asked.store(true, Ordering::Release);
            // The owner may have come to itself, found its inbox empty, and gone to sleep: should the
            // signal not reach it, this does.
            unpark_for_mail(home);
        }
        self.part.sweep_requests(is_over)
    }

    /// For a rescuer, after the handler: what the kernel did not know goes back to the inbox, behind the
    /// others, which would else wait for the room it takes. Gives the number of those.
    fn give_cancels_back(&self, home: &Home) -> usize {
        let mut back = 0;
        self.part.take_requests(|user_data| {
            let key = Key::from_user_data(user_data);
            if home.is_running(key) {
                home.inbox.push(Message::Cancel(key));
                back += 1;
            }
        });
        if back > 0 {
            // As in `take_cancels`.
            unpark_for_mail(home);
        }
        back
    }
}

/// The owner's thread is ready to be signalled for this ring; for as long as this lives, which is on that
/// thread.
#[derive(Debug)]
pub(crate) struct Enrolled {
    signal: c_int,
    was_blocked: bool,
}

impl Enrolled {
    /// Readies this thread: the handler is installed, the signal let through.
    pub(crate) fn ready(signal: c_int) -> io::Result<Self> {
        handler::install(signal)?;
        Ok(Self { signal, was_blocked: sys::block(signal, false)? })
    }

    /// The ring is up.
    ///
    /// # Safety
    ///
    /// This thread is the ring's. It calls [`withdraw`](Self::withdraw) before `home` or `ring` go.
    pub(crate) unsafe fn enrol(&self, home: &Home, ring: &Ring) {
        let rescuers = &home.rescuers;
        // SAFETY: the caller's promise; the part is in the home, which does not move, and the flags are
        // in the ring's mapping.
        unsafe { handler::enrol(&rescuers.part, ring.fd(), ring.view().flags()) };
        rescuers.turn.lock().target = Some((sys::tid(), self.signal));
    }

    /// The ring is about to go: after this no signal is sent for it, and a handler that runs late does
    /// not look at it. Waits for a rescuer that is sending one.
    pub(crate) fn withdraw(self, home: &Home) {
        home.rescuers.turn.lock().target = None;
        handler::withdraw(&home.rescuers.part);
        if self.was_blocked {
            // It was unblocked by the same call.
            let _ = sys::block(self.signal, true);
        }
    }
}

/// Whether a driver of this process is, or was, rescued by this signal ([`Rescue::Signal`](crate::Rescue::Signal)): then it
/// is none that tells anybody anything.
pub fn is_rescue_signal(signal: c_int) -> bool {
    handler::is_installed(signal)
}

/// The owner is stuck: makes its completions visible, and completes them here. What it has not even
/// heard of yet goes back to where it came from.
pub(crate) fn rescue(home: &Home) -> io::Result<usize> {
    let (mut batch, mut unbegun) = (Vec::new(), Unbegun::default());
    let gathered = gather(home, &mut batch, &mut unbegun);
    let returned = unbegun.returned + unbegun.unwanted.len();
    let first = settle_unbegun(home, unbegun);
    let (completed, second) = deliver_all(home, &home.cq, batch);
    go_on(first, second);
    gathered.map(|()| completed + returned)
}

/// What was in the inbox of an owner that is stuck, and need not wait for it.
#[derive(Debug, Default)]
pub struct Unbegun {
    /// So many operations whose futures were told to begin them again with another driver.
    pub returned: usize,
    /// Whom to wake for that.
    pub wakers: Vec<Waker>,
    /// Operations that nobody wants any more. The caller completes them.
    pub unwanted: HashSet<Key>,
}

/// Takes the operations out of the owner's inbox that other threads have left there for it to stage, and
/// that somebody else can begin, or nobody need begin. What runs to its end and has lost its future stays.
///
/// Public for the models.
pub fn take_unbegun(home: &Home) -> Unbegun {
    let Unbegun { mut returned, mut wakers, mut unwanted } = Unbegun::default();
    home.inbox.retain(|message| match *message {
        Message::Submit(key) | Message::SubmitHere(key) if home.is_unwanted(key) => {
            !unwanted.insert(key)
        }
        // It goes with what it is for, which came before it.
        Message::Cancel(key) => !unwanted.contains(&key),
        Message::Submit(key) if home.is_wanted(key) => {
            // SAFETY: we hold the lock of the inbox, and keep the message or take it out as we are told.
            let is_returned = unsafe { home.return_unbegun(key, &mut wakers) };
            returned += usize::from(is_returned);
            !is_returned
        }
        _ => true,
    });
    Unbegun { returned, wakers, unwanted }
}

/// Wakers and destructors run, under no lock (D8). Gives the first panic. Nobody waits for these operations,
/// not even a shutdown: the owner never counted them.
fn settle_unbegun(home: &Home, unbegun: Unbegun) -> Option<Panic> {
    let mut panicked = None;
    for waker in unbegun.wakers {
        catch(&mut panicked, || waker.wake());
    }
    for key in unbegun.unwanted {
        // SAFETY: taken out of the inbox, under its lock, so nobody else completes it; our caller holds the
        // home.
        catch(&mut panicked, || unsafe { home.complete(key, -libc::ECANCELED) });
    }
    panicked
}

/// Takes what is not begun, and moves what completed to `batch`, after a signal if need be.
fn gather(home: &Home, batch: &mut Vec<Completion>, unbegun: &mut Unbegun) -> io::Result<()> {
    let rescuers = &home.rescuers;
    // One rescuer is enough. Nor must another take an operation that is being returned for one that is over,
    // and forget its cancel.
    let Some(mut turn) = rescuers.turn.try_lock() else { return Ok(()) };
    *unbegun = take_unbegun(home);
    let Some((tid, signal)) = turn.target else { return Ok(()) };
    let look = |view: &Arc<View>| Need {
        must_enter: view.must_enter(),
        published: view.published(),
        cancels: 0,
        enters: home.counters.enters.get(),
    };
    // An owner that reaps, or is in the kernel, is not stuck.
    let Some((taken, mut need)) = home.cq.take(batch, look) else { return Ok(()) };
    if taken > 0 {
        turn.gained();
    }
    for _ in 0..ROUNDS {
        need.cancels = rescuers.take_cancels(home);
        if need.is_none() || turn.is_patient(&need) {
            return Ok(());
        }
        let handled = rescuers.part.handled();
        home.counters.signals_sent.add_shared(1);
        if let Err(error) = sys::signal_thread(tid, signal) {
            // A thread that ended and forgot its driver: nobody will ever enter that ring.
            return if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) };
        }
        let handled = wait_for(|| rescuers.part.handled() != handled);
        let Some((taken, mut now)) = home.cq.take(batch, look) else { return Ok(()) };
        now.cancels = if handled { rescuers.give_cancels_back(home) } else { need.cancels };
        let changed = (need.must_enter && !now.must_enter)
            || now.published < need.published
            || now.cancels < need.cancels;
        if taken == 0 && !changed {
            turn.gained_nothing(now);
            return Ok(());
        }
        turn.gained();
        need = now;
    }
    Ok(())
}

/// Waits a little for another thread: not for long, because what comes later is found by the next rescue.
/// False if it was too little.
fn wait_for(done: impl Fn() -> bool) -> bool {
    for _ in 0..YIELDS {
        for _ in 0..SPINS {
            if done() {
                return true;
            }
            hint::spin_loop();
        }
        thread::yield_now();
    }
    done()
}

/// Completes what was taken out of `cq`: wakers and destructors run, under no lock (D8). All of it, also
/// when one of those panics; the first panic goes on when all is done. The caller holds `home`.
#[cfg(filch_loom)]
pub fn deliver<Q: Queue>(home: &Home, cq: &CqLock<Q>, batch: Vec<Completion>) -> usize {
    let (completed, panicked) = deliver_all(home, cq, batch);
    go_on(panicked, None);
    completed
}

fn deliver_all<Q: Queue>(
    home: &Home,
    cq: &CqLock<Q>,
    batch: Vec<Completion>,
) -> (usize, Option<Panic>) {
    let completed = batch.len();
    if completed == 0 {
        return (0, None);
    }
    home.counters.rescues.add_shared(1);
    // One by one, and only when it is completed: until then the owner's shutdown waits.
    let panicked = complete_each(home, batch, || {
        home.counters.rescued.add_shared(1);
        cq.credit(1);
    });
    // The owner may have gone to sleep meanwhile, and a park promises to end for a completion.
    unpark(home);
    (completed, panicked)
}

/// Completes each, and calls `completed` after each of them, though some panic. Gives the first panic.
fn complete_each(
    home: &Home,
    batch: Vec<Completion>,
    mut completed: impl FnMut(),
) -> Option<Panic> {
    let mut panicked = None;
    for completion in batch {
        debug_assert!(!completion.more, "no operation completes more than once");
        let key = Key::from_user_data(completion.user_data);
        catch(&mut panicked, || {
            // SAFETY: taken out of the queue, under its lock, so nobody else completes it; our caller holds
            // the home.
            unsafe { home.complete(key, completion.result) };
        });
        completed();
    }
    panicked
}

/// Runs a user's code. Should it panic, that is kept, if it is the first.
fn catch(panicked: &mut Option<Panic>, run: impl FnOnce()) {
    if let Err(payload) = caught(run) {
        match panicked {
            None => *panicked = Some(payload),
            Some(_) => drop_caught(payload),
        }
    }
}

/// Goes on with the first of two panics, if there is one.
fn go_on(first: Option<Panic>, second: Option<Panic>) {
    match (first, second) {
        (Some(first), second) => {
            if let Some(second) = second {
                drop_caught(second);
            }
            resume_unwind(first);
        }
        (None, Some(second)) => resume_unwind(second),
        (None, None) => {}
    }
}
