//! What tasks cost on filch, one worker: spawning and joining, yielding, waking.
//!
//! Quick figures for whoever changes the scheduler; `compare` is what counts against the peers.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use filch_benches::runtime::Runtime;
use filch_benches::runtimes::Filch;

criterion_group! {
    name = tasks;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = spawn_join, yield_now, wake
}
criterion_main!(tasks);

/// Runs a body as a task of a runtime of its own; it says how long it took.
fn time<F>(body: impl Fn(u64) -> F) -> impl FnMut(u64) -> Duration
where
    F: Future<Output = Duration> + Send + 'static,
{
    move |iterations| Filch::run(1, body(iterations))
}

/// One at a time: the cost that a caller sees who waits for each.
fn spawn_join(criterion: &mut Criterion) {
    let body = async |iterations| {
        let start = Instant::now();
        for _ in 0..iterations {
            Filch::spawn(async {}).await.expect("the task finishes");
        }
        start.elapsed()
    };
    criterion.bench_function("spawn_join", |bencher| bencher.iter_custom(time(body)));
}

/// The only task yields: through the queue and back.
fn yield_now(criterion: &mut Criterion) {
    let body = async |iterations| {
        let start = Instant::now();
        for _ in 0..iterations {
            Filch::yield_now().await;
        }
        start.elapsed()
    };
    criterion.bench_function("yield_now", |bencher| bencher.iter_custom(time(body)));
}

/// One task wakes another and yields to it: a wake, the poll it causes, and a yield.
fn wake(criterion: &mut Criterion) {
    let body = async |iterations| {
        let sleeper = Arc::new(Mutex::new(None::<Waker>));
        let sleeping = Filch::spawn(Sleeper { left: iterations, waker: sleeper.clone() });
        let start = Instant::now();
        for _ in 0..=iterations {
            let waker = sleeper.lock().expect("nobody panics").take();
            if let Some(waker) = waker {
                waker.wake();
            }
            Filch::yield_now().await;
        }
        let elapsed = start.elapsed();
        // It has been woken as often as it wanted unless the runtime reorders; then it is simply left alone.
        drop(sleeping);
        elapsed
    };
    criterion.bench_function("wake", |bencher| bencher.iter_custom(time(body)));
}

/// Pending until it has been polled `left` times.
struct Sleeper {
    left: u64,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        *self.waker.lock().expect("nobody panics") = Some(cx.waker().clone());
        Poll::Pending
    }
}
