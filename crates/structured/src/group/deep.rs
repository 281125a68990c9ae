//! However many groups are in groups: nothing that ends them is a recursion.

use super::core::{Core, Place};
use filch_atomic::scope::{Inside, Kind};
use filch_atomic::sync::Arc;
use filch_sched::{Config, ThreadPark};
use std::panic::Location;

const DEEP: usize = 100_000;

/// Each in the one before it.
fn chain() -> Vec<Arc<Core>> {
    let make = async {
        let mut all = Vec::<Arc<Core>>::new();
        for _ in 0..DEEP {
            let inside = Inside::new(Kind::Boundary, None, None);
            let parent = all.last().cloned();
            all.push(Core::new(inside.scope().clone(), parent, None, Location::caller()));
        }
        all
    };
    filch_sched::run(Config::default(), |_| Ok(ThreadPark::new()), make).unwrap()
}

/// Where a recursion over so many would end the process.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let small = std::thread::Builder::new().stack_size(64 << 10);
    small.spawn(run).unwrap().join().unwrap();
}

/// Only the innermost is kept, and then it is not.
#[test]
fn a_chain_of_groups_is_freed() {
    let last = chain().pop();
    on_a_small_stack(move || drop(last));
}

/// GROUP-11. All are dropped, from the inside out, while the child of the innermost runs on; then that ends.
#[test]
fn a_chain_of_groups_that_were_dropped_ends() {
    let all = chain();
    for core in &all {
        assert!(core.enter().is_some());
    }
    let innermost = all.last().unwrap().clone();
    for core in all.iter().rev() {
        core.orphan();
        if !Arc::ptr_eq(core, &innermost) {
            // The child that the next one was in.
            core.leave(Place::New);
        }
    }
    assert!(all.iter().all(|core| core.len() == 1));
    on_a_small_stack(move || innermost.leave(Place::New));
    assert!(all.iter().all(|core| core.len() == 0));
    on_a_small_stack(move || drop(all));
}
