//! How many files and sockets may be open at once.

use std::fs;

/// Kept free for whatever else opens something.
const RESERVE: u64 = 32;

/// How many descriptors the process can still open, after asking the system for as many as it gives
/// without being root.
pub(crate) fn spare() -> usize {
    // A limit that cannot be raised is what it is.
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|_| limit());
    let open = fs::read_dir("/proc/self/fd").map_or(RESERVE, |open| open.count() as u64);
    usize::try_from(limit.saturating_sub(open + RESERVE)).unwrap_or(usize::MAX).max(1)
}

/// The limit that is in force.
pub(crate) fn limit() -> u64 {
    rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1024, |(soft, _hard)| soft)
}
