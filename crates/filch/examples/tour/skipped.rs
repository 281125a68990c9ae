//! What could not be read, and why: a count, and each reason once.

use std::collections::BTreeMap;
use std::io;

/// What could not be read, by reason.
#[derive(Debug, Default)]
pub(crate) struct Skipped(BTreeMap<String, Reason>);

#[derive(Debug)]
struct Reason {
    count: u64,
    /// What was tried the first time.
    tried: String,
}

impl Skipped {
    /// Counts something that could not be done; `tried` begins with a verb.
    pub(crate) fn add(&mut self, tried: &str, error: &io::Error) {
        // filch's errors name what was tried; what they wrap is the same for all files.
        let failed = error.get_ref().and_then(|inner| inner.downcast_ref::<filch::io::Failed>());
        let reason = failed.map_or_else(|| error.to_string(), |failed| failed.system().to_string());
        let new = || Reason { count: 0, tried: tried.to_owned() };
        self.0.entry(reason).or_insert_with(new).count += 1;
    }

    /// Adds what another part of the program has skipped.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (text, reason) in &other.0 {
            let new = || Reason { count: 0, tried: reason.tried.clone() };
            self.0.entry(text.clone()).or_insert_with(new).count += reason.count;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.values().map(|reason| reason.count).sum()
    }

    /// A line for each reason.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(text, Reason { count, tried })| match count {
            1 => format!("cannot {tried}: {text}"),
            _ => format!("cannot {tried}, and {} more like it: {text}", count - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_shown_once() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let mut skipped = Skipped::default();
        skipped.add("open a", &denied());
        skipped.add("open b", &denied());
        let mut more = Skipped::default();
        more.add("open c", &denied());
        more.add("list d", &io::ErrorKind::NotFound.into());
        skipped.merge(&more);
        assert_eq!(skipped.count(), 4);
        let reasons: Vec<_> = skipped.reasons().collect();
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons.contains(&"cannot open a, and 2 more like it: permission denied".into()));
    }
}
