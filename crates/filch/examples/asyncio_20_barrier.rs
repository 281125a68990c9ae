//! Nobody goes on before all have come: `asyncio.Barrier`.

use filch::gather_all;
use filch::sync::Barrier;
use filch::time::{Duration, sleep};
use std::sync::Arc;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let barrier = Arc::new(Barrier::new(3));
    gather_all((1..=3).map(|number| work(number, barrier.clone(), out))).await;
}

async fn work(number: u64, barrier: Arc<Barrier>, out: fn(&str)) {
    sleep(Duration::from_secs(number)).await;
    out(&format!("Worker {number} has done stage 1"));
    // Also says who came first, second, last.
    let place = barrier.wait().await.expect("nobody aborts it");
    assert_eq!(place as u64, number - 1);
    out(&format!("Worker {number}: barrier passed!"));
}
