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

/// Every row, every shape, every contender runs, and reports positive figures.
#[test]
fn every_trial_reports_its_figures() {
    let args = ["--quick", "--json", "--no-wait", "--repeat", "1"];
    let rows = ["spawn_join", "ping_pong", "yield", "chained_spawn", "echo", "file_rand"];
    let all = json(&[&args[..], &rows[..]].concat());
    let results = all["results"].as_array().expect("there are results");
    for row in rows {
        for workers in [1, 2] {
            let entries: Vec<_> =
                results.iter().filter(|it| it["row"] == row && it["workers"] == workers).collect();
            for contender in ["filch", "tokio-mt"] {
                let takes_part = entries.iter().any(|it| it["contender"] == contender);
                assert!(takes_part, "{contender}, {row}, {workers}");
            }
            for entry in entries {
                assert_eq!((&entry["failed"], &entry["trials"]), (&0.into(), &1.into()), "{entry}");
                let metrics = entry["metrics"].as_object().expect("there are metrics");
                assert!(metrics.len() >= 2, "{entry}");
                for metric in metrics.values() {
                    assert!(metric["median"].as_f64().is_some_and(|it| it > 0.0), "{entry}");
                }
                assert!(entry["speed_vs_tokio_mt"]["median"].is_f64(), "{entry}");
            }
        }
    }
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
    for name in ["* spawn_join", "* echo", "  chained_spawn", "tokio-fs", "ring"] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
}
