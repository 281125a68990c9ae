//! Tasks that belong together: `asyncio.TaskGroup`, `except*`.

use filch::group;
use filch::time::{Duration, sleep};
use std::error::Error;
use std::fmt;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    run(1, 2, out).await;
    out("The other way round:");
    run(2, 1, out).await;
}

/// Two tasks, of which the second fails. The one that takes longer is either over before, or cancelled.
async fn run(first: u64, second: u64, out: fn(&str)) {
    let both = group(async |g| {
        g.spawn(async move {
            sleep(Duration::from_secs(first)).await;
            out("Task 1 done");
            Ok::<(), ValueError>(())
        });
        g.spawn(async move {
            sleep(Duration::from_secs(second)).await;
            out("Task 2 done");
            Err::<(), _>(ValueError("task 2 has failed"))
        });
        Ok(())
    });
    // Here both are over, one way or the other.
    let Err(errors) = both.await else { return };
    // `except* ValueError`: those that are, and the rest.
    let (values, rest) = errors.downcast::<ValueError>();
    for error in values {
        out(&format!("Caught: {error}"));
    }
    assert!(rest.is_none(), "nothing else went wrong");
}

#[derive(Debug)]
struct ValueError(&'static str);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for ValueError {}
