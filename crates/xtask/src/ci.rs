//! `cargo xtask ci`: what has to pass before a change lands.
//!
//! The plain form runs on any machine with the pinned toolchain and ends well within half an
//! hour on two cores from a fresh clone. `--full` adds what takes longer or needs a nightly
//! compiler; what a machine lacks is skipped in plain sight.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::args::Args;
use crate::loom::Limits;
use crate::steps::{Done, Steps};
use crate::{compare, deps, loom, mutate, proc, sanitize, shuttle, test, tidy, tree};

/// The examples that end by themselves within seconds, with small arguments. All others are
/// built, and a person runs them.
const QUICK_EXAMPLES: &[(&str, &str, &[&str])] = &[
    ("filch", "tour", &["crates/atomic", "--all", "--seconds", "2", "--workers", "2", "--json"]),
    ("filch", "tail", &["README.md", "3"]),
];

/// `cargo xtask ci`.
pub(crate) fn main(mut args: Args) -> Result<(), String> {
    let full = args.flag("--full");
    args.finish()?;
    let mut steps = Steps::new();
    plain(&mut steps);
    if full {
        more(&mut steps);
    }
    steps.finish()
}

fn plain(steps: &mut Steps) {
    steps.run("tidy", tidy::run);
    steps.run("fmt", || proc::run(proc::cargo(&["fmt", "--all", "--check"])));
    steps.run("clippy", || {
        let mut cargo = proc::cargo(&["clippy", "--quiet", "--workspace", "--all-targets"]);
        cargo.args(["--all-features", "--", "-D", "warnings"]);
        proc::run(cargo)
    });
    for checker in ["loom", "shuttle"] {
        steps.run(&format!("clippy of the {checker} tests"), || clippy_under(checker));
    }
    steps.run("features", features);
    steps.run("docs", || {
        let mut cargo = proc::cargo(&["doc", "--quiet", "--workspace", "--no-deps"]);
        cargo
            .args(["--all-features", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings");
        proc::run(cargo)
    });
    test::run(steps);
    steps.run("shuttle programs", || shuttle::run(&[], shuttle::SHORT));
    steps.run("examples", || {
        proc::run(proc::cargo(&["build", "--quiet", "--workspace", "--all-features", "--examples"]))
    });
    for (package, example, args) in QUICK_EXAMPLES {
        steps.run(&format!("example {example}"), || run_example(package, example, args));
    }
}

fn more(steps: &mut Steps) {
    steps.run("loom mutations", || mutate::run(&[]));
    steps.run("loom models, longer", || loom::run(&[], Limits::FULL));
    sanitize::run(steps, &[]);
    steps.run("shuttle programs, longer", || shuttle::run(&[], shuttle::LONG));
    steps.run("soaks", soak);
    steps.run("comparison, short", || compare::run(&["--quick"]));
    let network = ["--quick", "--repeat", "1", "--no-wait", "bulk", "accept", "udp"];
    steps.run("comparison of the network, short", || compare::run(&network));
}

/// Lints what only a model checker builds.
fn clippy_under(checker: &str) -> Result<Done, String> {
    let package = format!("filch-{checker}-tests");
    let mut cargo = proc::cargo(&["clippy", "--quiet", "--package", &package, "--all-targets"]);
    cargo
        .args(["--", "-D", "warnings"])
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", format!("--cfg filch_{checker}"))
        .env("CARGO_TARGET_DIR", tree::target().join(checker));
    proc::run(cargo)
}

/// Checks every package that has features with none of them and with each alone; all other steps
/// have all of them.
fn features() -> Result<Done, String> {
    let mut checked = 0;
    for manifest in deps::manifests()? {
        if manifest.features.is_empty() {
            continue;
        }
        let check = |with: &[&str]| {
            let mut cargo = proc::cargo(&["check", "--quiet", "--package", &manifest.package]);
            proc::run({
                cargo.args(with);
                cargo
            })
        };
        check(&["--no-default-features"])?;
        for feature in manifest.features.iter().filter(|feature| *feature != "default") {
            check(&["--no-default-features", "--features", feature])?;
        }
        checked += 1;
    }
    if checked == 0 {
        return Ok(Done::Skipped("no package has features yet".to_owned()));
    }
    Ok(Done::Passed)
}

fn run_example(package: &str, example: &str, args: &[&str]) -> Result<Done, String> {
    if !example_exists(package, example)? {
        return Ok(Done::Skipped(format!("{package} has no example `{example}` yet")));
    }
    let mut cargo = proc::cargo(&["run", "--quiet", "--package", package, "--all-features"]);
    cargo.args(["--example", example, "--"]).args(args);
    proc::run(cargo)
}

fn example_exists(package: &str, example: &str) -> Result<bool, String> {
    let manifest = deps::manifests()?.into_iter().find(|manifest| manifest.package == package);
    let manifest = manifest.ok_or_else(|| format!("no package is named `{package}`"))?;
    let examples = tree::root().join(manifest.folder).join("examples");
    Ok(examples.join(format!("{example}.rs")).is_file()
        || examples.join(example).join("main.rs").is_file()
        || fs::read_to_string(examples.join("../Cargo.toml"))
            .is_ok_and(|text| text.contains(&format!("name = \"{example}\""))))
}

/// Runs the tests whose name says `soak`, ignored ones too. Only the targets that have any are
/// built: in release, with many tests to a package, the others would cost more than the soaks.
fn soak() -> Result<Done, String> {
    let files = tree::files()?;
    let mut found = 0;
    for manifest in deps::manifests()?.iter().filter(|manifest| manifest.package != "xtask") {
        let mut targets = BTreeSet::new();
        for file in files.iter().filter(|file| file.extension().is_some_and(|ext| ext == "rs")) {
            let Ok(inside) = file.strip_prefix(&manifest.folder) else { continue };
            if fs::read_to_string(tree::root().join(file)).is_ok_and(|text| has_soak(&text)) {
                targets.extend(target_of(inside));
            }
        }
        if targets.is_empty() {
            continue;
        }
        found += targets.len();
        let mut cargo = proc::cargo(&["test", "--quiet", "--all-features", "--release"]);
        cargo
            .args(["--no-fail-fast", "--package", &manifest.package])
            .args(targets.iter().flatten());
        cargo.args(["--", "--include-ignored", "soak"]);
        proc::run(cargo)?;
    }
    if found == 0 {
        return Ok(Done::Skipped("no test is named `soak...` yet".to_owned()));
    }
    Ok(Done::Passed)
}

/// Whether a function or a module of this source is named so.
fn has_soak(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start().trim_start_matches("async ");
        ["fn ", "mod "].iter().any(|word| {
            let name = line.strip_prefix(word).and_then(|rest| rest.split(['(', ' ', '{']).next());
            name.is_some_and(|name| name.contains("soak"))
        })
    })
}

