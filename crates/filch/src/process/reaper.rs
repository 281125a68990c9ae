//! Who asks for the status of children that nobody waits for any more.
//!
//! A thread, while there are such children, and no task: a child may outlive the runtime that started it. It
//! sleeps in `epoll_wait`, on a descriptor for each child, and ends with the last of them.

use super::pidfd;
use filch_uring::SharedFd;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, ptr, thread};

/// It calls nothing that needs more.
const STACK: usize = 64 * 1024;
/// As many as one wait of the thread may bring.
const BATCH: usize = 64;

static ORPHANS: Mutex<Orphans> = Mutex::new(Orphans { watch: None, left: Vec::new() });

struct Orphans {
    /// There while the thread is.
    watch: Option<Watch>,
    /// Those that could not be watched (there was no descriptor, or no thread): looked after by the next who comes
    /// here.
    left: Vec<Orphan>,
}

struct Watch {
    epoll: Arc<OwnedFd>,
    /// By their numbers, which are theirs until they are reaped.
    watched: BTreeMap<u32, Orphan>,
}

impl Watch {
    /// Of one that is over. The descriptor is told, and not left to its closing: an operation that was given up may keep it
    /// open for long (D7), and would have the thread woken by it again and again.
    fn forget(&self, orphan: Option<Orphan>) {
        let Some(pidfd) = orphan.and_then(|orphan| orphan.pidfd) else { return };
        let (delete, no_event) = (libc::EPOLL_CTL_DEL, ptr::null_mut());
        // SAFETY: both are open, and it takes no event.
        unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), delete, pidfd.as_raw_fd(), no_event) };
    }
}

struct Orphan {
    child: Child,
    pidfd: Option<SharedFd>,
}

impl Orphan {
    /// Whether there is nothing more to be asked.
    fn is_over(&mut self) -> bool {
        let asked = match &self.pidfd {
            Some(pidfd) => pidfd::try_wait(pidfd.as_fd()),
            None => self.child.try_wait(),
        };
        // An error: somebody else has asked.
        !matches!(asked, Ok(None))
    }
}

/// Takes over a child that nobody waits for.
pub(super) fn adopt(child: Child, pidfd: Option<SharedFd>) {
    let mut orphans = lock();
    orphans.left.push(Orphan { child, pidfd });
    orphans.look_after_those_left();
}

/// Looks after children for which there was no descriptor, or no thread. Nearly always there are none.
pub(super) fn help() {
    let mut orphans = lock();
    if !orphans.left.is_empty() {
        orphans.look_after_those_left();
    }
}

fn lock() -> MutexGuard<'static, Orphans> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Orphans {
    fn look_after_those_left(&mut self) {
        for mut orphan in std::mem::take(&mut self.left) {
            if orphan.is_over() {
                continue;
            }
            let id = orphan.child.id();
            match self.watch(&mut orphan, id) {
                Ok(watch) => {
                    // One for which somebody else has waited, so that its number is another's.
                    let former = watch.watched.insert(id, orphan);
                    watch.forget(former);
                }
                Err(_no_room) => self.left.push(orphan),
            }
        }
    }

    /// Has the thread hear of the end of a child.
    fn watch(&mut self, orphan: &mut Orphan, id: u32) -> io::Result<&mut Watch> {
        let pidfd = match &orphan.pidfd {
            Some(pidfd) => pidfd,
            None => orphan.pidfd.insert(SharedFd::new(pidfd::open(id)?)),
        };
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none => none.insert(start()?),
        };
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: id.into() };
        let (epoll, add) = (watch.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD);
        // SAFETY: both are open, and the event is there for the call.
        match unsafe { libc::epoll_ctl(epoll, add, pidfd.as_raw_fd(), &raw mut event) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(watch),
        }
    }
}

/// Starts the thread.
fn start() -> io::Result<Watch> {
    // SAFETY: no pointers.
    let epoll = match unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: new and ours.
        epoll => Arc::new(unsafe { OwnedFd::from_raw_fd(epoll) }),
    };
    let theirs = epoll.clone();
    let thread = thread::Builder::new().name("filch-reaper".into()).stack_size(STACK);
    thread.spawn(move || reap(&theirs))?;
    Ok(Watch { epoll, watched: BTreeMap::new() })
}

/// The thread.
fn reap(epoll: &OwnedFd) {
    // Whoever started it has them under the lock, and the first child with them.
    loop {
        let mut orphans = lock();
        let Some(watch) = &mut orphans.watch else { return };
        if watch.watched.is_empty() {
            orphans.watch = None;
            return;
        }
        drop(orphans);
        let mut any = false;
        for id in ended(epoll) {
            let mut orphans = lock();
            let Some(watch) = &mut orphans.watch else { return };
            if watch.watched.get_mut(&id).is_some_and(Orphan::is_over) {
                any = true;
                let reaped = watch.watched.remove(&id);
                // Under the lock: from now on the number may be another child's.
                watch.forget(reaped);
            }
        }
        if !any {
            // A debugger that has it asks first.
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Sleeps until some have ended.
fn ended(epoll: &OwnedFd) -> impl Iterator<Item = u32> + use<> {
    let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; BATCH];
    let (at, most) = (ptr::from_mut(&mut events).cast(), BATCH as i32);
    // SAFETY: there is room for so many.
    let found = unsafe { libc::epoll_wait(epoll.as_raw_fd(), at, most, -1) };
    // None if a signal's handler ran here.
    let found = usize::try_from(found).unwrap_or(0);
    // SAFETY: so many were filled in.
    events.into_iter().take(found).map(|event| unsafe { event.assume_init() }.u64 as u32)
}
