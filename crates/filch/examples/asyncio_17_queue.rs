//! Producers and consumers: `asyncio.Queue`, `task_done`, `join`.

use filch::spawn;
use filch::sync::Queue;
use filch::time::{Duration, sleep};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    // Room for two: whoever produces faster than that waits.
    let queue = Queue::bounded(2);
    let consumer = spawn(consume(queue.clone(), out));
    produce(&queue, out).await;
    // Until all that was put has been dealt with.
    queue.join().await;
    consumer.cancel();
    assert!(consumer.await.unwrap_err().is_cancelled(), "it waited for the next item");
}

async fn produce(queue: &Queue<u32>, out: fn(&str)) {
    for item in 1..=5 {
        sleep(Duration::from_millis(fastrand::u64(..1000))).await;
        out(&format!("Produced {item}"));
        queue.put(item).await.expect("nobody shuts it down");
    }
}

async fn consume(queue: Queue<u32>, out: fn(&str)) {
    while let Ok(item) = queue.get().await {
        out(&format!("Consumed {}", *item));
        // `task_done` is when the item goes: nobody forgets to say it.
    }
}
