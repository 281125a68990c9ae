//! What a task knows of itself.

use super::support::*;
use filch_sched::task::{self, Builder};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

#[test]
fn a_task_knows_its_id_and_name() {
    let bench = Bench::new();
    let named =
        bench.spawn_with(async { (task::id(), task::name()) }, Builder::new().name("me").meta());
    let plain = bench.spawn(async { (task::try_id(), task::name()) });
    let (named_id, plain_id) = (named.id(), plain.id());
    bench.run();
    let (id, name) = result(named).unwrap();
    assert_eq!((id, name.as_deref()), (named_id, Some("me")));
    assert_eq!(result(plain).unwrap(), (Some(plain_id), None));
    assert_eq!(task::try_id(), None);
}

#[test]
fn destructors_of_future_and_output_run_as_the_task() {
    struct Tell(Arc<Mutex<Vec<Option<task::TaskId>>>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(task::try_id());
        }
    }
    let bench = Bench::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (future, output) = (Tell(told.clone()), Tell(told.clone()));
    let mut output = Some(output);
    let handle = bench.spawn(poll_fn(move |_| {
        let _ = &future;
        Poll::Ready(output.take())
    }));
    let id = Some(handle.id());
    drop(handle);
    bench.run();
    assert_eq!(*told.lock().unwrap(), [id, id]);
}

#[test]
fn a_task_run_inside_a_task_is_another() {
    let bench = Bench::new();
    let inner = bench.clone();
    let outer = bench.spawn(async move {
        let before = task::id();
        let nested = inner.spawn(async { task::id() });
        inner.run();
        drop(inner);
        (before, result(nested).unwrap(), task::id())
    });
    bench.run();
    let (before, nested, after) = result(outer).unwrap();
    assert_eq!(before, after);
    assert_ne!(before, nested);
}
