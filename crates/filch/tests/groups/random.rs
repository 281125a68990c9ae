//! Random groups, with random ends: in the end nothing of them is left, and the errors are those of the
//! children that failed.

use crate::seen::{Alive, Told};
use crate::support::PATIENCE;
use filch::task::{ChildHandle, yield_now};
use filch::time::{Duration, sleep, timeout};
use filch::{GroupError, TaskGroup, cancellable, group, shielded};
use filch_testkit::Random;
use filch_testkit::limits::watchdog;
use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

#[derive(Debug)]
struct Broken(u64);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// What happened, as those tell to whom it did.
#[derive(Clone, Default)]
struct Book {
    alive: Alive,
    /// Errors that were given, each with a number of its own.
    failed: Arc<Mutex<BTreeSet<u64>>>,
    /// Those that came back, in a `GroupError` or through the hook.
    found: Arc<Mutex<BTreeSet<u64>>>,
    next: Arc<AtomicU64>,
}

impl Book {
    fn fail(&self) -> Broken {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.failed.lock().unwrap().insert(number);
        Broken(number)
    }

    /// These came back.
    fn found(&self, error: GroupError) {
        let (broken, rest) = error.downcast::<Broken>();
        assert!(rest.is_none(), "nothing else fails: {rest:?}");
        for broken in broken {
            assert!(self.found.lock().unwrap().insert(broken.0), "{broken} came twice");
        }
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One child, of any kind.
fn child(g: TaskGroup, book: Book, seed: u64, depth: u32) -> Boxed<Result<u64, Broken>> {
    Box::pin(async move {
        let _guard = book.alive.guard();
        let mut random = Random::new(seed);
        for _ in 0..random.below(4) {
            yield_now().await;
        }
        match random.below(12) {
            0 => return Err(book.fail()),
            1 => {
                // It fails while it cleans up.
                cancellable(pending::<()>()).await.map_err(|_| book.fail())?;
            }
            2 => {
                let clean_up = async || sleep(Duration::from_micros(200)).await;
                let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
            }
            3 => shielded(sleep(Duration::from_micros(300))).await,
            4 if depth > 0 => {
                // A sibling, which this one does not wait for.
                drop(g.spawn(child(g.clone(), book.clone(), random.next_u64(), depth - 1)));
            }
            5 | 6 if depth > 0 => {
                let inner = nested(book.clone(), random.next_u64(), depth - 1);
                if let Err(error) = inner.await {
                    book.found(error);
                }
            }
            7 if depth > 0 => {
                // Dropped somewhere in its midst, or ended there.
                let inner = nested(book.clone(), random.next_u64(), depth - 1);
                let after = Duration::from_micros(random.below(500) as u64);
                let ended = if random.below(2) == 0 {
                    filch::select! {
                        ended = inner => Some(ended),
                        () = sleep(after) => None,
                    }
                } else {
                    timeout(after, inner).await.ok()
                };
                if let Some(Err(error)) = ended {
                    book.found(error);
                }
            }
            8 => g.cancel(),
            9 => sleep(Duration::from_micros(random.below(1_000) as u64)).await,
            _ => {}
        }
        Ok(seed)
    })
}

/// A group with children of any kind, of whom some are cancelled.
fn nested(book: Book, seed: u64, depth: u32) -> Boxed<Result<u64, GroupError>> {
    Box::pin(async move {
        let inner = book.clone();
        let ended = group(async move |g| {
            let book = inner;
            let _guard = book.alive.guard();
            let mut random = Random::new(seed);
            if random.below(3) == 0 {
                g.limit(1 + random.below(3));
            }
            let mut children: Vec<ChildHandle<u64>> = (0..random.below(6))
                .map(|_| g.spawn(child(g.clone(), book.clone(), random.next_u64(), depth)))
                .collect();
            if !children.is_empty() {
                let any = children.swap_remove(random.below(children.len()));
                match random.below(4) {
                    0 => any.cancel(),
                    1 => any.abort(),
                    2 => drop(any),
                    _ => drop(timeout(Duration::from_micros(100), any.outcome()).await),
                }
            }
            match random.below(4) {
                0 => return Err(book.fail().into()),
                1 => g.cancel(),
                _ => {}
            }
            let all = async {
                for child in children {
                    child.outcome().await;
                }
            };
            // Some wait for a cancel, and so may those that they spawned.
            if timeout(Duration::from_micros(300), all).await.is_err() || !g.is_empty() {
                g.cancel();
            }
            Ok(1)
        });
        ended.await
    })
}

/// GROUP-1, GROUP-3, GROUP-11: on two workers, over many seeds.
#[test]
fn nothing_is_left_and_every_error_comes_back_once() {
    let _watchdog = watchdog(PATIENCE);
    let base = Random::seed();
    let told = Told::default();
    let runtime = told.builder().workers(2).build().unwrap();
    for round in 0..1_500 {
        let seed = base.wrapping_add(round);
        let book = Book::default();
        let before = told.lines().len();
        let main = timeout(Duration::from_secs(20), nested(book.clone(), seed, 3));
        let done = runtime.block_on(main).unwrap_or_else(|_| panic!("seed {seed}: it hangs"));
        assert_eq!(book.alive.count(), 0, "seed {seed}: something is left");
        if let Err(error) = done {
            book.found(error);
        }
        let mut found = book.found.lock().unwrap().clone();
        // Those of groups that were dropped.
        for line in &told.lines()[before..] {
            let number =
                line.rsplit_once("broken ").unwrap_or_else(|| panic!("seed {seed}: {line}")).1;
            assert!(found.insert(number.parse().unwrap()), "seed {seed}: {line}, twice");
        }
        let failed = book.failed.lock().unwrap().clone();
        assert_eq!(found, failed, "seed {seed}");
    }
}

/// The same, dropped from outside or asked to end: by a task that is aborted or cancelled.
#[test]
fn nothing_is_left_of_what_was_ended_from_outside() {
    let _watchdog = watchdog(PATIENCE);
    let base = Random::seed();
    let told = Told::default();
    let runtime = told.builder().workers(2).build().unwrap();
    for round in 0..1_500 {
        let seed = base.wrapping_add(round);
        let book = Book::default();
        let there = book.clone();
        runtime.block_on(async move {
            let mut random = Random::new(seed);
            let around = group(async |g| {
                let outer = nested(there.clone(), random.next_u64(), 2);
                let found = there.clone();
                let task = g.spawn_ok(async move {
                    if let Err(error) = outer.await {
                        found.found(error);
                    }
                });
                sleep(Duration::from_micros(random.below(600) as u64)).await;
                if random.below(2) == 0 {
                    task.cancel()
                } else {
                    task.abort()
                }
                Ok(())
            });
            around.await.unwrap();
        });
        assert_eq!(book.alive.count(), 0, "seed {seed}: something is left");
    }
}

/// GROUP-5, on two workers: of many panics one goes on, all others are told of.
#[test]
fn of_many_panics_one_goes_on() {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let runtime = told.builder().workers(2).build().unwrap();
    for round in 0..300 {
        let alive = Alive::default();
        let before = told.lines().len();
        let (children, many) = (alive.clone(), 1 + round % 4);
        let panicked = Arc::new(AtomicU64::new(0));
        let count = panicked.clone();
        let panics = group(async move |g| {
            for _ in 0..many {
                let (guard, count) = (children.guard(), count.clone());
                // Some are too late, and are refused.
                g.spawn_ok(async move {
                    let _guard = guard;
                    shielded(yield_now()).await;
                    count.fetch_add(1, Ordering::SeqCst);
                    std::panic::resume_unwind(Box::new("a child"));
                });
            }
            Ok(())
        });
        let mut panics = Box::pin(panics);
        let ended = runtime.block_on(std::future::poll_fn(move |cx| {
            match catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(cx))) {
                Ok(polled) => polled.map(|_| "no panic"),
                Err(_) => Poll::Ready("panicked"),
            }
        }));
        assert_eq!((ended, alive.count()), ("panicked", 0));
        let others = panicked.load(Ordering::SeqCst) - 1;
        assert_eq!((told.lines().len() - before) as u64, others);
    }
}
