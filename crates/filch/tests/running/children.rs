//! What becomes of tasks that belong to another one when their runtime ends.
#![expect(
    clippy::unit_arg,
    reason = "what a child yields is what the body does, also where it is nothing"
)]

use crate::kit::{Log, builder};
use crate::support::PATIENCE;
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::try_gather;
use filch::{
    GroupError, TaskGroup, cancellable, gather, group, is_cancelled, scope_with, shield, shielded,
};
use filch_testkit::limits::watchdog;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};

/// Begins, and goes on when the runtime has asked its tasks to end, for a while.
async fn commits(log: Log) -> u32 {
    log.add("begun");
    log.until("asked").await;
    sleep(Duration::from_millis(2)).await;
    log.add("committed");
    1
}

/// A task that hears of the end.
fn hears(log: &Log) {
    let log = log.clone();
    drop(filch::spawn(async move {
        cancellable(pending::<()>()).await.unwrap_err();
        log.add("asked");
    }));
}

/// Runs `parent` as a task, and ends the runtime when `children` of it have begun.
fn ends_in_the_midst<F>(children: usize, parent: impl Fn(Log) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let future = parent(log.clone());
            let says = log.clone();
            drop(filch::spawn(async move {
                future.await;
                says.add("over");
            }));
            hears(&log);
            while log.count("begun") < children {
                sleep(Duration::from_millis(1)).await;
            }
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(reports.take(), [""; 0]);
        let said = log.take();
        let times = |what: &str| said.iter().filter(|said| *said == what).count();
        assert_eq!((times("committed"), times("over")), (children, 1), "{said:?}");
    }
}

/// Waits, and takes its time to clean up.
async fn cleans_up<T>(log: Log, name: &'static str) -> T {
    let work = async {
        log.add("begun");
        pending::<()>().await;
    };
    let clean_up = async || sleep(Duration::from_millis(1)).await;
    cancellable(work).on_cancel(clean_up).await.unwrap_err();
    log.add(name);
    pending().await
}

/// RUN-12: a child is asked by whoever waits for it, and that one is shielded.
#[test]
fn run_12_children_of_what_is_shielded_come_to_their_ends() {
    let _watchdog = watchdog(PATIENCE);
    ends_in_the_midst(2, async |log: Log| {
        let both = shielded(gather((commits(log.clone()), commits(log))));
        assert_eq!(both.await, (1, 1));
    });
    ends_in_the_midst(2, async |log: Log| {
        let tries = async |log| Ok::<_, ()>(commits(log).await);
        let both = shielded(try_gather(vec![tries(log.clone()), tries(log)]));
        assert_eq!(both.await, Ok(vec![1, 1]));
    });
    ends_in_the_midst(2, async |log: Log| {
        let both = shielded(group(async move |g: TaskGroup| {
            let one = g.spawn_ok(commits(log.clone()));
            // One that nobody awaits.
            g.spawn_ok(commits(log));
            Ok(one.await)
        }));
        assert_eq!(both.await.unwrap(), 1);
    });
    ends_in_the_midst(2, async |log: Log| {
        let (sum, _) = shielded(scope_with(log, async |s, _| {
            let one = s.spawn(async |log| commits(log.clone()).await);
            let two = s.spawn(async |log| commits(log.clone()).await);
            one.await.unwrap() + two.await.unwrap()
        }))
        .await;
        assert_eq!(sum, 2);
    });
}

/// RUN-12, where the task itself is a shield.
#[test]
fn run_12_children_of_a_shield_come_to_their_ends() {
    let _watchdog = watchdog(PATIENCE);
    ends_in_the_midst(2, async |log: Log| {
        // It is asked while it waits for the shield; so that is waited for elsewhere.
        let says = log.clone();
        drop(shield(async move {
            assert_eq!(gather([commits(log.clone()), commits(log.clone())]).await, [1, 1]);
        }));
        shielded(says.until("asked")).await;
    });
}

/// RUN-12, of a child's own children, several deep.
#[test]
fn run_12_children_of_children_come_to_their_ends() {
    let _watchdog = watchdog(PATIENCE);
    ends_in_the_midst(2, async |log: Log| {
        let deep = shielded(group(async |g: TaskGroup| {
            let child = g.spawn_ok(async move {
                let inner = group(async move |g: TaskGroup| {
                    Ok(g.spawn_ok(
                        async move { gather((commits(log.clone()), commits(log))).await },
                    )
                    .await)
                });
                inner.await.unwrap()
            });
            Ok(child.await)
        }));
        assert_eq!(deep.await.unwrap(), (1, 1));
    });
}

