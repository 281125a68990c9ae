//! The rules of both semaphores.

use super::*;
use crate::testing::{
    Count, broken, drop_at_every_poll, forget, poll, ready, recorded_line, without_budget,
};
use filch_testkit::{Random, exec, limits};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Waiting<'a> = Pin<Box<AcquirePermits<'a>>>;

/// A future that waits for so many.
#[track_caller]
fn waiting<'a>(semaphore: &'a Semaphore, permits: usize, count: &Arc<Count>) -> Waiting<'a> {
    let mut waiting = Box::pin(semaphore.acquire_many(permits));
    assert!(poll(&mut waiting, count).is_pending());
    waiting
}

#[test]
fn so_many_at_a_time_and_then_in_order() {
    let semaphore = Semaphore::new(2);
    let count = Count::new();
    let first = ready(&mut Box::pin(semaphore.acquire()));
    let second = semaphore.try_acquire();
    assert!(semaphore.is_exhausted());
    let mut third = waiting(&semaphore, 1, &count);
    let mut fourth = waiting(&semaphore, 1, &count);
    drop(first);
    assert_eq!(semaphore.available_permits(), 0, "it is the third's");
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    assert!(poll(&mut fourth, &count).is_pending());
    let third = ready(&mut third);
    drop(second);
    let fourth = ready(&mut fourth);
    drop((third, fourth));
    assert_eq!(semaphore.available_permits(), 2);
    assert!(!semaphore.is_exhausted());
    assert_eq!((count.wakes(), count.wakers()), (2, 0));
}

#[test]
fn who_wants_many_is_not_passed_by_who_wants_few() {
    let semaphore = Semaphore::new(5);
    let count = Count::new();
    let held = semaphore.try_acquire_many(3);
    let mut large = waiting(&semaphore, 4, &count);
    assert_eq!(semaphore.available_permits(), 2, "nothing is hoarded");
    assert!(semaphore.is_exhausted());
    assert!(semaphore.try_acquire().is_err(), "but nobody barges in");
    assert!(semaphore.try_acquire_many(0).is_err());
    let mut small = waiting(&semaphore, 1, &count);
    semaphore.add_permits(1);
    assert_eq!(count.wakes(), 0, "three are not four");
    drop(held);
    assert_eq!(count.wakes(), 2, "six are enough for both");
    drop((ready(&mut large), ready(&mut small)));
    assert_eq!(semaphore.available_permits(), 6);
}

#[test]
fn a_large_one_that_goes_lets_in_the_small_ones_behind_it() {
    let semaphore = Semaphore::new(2);
    let count = Count::new();
    let large = waiting(&semaphore, 10, &count);
    let mut first = waiting(&semaphore, 1, &count);
    let mut second = waiting(&semaphore, 1, &count);
    let third = waiting(&semaphore, 1, &count);
    drop(large);
    assert_eq!(count.wakes(), 2);
    drop(third);
    let (first, second) = (ready(&mut first), ready(&mut second));
    drop((first, second));
    assert_eq!(semaphore.try_acquire_many(2).unwrap().count(), 2);
}

#[test]
fn a_large_grant_that_is_given_up_reaches_several() {
    let semaphore = Semaphore::new(3);
    let count = Count::new();
    let held = semaphore.try_acquire_many(3);
    let large = waiting(&semaphore, 3, &count);
    let mut small: Vec<_> = (0..4).map(|_| waiting(&semaphore, 1, &count)).collect();
    drop(held);
    assert_eq!(count.wakes(), 1);
    drop(large);
    assert_eq!(count.wakes(), 4);
    let permits: Vec<_> = small[..3].iter_mut().map(ready).collect();
    assert!(poll(&mut small[3], &count).is_pending());
    drop(permits);
    assert!(ready(&mut small[3]).is_ok());
}

#[test]
fn many_are_let_in_at_once_even_if_their_wakers_panic() {
    let semaphore = Semaphore::new(0);
    let broken = broken();
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(semaphore.acquire())).collect();
    for waiting in &mut waiting {
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&broken)).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(99))).is_err());
    let last = waiting.pop();
    for waiting in &mut waiting {
        ready(waiting).unwrap().forget();
    }
    assert!(poll(&mut last.unwrap(), &Count::new()).is_pending());
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn closing_sends_away_who_waits_and_leaves_who_was_given() {
    let semaphore = Semaphore::new(1);
    let count = Count::new();
    let held = semaphore.try_acquire().unwrap();
    let mut granted = waiting(&semaphore, 1, &count);
    let mut waits: Vec<_> = (0..40).map(|_| waiting(&semaphore, 1, &count)).collect();
    drop(held);
    semaphore.close();
    semaphore.close();
    assert!(semaphore.is_closed());
    assert_eq!(count.wakes(), 41);
    drop(waits.pop());
    for waits in &mut waits {
        assert_eq!(ready(waits).unwrap_err(), Closed);
    }
    // Completion wins (C2).
    let granted = ready(&mut granted).unwrap();
    assert_eq!(semaphore.available_permits(), 0);
    drop(granted);
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    assert_eq!(ready(&mut Box::pin(semaphore.acquire())).unwrap_err(), Closed);
    assert_eq!(semaphore.blocking_acquire().unwrap_err(), Closed);
    assert_eq!(count.wakers(), 0);
}