/// What cargo is told to build the test target that this file of a package belongs to.
fn target_of(file: &Path) -> Option<Vec<String>> {
    let mut parts = file.iter().filter_map(|part| part.to_str());
    match parts.next()? {
        "tests" => {
            let name = parts.next()?.trim_end_matches(".rs");
            Some(vec!["--test".to_owned(), name.to_owned()])
        }
        "src" if parts.next()? == "bin" => Some(vec!["--bins".to_owned()]),
        "src" => Some(vec!["--lib".to_owned()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_is_built_by_its_target() {
        let built_by = |file: &str| target_of(Path::new(file)).map(|args| args.join(" "));
        assert_eq!(built_by("tests/many.rs").as_deref(), Some("--test many"));
        assert_eq!(built_by("tests/files/large.rs").as_deref(), Some("--test files"));
        assert_eq!(built_by("src/queue/tests.rs").as_deref(), Some("--lib"));
        assert_eq!(built_by("src/bin/compare.rs").as_deref(), Some("--bins"));
        assert_eq!(built_by("build.rs"), None);
    }

    #[test]
    fn a_soak_is_known_by_its_name() {
        assert!(has_soak("    async fn soak_of_many() {"));
        assert!(has_soak("mod soak {"));
        assert!(!has_soak("// fn soak is not one\nfn many(soak: u8) {}"));
    }
}
