//! How long a test may take, and what may run beside it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Ends the process if it is not dropped in time: a test that hangs says so, and which one it is.
///
/// Not a measure of speed: the time is far beyond what any test takes.
#[derive(Debug)]
#[must_use = "the watch ends when this is dropped"]
pub struct Watchdog {
    number: u64,
}

#[derive(Debug)]
struct Watched {
    until: Instant,
    name: String,
}

struct Watches {
    next: u64,
    running: BTreeMap<u64, Watched>,
}

static WATCHES: Mutex<Watches> = Mutex::new(Watches { next: 0, running: BTreeMap::new() });
static CHANGED: Condvar = Condvar::new();
static ALONE: Mutex<()> = Mutex::new(());

fn watches() -> MutexGuard<'static, Watches> {
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives this test so many seconds.
pub fn watchdog(seconds: u64) -> Watchdog {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::Builder::new()
            .name("watchdog".into())
            .spawn(watch)
            .expect("a thread for the watchdog");
    });
    let name = thread::current().name().unwrap_or("a thread without a name").to_owned();
    let mut watches = watches();
    let number = watches.next;
    watches.next += 1;
    let until = Instant::now() + Duration::from_secs(seconds);
    watches.running.insert(number, Watched { until, name });
    CHANGED.notify_all();
    Watchdog { number }
}

fn watch() {
    let mut watches = watches();
    loop {
        let now = Instant::now();
        let first = watches.running.values().min_by_key(|watched| watched.until);
        let wait = match first {
            Some(watched) if watched.until <= now => {
                let _ = writeln!(std::io::stderr(), "watchdog: {} hangs: aborting", watched.name);
                std::process::abort();
            }
            Some(watched) => watched.until - now,
            None => Duration::from_secs(3600),
        };
        watches = CHANGED.wait_timeout(watches, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        watches().running.remove(&self.number);
    }
}

/// A test that no other test with one of these runs beside.
#[derive(Debug)]
#[must_use = "others may run when this is dropped"]
pub struct Alone {
    _watchdog: Watchdog,
    _lock: MutexGuard<'static, ()>,
}

/// Waits until no other test of this process is alone, and gives this one so many seconds from then on.
/// For tests that count what the process has.
pub fn alone(seconds: u64) -> Alone {
    let lock = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Alone { _watchdog: watchdog(seconds), _lock: lock }
}
