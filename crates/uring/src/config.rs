//! What a driver is made with.

/// How a [`Driver`](crate::Driver) is set up. [`Config::default`] suits a worker of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Submission queue entries. Rounded up to a power of two, clamped by the kernel, halved where
    /// the system has not enough memory. More operations than this may be staged: they queue in user
    /// space.
    pub entries: u32,
    /// Completion queue entries, or four times `entries` if 0. Halved along with them. More may complete:
    /// the kernel keeps them until there is room.
    pub completions: u32,
    /// How much of what recent kernels offer may be used.
    pub features: Features,
}

impl Default for Config {
    fn default() -> Self {
        // 256: enough for a batch between two turns; more only costs cache. 4096: a completion queue
        // that overflows costs an enter, so it has room for many slow operations at once.
        Self { entries: 256, completions: 4096, features: Features::Best }
    }
}

/// Which flags to try at set-up. Whatever is asked for, what the kernel refuses is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Features {
    /// Only what Linux 5.11 has.
    Plain,
    /// As on Linux 5.19: completions do not interrupt the thread.
    Cooperative,
    /// As on Linux 6.1: one thread submits, completions wait until it looks.
    Deferred,
    /// Everything the kernel takes.
    #[default]
    Best,
}
