//! Futures that are asked to end, wherever they wait (C2).

use super::{PATIENCE, Place, in_all_places, watched};
use filch::sync::Event;
use filch::task::JoinHandle;
use filch::{Builder, cancellable, race};
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use filch_testkit::{Asking, Cut, DropAtEveryPoll, Point, Work};
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Nobody's patience is to end: who waits for what does not come hangs.
pub const FOR_EVER: Duration = Duration::from_secs(3600);

/// As [`everywhere`](super::everywhere), but the future is not dropped: it is in a boundary, and that is cancelled before and
/// after every poll, and then polled until it has ended. In a task of the scenario's it is a task of its own, and
/// cancelled by its handle; elsewhere it loses a race.
pub fn asked_everywhere<F>(least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    asked_everywhere_in(watched, least, scenario);
}

/// As [`asked_everywhere`], in runtimes that are built as `build` says, with so many workers.
pub fn asked_everywhere_in<F>(build: fn(usize) -> Builder, least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let of = |place, harness: DropAtEveryPoll| match place {
        Place::Elsewhere => harness.asking(in_a_race),
        Place::Task => harness.asking(in_a_task),
    };
    // A task of its own may find that all it waits for is there before it first looks.
    in_all_places(build, of, [1, least], scenario);
}

/// As [`asked_everywhere`], in one place of either kind: for what takes long.
pub fn asked_here_and_there<F>(least: u32, scenario: fn(Cut) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for (asking, least) in [(in_a_race as Asking, least), (in_a_task, 1)] {
        let harness = DropAtEveryPoll::new().asking(asking);
        let summary = watched(2).run(harness.run(scenario)).expect("a runtime");
        assert!(summary.dropped >= least, "{summary:?}");
        before.check();
    }
}

/// Who loses is cancelled by whoever polls it, wherever that is.
pub fn in_a_race(work: Work, point: Point) -> Work {
    let asked = Arc::new(Event::new());
    let loses = async move {
        let _is_cut = cancellable(work).grace(FOR_EVER).await;
    };
    // First: it is asked in the very poll before which that was said.
    let both = race((asked.clone().wait_owned(), loses));
    Box::pin(point.around(both, move || asked.set()))
}

/// Its own handle asks it, in the midst of the task.
pub fn in_a_task(work: Work, point: Point) -> Work {
    Box::pin(async move {
        let place = Arc::new(Mutex::new(None::<JoinHandle<()>>));
        let own = place.clone();
        let task = async move {
            let boundary = cancellable(work).grace(FOR_EVER);
            let ask = || own.lock().unwrap().as_ref().expect("it is spawned").cancel();
            let _is_cut = point.around(boundary, ask).await;
        };
        {
            // Held until it is there: the task may have begun.
            let mut place = place.lock().unwrap();
            *place = Some(filch::spawn(task));
        }
        poll_fn(|cx| place.lock().unwrap().as_mut().expect("it is there").poll_finished(cx)).await;
        let handle = place.lock().unwrap().take().expect("it is there");
        handle.await.expect("the boundary is around all it waits for");
    })
}
