//! A bad neighbour.

use filch::time::sleep;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// So long it keeps a worker from everything else, and so long it leaves it in peace.
const AT_A_TIME: Duration = Duration::from_millis(5);

/// Burns half of a core for ever, in polls that are far too long. What is queued on the same worker
/// meanwhile waits, or is stolen by others; afterwards that worker is idle, and steals in its turn.
pub(crate) async fn burn() -> Infallible {
    loop {
        let begun = Instant::now();
        let mut number = 1u64;
        while begun.elapsed() < AT_A_TIME {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        sleep(AT_A_TIME).await;
    }
}
