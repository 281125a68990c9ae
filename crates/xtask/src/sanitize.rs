//! `cargo xtask sanitize`: tests with every access to memory checked.
//!
//! AddressSanitizer, with LeakSanitizer in it, over the crates that hold memory which another thread or
//! the kernel may still use; their stress tests above all. The standard library need not be instrumented
//! for it: what it allocates passes through the same allocator.
//!
//! ThreadSanitizer is left out. It knows no fences, on which `Idle`'s and `Arc`'s orders rest, and it sees
//! no synchronisation inside a standard library that is not instrumented: its reports here would be of
//! races that are none. The orders of atomics are the business of the loom models, which know both.

use std::fs;
use std::process::{Command, Stdio};

use crate::args::Args;
use crate::proc;
use crate::steps::{Done, Steps};
use crate::tree;

/// The target that the sanitizers are run for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What may leak nothing.
const NO_LEAKS: &[&str] = &["filch-atomic", "filch-sched", "filch-sync"];

/// What leaks on purpose: a ring that the kernel may still write to is left behind (D7), and the tests of
/// that have it happen. Their accesses to memory are checked all the same.
const LEAKS: &[&str] = &["filch-uring", "filch"];

/// Functions below which an allocation may leak, and why.
const DELIBERATE: &[(&str, &str)] = &[(
    "filch_atomic::panics::drop_caught",
    "a payload whose destructor panics is leaked, as its payload's destructor may panic too",
)];

/// `cargo xtask sanitize`.
pub(crate) fn main(args: Args) -> Result<(), String> {
    let names = args.names()?;
    if let Some(name) = names.iter().find(|name| !all().any(|package| package == **name)) {
        let known: Vec<&str> = all().collect();
        return Err(format!("`{name}` is not among {}", known.join(", ")));
    }
    let mut steps = Steps::new();
    run(&mut steps, &names);
    steps.finish()
}

fn all() -> impl Iterator<Item = &'static str> {
    NO_LEAKS.iter().chain(LEAKS).copied()
}

/// The steps: the packages named, or all.
pub(crate) fn run(steps: &mut Steps, names: &[String]) {
    for (step, packages, leaks) in
        [("address and leak sanitizer", NO_LEAKS, true), ("address sanitizer", LEAKS, false)]
    {
        let wanted = |package: &&str| names.is_empty() || names.iter().any(|name| name == package);
        let packages: Vec<&str> = packages.iter().copied().filter(wanted).collect();
        if !packages.is_empty() {
            steps.run(step, || test(&packages, leaks));
        }
    }
}

fn test(packages: &[&str], leaks: bool) -> Result<Done, String> {
    let mut probe = Command::new("rustup");
    probe.args(["run", "nightly", "rustc", "--version"]).stdin(Stdio::null());
    if !probe.output().is_ok_and(|output| output.status.success()) {
        return Ok(Done::Skipped("no toolchain named nightly".to_owned()));
    }
    let target = tree::target().join("asan");
    let list = target.join("deliberate-leaks");
    fs::create_dir_all(&target)
        .and_then(|()| fs::write(&list, suppressions()))
        .map_err(|error| format!("{}: {error}", list.display()))?;
    let mut cargo = Command::new("rustup");
    cargo
        .args(["run", "nightly", "cargo", "test", "--quiet", "--no-fail-fast"])
        .args(["--target", TARGET, "--all-features", "--lib", "--tests"])
        .current_dir(tree::root())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Which toolchain the outer cargo is must not leak into the inner one.
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("CARGO_TARGET_DIR", target)
        .env("ASAN_OPTIONS", format!("detect_leaks={}", u8::from(leaks)))
        .env("LSAN_OPTIONS", format!("print_suppressions=0:suppressions={}", list.display()));
    for package in packages {
        cargo.args(["--package", package]);
    }
    proc::run(cargo)
}

/// [`DELIBERATE`], as LeakSanitizer reads it.
fn suppressions() -> String {
    DELIBERATE.iter().map(|(function, why)| format!("# {why}\nleak:{function}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_checked_once() {
        let mut packages: Vec<&str> = all().collect();
        packages.sort_unstable();
        packages.dedup();
        assert_eq!(packages.len(), NO_LEAKS.len() + LEAKS.len());
    }

    #[test]
    fn a_leak_that_is_allowed_says_why() {
        let text = suppressions();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 * DELIBERATE.len());
        assert!(lines.chunks(2).all(|two| two[0].starts_with("# ") && two[1].starts_with("leak:")));
    }
}
