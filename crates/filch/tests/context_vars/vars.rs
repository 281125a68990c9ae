//! Context variables.

use crate::support::{PATIENCE, breathe, everywhere, runtime};
use filch::task::{Builder, ContextVar, yield_now};
use filch::{Runtime, shield, spawn, spawn_blocking};
use filch_testkit::Cut;
use filch_testkit::limits::watchdog;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

static NUMBER: ContextVar<u32> = ContextVar::new("number");
static OTHER: ContextVar<&str> = ContextVar::with_default("other", || "default");

/// CONTEXT-1.
#[filch::test]
async fn it_is_what_it_was_set_to_or_its_default() {
    assert_eq!((NUMBER.try_get(), OTHER.get()), (None, "default"));
    assert!(catch_unwind(|| NUMBER.get()).is_err());
    NUMBER.set(1);
    OTHER.set("set");
    assert_eq!((NUMBER.get(), OTHER.get()), (1, "set"));
    NUMBER.set(2);
    assert_eq!(NUMBER.with(|number| *number + NUMBER.get()), 4, "looked at in a look");
    assert_eq!(format!("{NUMBER:?}"), "ContextVar { name: \"number\", .. }");
}

/// CONTEXT-2.
#[filch::test]
async fn what_is_spawned_begins_with_the_values_of_the_spawner() {
    let number = || async { NUMBER.try_get() };
    assert_eq!(spawn(number()).await.unwrap(), None);
    NUMBER.set(7);
    let before = spawn(async {
        yield_now().await;
        let inherited = spawn(async { NUMBER.get() }).await.unwrap();
        (NUMBER.get(), inherited)
    });
    let others = [
        spawn(number()),
        shield(number()),
        Builder::new().name("named").spawn(number()),
        spawn_blocking(|| NUMBER.try_get()),
    ];
    // After the spawn: not theirs.
    NUMBER.set(8);
    for other in others {
        assert_eq!(other.await.unwrap(), Some(7));
    }
    assert_eq!(before.await.unwrap(), (7, 7));
    let handle = filch::Handle::current();
    let from_a_closure = spawn_blocking(move || handle.block_on(spawn(async { NUMBER.get() })));
    assert_eq!(from_a_closure.await.unwrap().unwrap(), 8);
}

/// CONTEXT-3.
#[filch::test]
async fn what_a_task_sets_is_its_own() {
    NUMBER.set(1);
    for named in [false, true] {
        let builder = if named { Builder::new().name("named") } else { Builder::new() };
        let child = builder.spawn(async move {
            NUMBER.set(2);
            OTHER.set("child's");
            yield_now().await;
            assert_eq!(filch::task::name().is_some(), named);
            (NUMBER.get(), OTHER.get())
        });
        assert_eq!(child.name().is_some(), named);
        assert_eq!(child.await.unwrap(), (2, "child's"));
        assert_eq!((NUMBER.get(), OTHER.get()), (1, "default"));
    }
}

