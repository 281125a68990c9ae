//! What a stuck thread does for its ring without knowing: the signal's handler.
//!
//! It may interrupt the owner at any instruction. Hence it makes system calls, and reads and writes atomics
//! that are there already; nothing else. It does not allocate, lock, panic or unwind, and the one
//! thread-local it reads is initialised by the loader and never dropped.
//!
//! Each of its steps is one that the owner's own next call to the kernel would do, or that does no harm
//! twice. In particular:
//!
//! * *while an entry is being staged*: the kernel takes what is below the published tail. An entry is
//!   whole before the tail that covers it is stored (a Release, so no compiler moves it up either), and
//!   the owner's idea of the head, now too low, makes the queue look fuller than it is;
//! * *while the owner reaps*, with the lock of the completion queue: the kernel only adds completions, and
//!   moves the tail after each; the handler takes no lock and looks at no completion;
//! * *while the owner dispatches*, or an operation is being filled, or anything of a user's runs: none of
//!   that is looked at. An entry's operation was in its cell before the entry was staged (D1);
//! * *inside `enter`*: signals are delivered between user code and the kernel, never in the midst of the
//!   kernel's work. A wait ends with EINTR and is begun again; entries that were counted and are taken
//!   now make the kernel take none, and not wait;
//! * *inside the allocator, a lock, a lazy initialisation*: none is used here;
//! * *while the ring is made or taken down*: it is in the list only in between.

use crate::ring::has_deferred_work;
use crate::sys;
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;
use std::sync::Mutex;
// `std`'s atomics, not the model's: models have no signals.
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence};
use std::{io, mem, ptr};

/// How many cancels one signal can ask for. More wait for the next.
const REQUESTS: usize = 16;
/// A slot without a request. No cell has such an index.
const EMPTY: u64 = u64::MAX;
/// How often one signal enters the kernel for deferred work, of which each call does 20 pieces.
const ROUNDS: usize = 16;
/// Linux has 64 signals, from 1.
const SIGNALS: usize = 65;
/// Those that the machine raises, where an instruction fails.
const FAULTS: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

thread_local! {
    /// The rings of this thread, newest first. Initialised by the loader, without a destructor.
    static RINGS: AtomicPtr<Part> = const { AtomicPtr::new(ptr::null_mut()) };
}

/// Who was called for a signal before us. Never null once we are installed for it.
static EARLIER: [AtomicPtr<libc::sigaction>; SIGNALS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS];

/// Who installs, one at a time.
static INSTALL: Mutex<()> = Mutex::new(());

/// What the handler knows of a ring. It does not move while it is in its thread's list.
#[derive(Debug)]
pub(super) struct Part {
    /// The thread's next ring.
    next: AtomicPtr<Self>,
    fd: AtomicI32,
    /// Where the ring was made: a child after `fork(2)` must not work for its parent.
    pid: AtomicI32,
    /// The flags of the ring's submission queue.
    flags: AtomicPtr<AtomicU32>,
    /// Operations to cancel.
    requests: [AtomicU64; REQUESTS],
    /// How often the handler was here.
    handled: AtomicU64,
    /// Entries that the kernel took here.
    submitted: AtomicU64,
}

impl Part {
    pub(super) fn new() -> Self {
        Self {
            next: AtomicPtr::default(),
            fd: AtomicI32::new(-1),
            pid: AtomicI32::new(0),
            flags: AtomicPtr::default(),
            requests: [const { AtomicU64::new(EMPTY) }; REQUESTS],
            handled: AtomicU64::new(0),
            submitted: AtomicU64::new(0),
        }
    }

    /// How often the handler was done with this ring.
    pub(super) fn handled(&self) -> u64 {
        // Acquire: pairs with the Release in `help`: what it did to the requests is seen.
        self.handled.load(Ordering::Acquire)
    }

    /// How many entries it submitted.
    pub(super) fn submitted(&self) -> u64 {
        // Relaxed: a counter orders nothing.
        self.submitted.load(Ordering::Relaxed)
    }

    /// Asks for a cancel. False if there is no room.
    pub(super) fn request(&self, user_data: u64) -> bool {
        self.requests.iter().any(|slot| {
            // Release: pairs with the Acquires in `help` and `take_requests`. The key is all there is to
            // it, but what its sender did before is seen too.
            let set = slot.compare_exchange(EMPTY, user_data, Ordering::Release, Ordering::Relaxed);
            set.is_ok()
        })
    }

    /// Forgets the requests that `over` says have no meaning any more; gives the number of the others.
    pub(super) fn sweep_requests(&self, over: impl Fn(u64) -> bool) -> usize {
        let pending = self.requests.iter().filter(|slot| {
            // Acquire: pairs with the Release in `request`.
            let user_data = slot.load(Ordering::Acquire);
            if user_data == EMPTY {
                return false;
            }
            if over(user_data) {
                // Relaxed: nothing is handed on. If it fails, somebody else saw to it.
                let _ =
                    slot.compare_exchange(user_data, EMPTY, Ordering::Relaxed, Ordering::Relaxed);
                return false;
            }
            true
        });
        pending.count()
    }

