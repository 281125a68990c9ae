//! The few system calls the comparison needs: affinity, CPU time, and not outliving the parent.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

/// Pins the calling thread, and the threads it starts from now on, to one of the cores it may run on: the first one, the
/// second one, and so on, counted from 0.
///
/// # Errors
///
/// When there are not so many.
pub fn pin(nth: usize) -> io::Result<()> {
    // SAFETY: a `cpu_set_t` is plain bits, all zero is the empty set; the calls fill and read the ones they are given, and
    // the macros look only at bits inside them.
    unsafe {
        let mut allowed: libc::cpu_set_t = mem::zeroed();
        check(libc::sched_getaffinity(0, mem::size_of_val(&allowed), &mut allowed))?;
        let core = (0..libc::CPU_SETSIZE as usize)
            .filter(|core| libc::CPU_ISSET(*core, &allowed))
            .nth(nth)
            .ok_or_else(|| io::Error::other(format!("this takes {} cores", nth + 1)))?;
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        check(libc::sched_setaffinity(0, mem::size_of_val(&set), &set))
    }
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

/// Bytes of memory that this process has resident.
///
/// # Errors
///
/// When `/proc/self/statm` cannot be read.
pub fn resident_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm has no second figure"))?;
    // SAFETY: takes no pointer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * page as u64)
}

/// Bytes that the allocator has given out, its own words included; `None` where it does not tell.
pub fn heap_bytes() -> Option<u64> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes no pointer, and returns plain numbers.
        let info = unsafe { libc::mallinfo2() };
        Some((info.uordblks + info.hblkhd) as u64)
    }
    #[cfg(not(target_env = "gnu"))]
    None
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
    use std::thread;

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
    fn memory_is_counted_once_it_is_used() {
        const BYTES: usize = 64 << 20;
        let (resident, heap) = (resident_bytes().unwrap(), heap_bytes());
        let full = std::hint::black_box(vec![1u8; BYTES]);
        // Other tests come and go meanwhile.
        assert!(resident_bytes().unwrap() > resident + BYTES as u64 / 2);
        assert!(heap_bytes() >= heap.map(|heap| heap + BYTES as u64 / 2));
        drop(full);
    }

    #[test]
    fn no_cpu_of_a_process_that_is_not() {
        /// One above the highest that Linux gives out.
        const NO_PID: u32 = (1 << 22) + 1;
        assert!(cpu_of_process(NO_PID).is_err());
    }

    #[test]
    fn pinning_leaves_one_core() {
        let pinned = || {
            pin(0).unwrap();
            (thread::available_parallelism().unwrap().get(), pin(1).is_err())
        };
        assert_eq!(thread::spawn(pinned).join().unwrap(), (1, true));
    }
}
