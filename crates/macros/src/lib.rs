//! The attribute macros of filch: `#[filch::main]` and `#[filch::test]`.
//!
//! Both keep the `async fn` as it was written, as an inner function, and put a plain function of
//! the same name around it that runs it on a runtime of its own. So types are inferred, `?` works
//! and errors are reported as in any other `async fn`. The calling thread becomes worker 0 of
//! that runtime: the body needs to be neither `Send` nor `'static`, and its I/O costs what that
//! of a spawned task does.
//!
//! Use them through the `filch` crate, whose names they write:
//!
//! ```ignore
//! // `ignore`: this crate is below `filch` and cannot run one.
//! #[filch::main]
//! async fn main() -> std::io::Result<()> {
//!     let text = filch::fs::read("Cargo.toml").await?;
//!     println!("{} bytes", text.len());
//!     Ok(())
//! }
//! ```

mod expand;
mod options;

use proc_macro::TokenStream;

use expand::Kind;

/// Runs an `async fn main` on a filch runtime.
///
/// Options, separated by commas:
///
/// - `workers = N`: how many worker threads, the calling one included; any expression of type
///   `usize`. By default one for each core that the process may use.
/// - `crate = PATH`: where filch is, for a program that knows it by another name. By default
///   `::filch`.
///
/// # Panics
///
/// The function that is made panics when the runtime cannot be built, with a message that says
/// why: the system refuses io_uring, say.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Main, options.into(), item.into()).into()
}

/// Makes an `async fn` a test, on a filch runtime of its own.
///
/// `#[test]` is added; `#[ignore]` and `#[should_panic]` work as on any test. Options, separated
/// by commas:
///
/// - `workers = N`: how many worker threads, the test's own included. By default 2, on any
///   machine: enough for tasks to be stolen, and few enough to run many tests side by side.
/// - `virtual_time`: its clock is a virtual one, which jumps to the next timer when nothing can run
///   (`Builder::virtual_time`): an hour of sleep takes no time.
/// - `seed = N`: on one worker, and the order of tasks is drawn from the number (`Builder::seed`). With
///   `virtual_time` the test runs alike each time. A range, `seed = 0..100` or `0..=99`, runs it with each,
///   one after the other. If it fails, its seed is printed, and how to replay it: the environment variable
///   `FILCH_TEST_SEED` takes the place of the seeds of all tests that have some.
/// - `timeout = "5s"`: it fails if it takes longer, in real time; `ms`, `s` or `min`. What it has begun
///   and was not over then is named. One that blocks its thread ends the process.
/// - `leak_check`: it fails if it leaves anything behind: tasks, blocking closures, timers, operations in
///   flight and descriptors are named. (What is on its way out is given a tenth of a second.) It is run in
///   a process of its own, where the descriptors are nobody else's.
/// - `crate = PATH`: where filch is. By default `::filch`.
///
/// With `seed`, `timeout` or `leak_check` it returns `()` or a `Result` of that.
///
/// # Panics
///
/// The test fails when its runtime cannot be built, with a message that says why.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Test, options.into(), item.into()).into()
}
