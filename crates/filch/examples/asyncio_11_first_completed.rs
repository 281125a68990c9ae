//! The first of several answers, and then no more: `asyncio.wait(.., return_when=FIRST_COMPLETED)`.

use filch::time::{Duration, sleep};
use filch::{TaskSet, Until};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let mut answers = TaskSet::new();
    for (server, seconds) in [("A", 3), ("B", 1), ("C", 2)] {
        answers.spawn(ask(server, seconds));
    }
    let waited = answers.wait(Until::First).await;
    for (_task, answer) in waited.done {
        let answer = answer.expect("it does not panic");
        out(&format!("Got first result: {answer}"));
    }
    // The others are asked to end, and waited for.
    answers.shutdown().await;
    assert!(answers.is_empty());
}

async fn ask(server: &str, seconds: u64) -> String {
    sleep(Duration::from_secs(seconds)).await;
    format!("Response from Server {server}")
}