/// Blocks its thread until that has happened.
fn block_until(log: &Log, what: &str) {
    while log.count(what) == 0 {
        std::thread::yield_now();
    }
}

/// Whoever wakes it holds up what he is at.
struct HoldsUp(Log);

impl Wake for HoldsUp {
    fn wake(self: Arc<Self>) {
        self.0.add("marked");
        block_until(&self.0, "has asked");
    }
}

/// RUN-12, CANCEL-13: a child that asks is not told before its parent has, though that one is to end.
#[test]
fn run_12_a_child_that_asks_is_not_told_before() {
    let _watchdog = watchdog(PATIENCE);
    let (log, reports) = (Log::default(), Log::default());
    let runtime = builder(1, &reports).build().unwrap();
    let says = log.clone();
    // The first that is told. By then all are marked.
    drop(runtime.handle().spawn(async move {
        let mut boundary = pin!(cancellable(pending::<()>()));
        let waker = Waker::from(Arc::new(HoldsUp(says)));
        assert!(boundary.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        pending::<()>().await;
    }));
    let says = log.clone();
    let child = async move {
        // The one above waits by now.
        yield_now().await;
        says.add("begun");
        block_until(&says, "marked");
        let in_the_same_poll = is_cancelled();
        yield_now().await;
        says.add(format!("{in_the_same_poll}, {}", is_cancelled()));
        says.add("has asked");
        cancellable(pending::<()>()).await.unwrap_err();
        assert!(is_cancelled());
        says.add("over");
    };
    drop(runtime.handle().spawn(gather([child])));
    block_until(&log, "begun");
    drop(runtime);
    assert_eq!(log.take(), ["begun", "marked", "false, false", "has asked", "over"]);
    assert_eq!(reports.take(), [""; 0]);
}

/// RUN-12: clean-up is shielded, and may gather what it does.
#[test]
fn run_12_clean_up_has_children() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let says = log.clone();
            drop(filch::spawn(async move {
                let flush = async |says: Log| {
                    yield_now().await;
                    sleep(Duration::from_millis(1)).await;
                    says.add("flushed");
                };
                let clean_up = async || {
                    gather((flush(says.clone()), flush(says.clone()))).await;
                    let in_group = group(async |g: TaskGroup| {
                        g.spawn_ok(flush(says.clone()));
                        Ok(g.spawn_ok(flush(says.clone())).await)
                    });
                    in_group.await.unwrap();
                };
                let work = async {
                    says.add("begun");
                    pending::<()>().await;
                };
                cancellable(work).on_cancel(clean_up).await.unwrap_err();
                says.add("over");
            }));
            log.until("begun").await;
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(log.take(), ["begun", "flushed", "flushed", "flushed", "flushed", "over"]);
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-12: who waits for nobody's shield is cut, and has its children cut first.
#[test]
fn run_12_a_parent_is_cut_when_its_children_have_ended() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let says = log.clone();
            drop(filch::spawn(async move {
                let one = cleans_up::<()>(says.clone(), "in the group");
                let other = cleans_up::<()>(says.clone(), "gathered");
                let both = group(async move |g: TaskGroup| {
                    g.spawn_ok(one);
                    Ok(gather((other,)).await)
                });
                cancellable(both).await.unwrap_err();
                says.add("parent");
            }));
            while log.count("begun") < 2 {
                yield_now().await;
            }
            log.take();
        };
        builder(workers, &reports).run(main).unwrap();
        let mut said = log.take();
        assert_eq!(said.pop().as_deref(), Some("parent"));
        said.sort();
        assert_eq!(said, ["gathered", "in the group"]);
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-12, GATHER-4: what is around a gathering that no shield is around is cut when all have ended.
#[test]
fn run_12_who_gathers_is_cut_when_its_children_have_ended() {
    let _watchdog = watchdog(PATIENCE);
    is_cut(|one, other| gather((one, other)));
    is_cut(|one, other| gather([one, other]));
    is_cut(|one, other| gather(vec![one, other]));
    is_cut(|one, other| gather((one, other)).results());
    is_cut(|one, other| gather([one, other]).results());
    is_cut(|one, other| gather(vec![one, other]).results());
    is_cut(|one, other| try_gather((one, other)));
    is_cut(|one, other| try_gather([one, other]));
    is_cut(|one, other| try_gather(vec![one, other]).detach_rest());
}

