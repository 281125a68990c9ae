//! How long the kernel lets a worker's thread run before it looks for a more urgent one.
//!
//! Linux gives each thread a slice of processor time, some 3 ms, and sees to it that all get the same in
//! the long run. A thread that wakes up goes before one that runs only if its slice would end sooner; with
//! equal slices that takes its turn to come. So where a worker shares its core with one that burns processor
//! time, it may wake up and wait for milliseconds, even beside an idle core, and whoever waits for an answer
//! waits with it. A shorter slice changes nothing about how much of the processor a thread gets, only how
//! soon. Since Linux 6.12 any thread may ask for its own; earlier kernels take no notice.
//!
//! What a thread starts inherits its slice. For other programs that would be wrong: they are started with the slice that
//! this one was given.
//!
//! The figures that this rests on are in `docs/decisions/2026-11-22-short-slices.md`.

use std::io;
use std::marker::PhantomData;
use std::mem;
use std::sync::OnceLock;
use std::time::Duration;

/// The shortest that Linux gives.
pub(crate) const SHORTEST: Duration = Duration::from_micros(100);

/// The slice, in nanoseconds, of the first thread that was to have another: what the program was given.
static GIVEN: OnceLock<u64> = OnceLock::new();

/// This thread's slice is as was asked for, until this goes.
#[derive(Debug)]
pub(crate) struct TimeSlice {
    /// What to go back to.
    before: libc::sched_attr,
    /// It is the thread's.
    _not_send: PhantomData<*const ()>,
}

impl TimeSlice {
    /// Asks for slices of this length for this thread. None if there are none to be had, which is no reason
    /// not to go on: the thread has no ordinary policy, or a sandbox forbids it.
    pub(crate) fn ask_for(slice: Duration) -> Option<Self> {
        let nanos = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
        let before = ordinary()?;
        GIVEN.get_or_init(|| before.sched_runtime);
        Self::exchange(before, nanos)
    }

    /// The slice that the program was given, for what this thread starts meanwhile. None if it has that already.
    ///
    /// One system call, and two more where it has another.
    pub(crate) fn as_given() -> Option<Self> {
        let given = *GIVEN.get()?;
        let before = ordinary()?;
        if before.sched_runtime == given { None } else { Self::exchange(before, given) }
    }

    fn exchange(before: libc::sched_attr, nanos: u64) -> Option<Self> {
        set_attributes(&libc::sched_attr { sched_runtime: nanos, ..before }).ok()?;
        Some(Self { before, _not_send: PhantomData })
    }
}

impl Drop for TimeSlice {
    fn drop(&mut self) {
        // What was possible a while ago is now; if not, a thread with short slices is as good as another.
        let _ = set_attributes(&self.before);
    }
}

/// What this thread has, if its policy is an ordinary one. Whoever chose another knows why.
fn ordinary() -> Option<libc::sched_attr> {
    let policies = [libc::SCHED_OTHER, libc::SCHED_BATCH];
    attributes().ok().filter(|attributes| policies.contains(&(attributes.sched_policy as i32)))
}

/// This thread's policy, its nice value and its slice.
fn attributes() -> io::Result<libc::sched_attr> {
    // SAFETY: all zeroes is a value of it.
    let mut attributes = unsafe { mem::zeroed::<libc::sched_attr>() };
    let size = mem::size_of::<libc::sched_attr>();
    // SAFETY: it writes to a whole `sched_attr`, whose size it is told; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(attributes) }
}

fn set_attributes(attributes: &libc::sched_attr) -> io::Result<()> {
    // SAFETY: it reads a whole `sched_attr`, which says its size; 0 is the calling thread.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(attributes), 0) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice() -> u64 {
        attributes().unwrap().sched_runtime
    }

    /// What the kernel says it is, if it knows of such a thing.
    fn is_known() -> bool {
        let known = slice() != 0;
        if !known {
            filch_testkit::skip("this kernel has no slices of a thread's own");
        }
        known
    }

    #[test]
    fn it_is_the_threads_for_as_long_as_it_is_held() {
        if !is_known() {
            return;
        }
        let before = attributes().unwrap();
        let short = TimeSlice::ask_for(SHORTEST).expect("an ordinary thread may");
        assert_eq!(slice(), 100_000);
        assert_eq!(attributes().unwrap().sched_nice, before.sched_nice);
        drop(short);
        assert_eq!(slice(), before.sched_runtime);
    }

    #[test]
    fn a_length_that_makes_no_sense_does_no_harm() {
        for length in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            drop(TimeSlice::ask_for(length));
        }
    }

    #[test]
    fn workers_have_it_and_give_it_back() {
        if !is_known() {
            return;
        }
        let before = slice();
        let in_runtime = |slice_of: Option<Duration>| {
            let builder = crate::Builder::default().workers(1).time_slice(slice_of);
            builder.run(async { slice() }).unwrap()
        };
        assert_eq!(in_runtime(Some(SHORTEST)), 100_000);
        assert_eq!(in_runtime(Some(Duration::from_millis(1))), 1_000_000);
        assert_eq!(in_runtime(None), before);
        assert_eq!(slice(), before);
    }
}
