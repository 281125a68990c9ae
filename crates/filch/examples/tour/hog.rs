//! A bad neighbour.

use filch::task::yield_now;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// So long it keeps its worker from everything else, again and again.
const AT_A_TIME: Duration = Duration::from_millis(5);

/// Burns processor time for ever. Whatever is queued on the same worker has to be stolen by others, or
/// wait.
pub(crate) async fn burn() -> Infallible {
    loop {
        let begun = Instant::now();
        let mut number = 1u64;
        while begun.elapsed() < AT_A_TIME {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        match std::env::var("HOG").as_deref() { Ok("sleep") => filch::time::sleep(AT_A_TIME).await, Ok("none") => std::future::pending().await, _ => yield_now().await }
    }
}
