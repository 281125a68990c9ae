//! Running a program under many schedules.

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};

/// Into how many badly placed switches PCT divides its chances.
const DEPTHS: [usize; 2] = [2, 4];

/// An execution that takes more steps than this is spinning, not working.
const MOST_STEPS: usize = 200_000;

/// The stack of a modelled thread, which is what polls the tasks.
const STACK: usize = 256 * 1024;

/// Runs `program` under each scheduler, as often as `FILCH_SHUTTLE_ITERATIONS` says.
///
/// # Panics
///
/// If the program panics or comes to rest before it is over (a lost wake-up, a deadlock), having printed
/// the schedule that does it again: `shuttle::replay` takes that.
pub fn explore(program: impl Fn() + Send + Sync + Clone + 'static) {
    let iterations = iterations();
    run(RandomScheduler::new(iterations), program.clone());
    for depth in DEPTHS {
        run(PctScheduler::new(depth, iterations), program.clone());
    }
}

fn run(scheduler: impl Scheduler + 'static, program: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    Runner::new(scheduler, config).run(program);
}

fn iterations() -> usize {
    match std::env::var("FILCH_SHUTTLE_ITERATIONS") {
        Ok(text) => text.parse().expect("FILCH_SHUTTLE_ITERATIONS is a number"),
        Err(_) => 100,
    }
}
