//! Children that need not be `Send` (LOCALSET-1 to LOCALSET-5).

use filch::time::{Duration, Instant, sleep};
use filch::{Runtime, cancellable, local_set, spawn, spawn_local, task};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

const SECOND: Duration = Duration::from_secs(1);

/// Says when it is dropped.
struct Tells(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

/// LOCALSET-1, LOCALSET-2.
#[filch::test(virtual_time)]
async fn it_ends_when_all_have_ended() {
    let start = Instant::now();
    let log = Rc::new(RefCell::new(Vec::new()));
    let yields = local_set(async {
        for number in [3u32, 1, 2] {
            let log = log.clone();
            spawn_local(async move {
                sleep(SECOND * number).await;
                log.borrow_mut().push(number);
                let log = log.clone();
                spawn_local(async move {
                    task::yield_now().await;
                    log.borrow_mut().push(10 * number);
                });
            });
        }
        let squares = [1, 2, 3].map(|number| spawn_local(async move { Rc::new(number * number) }));
        let mut sum = 0;
        for square in squares {
            sum += *square.await.unwrap();
        }
        sum
    });
    assert_eq!(yields.await, 14);
    assert_eq!(*log.borrow(), [1, 10, 2, 20, 3, 30]);
    assert_eq!(start.elapsed(), 3 * SECOND);
}

/// LOCALSET-1: in each kind of runtime, beside tasks that move, and on a thread that blocks.
#[test]
fn it_stays_on_its_thread_wherever_that_is() {
    async fn program() -> usize {
        let here = std::thread::current().id();
        let count = Rc::new(Cell::new(0));
        let children = count.clone();
        local_set(async move {
            for _ in 0..20 {
                let count = children.clone();
                spawn_local(async move {
                    for _ in 0..10 {
                        spawn(async { task::yield_now().await }).await.unwrap();
                        assert_eq!(std::thread::current().id(), here);
                        count.set(count.get() + 1);
                    }
                });
            }
        })
        .await;
        count.get()
    }
    for builder in [
        Runtime::builder().workers(3),
        Runtime::builder().current_thread(),
        Runtime::builder().seed(5).virtual_time(true),
    ] {
        assert_eq!(builder.run(program()).unwrap(), 200);
    }
    let runtime = Runtime::builder().workers(2).build().unwrap();
    assert_eq!(runtime.block_on(program()), 200);
}

/// LOCALSET-3: sets in each other; a child goes to the innermost.
#[filch::test]
async fn sets_nest() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let outer = log.clone();
    local_set(async move {
        let inner = outer.clone();
        local_set(async move {
            spawn_local(async move {
                task::yield_now().await;
                inner.borrow_mut().push("inner child");
            });
        })
        .await;
        outer.borrow_mut().push("inner over");
        let child = outer.clone();
        spawn_local(async move { child.borrow_mut().push("outer child") }).await.unwrap();
    })
    .await;
    assert_eq!(*log.borrow(), ["inner child", "inner over", "outer child"]);
}

/// LOCALSET-4.
#[test]
fn dropped_it_drops_the_youngest_first_and_the_body_last() {
    let log = Rc::new(RefCell::new(Vec::new()));
    {
        let log = log.clone();
        let mut set = pin!(local_set(async move {
            let _body = Tells("body", log.clone());
            for name in ["first", "second"] {
                let tells = Tells(name, log.clone());
                spawn_local(async move {
                    let _tells = tells;
                    pending::<()>().await;
                });
            }
            pending::<()>().await;
        }));
        assert!(set.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(*log.borrow(), ["second", "first", "body"]);
}

/// LOCALSET-4: what a destructor begins is dropped at once.
#[test]
fn destructors_are_in_the_set() {
    struct Spawns(Rc<Cell<u32>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let dropped = Rc::new(());
            let held = dropped.clone();
            let handle = spawn_local(async move { drop(held) });
            assert_eq!(Rc::strong_count(&dropped), 1);
            assert!(handle.is_finished());
            self.0.set(self.0.get() + 1);
        }
    }
    let count = Rc::new(Cell::new(0));
    {
        let (in_child, in_body) = (Spawns(count.clone()), Spawns(count.clone()));
        let mut set = pin!(local_set(async move {
            let _in_body = in_body;
            spawn_local(async move {
                let _in_child = in_child;
                pending::<()>().await;
            });
            pending::<()>().await;
        }));
        assert!(set.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(count.get(), 2);
}

/// LOCALSET-5: as in a scope.
#[filch::test]
async fn a_cancel_from_outside_reaches_the_children() {
    let cleaned = Rc::new(Cell::new(0));
    let children = cleaned.clone();
    let set = local_set(async move {
        for _ in 0..3 {
            let cleaned = children.clone();
            spawn_local(async move {
                if cancellable(pending::<()>()).await.is_err() {
                    cleaned.set(cleaned.get() + 1);
                }
            });
        }
        pending::<()>().await;
    });
    let late = filch::time::timeout(Duration::from_millis(1), set).await;
    assert!(late.is_err());
    assert_eq!(cleaned.get(), 3);
}

/// LOCALSET-3.
#[filch::test]
#[should_panic = "no set runs here"]
async fn where_no_set_runs_there_is_none() {
    local_set(async {}).await;
    drop(spawn_local(async {}));
}

/// LOCALSET-3: not in another task, though it is woken from in here.
#[filch::test(workers = 1)]
async fn another_task_is_not_in_the_set() {
    local_set(async {
        let other = spawn(async {
            spawn_local(async {});
        });
        assert!(other.await.is_err_and(|error| error.is_panic()));
    })
    .await;
}
