//! What the process has: descriptors, threads, children. For tests that run [alone](crate::limits::alone).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The open descriptors of this process and what each is, the one used to look left out.
pub fn descriptors() -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").expect("proc is there").flatten() {
        let Ok(fd) = entry.file_name().to_string_lossy().parse() else { continue };
        // The descriptor of the directory itself is gone when it is looked at, or is named as such.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        if !(target.starts_with("/proc/") && target.ends_with("/fd")) {
            found.insert(fd, target);
        }
    }
    found
}

/// The threads of this process whose names begin so, and their names. (The test harness has threads too,
/// which come and go, and are called after their tests.)
pub fn threads(prefix: &str) -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task").expect("proc is there").flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        // It may have ended in between.
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
        if name.starts_with(prefix) {
            found.insert(id, name.trim().to_owned());
        }
    }
    found
}

/// Whether this process has children: running, or ended and not waited for.
///
/// # Panics
///
/// If the system does not say.
pub fn has_children() -> bool {
    // SAFETY: all zeroes is a value of it.
    let mut info = unsafe { std::mem::zeroed::<libc::siginfo_t>() };
    let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: there is room for it.
    if unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, look) } == 0 {
        return true;
    }
    let error = std::io::Error::last_os_error();
    assert_eq!(error.raw_os_error(), Some(libc::ECHILD), "{error}");
    false
}

/// What the process had at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    prefix: &'static str,
    descriptors: BTreeMap<i32, String>,
    threads: BTreeMap<i32, String>,
}

impl Before {
    /// Now: all descriptors, and the threads whose names begin with `prefix`.
    pub fn now(prefix: &'static str) -> Self {
        Self { prefix, descriptors: descriptors(), threads: threads(prefix) }
    }

    /// Checks that the process has no more than it had. What is on its way out (a thread between its last
    /// instruction and its removal from `/proc`) is given a moment, a bounded number of times.
    ///
    /// # Panics
    ///
    /// If there is something new, naming it.
    #[track_caller]
    pub fn check(&self) {
        let mut new = self.new_things();
        for _ in 0..20_000 {
            if new.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
            new = self.new_things();
        }
        assert!(new.is_empty(), "leaked: {}", new.join(", "));
    }

    fn new_things(&self) -> Vec<String> {
        let fds = descriptors().into_iter().filter(|(fd, _)| !self.descriptors.contains_key(fd));
        let threads =
            threads(self.prefix).into_iter().filter(|(id, _)| !self.threads.contains_key(id));
        fds.map(|(fd, what)| format!("descriptor {fd} ({what})"))
            .chain(threads.map(|(id, name)| format!("thread {id} ({name})")))
            .collect()
    }
}
