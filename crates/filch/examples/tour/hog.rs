//! A bad neighbour.

use super::parts::Dice;
use filch::time::sleep;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// So long it keeps a worker from everything else on average, and so long it leaves it in peace, in microseconds.
const AT_A_TIME: usize = 5_000;

/// Burns half of a core for ever, in polls that are far too long. What is queued on the same worker
/// meanwhile waits, or is stolen by others; afterwards that worker is idle, and steals in its turn.
pub(crate) async fn burn(mut dice: Dice) -> Infallible {
    loop {
        let [burning, resting] =
            [(); 2].map(|()| Duration::from_micros(dice.below(2 * AT_A_TIME) as u64));
        let begun = Instant::now();
        let mut number = 1u64;
        while begun.elapsed() < burning {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        sleep(resting).await;
    }
}
