//! What this process has, and what it should not have any more.

use filch::time::sleep;
use std::fs;
use std::thread;
use std::time::Duration;

/// How often to look for what is on its way out, and how long to wait in between.
const LOOKS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

/// What the process has at a moment when nothing is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holdings {
    /// Memory, in bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
    /// Processes that it has started, running or not waited for.
    pub(crate) children: usize,
}

impl Holdings {
    /// When what is on its way out (a child that is waited for by the reaper, a thread) is gone.
    pub(crate) async fn settled(most_descriptors: usize) -> Self {
        let mut now = Self::now();
        for _ in 0..LOOKS {
            if now.children == 0 && now.descriptors <= most_descriptors {
                break;
            }
            sleep(PAUSE).await;
            now = Self::now();
        }
        now
    }

    pub(crate) fn now() -> Self {
        Self { memory: memory(), descriptors: descriptors(), children: children() }
    }
}

pub(crate) fn descriptors() -> usize {
    // One of them is that of the directory that is looked at.
    fs::read_dir("/proc/self/fd").map_or(0, |open| open.count().saturating_sub(1))
}

/// So many threads of filch's are left when it is over.
pub(crate) fn threads() -> usize {
    let count = || {
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm"));
        threads.filter_map(|thread| name(thread).ok()).filter(|it| it.starts_with("filch")).count()
    };
    for _ in 0..LOOKS {
        if count() == 0 {
            return 0;
        }
        thread::sleep(PAUSE);
    }
    count()
}

/// What the process takes up in memory, in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn children() -> usize {
    let ourselves = std::process::id();
    let is_ours = |process: &fs::DirEntry| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // Behind the name, which may have anything in it: the state, and the parent.
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(ourselves)
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(is_ours).count()
}
