//! The program as a user starts it.

use std::process::{Command, Output};

use serde_json::Value;

fn compare(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare")).args(args).output().expect("compare starts")
}

fn json(args: &[&str]) -> Value {
    let output = compare(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).expect("the output is text");
    assert_eq!(stdout.lines().count(), 1, "one object on one line: {stdout}");
    serde_json::from_str(&stdout).expect("the output is JSON")
}

/// Figures that may well be nothing.
const MAY_BE_ZERO: &[&str] = &["late_pct", "unanswered", "unanswered_max"];

/// Runs every shape of the rows with every contender once, and checks that all report figures. `present` says who must
/// take part in all of them.
fn every_trial_reports_its_figures(rows: &[&str], present: &[&str]) {
    let args = ["--quick", "--json", "--no-wait", "--repeat", "1"];
    let all = json(&[&args[..], rows].concat());
    let results = all["results"].as_array().expect("there are results");
    for row in rows {
        let of_row: Vec<_> = results.iter().filter(|it| it["row"] == *row).collect();
        for contender in present {
            let takes_part = of_row.iter().any(|it| it["contender"] == *contender);
            assert!(takes_part, "{contender} in {row}");
        }
        for entry in of_row {
            assert_eq!((&entry["failed"], &entry["trials"]), (&0.into(), &1.into()), "{entry}");
            let metrics = entry["metrics"].as_object().expect("there are metrics");
            assert!(metrics.len() >= 2, "{entry}");
            for (name, metric) in metrics {
                let median = metric["median"].as_f64().expect("a figure");
                let fits = median > 0.0 || median == 0.0 && MAY_BE_ZERO.contains(&name.as_str());
                assert!(fits, "{entry}");
            }
            let baseline = entry["baseline"].as_str().expect("a baseline").replace('-', "_");
            assert!(entry[format!("speed_vs_{baseline}")]["median"].is_f64(), "{entry}");
        }
    }
}

#[test]
fn tasks_files_and_streams_report_their_figures() {
    let rows = ["spawn_join", "ping_pong", "yield", "chained_spawn", "echo", "file_rand"];
    every_trial_reports_its_figures(&rows, &["filch", "tokio-mt"]);
}

#[test]
fn files_are_read_and_copied() {
    let rows = ["file_depths", "file_small", "file_copy"];
    every_trial_reports_its_figures(&rows, &["filch", "tokio-mt", "plain", "ring", "compio"]);
}

#[test]
fn every_size_of_echo_reports_its_figures() {
    let args = ["--quick", "--json", "--no-wait", "--repeat", "1", "--workers", "1", "echo_sizes"];
    let all = json(&args);
    let results = all["results"].as_array().expect("there are results");
    for contender in
        ["filch", "filch-lease", "tokio-mt", "monoio", "compio", "ring-multishot", "ring-poll"]
    {
        let of_it: Vec<_> = results.iter().filter(|it| it["contender"] == contender).collect();
        assert_eq!(of_it.len(), 6, "{contender}: every size");
        for entry in of_it {
            assert_eq!((&entry["failed"], &entry["trials"]), (&0.into(), &1.into()), "{entry}");
            assert!(
                entry["metrics"]["krps"]["median"].as_f64().expect("a figure") > 0.0,
                "{entry}"
            );
        }
    }
}

#[test]
fn bytes_connections_and_datagrams_are_counted() {
    let rows = ["bulk", "accept", "udp"];
    every_trial_reports_its_figures(
        &rows,
        &["filch", "tokio-mt", "tokio-ct", "smol", "monoio", "compio", "ring"],
    );
}

#[test]
fn sleeps_and_memory_are_measured() {
    let present = ["filch", "tokio-mt", "tokio-ct", "smol", "monoio", "compio"];
    every_trial_reports_its_figures(&["timers", "memory"], &present);
}

#[test]
fn a_hog_is_measured() {
    every_trial_reports_its_figures(&["hog"], &["filch", "tokio-mt", "smol", "ring"]);
}

#[test]
fn who_gets_no_answer_is_counted_where_a_request_is_stuck() {
    let args = ["hog", "--contender", "smol", "--quick", "--json", "--no-wait", "--repeat", "1"];
    let all = json(&args);
    for entry in all["results"].as_array().expect("there are results") {
        let unanswered = entry["metrics"]["unanswered"]["median"].as_f64();
        assert_eq!(unanswered.is_some(), entry["variant"] == "stuck", "{entry}");
        assert!(unanswered.is_none_or(|count| (0.0..=63.0).contains(&count)), "{entry}");
    }
}

#[test]
fn primitives_report_their_figures() {
    every_trial_reports_its_figures(&["mutex", "uncontended"], &["filch-sync", "tokio"]);
    every_trial_reports_its_figures(
        &["rwlock", "semaphore"],
        &["filch-sync", "tokio", "async-lock"],
    );
    every_trial_reports_its_figures(&["barrier"], &["filch-sync", "tokio", "async-lock"]);
    every_trial_reports_its_figures(
        &["queue"],
        &["filch-sync", "filch-sync-raw", "tokio", "async-channel", "flume"],
    );
    every_trial_reports_its_figures(
        &["event"],
        &["filch-sync", "tokio", "tokio-watch", "event-listener"],
    );
    every_trial_reports_its_figures(&["promise"], &["filch-sync", "tokio", "futures"]);
}

#[test]
fn filters_leave_out_the_rest() {
    let args = ["spawn_join", "--workers", "2", "--contender", "tokio-mt"];
    let all = json(&[&args[..], &["--quick", "--json", "--no-wait", "--repeat", "2"]].concat());
    let results = all["results"].as_array().expect("there are results");
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["trials"], 2);
    assert_eq!(results[0]["metrics"]["ns_op"]["values"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_mistake_is_named_and_nothing_runs() {
    let output = compare(&["spwan_join"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("spwan_join") && stderr.contains("usage"), "{stderr}");
}

#[test]
fn the_list_names_every_row_and_contender() {
    let text = String::from_utf8(compare(&["--list"]).stdout).expect("the output is text");
    for name in [
        "* spawn_join",
        "* echo",
        "  chained_spawn",
        "  timers",
        "  memory",
        "  mutex",
        "tokio-fs",
        "ring",
        "flume",
        "monoio",
        "compio",
        "  bulk",
        "  udp",
    ] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
}
