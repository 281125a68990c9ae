//! What is in a `GroupError`, and how it is displayed.

use crate::kit::run;
use filch::sync::Event;
use filch::task::BoxError;
use filch::{GroupError, group, shielded};
use std::fmt;
use std::future::Future;
use std::num::ParseIntError;
use std::pin::Pin;
use std::sync::Arc;

#[derive(Debug, PartialEq)]
struct Lines(u32);

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}\nof two lines", self.0)
    }
}

impl std::error::Error for Lines {}

/// Its children fail one after the other, all of them: no cancel gets at them. One is a group of the same kind.
fn failed(depth: u32) -> Pin<Box<dyn Future<Output = GroupError> + Send>> {
    let fails = group(async move |g| {
        let (first, second) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (ended, begin) = (first.clone(), first);
        g.spawn(async move {
            ended.set();
            Err::<(), _>(Lines(depth))
        });
        let next = if depth > 0 { second.clone() } else { begin.clone() };
        let ended = second;
        if depth > 0 {
            g.named("nested").spawn(shielded(async move {
                begin.wait().await;
                let error = failed(depth - 1).await;
                ended.set();
                Err::<(), _>(error)
            }));
        }
        g.named("number").spawn(shielded(async move {
            next.wait().await;
            "x".parse::<u8>()
        }));
        Ok(())
    });
    Box::pin(async { fails.await.expect_err("all fail") })
}

/// With one worker whoever is told runs after whoever tells.
fn two_deep() -> GroupError {
    filch::Runtime::builder().workers(1).run(failed(2)).unwrap()
}

/// GROUP-16.
#[test]
fn group_16_errors_are_split_by_what_they_are() {
    let error = two_deep();
    assert_eq!((error.len(), error.is_cancelled()), (3, false));
    let (numbers, others) = error.split(|failure| failure.is::<ParseIntError>());
    let (numbers, others) = (numbers.unwrap(), others.unwrap());
    // Each keeps its shape: a group with a group in it.
    assert_eq!((numbers.len(), others.len()), (2, 2));
    assert_eq!((numbers.flatten().len(), others.flatten().len()), (3, 3));

    let (all, none) = two_deep().split(|_| true);
    assert!(all.unwrap().len() == 3 && none.is_none());
}

/// GROUP-16.
#[test]
fn group_16_errors_are_taken_out_by_type() {
    let (lines, rest) = two_deep().downcast::<Lines>();
    assert_eq!(lines.iter().map(|lines| lines.0).sum::<u32>(), 2 + 1);
    assert_eq!(lines.len(), 3);
    let (numbers, rest) = rest.unwrap().downcast::<ParseIntError>();
    assert!(numbers.len() == 3 && rest.is_none());
}

/// GROUP-16, and GROUP-3: a boxed error is taken as it is.
#[test]
fn group_16_a_boxed_error_is_not_boxed_again() {
    run(async {
        let fails = group(async |g| {
            g.spawn(async { Err::<(), BoxError>(Box::new(Lines(1))) });
            Ok(())
        });
        let mut failures = fails.await.unwrap_err().into_iter();
        let failure = failures.next().unwrap();
        assert_eq!(failure.downcast_ref::<Lines>(), Some(&Lines(1)));
        let failure = failure.downcast::<ParseIntError>().unwrap_err();
        assert!(failure.into_error().is::<Lines>());
    });
}

/// GROUP-16. The whole tree, with names, places and lines.
#[test]
fn group_16_the_display_is_a_tree() {
    let error = two_deep();
    let text = error.to_string();
    // Numbers and places differ from run to run; what they look like does not.
    let shape: Vec<String> = text
        .lines()
        .map(|line| {
            let line = line.replace(file!(), "HERE");
            let digits = |c: char| c.is_ascii_digit();
            let words = line.split(' ').map(|word| {
                if word.starts_with("HERE:") {
                    if word.ends_with(':') { "AT:" } else { "AT" }
                } else if word.trim_end_matches(',').chars().all(digits) && word.ends_with(',') {
                    "N,"
                } else {
                    word
                }
            });
            let words: Vec<&str> = words.collect();
            match words.iter().position(|word| *word == "task") {
                Some(at) if words[at + 1] != "N," => {
                    let mut words = words;
                    words[at + 1] = "N";
                    words.join(" ")
                }
                _ => words.join(" "),
            }
        })
        .collect();
    let expected = "\
3 errors in the group at AT
├─ task N, spawned at AT: error 2
│  of two lines
├─ task N \"nested\", spawned at AT: 3 errors in the group at AT
│  ├─ task N, spawned at AT: error 1
│  │  of two lines
│  ├─ task N \"nested\", spawned at AT: 2 errors in the group at AT
│  │  ├─ task N, spawned at AT: error 0
│  │  │  of two lines
│  │  └─ task N \"number\", spawned at AT: invalid digit found in string
│  └─ task N \"number\", spawned at AT: invalid digit found in string
└─ task N \"number\", spawned at AT: invalid digit found in string";
    assert_eq!(shape.join("\n"), expected, "{text}");
    // For those who unwrap it.
    assert!(format!("{error:?}").starts_with("GroupError(3 errors in the group at "));
    assert!(format!("{error:#?}").contains("Lines("));
}

/// GROUP-16. The places are where the user wrote `group` and `spawn`.
#[test]
fn group_16_places_are_the_users() {
    run(async {
        let line = line!() + 1;
        let fails = group(async |g| {
            g.spawn(async { Err::<(), _>("a") });
            Ok(())
        });
        let error = fails.await.unwrap_err();
        assert_eq!((error.location().file(), error.location().line()), (file!(), line));
        let spawned = error.iter().next().unwrap().spawn_location().unwrap();
        assert_eq!((spawned.file(), spawned.line()), (file!(), line + 1));
    });
}
