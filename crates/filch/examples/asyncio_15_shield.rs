//! Work that must not be cut off, though nobody waits for it any more: `asyncio.shield`.

use filch::shield;
use filch::time::{Duration, sleep, timeout};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    // A task of its own, which the runtime owns: nothing has to hold on to it.
    let write = shield(critical_write(out));
    if timeout(Duration::from_secs(1), write).await.is_err() {
        out("Main task timed out, the write goes on...");
    }
    sleep(Duration::from_secs(3)).await;
    out("Main exiting");
}

async fn critical_write(out: fn(&str)) {
    out("Critical write started...");
    sleep(Duration::from_secs(3)).await;
    out("Critical write complete!");
}
