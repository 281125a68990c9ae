//! Every program of a few steps.

use super::case::{self, After, Step};
use super::{Reach, Subject};

/// What [`check`] did, so that a test can say that it was not nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Programs that were run.
    pub programs: u64,
    /// Those of them in which a wait ended, before the end of the program.
    pub finished: u64,
    /// Those that dropped a waiter.
    pub dropped: u64,
}

/// A family of programs.
struct Family {
    waiters: usize,
    /// So many of them have been polled when it begins.
    waiting: usize,
    steps: usize,
    /// With other wakers and tired tasks.
    styles: bool,
    leaks: bool,
    moved: bool,
}

const PLAIN: Family =
    Family { waiters: 1, waiting: 0, steps: 9, styles: false, leaks: false, moved: false };

const FAMILIES: &[Family] = &[
    PLAIN,
    Family { waiters: 2, steps: 8, ..PLAIN },
    Family { waiters: 3, steps: 6, ..PLAIN },
    Family { waiters: 4, steps: 5, ..PLAIN },
    Family { waiters: 4, waiting: 3, steps: 4, ..PLAIN },
    Family { waiters: 4, waiting: 4, steps: 4, ..PLAIN },
    Family { waiters: 2, steps: 5, styles: true, ..PLAIN },
    Family { waiters: 3, waiting: 2, steps: 4, styles: true, ..PLAIN },
    Family { waiters: 2, steps: 6, leaks: true, ..PLAIN },
    Family { waiters: 4, waiting: 3, steps: 4, leaks: true, ..PLAIN },
    Family { waiters: 2, steps: 4, moved: true, ..PLAIN },
];

/// Runs a primitive through all programs.
///
/// # Panics
///
/// If the primitive breaks a rule; the program is then on standard error. If no program came as far as
/// the end of a wait, which would prove nothing.
pub fn check<S: Subject>() -> Summary {
    let mut summary = Summary::default();
    for family in FAMILIES {
        // Shorter programs first: one that fails has no step too many.
        let mut programs = vec![(0..family.waiting).map(Step::Poll).collect::<Vec<_>>()];
        for length in 0..=family.steps {
            let mut longer = Vec::new();
            for program in programs {
                let after = case::run::<S>(&program, family.waiters, family.moved);
                summary.programs += 1;
                summary.finished += u64::from(after.finished);
                summary.dropped +=
                    u64::from(program.iter().any(|step| matches!(step, Step::Drop(_))));
                if length < family.steps {
                    let steps = next::<S>(family, &program, &after);
                    longer.extend(steps.into_iter().map(|step| [&program[..], &[step]].concat()));
                }
            }
            programs = longer;
        }
    }
    assert!(summary.finished > 0, "no wait ever ended");
    summary
}

/// What can be done after a program, up to the names of waiters: of those that were not polled one is as
/// good as another.
fn next<S: Subject>(family: &Family, program: &[Step], after: &After) -> Vec<Step> {
    let mut steps = Vec::new();
    let fresh = after.waiters.iter().find(|(_, polled)| !polled);
    for &(waiter, polled) in &after.waiters {
        if !polled && fresh.is_some_and(|first| first.0 != waiter) {
            continue;
        }
        steps.push(Step::Poll(waiter));
        if family.styles {
            if S::RULES.tires {
                steps.push(Step::PollTired(waiter));
            }
            if polled {
                steps.push(Step::PollOther(waiter));
            }
        }
        steps.push(Step::Drop(waiter));
        if family.leaks && !program.iter().any(|step| matches!(step, Step::Leak(_))) {
            steps.push(Step::Leak(waiter));
        }
    }
    if after.grants < S::RULES.grants {
        // A second grant in a row to everyone is the first one again.
        let again = S::RULES.reach == Reach::Everyone && program.last() == Some(&Step::Grant);
        if !again {
            steps.push(Step::Grant);
        }
    }
    if after.held {
        steps.push(Step::GiveBack);
    }
    steps
}
