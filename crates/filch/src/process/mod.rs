//! Processes: starting them, talking to them, waiting for their end.
//!
//! [`Command`] is that of the standard library, which does the starting. What waits is different: a child's pipes
//! are read and written, and its end is waited for, through the ring, and no future that is dropped loses anything.
//!
//! ```
//! # filch::run(async {
//! use filch::io::{BufRead, BufReader, Write};
//! use filch::process::{Command, Stdio};
//!
//! let mut sort = Command::new("sort");
//! let mut child = sort.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().await?;
//! let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
//! to.write_all(b"two\none\n").await?;
//! drop(to);
//! let mut lines = BufReader::new(from).lines();
//! assert_eq!(lines.next_line().await?.as_deref(), Some("one"));
//! assert_eq!(lines.next_line().await?.as_deref(), Some("two"));
//! assert!(child.wait().await?.success());
//! # Ok::<(), std::io::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Nobody stays behind
//!
//! A child that has ended stays in the system's table, as a *zombie*, until its parent has asked how it went. Who
//! waits for it asks. A [`Child`] that is dropped before goes to the *reaper*, a thread that is there while there are
//! such children, sleeps until one ends, and asks. filch installs no handler for `SIGCHLD` and never waits for
//! "any" child: children that other code of the program started are left alone. In return, that code has to leave
//! these alone: where `SIGCHLD` is ignored, or somebody waits for any child, `wait` fails with `ECHILD`.
//!
//! The rules are `PROC-1` to `PROC-14` in `docs/semantics.md`.

mod child;
mod command;
mod pidfd;
mod reaper;

pub use crate::io::{
    PipeReader as ChildStderr, PipeReader as ChildStdout, PipeWriter as ChildStdin,
};
pub use child::Child;
pub use command::Command;
#[doc(no_inline)]
pub use std::process::{ExitStatus, Output, Stdio};