#[test]
fn a_closed_waiter_that_never_looks_gives_nothing_back() {
    let semaphore = Semaphore::new(0);
    let count = Count::new();
    let waits = waiting(&semaphore, 1, &count);
    semaphore.close();
    drop(waits);
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn permits_are_forgotten_added_split_and_merged() {
    let semaphore = Arc::new(Semaphore::new(4));
    semaphore.try_acquire().unwrap().forget();
    assert_eq!(semaphore.available_permits(), 3);
    assert_eq!(semaphore.forget_permits(1), 1);
    assert_eq!(semaphore.forget_permits(10), 2);
    semaphore.add_permits(4);
    let mut all = semaphore.try_acquire_many(4).unwrap();
    assert!(all.split(5).is_none());
    let half = all.split(2).unwrap();
    assert_eq!((all.count(), half.count()), (2, 2));
    drop(half);
    assert_eq!(semaphore.available_permits(), 2);
    all.merge(semaphore.try_acquire().unwrap());
    assert_eq!(all.count(), 3);
    drop(all);
    let mut owned = semaphore.clone().try_acquire_many_owned(3).unwrap();
    owned.merge(semaphore.clone().try_acquire_owned().unwrap());
    let part = owned.split(1).unwrap();
    assert_eq!((owned.count(), part.count(), semaphore.available_permits()), (3, 1, 0));
    part.forget();
    drop(owned);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
#[should_panic(expected = "of another semaphore")]
fn permits_of_two_semaphores_are_not_merged() {
    let (one, other) = (Semaphore::new(1), Semaphore::new(1));
    one.try_acquire().unwrap().merge(other.try_acquire().unwrap());
}

#[test]
fn there_are_only_so_many() {
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    assert!(catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(1))).is_err());
    assert_eq!(semaphore.available_permits(), Semaphore::MAX_PERMITS);
    assert!(catch_unwind(|| Semaphore::new(Semaphore::MAX_PERMITS + 1)).is_err());
    let too_many = || drop(semaphore.acquire_many(Semaphore::MAX_PERMITS + 1));
    assert!(catch_unwind(AssertUnwindSafe(too_many)).is_err());
    let none = Semaphore::new(0);
    assert_eq!(ready(&mut Box::pin(none.acquire_many(0))).unwrap().count(), 0);
}

#[test]
fn a_bounded_one_refuses_what_was_not_taken() {
    let bounded = BoundedSemaphore::new(2);
    assert_eq!(bounded.release(1), Err(OverRelease));
    let held = bounded.try_acquire().unwrap();
    assert_eq!(bounded.release(1), Err(OverRelease), "the guard will give it back");
    ready(&mut Box::pin(bounded.acquire_owned())).unwrap().forget();
    assert!(bounded.is_exhausted());
    let mut waits = Box::pin(bounded.acquire());
    let count = Count::new();
    assert!(poll(&mut waits, &count).is_pending());
    assert_eq!(bounded.release(2), Err(OverRelease));
    assert_eq!(bounded.release(1), Ok(()));
    assert_eq!(count.wakes(), 1);
    drop((ready(&mut waits), held));
    assert_eq!((bounded.available_permits(), bounded.bound()), (2, 2));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(bounded.acquire_many(3)))).is_err());
    bounded.try_acquire_many(2).unwrap().forget();
    assert_eq!(bounded.release(2), Ok(()));
    bounded.close();
    assert!(bounded.is_closed());
    assert_eq!(bounded.blocking_acquire().unwrap_err(), Closed);
}

#[test]
fn a_task_out_of_budget_keeps_what_it_was_given() {
    let semaphore = Semaphore::new(2);
    let count = Count::new();
    let mut waits = Box::pin(semaphore.acquire_many(2));
    without_budget(|| assert!(poll(&mut waits, &count).is_pending()));
    assert_eq!((count.wakes(), semaphore.available_permits()), (1, 2), "it gives way, once");
    without_budget(|| assert!(poll(&mut waits, &count).is_pending()));
    assert_eq!((count.wakes(), semaphore.available_permits()), (2, 0));
    let mut behind = waiting(&semaphore, 2, &count);
    drop(waits);
    assert_eq!(ready(&mut behind).unwrap().count(), 2);
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let semaphore = Semaphore::new(0);
    let (old, new) = (Count::new(), Count::new());
    let mut waits = waiting(&semaphore, 1, &old);
    assert!(poll(&mut waits, &new).is_pending());
    assert_eq!(old.wakers(), 0);
    semaphore.add_permits(1);
    assert_eq!(new.wakes(), 1);
    assert!(ready(&mut waits).is_ok());
}

