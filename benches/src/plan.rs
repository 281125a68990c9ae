//! What a row is, and which trials a run consists of.

use std::io;

use crate::load::Target;
use crate::measure::{Metric, Sample};
use crate::rows::ROWS;
use crate::runtimes::ONE_THREAD;

/// One kind of work, done by several contenders.
#[derive(Debug)]
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// A name on the command line for this row and others.
    pub group: &'static str,
    /// One sentence for `--list`.
    pub about: &'static str,
    /// Whether it runs when no row is named.
    pub by_default: bool,
    /// The forms it is measured in.
    pub shapes: &'static [Shape],
    /// Who does it.
    pub contenders: &'static [&'static str],
    /// Whether a contender takes part in a shape.
    pub fits: fn(Shape, &str) -> bool,
    /// What is to be known of a contender when its figures are read; among the notes.
    pub remarks: &'static [(&'static str, &'static str)],
    /// The contender that the others are compared with.
    pub baseline: &'static str,
    /// What its trials report, in some shapes or in all. The first is the headline and the second what it costs in CPU time:
    /// their ratios to the baseline are printed.
    pub columns: &'static [Metric],
    /// How much of it a trial does: rounds or milliseconds, as the row understands it.
    pub size: Size,
    /// Sizes to count instructions at, where that makes sense.
    pub instructions: Option<(u64, u64)>,
    /// What must exist before the first trial.
    pub prepare: fn(&Trial) -> io::Result<()>,
    /// Who does what in a trial.
    pub conduct: Conduct,
}

/// How much of a row one trial does.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// As the row is defined.
    pub full: u64,
    /// With `--quick`: enough to see that everything works.
    pub quick: u64,
}

/// One form of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What distinguishes it; empty when only the workers do.
    pub variant: &'static str,
    /// Workers, or threads, of the contender. With one, the contender's process is pinned to core 0.
    pub workers: usize,
}

impl Shape {
    /// For rows in which every runtime takes part where it can: those that have one thread only are left out of shapes
    /// with two workers.
    pub fn suits_runtime(self, runtime: &str) -> bool {
        self.workers == 1 || !ONE_THREAD.contains(&runtime)
    }

    /// One worker and two, without variants.
    pub const ONE_AND_TWO: &[Self] =
        &[Self { variant: "", workers: 1 }, Self { variant: "", workers: 2 }];
}

/// The processes of a trial.
#[derive(Debug, Clone, Copy)]
pub enum Conduct {
    /// The contender's process works and measures itself.
    Alone(fn(&Trial) -> io::Result<Sample>),
    /// The contender's process serves; another one loads it, and measures.
    Served {
        /// Announces its port with [`crate::child::announce`] and serves until it is killed.
        serve: fn(&Trial) -> io::Result<()>,
        /// Loads the server. Pinned to core 1 when the server has one worker.
        load: fn(&Trial, Target) -> io::Result<Sample>,
    },
}

/// One row in one shape, done once by one contender.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What is done.
    pub row: &'static Row,
    /// In which form.
    pub shape: Shape,
    /// By whom.
    pub contender: String,
    /// How much of it is measured.
    pub size: u64,
    /// How much of it is done before, unmeasured.
    pub warm: u64,
    /// Whether this is a `--quick` run.
    pub quick: bool,
}

impl Trial {
    /// A trial as a run of that kind does it.
    pub fn new(row: &'static Row, shape: Shape, contender: &str, quick: bool) -> Self {
        let size = if quick { row.size.quick } else { row.size.full };
        let warm = (size / 10).max(1);
        Self { row, shape, contender: contender.to_owned(), size, warm, quick }
    }

    /// The command-line arguments that describe the trial to a child.
    pub fn to_args(&self) -> Vec<String> {
        vec![
            self.row.name.to_owned(),
            self.shape.variant.to_owned(),
            self.shape.workers.to_string(),
            self.contender.clone(),
            self.size.to_string(),
            self.warm.to_string(),
            self.quick.to_string(),
        ]
    }

    /// The reverse of [`Trial::to_args`]; `None` when the arguments do not describe a trial.
    pub fn from_args(args: &[String]) -> Option<Self> {
        let [row, variant, workers, contender, size, warm, quick] = args else { return None };
        let row = find(row)?;
        let workers: usize = workers.parse().ok()?;
        let shape =
            row.shapes.iter().find(|shape| shape.variant == variant && shape.workers == workers)?;
        Some(Self {
            row,
            shape: *shape,
            contender: contender.clone(),
            size: size.parse().ok()?,
            warm: warm.parse().ok()?,
            quick: quick.parse().ok()?,
        })
    }

    /// Row and variant, as the tables name them.
    pub fn title(&self) -> String {
        title(self.row, self.shape)
    }
}

/// Row, variant and workers in one string.
pub fn title(row: &Row, shape: Shape) -> String {
    let workers = if shape.workers == 1 { "1 worker" } else { "2 workers" };
    match shape.variant {
        "" => format!("{}, {workers}", row.name),
        variant => format!("{} {variant}, {workers}", row.name),
    }
}

/// The row of that name.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().copied().find(|row| row.name == name)
}

/// The contenders of a row in a shape, of those `wanted` (all when empty), in the row's order.
pub fn contenders(row: &Row, shape: Shape, wanted: &[String]) -> Vec<&'static str> {
    let wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let fits = |name: &&str| wanted(name) && (row.fits)(shape, name);
    row.contenders.iter().copied().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_survives_the_command_line() {
        for row in ROWS {
            for shape in row.shapes {
                for contender in contenders(row, *shape, &[]) {
                    let trial = Trial::new(row, *shape, contender, true);
                    let back = Trial::from_args(&trial.to_args()).expect("the trial is understood");
                    assert_eq!(back.to_args(), trial.to_args());
                }
            }
        }
    }

    #[test]
    fn nonsense_is_no_trial() {
        let mut args = Trial::new(ROWS[0], ROWS[0].shapes[0], "tokio-mt", true).to_args();
        args[2] = "17".to_owned();
        assert!(Trial::from_args(&args).is_none());
        assert!(Trial::from_args(&args[1..]).is_none());
    }

    #[test]
    fn one_thread_does_not_compete_with_two() {
        let row = find("spawn_join").unwrap();
        let [one, two] = row.shapes else { panic!("one worker and two") };
        assert!(contenders(row, *one, &[]).contains(&"tokio-ct"));
        assert!(!contenders(row, *two, &[]).contains(&"tokio-ct"));
        assert_eq!(contenders(row, *two, &["tokio-mt".to_owned()]), ["tokio-mt"]);
    }
}
