//! All of them given up at every poll, and at random moments on several workers: nothing runs when it has returned, and
//! nobody is left to himself.

use crate::kit::{HOUR, run};
use crate::support::everywhere;
use filch::task::yield_now;
use filch::time::{Duration, sleep, timeout, timeout_scope};
use filch::{
    TaskSet, Until, as_completed, cancellable, gather, gather_all, race, shielded, try_gather,
    try_gather_all,
};
use filch_testkit::{Cut, Random};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many run.
#[derive(Clone, Default)]
struct Running(Arc<AtomicUsize>);

struct Runs(Running);

impl Drop for Runs {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Running {
    fn begin(&self) -> Runs {
        self.0.fetch_add(1, Ordering::SeqCst);
        Runs(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Nobody was left to himself.
    async fn until_none(&self) {
        while self.count() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Works a little, or without end; ends when it is asked to, and takes its time for that.
    async fn work(self, turns: Option<usize>) -> usize {
        let _runs = self.begin();
        let work = async {
            match turns {
                Some(turns) => {
                    for _ in 0..turns {
                        yield_now().await;
                    }
                    // So that whoever waits for several is polled for each.
                    sleep(Duration::from_millis(turns as u64)).await;
                    turns
                }
                None => pending().await,
            }
        };
        cancellable(work).on_cancel(|| async { yield_now().await }).await.unwrap_or(usize::MAX)
    }
}

async fn in_a_timeout(cut: Cut) {
    let running = Running::default();
    let wait = Duration::from_millis(2);
    let inside = running.clone();
    let bounded = timeout(wait, async move {
        let running = inside;
        let mut inner = std::pin::pin!(timeout_scope(wait, |_| running.clone().work(None)));
        let _ = shielded(yield_now()).await;
        let _ = (&mut inner).await;
        pending::<()>().await;
    });
    if let Some(ended) = cut.run(bounded).await {
        ended.unwrap_err();
    }
    assert_eq!(running.count(), 0, "in place, it is dropped in place");
}

#[test]
fn a_timeout_given_up_anywhere() {
    everywhere(2, in_a_timeout);
}

async fn in_a_race(cut: Cut) {
    let running = Running::default();
    let arms = [None, Some(3), None].map(|turns| running.clone().work(turns));
    if let Some(won) = cut.run(race(arms)).await {
        assert_eq!(won, 3);
    }
    assert_eq!(running.count(), 0);
}

#[test]
fn a_race_given_up_anywhere() {
    everywhere(2, in_a_race);
}

async fn in_a_gather(cut: Cut) {
    let running = Running::default();
    let (one, two) = (running.clone().work(Some(2)), running.clone().work(Some(3)));
    if let Some(both) = cut.run(gather((one, two))).await {
        assert_eq!(both, (2, 3));
    }
    running.until_none().await;
}

#[test]
fn a_gather_given_up_anywhere() {
    everywhere(2, in_a_gather);
}

async fn in_a_row(cut: Cut) {
    let running = Running::default();
    let all = gather_all((0..5).map(|turns| running.clone().work(Some(turns))));
    if let Some(all) = cut.run(all).await {
        assert_eq!(all, [0, 1, 2, 3, 4]);
    }
    running.until_none().await;
}

#[test]
fn a_row_given_up_anywhere() {
    everywhere(2, in_a_row);
}

async fn in_a_try_gather(cut: Cut) {
    let running = Running::default();
    let endless = running.clone().work(None);
    let fails = {
        let running = running.clone();
        async move { Err::<usize, _>(running.work(Some(2)).await) }
    };
    let endless = async { Ok(endless.await) };
    if let Some(failed) = cut.run(try_gather((endless, fails))).await {
        assert_eq!(failed, Err(2));
        assert_eq!(running.count(), 0, "joined");
    }
    running.until_none().await;
}

#[test]
fn a_try_gather_given_up_anywhere() {
    everywhere(2, in_a_try_gather);
}

async fn in_a_set(cut: Cut) {
    let running = Running::default();
    let inside = running.clone();
    let waits = async move {
        let mut set = TaskSet::new();
        for turns in 0..4 {
            set.spawn(inside.clone().work(Some(turns)));
        }
        let first = set.wait(Until::First).await;
        let mut sum: usize = first.done.into_iter().map(|(_, turns)| turns.unwrap()).sum();
        sum += set.join_next().await.map_or(0, Result::unwrap);
        let mut rest = set.into_stream().timeout(HOUR);
        while let Some(turns) = rest.next().await {
            sum += turns.unwrap().unwrap();
        }
        let mut set = rest.into_set();
        set.spawn(inside.work(None));
        set.shutdown().await;
        sum
    };
    if let Some(sum) = cut.run(waits).await {
        assert_eq!(sum, 6);
        assert_eq!(running.count(), 0, "joined");
    }
    running.until_none().await;
}

#[test]
fn a_set_given_up_anywhere() {
    everywhere(2, in_a_set);
}

async fn in_a_stream(cut: Cut) {
    let running = Running::default();
    let inside = running.clone();
    let waits = async move {
        let mut all = as_completed((0..4).map(|turns| inside.clone().work(Some(turns))));
        let mut sum = 0;
        while let Some(turns) = all.next().await {
            sum += turns.unwrap();
        }
        sum
    };
    if let Some(sum) = cut.run(waits).await {
        assert_eq!(sum, 6);
    }
    running.until_none().await;
}

#[test]
fn a_stream_given_up_anywhere() {
    everywhere(2, in_a_stream);
}

/// Everything together, as deep as that. `Some` of how many pieces of work it was, if it came to its end.
fn tree(
    mut random: Random,
    running: Running,
    depth: usize,
) -> futures_util::future::BoxFuture<'static, Option<usize>> {
    Box::pin(async move {
        if depth == 0 {
            let turns = random.below(6);
            return (running.work(Some(turns)).await == turns).then_some(1);
        }
        let mut children = Vec::new();
        for _ in 0..=random.below(3) {
            let seed = random.next_u64();
            children.push(tree(Random::new(seed), running.clone(), depth - 1));
        }
        let many = children.len();
        let all = |counts: Vec<Option<usize>>| {
            assert_eq!(counts.len(), many);
            counts.into_iter().sum::<Option<usize>>()
        };
        match random.below(7) {
            0 => all(gather(children).await),
            1 => {
                let results = gather_all(children).results().await;
                all(results.into_iter().map(|result| result.ok().flatten()).collect())
            }
            2 => {
                let fallible = children.into_iter().map(|child| async { child.await.ok_or(()) });
                all(try_gather_all(fallible).await.ok()?.into_iter().map(Some).collect())
            }
            3 => race(children).await,
            4 => {
                let wait = Duration::from_millis(random.below(3) as u64);
                timeout(wait, gather(children)).await.ok().and_then(all)
            }
            5 => {
                let mut set = TaskSet::new();
                for child in children {
                    set.spawn(child);
                }
                let mut counts = Vec::new();
                while let Ok(Some(count)) = cancellable(set.join_next()).await {
                    counts.push(count.ok().flatten());
                }
                // A set is no scope.
                shielded(set.shutdown()).await;
                (counts.len() == many).then(|| all(counts)).flatten()
            }
            _ => {
                let arms = gather(children);
                let over = async {
                    yield_now().await;
                    yield_now().await;
                    Vec::new()
                };
                let counts = race((arms, over)).await;
                (counts.len() == many).then(|| all(counts)).flatten()
            }
        }
    })
}

/// Cancelled at any moment, or not: when the task is over, nothing in it runs, and what it gives is whole.
#[test]
fn nothing_runs_behind_the_end() {
    let rounds = 400;
    let mut random = Random::new(Random::seed());
    let (mut whole, mut cut) = (0, 0);
    run(async {
        for _ in 0..rounds {
            let running = Running::default();
            let (seed, depth) = (random.next_u64(), 1 + random.below(3));
            let task = filch::spawn(tree(Random::new(seed), running.clone(), depth));
            let cancels = random.below(3) == 0;
            if cancels {
                for _ in 0..random.below(20) {
                    yield_now().await;
                }
                task.cancel();
            }
            match task.await {
                Ok(Some(count)) => {
                    assert!(count > 0, "seed {seed}");
                    whole += 1;
                }
                Ok(None) => cut += 1,
                Err(error) => {
                    assert!(cancels && error.is_cancelled(), "seed {seed}: {error}");
                    cut += 1;
                }
            }
            assert_eq!(running.count(), 0, "seed {seed}, depth {depth}");
        }
    });
    assert!(whole > 0 && cut > 0, "{whole} {cut}");
}