#[test]
fn a_wait_is_on_record_where_it_was_begun() {
    let semaphore = Arc::new(Semaphore::new(0));
    assert_eq!(recorded_line(&mut Box::pin(semaphore.acquire())), line!());
    assert_eq!(recorded_line(&mut Box::pin(semaphore.acquire_many(2))), line!());
    assert_eq!(recorded_line(&mut Box::pin(semaphore.clone().acquire_owned())), line!());
    assert_eq!(recorded_line(&mut Box::pin(BoundedSemaphore::new(0).acquire())), line!());
}

/// Liveness is lost, as documented; memory is not.
#[test]
fn a_forgotten_waiter_keeps_its_place_and_harms_nothing_else() {
    let semaphore = Box::new(Semaphore::new(0));
    let count = Count::new();
    forget(waiting(&semaphore, 1, &count));
    let mut behind = waiting(&semaphore, 1, &count);
    semaphore.add_permits(1);
    assert!(poll(&mut behind, &count).is_pending());
    semaphore.add_permits(1);
    assert!(ready(&mut behind).is_ok());
    forget(waiting(&semaphore, 5, &count));
    drop(behind);
    let moved = *semaphore;
    moved.add_permits(10);
    assert_eq!(moved.available_permits(), 6);
}

/// I1 to I3, with permits of all weights.
#[test]
fn dropped_at_every_poll_it_loses_nothing() {
    let semaphore = Arc::new(Semaphore::new(3));
    for (tested, behind) in [(1, 1), (2, 1), (1, 3), (3, 3)] {
        let hold = || semaphore.clone().try_acquire_many_owned(3).expect("all are there");
        let borrowed = || {
            let semaphore = semaphore.clone();
            async move { drop(semaphore.acquire_many(tested).await) }
        };
        let owned = || semaphore.clone().acquire_many_owned(tested);
        let next = || semaphore.acquire_many(behind);
        drop_at_every_poll(hold, borrowed, next);
        drop_at_every_poll(hold, owned, next);
        drop(hold());
    }
}

/// Random programs, compared with a line and a number.
#[test]
fn it_does_what_a_line_and_a_number_do() {
    struct Model {
        free: usize,
        /// What each wants, and whether it has it.
        line: Vec<(usize, bool)>,
    }
    impl Model {
        fn serve(&mut self) {
            for (wants, has) in self.line.iter_mut().filter(|(_, has)| !has) {
                if *wants > self.free {
                    break;
                }
                self.free -= *wants;
                *has = true;
            }
        }
    }
    let seed = Random::seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for _ in 0..500 {
        let semaphore = Semaphore::new(4);
        let count = Count::new();
        let mut model = Model { free: 4, line: Vec::new() };
        let mut line: Vec<Waiting<'_>> = Vec::new();
        let mut held: Vec<Permit<'_>> = Vec::new();
        for _ in 0..60 {
            match random.below(5) {
                0 | 1 => {
                    let wants = random.below(6);
                    let is_free = wants <= model.free && model.line.iter().all(|(_, has)| *has);
                    assert_eq!(semaphore.try_acquire_many(wants).is_ok(), is_free);
                    let mut waits = Box::pin(semaphore.acquire_many(wants));
                    match poll(&mut waits, &count) {
                        Poll::Ready(permit) => {
                            assert!(is_free);
                            model.free -= wants;
                            held.push(permit.unwrap());
                        }
                        Poll::Pending => {
                            assert!(!is_free);
                            line.push(waits);
                            model.line.push((wants, false));
                        }
                    }
                }
                2 if !line.is_empty() => {
                    let place = random.below(line.len());
                    drop(line.remove(place));
                    let (wants, has) = model.line.remove(place);
                    model.free += if has { wants } else { 0 };
                    model.serve();
                }
                3 if !line.is_empty() => {
                    let place = random.below(line.len());
                    let polled = poll(&mut line[place], &count);
                    assert_eq!(polled.is_ready(), model.line[place].1);
                    if let Poll::Ready(permit) = polled {
                        held.push(permit.unwrap());
                        drop(line.remove(place));
                        model.line.remove(place);
                    }
                }
                4 if !held.is_empty() => {
                    let permit = held.remove(random.below(held.len()));
                    model.free += permit.count();
                    drop(permit);
                    model.serve();
                }
                _ => {}
            }
            assert_eq!(semaphore.available_permits(), model.free);
        }
        drop((held, line));
        assert_eq!(semaphore.available_permits(), 4);
        assert_eq!(count.wakers(), 0);
    }
}

#[test]
fn threads_share_what_there_is() {
    let _watchdog = limits::watchdog(120);
    let semaphore = Arc::new(Semaphore::new(3));
    let inside = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            std::thread::spawn(move || {
                let mut random = Random::new(number);
                for _ in 0..2_000 {
                    let wants = 1 + random.below(3);
                    exec::block_on(async {
                        if random.below(3) == 0 {
                            let mut given_up = Box::pin(semaphore.acquire_many(wants));
                            drop(poll(&mut given_up, &Count::new()));
                        }
                        let permits = semaphore.acquire_many(wants).await.unwrap();
                        assert!(inside.fetch_add(wants, Ordering::Relaxed) + wants <= 3);
                        inside.fetch_sub(wants, Ordering::Relaxed);
                        drop(permits);
                    });
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(semaphore.available_permits(), 3);
}
