//! A task that is asked to end, and has something to say: `Task.cancel`, `CancelledError`.

use filch::time::{Duration, sleep};
use filch::{Cancelled, cancellable, spawn};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let task = spawn(work(out));
    sleep(Duration::from_secs(1)).await;
    task.cancel();
    match task.await.expect("it does not panic") {
        Ok(()) => out("It was too late to cancel."),
        Err(Cancelled { .. }) => out("Main caught the cancellation."),
    }
}

async fn work(out: fn(&str)) -> Result<(), Cancelled> {
    out("Task started...");
    // Where a cancel may stop it. Without this the task would be dropped where it waits, without a word.
    cancellable(sleep(Duration::from_secs(10)))
        .await
        .inspect_err(|_cancelled| out("Task was cancelled!"))?;
    out("Task finished.");
    Ok(())
}