/// CONTEXT-4: on several workers, with as many tasks as it takes to be stolen from.
#[test]
fn values_go_where_their_task_goes() {
    let _watchdog = watchdog(PATIENCE);
    let runtime = runtime(4);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                NUMBER.set(number);
                spawn(async move {
                    for round in 0..50 {
                        breathe().await;
                        assert_eq!(NUMBER.get(), number + round);
                        NUMBER.set(number + round + 1);
                        let own = OTHER.scope("own", async {
                            yield_now().await;
                            (NUMBER.get(), OTHER.get())
                        });
                        assert_eq!(own.await, (number + round + 1, "own"));
                        assert_eq!(OTHER.get(), "default");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// CONTEXT-5.
#[filch::test]
async fn a_token_says_what_it_was() {
    let first = NUMBER.set(1);
    let second = NUMBER.set(2);
    NUMBER.reset(second);
    assert_eq!(NUMBER.get(), 1);
    NUMBER.reset(first);
    assert_eq!(NUMBER.try_get(), None);
    let token = NUMBER.set(3);
    // Of another task: what it sets there is there.
    let child = spawn(async move {
        NUMBER.reset(token);
        NUMBER.try_get()
    });
    assert_eq!((child.await.unwrap(), NUMBER.get()), (None, 3));
    static LIKE_IT: ContextVar<u32> = ContextVar::new("number");
    let token = LIKE_IT.set(4);
    assert!(catch_unwind(AssertUnwindSafe(|| NUMBER.reset(token))).is_err());
    assert_eq!((NUMBER.get(), LIKE_IT.get()), (3, 4));
}

/// CONTEXT-6.
#[filch::test]
async fn a_scope_has_a_value_of_its_own() {
    NUMBER.set(1);
    let inner = async {
        assert_eq!(NUMBER.get(), 2);
        yield_now().await;
        assert_eq!(NUMBER.sync_scope(4, || NUMBER.get()), 4);
        assert!(catch_unwind(|| NUMBER.sync_scope(5, || panic!("in there"))).is_err());
        assert_eq!(NUMBER.get(), 2);
        // It may be set: in here.
        NUMBER.set(3);
        OTHER.set("stays");
        yield_now().await;
        let child = spawn(async { NUMBER.get() }).await.unwrap();
        (NUMBER.get(), child)
    };
    // Its neighbour in the same task does not see it.
    let neighbour = async {
        for _ in 0..3 {
            assert_eq!(NUMBER.get(), 1);
            yield_now().await;
        }
    };
    assert_eq!(filch::join!(NUMBER.scope(2, inner), neighbour).0, (3, 3));
    assert_eq!((NUMBER.get(), OTHER.get()), (1, "stays"));
    let unset = async { NUMBER.scope(9, async { NUMBER.get() }).await + 1 };
    assert_eq!(spawn(unset).await.unwrap(), 10);
}

/// CONTEXT-6: wherever it is dropped.
async fn scoped(cut: Cut) {
    struct Asks(Arc<AtomicU32>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.store(NUMBER.try_get().unwrap_or(0), Ordering::Relaxed);
        }
    }
    let seen = Arc::new(AtomicU32::new(0));
    let asks = Asks(seen.clone());
    let future = NUMBER.scope(7, async move {
        let _asks = asks;
        breathe().await;
        NUMBER.scope(8, breathe()).await;
        assert_eq!(NUMBER.get(), 7);
    });
    cut.run(future).await;
    assert_eq!(seen.load(Ordering::Relaxed), 7, "destructors see the value");
    assert_eq!(NUMBER.try_get(), None);
}

#[test]
fn a_scope_may_be_dropped_at_any_poll() {
    everywhere(4, scoped);
}

/// CONTEXT-7.
#[test]
fn main_and_threads_have_values_of_their_own() {
    let _watchdog = watchdog(PATIENCE);
    let token = NUMBER.set(1);
    for workers in [1, 2] {
        let seen = Runtime::builder()
            .workers(workers)
            .run(async {
                assert_eq!(NUMBER.get(), 1, "main begins with the thread's");
                let other = spawn(async {
                    NUMBER.set(5);
                    yield_now().await;
                });
                NUMBER.set(2);
                yield_now().await;
                other.await.unwrap();
                assert_eq!(spawn(async { NUMBER.get() }).await.unwrap(), 2);
                NUMBER.get()
            })
            .unwrap();
        assert_eq!((seen, NUMBER.get()), (2, 1), "and leaves them alone");
    }
    let runtime = runtime(1);
    runtime.block_on(async {
        assert_eq!(NUMBER.get(), 1);
        NUMBER.set(3);
        assert_eq!(spawn(async { NUMBER.get() }).await.unwrap(), 3);
    });
    assert_eq!(NUMBER.get(), 1);
    assert_eq!(thread::spawn(|| NUMBER.try_get()).join().unwrap(), None);
    NUMBER.reset(token);
    drop(runtime);
}

/// CONTEXT-7, CANCEL-15: what a blocking closure blocks on is no part of it.
#[filch::test]
async fn what_a_closure_blocks_on_has_values_of_its_own() {
    NUMBER.set(1);
    let handle = filch::Handle::current();
    let closure = Builder::new().name("closure").spawn_blocking(move || {
        let seen = handle.block_on(async {
            assert!(filch::task::try_id().is_none());
            let begins_with = NUMBER.get();
            NUMBER.set(2);
            yield_now().await;
            (begins_with, NUMBER.get())
        });
        assert_eq!((seen, NUMBER.get()), ((1, 2), 1));
        let seen = Runtime::builder().workers(1).run(async {
            let begins_with = NUMBER.get();
            NUMBER.set(3);
            yield_now().await;
            (begins_with, NUMBER.get())
        });
        assert_eq!((seen.unwrap(), NUMBER.get()), ((1, 3), 1));
        // A plain thread's are as they were, too.
        assert_eq!(thread::spawn(|| NUMBER.try_get()).join().unwrap(), None);
    });
    closure.await.unwrap();
    assert_eq!(NUMBER.get(), 1);
}

/// CONTEXT-8: destructors of values are code of the task that had them.
#[test]
fn destructors_of_values_set_nothing_elsewhere() {
    static IN_TASKS: AtomicU32 = AtomicU32::new(0);
    struct Sets(u32);
    impl Drop for Sets {
        fn drop(&mut self) {
            NUMBER.set(self.0);
            IN_TASKS.fetch_add(u32::from(filch::task::try_id().is_some()), Ordering::Relaxed);
        }
    }
    static HELD: ContextVar<Arc<Sets>> = ContextVar::new("held");
    let _watchdog = watchdog(PATIENCE);
    let run = Runtime::builder().workers(1).run(async {
        NUMBER.set(1);
        let detached = spawn(async { HELD.set(Arc::new(Sets(2))) });
        let awaited = spawn(async {
            HELD.set(Arc::new(Sets(3)));
        });
        drop(detached);
        awaited.await.unwrap();
        yield_now().await;
        NUMBER.get()
    });
    assert_eq!((run.unwrap(), IN_TASKS.load(Ordering::Relaxed)), (1, 2));
}

/// CONTEXT-8.
#[filch::test]
async fn values_go_with_the_last_who_has_them() {
    static HELD: ContextVar<Arc<()>> = ContextVar::new("held");
    let value = Arc::new(());
    let gone = Arc::new(Mutex::new(0));
    let task = {
        let (value, gone) = (value.clone(), gone.clone());
        spawn(async move {
            HELD.set(value);
            let child = spawn(async {
                yield_now().await;
                Arc::strong_count(&HELD.get())
            });
            assert!(child.await.unwrap() >= 2);
            *gone.lock().unwrap() += 1;
        })
    };
    task.await.unwrap();
    assert_eq!((Arc::strong_count(&value), *gone.lock().unwrap()), (1, 1), "with the task's end");
    let waits = spawn(HELD.scope(value.clone(), std::future::pending::<()>()));
    waits.abort();
    waits.await.unwrap_err();
    assert_eq!(Arc::strong_count(&value), 1, "also when it is dropped");
}
