//! `cargo xtask tidy`: the rules of this repository that no compiler checks.
//!
//! Each is cheap to follow and easy to forget: one concept a file, so no file grows long; a first
//! line that says what a file is for; nothing half-done and nothing of one person's machine left
//! in; every dependency explained. A last check only warns: atomic operations should name the
//! operation they pair with, which a program can guess at but not know.

use std::fs;
use std::path::Path;

use crate::args::Args;
use crate::deps;
use crate::steps::Done;
use crate::tree;

/// No file of `crates` is longer, unless it is listed below.
const MAX_LINES: usize = 600;

/// Longer files, and why they are one concept all the same.
const LONG_FILES: &[(&str, &str)] = &[];

/// How far above an atomic operation a comment may stand.
const COMMENT_REACH: usize = 6;

/// Warnings that are shown; the rest are counted.
const SHOWN_WARNINGS: usize = 12;

/// Words that must not be in the repository, and why. They are put together here so that this
/// file does not hold them.
fn forbidden() -> Vec<(String, &'static str)> {
    let machine = "is a path of one person's machine";
    let unfinished = "marks something unfinished: finish it, or write down what is missing";
    let path = |folder: &str| format!("/{folder}/");
    vec![
        (path("work"), machine),
        (path("root"), machine),
        (path("home"), machine),
        (path(&["tmp", "wt"].join("/")), machine),
        (["to", "do!("].concat(), unfinished),
        (["FIX", "ME"].concat(), unfinished),
        (["X"; 3].concat(), unfinished),
    ]
}

/// `cargo xtask tidy`.
pub(crate) fn main(args: Args) -> Result<(), String> {
    args.finish()?;
    run().map(|_| println!("tidy"))
}

/// Checks everything; the error lists what was found.
pub(crate) fn run() -> Result<Done, String> {
    let root = tree::root();
    let forbidden = forbidden();
    let mut faults = deps::undocumented()?;
    let mut warnings = Vec::new();
    for file in tree::files()? {
        let bytes = fs::read(root.join(&file)).map_err(|e| format!("{}: {e}", file.display()))?;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let name = file.display().to_string();
        faults.extend(words(&text, &forbidden).into_iter().map(|fault| format!("{name}:{fault}")));
        if file.extension().is_some_and(|extension| extension == "rs") {
            faults.extend(long(&name, &text));
            if !has_header(&text) {
                faults.push(format!("{name}: does not open with a `//!` that says what it is"));
            }
            if is_source(&file) {
                let found = lonely_atomics(&text);
                warnings.extend(found.into_iter().map(|line| format!("{name}:{line}")));
            }
        }
    }
    for (file, _) in LONG_FILES {
        let lines = fs::read_to_string(root.join(file)).map_or(0, |text| text.lines().count());
        if lines <= MAX_LINES {
            faults.push(format!("{file} is in the list of long files and need not be"));
        }
    }
    if !warnings.is_empty() {
        println!("warning: {} atomic operations seem to name no partner:", warnings.len());
        for warning in warnings.iter().take(SHOWN_WARNINGS) {
            println!("  {warning}");
        }
    }
    if faults.is_empty() {
        return Ok(Done::Passed);
    }
    for fault in &faults {
        println!("{fault}");
    }
    Err(format!("{} things are untidy", faults.len()))
}

fn long(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let listed = LONG_FILES.iter().any(|(file, _)| *file == name);
    let is_long = name.starts_with("crates/") && lines > MAX_LINES && !listed;
    is_long.then(|| format!("{name}: {lines} lines, more than {MAX_LINES}: more than one concept?"))
}

/// The places of forbidden words, as "line: why". A word of letters counts only when it stands
/// alone: a template of X's is no note.
fn words(text: &str, forbidden: &[(String, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (word, why) in forbidden {
            let alone = |(at, _): (usize, &str)| {
                let letter = |c: char| c.is_alphanumeric() && word.ends_with(char::is_alphanumeric);
                let before = line[..at].chars().next_back();
                let after = line[at + word.len()..].chars().next();
                !before.is_some_and(letter) && !after.is_some_and(letter)
            };
            if line.match_indices(word.as_str()).any(alone) {
                found.push(format!("{}: `{word}` {why}", number + 1));
            }
        }
    }
    found
}

/// Whether a file opens with documentation of its own; attributes and plain comments may come
/// first.
fn has_header(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .find(|line| {
            let doc = line.starts_with("//!") || line.starts_with("#![doc");
            doc || !(line.starts_with("//") || line.starts_with("#!"))
        })
        .is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"))
}

/// Code that runs in a program, rather than tests, examples and what stands in for the machine
/// under a model checker.
fn is_source(file: &Path) -> bool {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
    parts.first().is_some_and(|part| part == "crates")
        && !parts
            .iter()
            .any(|part| matches!(&**part, "tests" | "examples" | "model" | "xtask" | "tests.rs"))
}

/// Lines with an atomic ordering and no word of a partner near them. Unit tests at the end of a
/// file are left out.
fn lonely_atomics(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().take_while(|line| !line.contains("#[cfg(test)]")).collect();
    let orderings = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let is_use = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        let named = orderings.iter().any(|ordering| code.contains(ordering));
        named && !code.trim_start().starts_with("use ") && !code.trim_start().starts_with("pub use")
    };
    let speaks = |line: &str| {
        let Some((_, comment)) = line.split_once("//") else { return false };
        let comment = comment.to_lowercase();
        ["pair", "relaxed", "order", "fence", "synchroni"].iter().any(|w| comment.contains(w))
    };
    (0..lines.len())
        .filter(|&at| is_use(lines[at]))
        .filter(|&at| !lines[at.saturating_sub(COMMENT_REACH)..=at].iter().any(|l| speaks(l)))
        .map(|at| at + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_words_are_found_where_they_stand_alone() {
        let mark = "X".repeat(3);
        let text = format!("fine\n// {mark}: later\nlet t = \"{mark}{mark}\";\n");
        let found = words(&text, &forbidden());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("2: "));
        let path = format!("see {}main", forbidden()[0].0);
        assert_eq!(words(&path, &forbidden()).len(), 1);
    }

    #[test]
    fn a_header_may_come_after_attributes() {
        assert!(has_header("//! What it is.\nfn f() {}"));
        assert!(has_header("#![cfg(filch_loom)]\n\n//! A model."));
        assert!(has_header("#![doc = include_str!(\"README.md\")]\nfn f() {}"));
        assert!(!has_header("use std::fs;\n//! Too late."));
        assert!(!has_header(""));
    }

    #[test]
    fn only_long_files_of_crates_are_long() {
        let text = "x\n".repeat(MAX_LINES + 1);
        assert!(long("crates/filch/src/lib.rs", &text).is_some());
        assert!(long("benches/src/lib.rs", &text).is_none());
        assert!(long("crates/filch/src/lib.rs", "x\n").is_none());
    }

    #[test]
    fn an_atomic_without_a_partner_is_noticed() {
        assert_eq!(lonely_atomics("a.load(Acquire);"), [1]);
        assert!(lonely_atomics("// Pairs with `push`.\na.load(Acquire);").is_empty());
        assert!(lonely_atomics("a.load(Relaxed); // relaxed: a counter").is_empty());
        assert!(lonely_atomics("use std::sync::atomic::Ordering::{Acquire, Release};").is_empty());
        assert!(lonely_atomics("#[cfg(test)]\nmod tests { a.load(SeqCst); }").is_empty());
    }
}
