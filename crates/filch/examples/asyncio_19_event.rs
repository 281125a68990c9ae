//! Waiting until something has happened: `asyncio.Event`.

use filch::gather;
use filch::sync::Event;
use filch::time::{Duration, sleep};
use std::sync::Arc;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let ready = Arc::new(Event::new());
    gather((connect(ready.clone(), out), work("A", ready.clone(), out), work("B", ready, out)))
        .await;
}

async fn connect(ready: Arc<Event>, out: fn(&str)) {
    out("Connecting to the database...");
    sleep(Duration::from_secs(2)).await;
    out("The database is ready!");
    ready.set();
}

async fn work(name: &str, ready: Arc<Event>, out: fn(&str)) {
    out(&format!("Worker {name} is waiting"));
    ready.wait().await;
    out(&format!("Worker {name} is starting"));
}