    /// Takes all requests back.
    pub(super) fn take_requests(&self, mut each: impl FnMut(u64)) {
        for slot in &self.requests {
            // Acquire: pairs with the Release in `request`. A handler that has just read it may ask the
            // kernel all the same: asking twice does no harm (D4).
            let user_data = slot.swap(EMPTY, Ordering::Acquire);
            if user_data != EMPTY {
                each(user_data);
            }
        }
    }

    /// The handler's work for one ring.
    fn help(&self) {
        // Relaxed: written by this thread, before the part was listed.
        let (fd, flags) = (self.fd.load(Ordering::Relaxed), self.flags.load(Ordering::Relaxed));
        // Whatever is staged goes to the kernel: whatever the owner counted before, this is no fewer.
        // Without GETEVENTS, which would not be done when fewer than that were there.
        if let Some(taken) = sys::enter_raw(fd, u32::MAX, false) {
            // Relaxed: a counter.
            self.submitted.fetch_add(u64::from(taken), Ordering::Relaxed);
        }
        // After the submission: what was staged a moment ago can be found now.
        for slot in &self.requests {
            // Acquire: pairs with the Release in `request`.
            let user_data = slot.load(Ordering::Acquire);
            if user_data != EMPTY && sys::sync_cancel(fd, user_data) {
                // Release: pairs with the Acquire in `sweep_requests`. It fails if a rescuer found the
                // operation to be over: the same.
                let _ =
                    slot.compare_exchange(user_data, EMPTY, Ordering::Release, Ordering::Relaxed);
            }
        }
        for _ in 0..ROUNDS {
            let entered = sys::enter_raw(fd, 0, true);
            // SAFETY: the mapping is there for as long as the part is listed (`enrol`).
            // Acquire: pairs with the kernel's write; only this thread clears it, in the call.
            let flags = unsafe { (*flags).load(Ordering::Acquire) };
            if entered.is_none() || !has_deferred_work(flags) {
                break;
            }
        }
        // Release: pairs with the Acquire in `handled`.
        self.handled.fetch_add(1, Ordering::Release);
    }
}

/// Lists a ring with its thread: from now on the handler works for it.
///
/// # Safety
///
/// Until [`withdraw`], which the same thread calls, the part stays where it is, `fd` is the ring's, and
/// `flags` can be read.
pub(super) unsafe fn enrol(part: &Part, fd: RawFd, flags: &AtomicU32) {
    // Relaxed, all of them: the handler is on this thread.
    part.fd.store(fd, Ordering::Relaxed);
    part.pid.store(sys::pid(), Ordering::Relaxed);
    part.flags.store(ptr::from_ref(flags).cast_mut(), Ordering::Relaxed);
    RINGS.with(|rings| {
        part.next.store(rings.load(Ordering::Relaxed), Ordering::Relaxed);
        // The handler sees a whole part or none.
        compiler_fence(Ordering::SeqCst);
        rings.store(ptr::from_ref(part).cast_mut(), Ordering::Relaxed);
    });
}

/// Takes a ring out of its thread's list: the handler looks at it no more. Does nothing if it is not there.
pub(super) fn withdraw(part: &Part) {
    RINGS.with(|rings| {
        let mut link = rings;
        loop {
            // Relaxed, all of them: the list is this thread's, and so is the handler.
            let listed = link.load(Ordering::Relaxed);
            if listed.is_null() {
                return;
            }
            if ptr::eq(listed, part) {
                // One store, so the handler finds the list with it or without.
                link.store(part.next.load(Ordering::Relaxed), Ordering::Relaxed);
                // What the caller takes down next is taken down after this.
                compiler_fence(Ordering::SeqCst);
                return;
            }
            // SAFETY: what is listed is there (`enrol`).
            link = unsafe { &(*listed).next };
        }
    });
}

