//! In which order the tasks of a worker run that can.

use crate::local::Local;
use crate::rng::Rng;
use crate::task::Task;
use std::cell::Cell;

/// In which order the tasks of a worker run that can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The one that was woken last first, a few times in a row, while the caches are warm; then in the order in which
    /// they were woken.
    #[default]
    Warm,
    /// In the order in which they were woken or spawned, the main future among them. With one worker only.
    Woken,
    /// Drawn at random from the seed, the main future among them. With one worker only: then a program that goes by
    /// virtual time, and has nothing to do with the world outside, runs alike each time.
    Drawn,
}

/// What a worker needs to keep to an order other than [`Order::Warm`].
pub(crate) struct Turns {
    rng: Rng,
    /// With [`Order::Woken`], how many tasks run before the main future does, if it is woken.
    before_main: Cell<usize>,
}

impl Turns {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, before_main: Cell::new(0) }
    }
}

impl Local {
    /// Whether it is the turn of the main future, which is woken, in an order of tasks that is kept or drawn.
    pub(crate) fn is_mains_turn(&self) -> bool {
        match self.order {
            Order::Warm => true,
            Order::Woken => self.turns.before_main.get() == 0,
            Order::Drawn => {
                self.fill_the_hat();
                let tasks = self.remote().hat.lock().len();
                self.turns.rng.below(tasks + 1) == tasks
            }
        }
    }

    /// The main future was woken on this thread: it runs after the tasks that were woken before.
    #[cold]
    pub(crate) fn main_is_woken(&self) {
        self.turns.before_main.set(self.queue.len());
    }

    /// The next task in the order in which they were woken.
    pub(crate) fn next_woken(&self) -> Option<Task> {
        let task = self.queue.pop().or_else(|| self.pull());
        let before_main = self.turns.before_main.get();
        // Where there is none, there is none before it either.
        let left = if task.is_some() { before_main.saturating_sub(1) } else { 0 };
        self.turns.before_main.set(left);
        task
    }

    /// A task by lot.
    pub(crate) fn next_drawn(&self) -> Option<Task> {
        self.fill_the_hat();
        let mut hat = self.remote().hat.lock();
        let tasks = hat.len();
        (tasks > 0).then(|| hat.swap_remove(self.turns.rng.below(tasks)))
    }

    /// Takes what can run and was not looked at yet. Runs nobody's code.
    fn fill_the_hat(&self) {
        let mut hat = self.remote().hat.lock();
        while let Some(task) = self.queue.pop().or_else(|| self.pull()) {
            hat.push(task);
        }
    }

    /// Takes any task that is left here, or outside: at the end.
    pub(crate) fn take_any(&self) -> Option<Task> {
        let mine = self.remote().slot.take().or_else(|| self.remote().hat.lock().pop());
        mine.or_else(|| self.queue.pop()).or_else(|| self.pull())
    }
}
