//! The rows of the primitives: `filch-sync` and its peers, a file for each primitive.
//!
//! All libraries run on the same executors, filch's and tokio's multi-thread runtime, which are part of the shape: the
//! contender is the library. In the uncontended row there is no executor.

pub(super) mod barrier;
pub(super) mod event;
pub(super) mod mutex;
pub(super) mod promise;
pub(super) mod queue;
pub(super) mod rwlock;
pub(super) mod semaphore;
pub(super) mod uncontended;

use crate::plan::{Shape, Trial};
use crate::runtime::Runtime;

const GROUP: &str = "sync";

const BARGES: &str = "barges";

/// Variants on filch's and on tokio's executor, each with one worker and with two.
macro_rules! shapes {
    (filch: $($ours:literal),+; tokio_mt: $($theirs:literal),+) => {
        [
            $(
                Shape { variant: concat!($ours, " on filch"), workers: 1 },
                Shape { variant: concat!($ours, " on filch"), workers: 2 },
            )+
            $(
                Shape { variant: concat!($theirs, " on tokio-mt"), workers: 1 },
                Shape { variant: concat!($theirs, " on tokio-mt"), workers: 2 },
            )+
        ]
    };
}

/// The same variants on both executors.
macro_rules! on_both {
    ($($variant:literal),+) => {
        &$crate::rows::sync::shapes!(filch: $($variant),+; tokio_mt: $($variant),+)
    };
}

/// Evaluates an expression with `$runtime` standing for the executor of the trial's shape.
macro_rules! with_executor {
    ($trial:expr, $runtime:ident => $body:expr) => {
        $crate::runtimes::choose!(
            $crate::rows::sync::variant_and_executor($trial).1,
            $runtime => $body, Filch, TokioMt
        )
    };
}

use {on_both, shapes, with_executor};

/// What a shape's variant says: what is done, and on which executor.
fn variant_and_executor(trial: &Trial) -> (&'static str, &'static str) {
    trial.shape.variant.rsplit_once(" on ").expect("the variant names its executor")
}

/// For rows in which every library takes part in every shape.
fn all(_: Shape, _: &str) -> bool {
    true
}

/// Spawns the tasks and awaits them all.
async fn together<R: Runtime, F>(tasks: impl Iterator<Item = F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let handles: Vec<_> = tasks.map(R::spawn).collect();
    for handle in handles {
        handle.await.expect("the task finishes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;
    use crate::runtimes::{Filch, TokioMt};

    #[test]
    fn every_shape_names_its_executor() {
        let rows = ROWS.iter().filter(|row| row.group == GROUP && row.name != "uncontended");
        let shapes: Vec<_> =
            rows.flat_map(|row| row.shapes.iter().map(move |shape| (row, *shape))).collect();
        assert!(shapes.len() >= 7 * 4);
        for (row, shape) in shapes {
            let trial = Trial::new(row, shape, row.baseline, true);
            let (_, executor) = variant_and_executor(&trial);
            assert!([Filch::NAME, TokioMt::NAME].contains(&executor), "{executor}");
        }
    }
}
