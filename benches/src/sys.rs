//! The few system calls the comparison needs: affinity, CPU time, and not outliving the parent.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

/// Pins the calling thread, and the threads it starts from now on, to one core.
///
/// # Errors
///
/// When the process may not run on that core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: a `cpu_set_t` is plain bits, all zero is the empty set; the call reads it while it lives.
    let result = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &set)
    };
    check(result)
}

/// Asks the kernel to kill this process when the one that started it ends.
///
/// # Errors
///
/// When the kernel refuses.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
}

/// CPU time, user and system, of this process: all its threads, those of the kernel that work for its rings included.
pub fn cpu_of_self() -> Duration {
    rusage(libc::RUSAGE_SELF)
}

/// CPU time of the children that have ended and were waited for.
pub fn cpu_of_children() -> Duration {
    rusage(libc::RUSAGE_CHILDREN)
}

fn rusage(who: libc::c_int) -> Duration {
    // SAFETY: `rusage` is plain numbers; the call fills the one it is given.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        assert_eq!(libc::getrusage(who, &mut usage), 0, "getrusage takes these arguments");
        usage
    };
    let duration = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

/// CPU time of another process, while it runs.
///
/// # Errors
///
/// When there is no such process.
pub fn cpu_of_process(pid: u32) -> io::Result<Duration> {
    // SAFETY: both calls fill the one place they are given.
    unsafe {
        let mut clock = 0;
        let errno = libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock);
        if errno != 0 {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let mut time: libc::timespec = mem::zeroed();
        check(libc::clock_gettime(clock, &mut time))?;
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Wall time and CPU time of this process since a moment.
#[derive(Debug)]
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts both clocks.
    pub fn start() -> Self {
        Self { cpu: cpu_of_self(), wall: Instant::now() }
    }

    /// Wall time and CPU time since the start.
    pub fn stop(self) -> (Duration, Duration) {
        let wall = self.wall.elapsed();
        (wall, cpu_of_self() - self.cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_of_a_process_grows_and_agrees_with_our_own() {
        let before = cpu_of_process(std::process::id()).unwrap();
        let mut sum = 0u64;
        while cpu_of_process(std::process::id()).unwrap() < before + Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_of_self() >= Duration::from_millis(20));
    }

    #[test]
    fn no_cpu_of_a_process_that_is_not() {
        assert!(cpu_of_process(u32::MAX >> 1).is_err());
    }

    #[test]
    fn pinning_to_a_core_that_is_not_is_refused() {
        assert!(std::thread::spawn(|| pin(1000)).join().unwrap().is_err());
    }
}
