//! Numbers as a person reads them.

use indicatif::{BinaryBytes, HumanCount};
use std::time::Duration;

/// `1,234`.
pub(crate) fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// `1 file`, `2 files`.
pub(crate) fn things(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `1.21 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    BinaryBytes(n).to_string()
}

/// So many in such a time, for each second of it.
pub(crate) fn per_second(n: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { n as f64 / time.as_secs_f64() }
}

/// Three digits and the unit that suits them: `950 µs`, `1.25 ms`, `12.5 ms`, `3.00 s`.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    let (n, unit) = match micros {
        ..1e3 => return format!("{micros:.0} µs"),
        ..1e6 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    };
    let decimals = if n < 10.0 {
        2
    } else if n < 100.0 {
        1
    } else {
        0
    };
    format!("{n:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let shown = [
            (7, "7 µs"),
            (950, "950 µs"),
            (1250, "1.25 ms"),
            (12_500, "12.5 ms"),
            (125_000, "125 ms"),
            (3_000_000, "3.00 s"),
        ];
        for (micros, text) in shown {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn one_thing_is_one() {
        assert_eq!(things(1, "file"), "1 file");
        assert_eq!(things(1234, "file"), "1,234 files");
    }
}
