//! A task that blocks its thread for five seconds. In asyncio nothing else runs meanwhile. Here what is a task runs
//! on the other workers; what is a part of the same task waits.

use filch::time::Duration;
use filch::{join, spawn};
use std::thread;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let other = spawn(async move { out("I am a task, and run at once") });
    join!(blocking(out), async { out("I am a part of the task that blocks, and wait") });
    other.await.expect("it does not panic");
}

async fn blocking(out: fn(&str)) {
    out("Blocking...");
    // A library's call that takes its time: this wants `filch::spawn_blocking`.
    thread::sleep(Duration::from_secs(5));
    out("...unblocked");
}
