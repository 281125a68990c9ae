//! The contenders that are runtimes, one file each.
//!
//! To add one: implement [`crate::runtime::Runtime`] (and `Net` and `Udp` where it can) in a file here, and give it a
//! line in `with_runtime!` and, for I/O, in `with_net!`; then name it in the `contenders` of the rows it should run in.
//! How it uses files is in [`crate::files`]. A runtime of one thread implements [`crate::runtime::OneThread`] instead.

mod compio;
mod filch;
mod monoio;
mod smol;
mod tokio;

pub use self::compio::Compio;
pub use self::filch::Filch;
pub use self::monoio::Monoio;
pub use self::smol::Smol;
pub use self::tokio::{TokioCt, TokioFs, TokioMt};

/// The name of the bare ring loop, which is no runtime: the rows that have one handle it themselves.
pub const RING: &str = "ring";
/// The same with multishot receives into provided buffers.
pub const RING_MULTISHOT: &str = "ring-multishot";
/// The same with polls for readiness and plain system calls to receive.
pub const RING_POLL: &str = "ring-poll";
/// filch, reading and writing by owned buffers.
pub const FILCH_OWNED: &str = "filch-owned";
/// filch, receiving leases and writing them.
pub const FILCH_LEASE: &str = "filch-lease";

/// filch, receiving and sending datagrams by the batch.
pub const FILCH_BATCH: &str = "filch-batch";
/// monoio, which has one thread.
pub const MONOIO: &str = <Monoio as crate::runtime::OneThread>::NAME;
/// compio, which has one thread.
pub const COMPIO: &str = <Compio as crate::runtime::OneThread>::NAME;
/// The contenders that have one thread only.
pub const ONE_THREAD: &[&str] = &["tokio-ct", MONOIO, COMPIO];

/// Evaluates an expression with `$runtime` standing for the runtime called `$name`; an error when there is none.
macro_rules! with_runtime {
    ($name:expr, $runtime:ident => $body:expr) => {
        $crate::runtimes::choose!($name, $runtime => $body, Filch, TokioMt, TokioCt, Smol)
    };
}

/// `with_runtime!` for the runtimes that have groups of tasks, or stand in for one.
macro_rules! with_groups {
    ($name:expr, $runtime:ident => $body:expr) => {
        $crate::runtimes::choose!($name, $runtime => $body, Filch, TokioMt, TokioCt, Smol)
    };
}

/// `with_runtime!` for the runtimes that have streams and datagrams, and tasks that may move.
macro_rules! with_net {
    ($name:expr, $runtime:ident => $body:expr) => {
        $crate::runtimes::choose!($name, $runtime => $body, Filch, TokioMt, TokioCt, Smol)
    };
}

/// `with_runtime!` for the runtimes that are one thread.
macro_rules! with_one_thread {
    ($name:expr, $runtime:ident => $body:expr) => {{
        #[allow(unused_imports)]
        use $crate::runtime::OneThread as _;
        match $name {
            $crate::runtimes::MONOIO => {
                type $runtime = $crate::runtimes::Monoio;
                $body
            }
            $crate::runtimes::COMPIO => {
                type $runtime = $crate::runtimes::Compio;
                $body
            }
            other => Err(std::io::Error::other(format!("no runtime `{other}` for this row"))),
        }
    }};
}

/// One arm a runtime.
macro_rules! choose {
    ($name:expr, $runtime:ident => $body:expr, $($candidate:ident),+) => {{
        #[allow(unused_imports)]
        use $crate::runtime::Runtime as _;
        match $name {
            $(<$crate::runtimes::$candidate as $crate::runtime::Runtime>::NAME => {
                type $runtime = $crate::runtimes::$candidate;
                Ok($body)
            })+
            other => Err(std::io::Error::other(format!("no runtime `{other}` for this row"))),
        }
    }};
}

pub(crate) use {choose, with_groups, with_net, with_one_thread, with_runtime};
