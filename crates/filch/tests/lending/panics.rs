//! Panics in what is lent to: which one goes on, who hears of the others, and who goes on all the same.

use crate::support::PATIENCE;
use filch::task::Report;
use filch::{Cancelled, Runtime, scope_with};
use filch_testkit::limits::watchdog;
use std::future::pending;
use std::panic::panic_any;
use std::sync::{Arc, Mutex};

/// What the error hook was told of: the panics' texts.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn runtime(&self) -> Runtime {
        let told = self.clone();
        let hook = move |report: &Report| match report {
            Report::TaskPanicked { message, .. } | Report::WakerPanicked { message, .. } => {
                told.0.lock().unwrap().push(message.clone());
            }
            other => panic!("{other}"),
        };
        Runtime::builder().workers(2).on_error(hook).build().expect("a runtime")
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Runs `main` in a task. What it panicked with, if that is text, and what was reported.
fn run(main: impl Future<Output = ()> + Send + 'static) -> (Option<&'static str>, Vec<String>) {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let runtime = told.runtime();
    let ended = runtime.block_on(runtime.handle().spawn(main));
    drop(runtime);
    let text = |payload: Box<dyn std::any::Any + Send>| *payload.downcast().expect("a text");
    (ended.err().map(|error| text(error.into_panic())), told.all())
}

struct PanicsOnDrop(&'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic_any(self.0);
    }
}

/// LEND-5: the panic of a destructor in a child that is cut, whoever had it cut.
#[test]
fn lend_5_the_panic_of_what_is_cut_goes_on() {
    for by_handle in [true, false] {
        let came = run(async move {
            scope_with((), async |s, ()| {
                let child = s.spawn(async |()| {
                    let _held = PanicsOnDrop("in the cut");
                    pending::<()>().await;
                });
                if by_handle {
                    child.cancel()
                } else {
                    s.cancel()
                }
                assert_eq!(child.await, Err(Cancelled::new()));
            })
            .await;
        });
        assert_eq!(came, (Some("in the cut"), vec![]));
    }
}