/// Installs the handler for `signal`, if it is not yet. It stays for as long as the process lives.
pub(super) fn install(signal: c_int) -> io::Result<()> {
    let slot = usize::try_from(signal).ok().and_then(|signal| EARLIER.get(signal));
    let slot = slot.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    // Nobody panics with it.
    let _one_at_a_time = INSTALL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Relaxed: under the lock.
    if !slot.load(Ordering::Relaxed).is_null() {
        return Ok(());
    }
    // SAFETY: all zeroes is a value of it.
    let mut earlier = unsafe { mem::zeroed::<libc::sigaction>() };
    // SAFETY: only asks.
    sys::check(unsafe { libc::sigaction(signal, ptr::null(), &raw mut earlier) })?;
    // Before the handler can run and look. Release: pairs with the Acquire in `handle`. Leaked: a handler
    // may look at any time.
    slot.store(Box::into_raw(Box::new(earlier)), Ordering::Release);
    // SAFETY: ours keeps to what a handler may do (see the module), and others were there before.
    let exchange = |new: libc::sigaction, former: &mut libc::sigaction| unsafe {
        sys::check(libc::sigaction(signal, &raw const new, former))
    };
    if let Err(error) = exchange(ours(&earlier), &mut earlier) {
        // As if nothing had been. Relaxed: under the lock.
        let stored = slot.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: from a box, and nobody looked: our handler was never installed for this signal.
        drop(unsafe { Box::from_raw(stored) });
        return Err(error);
    }
    // SAFETY: stored above, and never freed.
    let asked = unsafe { &*slot.load(Ordering::Relaxed) };
    if asked.sa_sigaction != earlier.sa_sigaction {
        // Somebody was faster, between the question and the answer. Release: as above.
        slot.store(Box::into_raw(Box::new(earlier)), Ordering::Release);
        // With what that one asked for. Who has come since is on top of ours, and is put back.
        let mut former = earlier;
        if exchange(ours(&earlier), &mut former).is_ok() && former.sa_sigaction != our_handler() {
            let _ = exchange(former, &mut earlier);
        }
    }
    Ok(())
}

/// Our handler, in the place of that.
fn ours(instead: &libc::sigaction) -> libc::sigaction {
    let mut ours = *instead;
    ours.sa_sigaction = our_handler();
    ours.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
    // A handler that has not asked for the stack for signals may need more than there is.
    if !is_handler(instead) || instead.sa_flags & libc::SA_ONSTACK != 0 {
        ours.sa_flags |= libc::SA_ONSTACK;
    }
    ours.sa_mask = mask_of_handlers(instead);
    ours
}

fn our_handler() -> libc::sighandler_t {
    handle as *const () as libc::sighandler_t
}

/// Whether the handler is installed for `signal`.
pub(super) fn is_installed(signal: c_int) -> bool {
    let slot = usize::try_from(signal).ok().and_then(|signal| EARLIER.get(signal));
    // Acquire: pairs with the Release in `install`.
    slot.is_some_and(|slot| !slot.load(Ordering::Acquire).is_null())
}

/// What is blocked while a handler of ours runs, and with it the one that was there before, `earlier`.
///
/// All signals, so that none of our handlers begins on top of another: the stack for signals that std gives a thread is two
/// pages, and with the widest registers the kernel puts three kilobytes there for each. But not those of an instruction
/// that fails, unless the earlier one blocks them: where they are blocked the kernel ends the process, though somebody
/// handles them, as a sandbox does that stands in for system calls, or who reads what may not be there.
pub fn mask_of_handlers(earlier: &libc::sigaction) -> libc::sigset_t {
    let mut mask = earlier.sa_mask;
    // SAFETY: the sets are there.
    unsafe {
        libc::sigfillset(&raw mut mask);
        for signal in FAULTS {
            // The default, and the one that ignores, keep a mask that counts for nothing.
            if !is_handler(earlier) || libc::sigismember(&raw const earlier.sa_mask, signal) == 0 {
                libc::sigdelset(&raw mut mask, signal);
            }
        }
    }
    mask
}

fn is_handler(action: &libc::sigaction) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

/// The handler.
extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let errno = sys::errno();
    let pid = sys::pid();
    // Initialised by the loader and without a destructor: it is there whenever the thread is.
    let mut listed = RINGS.with(|rings| rings.load(Ordering::Relaxed));
    while !listed.is_null() {
        // SAFETY: what is listed is there (`enrol`), and only this thread takes it out.
        let part = unsafe { &*listed };
        // Relaxed: written by this thread.
        if part.pid.load(Ordering::Relaxed) == pid {
            part.help();
        }
        // Relaxed: as above.
        listed = part.next.load(Ordering::Relaxed);
    }
    chain(signal, info, context);
    sys::set_errno(errno);
}

/// Calls who was installed before us.
fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // Acquire: pairs with the Release in `install`.
    let earlier = EARLIER.get(signal as usize).map(|slot| slot.load(Ordering::Acquire));
    // SAFETY: never freed.
    let Some(earlier) = earlier.and_then(|earlier| unsafe { earlier.as_ref() }) else { return };
    if !is_handler(earlier) {
        return;
    }
    if earlier.sa_flags & libc::SA_SIGINFO != 0 {
        type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: what was given to `sigaction` with SA_SIGINFO.
        let handler = unsafe { mem::transmute::<usize, Handler>(earlier.sa_sigaction) };
        handler(signal, info, context);
    } else {
        type Handler = extern "C" fn(c_int);
        // SAFETY: what was given to `sigaction` without SA_SIGINFO.
        let handler = unsafe { mem::transmute::<usize, Handler>(earlier.sa_sigaction) };
        handler(signal);
    }
}
