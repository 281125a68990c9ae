//! What becomes of failures that nobody takes: reported once, at the moment that `Report` names.

use super::support::*;
use filch_sched::task::{Builder, Report};
use std::io;

#[test]
fn a_detached_panic_is_reported_once_with_who_it_was() {
    let bench = Bench::new();
    let meta = Builder::new().name("lost").meta();
    drop(bench.spawn_with(async { silent_panic("nobody listens") }, meta.clone()));
    bench.run();
    let reports = bench.reports();
    let [report @ Report::TaskPanicked { id, name, location, message, .. }] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert_eq!((*id, name.as_deref()), (meta.id, Some("lost")));
    assert_eq!((*location, &message[..]), (meta.location, "nobody listens"));
    let line = report.to_string();
    assert!(line.starts_with(&format!("detached task {id} \"lost\", spawned at ")), "{line}");
    assert!(line.ends_with(", panicked: nobody listens"), "{line}");
}

#[test]
fn a_failure_sleeps_while_there_is_a_handle() {
    let bench = Bench::new();
    let handle = bench.spawn(async { silent_panic("later") });
    bench.run();
    assert!(bench.reports().is_empty());
    drop(handle);
    assert_eq!(bench.reports().len(), 1);
}

#[test]
fn an_err_of_a_known_shape_is_reported() {
    let bench = Bench::new();
    drop(bench.spawn(async { Err::<(), _>(io::Error::other("disk on fire")) }));
    let kept = bench.spawn(async { Err::<(), _>("text".to_owned()) });
    bench.run();
    drop(kept);
    let texts: Vec<_> = bench
        .reports()
        .iter()
        .map(|report| match report {
            Report::TaskFailed { error, .. } => error.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["disk on fire", "text"]);
}

#[test]
fn what_was_taken_is_not_reported() {
    let bench = Bench::new();
    let taken = bench.spawn(async { Err::<(), _>(io::Error::other("taken")) });
    bench.run();
    assert!(result(taken).unwrap().is_err());
    assert!(bench.reports().is_empty());
}

#[test]
fn success_other_shapes_and_cancellation_are_silent() {
    let bench = Bench::new();
    drop(bench.spawn(async { Ok::<(), io::Error>(()) }));
    drop(bench.spawn(async { Err::<u8, u8>(1) }));
    let aborted = bench.spawn(std::future::pending::<()>());
    aborted.abort();
    drop(aborted);
    bench.run();
    assert!(bench.reports().is_empty());
    assert_eq!(bench.holders(), 1);
}
