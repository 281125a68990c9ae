//! Regions that go, and what has begun in them: drop x cancel x end (`crates/atomic/src/scope/README.md`).
#![cfg(filch_loom)]

use filch_atomic::scope::{Inside, Kind, Region, Scope, around};
use filch_atomic::sync::Arc;
use filch_atomic::thread;
use filch_loom_tests::check;

/// A region, or one in another, and a boundary in the innermost.
fn begin(task: &Arc<Scope>) -> (Region, Region, Inside) {
    let (mut outer, mut inner) = (Region::new(), Region::new());
    let boundary = outer.enter(&(), || {
        inner.enter(&(), || Inside::new(Kind::Boundary, around(|| Some(task.clone())), None))
    });
    (outer, inner, boundary)
}

/// A cancel comes to what has outlived its region, be it on its way when that goes.
#[test]
fn a_cancel_passes_through_a_region_that_goes() {
    check(2, || {
        let task = Scope::of_task();
        let (outer, inner, boundary) = begin(&task);
        let canceller = thread::spawn(move || task.cancel());
        drop(outer);
        drop(inner);
        canceller.join().unwrap();
        assert!(boundary.scope().is_due());
    });
}

/// A region that stays for what is in it goes with that, whichever of them is first.
#[test]
fn the_last_takes_its_region_along() {
    check(2, || {
        let task = Scope::of_task();
        let (mut outer, mut inner, boundary) = begin(&task);
        let scopes = [&mut outer, &mut inner].map(|region| region.scope().unwrap().clone());
        let dropper = thread::spawn(move || {
            drop(outer);
            drop(inner);
        });
        drop(boundary);
        dropper.join().unwrap();
        let [outer, inner] = scopes;
        assert_eq!(Arc::strong_count(&inner), 1, "nobody else has it");
        drop(inner);
        assert_eq!(Arc::strong_count(&outer), 1);
    });
}