/// A child.
type Child = BoxFuture<'static, Result<u32, String>>;

/// Two children, one that says nothing and one that cleans up, are gathered in a task when the runtime ends.
fn is_cut<F>(gathers: impl Fn(Child, Child) -> F)
where
    F: Future + Send + 'static,
{
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let silent = log.clone();
            let one = async move {
                silent.add("begun");
                pending().await
            };
            let other = cleans_up(log.clone(), "cleaned up");
            let both = gathers(one.boxed(), other.boxed());
            let says = log.clone();
            drop(filch::spawn(async move {
                let waits = cancellable(both);
                // In a boundary that says so.
                assert!(waits.await.is_err());
                says.add("cut");
            }));
            while log.count("begun") < 2 {
                yield_now().await;
            }
            log.take();
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(log.take(), ["cleaned up", "cut"]);
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-12: those whom nobody waits for any more are asked like anybody else.
#[test]
fn run_12_children_that_were_left_behind_are_asked() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let stays = async |log: Log| {
            log.add("begun");
            pending::<()>().await;
        };
        let panics = async |log: Log| {
            log.until("begun").await;
            panic!("one of them");
        };
        let main = async {
            // One gathering panics before the end begins, one in the midst of it.
            let says = log.clone();
            let first = filch::spawn(gather((stays(says.clone()), panics(says))));
            assert!(first.await.unwrap_err().is_panic());
            log.take();
            let says = log.clone();
            let late = async move {
                says.until("asked").await;
                panic!("too late for anybody to mind");
            };
            let waits = shielded(gather((stays(log.clone()), late)));
            drop(filch::spawn(async move {
                waits.await;
            }));
            // A group that is dropped asks those in it.
            let says = log.clone();
            drop(filch::spawn(async move {
                let mut left =
                    Box::pin(group(async |g: TaskGroup| Ok(g.spawn_ok(stays(says.clone())).await)));
                poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx).is_pending())).await;
            }));
            log.until("begun").await;
            hears(&log);
            yield_now().await;
        };
        builder(workers, &reports).run(main).unwrap();
        let reports = reports.take();
        assert!(reports.len() == 1 && reports[0].contains("too late"), "{reports:?}");
    }
}

/// RUN-12, GATHER-2: those that are left behind by a panic are asked at once when the end has begun. What a waker in one of
/// them does then does not take the place of that panic, which is given; it is reported.
#[test]
fn run_12_a_panic_that_leaves_children_behind_is_not_lost() {
    let _watchdog = watchdog(PATIENCE);
    is_given(|one, other| gather((one, other)));
    is_given(|one, other| gather([one, other]));
    is_given(|one, other| gather(vec![one, other]));
    is_given(|one, other| try_gather((one, other)).detach_rest());
    is_given(|one, other| try_gather([one, other]).detach_rest());
    is_given(|one, other| try_gather(vec![one, other]).detach_rest());
}

struct Nasty;

impl Wake for Nasty {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("a waker"));
    }
}

