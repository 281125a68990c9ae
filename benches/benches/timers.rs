//! What a timer costs on filch that is started and dropped before it fires, as most are: alone, and beside 10,000 others.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use filch::time::sleep;
use filch_benches::runtime::Runtime;
use filch_benches::runtimes::Filch;

criterion_group! {
    name = timers;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = create_and_drop
}
criterion_main!(timers);

fn create_and_drop(criterion: &mut Criterion) {
    for others in [0, 10_000] {
        let name = format!("timer_create_drop/{others}");
        criterion.bench_function(&name, |bencher| {
            bencher.iter_custom(|iterations| {
                Filch::run(1, async move {
                    let others: Vec<_> = (0..others)
                        .map(|index| Filch::spawn(sleep(Duration::from_secs(3600 + index))))
                        .collect();
                    // Lets them start.
                    Filch::yield_now().await;
                    let start = Instant::now();
                    for _ in 0..iterations {
                        start_and_drop(Duration::from_secs(30)).await;
                    }
                    let elapsed = start.elapsed();
                    drop(others);
                    elapsed
                })
            });
        });
    }
}

/// Polls a sleep once, which starts it, and drops it.
async fn start_and_drop(duration: Duration) {
    let mut timer = pin!(sleep(duration));
    poll_fn(|cx| {
        assert!(timer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}
