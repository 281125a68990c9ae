//! With `--all`: other parts of filch, each tried again and again beside the clients, by many at a time, of whom some
//! are cancelled or aborted at random.
//!
//! A part looks at its own result: what it writes it reads again, what it puts into a queue has to come out of it. On the
//! way it gives up what it waits for at random, and asks again. One that is cut short leaves nothing behind; that is
//! looked at when all are over, by [`leftovers`](super::leftovers).

#[macro_use]
mod visit;

mod bytes;
mod files;
mod groups;
mod processes;
mod signals;
mod sockets;
mod stdio;
mod sync;

pub(crate) use groups::BROKEN;
pub(crate) use stdio::echo;
pub(crate) use visit::{Dice, Places};

use filch::time::sleep;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;
use visit::Visit;

/// So many are on their way at a time.
const VISITORS: usize = 24;

type Fault = Box<dyn Error + Send + Sync>;
type Outcome = Result<(), Fault>;
type Begin = fn(Visit) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// All of them, with their names.
const PARTS: [(&str, Begin); 7] = [
    ("files", |visit| Box::pin(files::visit(visit))),
    ("groups", |visit| Box::pin(groups::visit(visit))),
    ("processes", |visit| Box::pin(processes::visit(visit))),
    ("signals", |visit| Box::pin(signals::visit(visit))),
    ("sockets", |visit| Box::pin(sockets::visit(visit))),
    ("stdio", |visit| Box::pin(stdio::visit(visit))),
    ("sync", |visit| Box::pin(sync::visit(visit))),
];

/// What came of the visits to one part.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Visits {
    /// Came to their ends, and found all right.
    pub(crate) right: u64,
    /// Were cancelled or aborted on the way.
    pub(crate) cut: u64,
}

/// What came of all visits.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) visits: BTreeMap<&'static str, Visits>,
    /// What was wrong.
    pub(crate) faults: Vec<String>,
}

impl Log {
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, visits) in other.visits {
            let all = self.visits.entry(name).or_default();
            all.right += visits.right;
            all.cut += visits.cut;
        }
        self.faults.extend(other.faults);
    }
}

/// Sends the visitors out until then, and waits for them.
pub(crate) async fn visit_all(places: Places, until: Instant, mut dice: Dice) -> Log {
    let visitors: Vec<_> = (0..VISITORS)
        .map(|number| filch::spawn(visitor(places.clone(), number, until, dice.another())))
        .collect();
    let mut log = Log::default();
    for visitor in visitors {
        match visitor.await {
            Ok(seen) => log.merge(seen),
            Err(error) => log.faults.push(format!("a visitor {error}")),
        }
    }
    log
}

/// Goes from part to part, each a task of its own, that may be cut short. Each visitor begins with another one, and goes
/// to that though there may be no time: so all parts are seen.
async fn visitor(places: Places, number: usize, until: Instant, mut dice: Dice) -> Log {
    let mut log = Log::default();
    let mut next = number % PARTS.len();
    loop {
        let (name, part) = PARTS[next];
        let visits = log.visits.entry(name).or_default();
        let task = filch::spawn(part(places.visit(dice.another())));
        let is_doomed = dice.below(2) == 0;
        if is_doomed {
            sleep(dice.moment(5)).await;
            if dice.below(2) == 0 { task.cancel() } else { task.abort() }
        }
        match task.await {
            Ok(Ok(())) => visits.right += 1,
            Ok(Err(fault)) => log.faults.push(format!("{name}: {fault}")),
            Err(error) if is_doomed && !error.is_panic() => visits.cut += 1,
            Err(error) => log.faults.push(format!("{name}: the task {error}")),
        }
        if Instant::now() >= until {
            return log;
        }
        next = dice.below(PARTS.len());
    }
}
