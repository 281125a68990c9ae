//! Not more than so many: `asyncio.Semaphore`.

use filch::gather_all;
use filch::sync::Semaphore;
use filch::time::{Duration, sleep};
use std::sync::Arc;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let places = Arc::new(Semaphore::new(5));
    // Twenty jobs of a second, five at a time: four seconds.
    gather_all((1..=20).map(|number| job(number, places.clone(), out))).await;
}

async fn job(number: u32, places: Arc<Semaphore>, out: fn(&str)) {
    let _place = places.acquire().await.expect("nobody closes it");
    out(&format!("Job {number} is in"));
    sleep(Duration::from_secs(1)).await;
    out(&format!("Job {number} is done"));
}