fn is_given<F>(gathers: impl Fn(Child, Child) -> F)
where
    F: Future + Send + 'static,
{
    let (log, reports) = (Log::default(), Log::default());
    let main = async {
        let says = log.clone();
        let nasty = async move {
            let mut boundary = pin!(cancellable(pending::<()>()));
            let waker = Waker::from(Arc::new(Nasty));
            assert!(boundary.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            says.add("begun");
            pending().await
        };
        let says = log.clone();
        let late = async move {
            says.until("asked").await;
            panic!("too late");
        };
        let waits = shielded(gathers(nasty.boxed(), late.boxed()));
        drop(filch::spawn(async move {
            waits.await;
        }));
        log.until("begun").await;
        hears(&log);
        yield_now().await;
    };
    builder(1, &reports).run(main).unwrap();
    let mut reports = reports.take();
    reports.sort_by_key(|report| report.contains("a waker"));
    assert!(reports.len() == 2 && reports[0].contains("too late"), "{reports:?}");
    assert!(reports[1].contains("a waker"), "{reports:?}");
}

/// RUN-12: no task waits here, so it is the children that the end asks, and that ends the group.
#[test]
fn run_12_a_group_outside_of_tasks_ends_with_its_children() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let reports = Log::default();
        let runtime = builder(workers, &reports).build().unwrap();
        let (begun, has_begun) = mpsc::channel();
        let handle = runtime.handle().clone();
        let closure = runtime.handle().spawn_blocking(move || {
            let waits = group(async |g: TaskGroup| {
                let child = g.spawn_ok(pending::<()>());
                // It has a boundary, and so an output when it is asked.
                let other = g.spawn(async { cancellable(pending::<()>()).await });
                begun.send(()).unwrap();
                filch::join!(child, other);
                Ok(())
            });
            handle.block_on(waits)
        });
        has_begun.recv().unwrap();
        drop(runtime);
        let ended: Result<(), GroupError> = filch_testkit::exec::block_on(closure).unwrap();
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-12, of a task of another runtime than the children.
#[test]
fn run_12_a_group_in_another_runtime_ends_with_its_children() {
    let _watchdog = watchdog(PATIENCE);
    let reports = Log::default();
    builder(1, &reports)
        .run(async {
            let other = builder(1, &reports).build().unwrap();
            let waits = group(async |g: TaskGroup| Ok(g.spawn_ok(pending::<()>()).await));
            let mut waits = Box::pin(waits);
            {
                let _entered = other.enter();
                poll_fn(|cx| {
                    assert!(waits.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            let closure = filch::spawn_blocking(move || drop(other));
            assert!(waits.await.unwrap_err().is_cancelled());
            closure.await.unwrap();
        })
        .unwrap();
    assert_eq!(reports.take(), [""; 0]);
}

/// RUN-5, RUN-12: what another thread spawns is refused, and the group that was to have it does not go on.
#[test]
fn run_12_a_child_that_is_refused_ends_its_group() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let says = log.clone();
            drop(filch::spawn(async move {
                let waits = shielded(group(async |g: TaskGroup| {
                    says.add("begun");
                    says.until("asked").await;
                    let inner = g.clone();
                    let thread = std::thread::spawn(move || inner.spawn_ok(async { 7 }));
                    Ok(thread.join().unwrap().await)
                }));
                assert!(waits.await.unwrap_err().is_cancelled());
                says.add("over");
            }));
            hears(&log);
            log.until("begun").await;
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(log.take(), ["begun", "asked", "over"]);
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-12, RUN-5: tasks of a set are anybody's, and asked like those that were merely spawned. Shielded code goes on
/// with an error.
#[test]
fn run_12_tasks_of_a_set_are_asked() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let says = log.clone();
            drop(filch::spawn(shielded(async move {
                let mut set = filch::TaskSet::new();
                set.spawn(pending::<()>());
                let spawned = filch::spawn(pending::<()>());
                says.add("begun");
                assert!(set.join_next().await.unwrap().unwrap_err().is_shutdown());
                assert!(spawned.await.unwrap_err().is_shutdown());
                says.add("over");
            })));
            log.until("begun").await;
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(log.take(), ["begun", "over"]);
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-2: a task is not told of the end by those that it waits for.
#[test]
fn run_2_who_waits_for_a_task_is_cut_there() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            for _ in 0..20 {
                let says = log.clone();
                drop(filch::spawn(async move {
                    let waits = async || {
                        let says = says.clone();
                        let child = filch::spawn(async move {
                            says.add("begun");
                            pending::<()>().await;
                        });
                        child.await.expect("nobody is told");
                    };
                    // In a boundary, too.
                    cancellable(waits()).await.unwrap_err();
                    waits().await;
                }));
                let says = log.clone();
                drop(filch::spawn(async move {
                    let waits = group(async |g: TaskGroup| {
                        let says = says.clone();
                        let child = async move {
                            let says = says.clone();
                            let deeper = filch::spawn(async move {
                                says.add("begun");
                                pending::<()>().await;
                            });
                            deeper.await.expect("nobody is told");
                        };
                        Ok(g.spawn_ok(child).await)
                    });
                    waits.await.expect("nobody is told");
                }));
            }
            while log.count("begun") < 40 {
                yield_now().await;
            }
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(reports.take(), [""; 0]);
    }
}
