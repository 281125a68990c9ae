//! The macros, as programs use them.

use filch::Handle;
use filch::time::{Duration, sleep};
use std::future::{pending, ready};
use std::rc::Rc;

#[filch::test]
async fn a_test_has_two_workers() {
    assert_eq!(Handle::current().workers(), 2);
}

#[filch::test(workers = 3)]
async fn a_test_may_have_more() {
    assert_eq!(Handle::current().workers(), 3);
    assert_eq!(filch::spawn(async { Handle::current().workers() }).await.unwrap(), 3);
}

const WORKERS: usize = 4;

#[filch::test(workers = WORKERS / 4)]
async fn a_number_of_workers_may_be_computed() {
    assert_eq!(Handle::current().workers(), 1);
}

#[filch::test]
async fn a_test_may_give_a_result() -> Result<(), std::io::Error> {
    // Neither `Send` nor `'static`.
    let here = Rc::new(5);
    sleep(Duration::from_millis(1)).await;
    filch::fs::read("/proc/self/comm").await?;
    assert_eq!(*here, 5);
    Ok(())
}

#[filch::test]
#[should_panic = "on purpose"]
async fn a_test_may_be_expected_to_panic() {
    filch::task::yield_now().await;
    panic!("on purpose");
}

/// What `#[filch::main]` makes is a plain function, whatever its name.
#[filch::main]
async fn program(/* no arguments */) -> Result<usize, Box<dyn std::error::Error>> {
    let task = filch::spawn(async { Handle::current().workers() });
    Ok(task.await?)
}

#[filch::main(workers = 2)]
async fn failing() -> Result<(), std::num::ParseIntError> {
    "x".parse::<i32>()?;
    Ok(())
}

#[test]
fn main_runs_on_all_cores_and_gives_its_result() {
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(program().unwrap(), cores);
    assert!(failing().is_err());
    // A second time, on the same thread.
    assert_eq!(program().unwrap(), cores);
}

#[filch::test]
async fn join_gives_all_outputs() {
    let slow = async {
        sleep(Duration::from_millis(1)).await;
        "slow"
    };
    assert_eq!(filch::join!(ready(1), slow, ready('x')), (1, "slow", 'x'));
}

#[filch::test]
async fn try_join_ends_with_the_first_error() {
    let both = filch::try_join!(ready(Ok::<_, String>(1)), ready(Ok("two")));
    assert_eq!(both, Ok((1, "two")));
    // The other never ends.
    let failed = filch::try_join!(pending::<Result<(), _>>(), async {
        filch::task::yield_now().await;
        Err::<(), _>("no".to_owned())
    });
    assert_eq!(failed, Err("no".to_owned()));
}

#[filch::test]
async fn select_takes_the_first_and_drops_the_others() {
    let guard = Rc::new(());
    let held = guard.clone();
    let first = filch::select! {
        () = async move { let _held = held; pending().await } => "never",
        value = sleep(Duration::from_millis(1)) => { let () = value; "the sleep" }
    };
    assert_eq!(first, "the sleep");
    assert_eq!(Rc::strong_count(&guard), 1, "the other is dropped");
}

#[filch::test]
async fn select_may_be_biased_and_have_conditions() {
    for _ in 0..100 {
        let first = filch::select! {
            biased;
            one = ready(1) => one,
            two = ready(2) => two,
        };
        assert_eq!(first, 1);
    }
    // Without a bias both are first now and then.
    let mut seen = [false; 2];
    for _ in 0..10_000 {
        filch::select! {
            () = ready(()) => seen[0] = true,
            () = ready(()) => seen[1] = true,
        }
        if seen == [true; 2] {
            break;
        }
    }
    assert_eq!(seen, [true; 2]);
    let off = false;
    let out = filch::select! {
        () = ready(()), if off => "off",
        Some(x) = ready(None::<&str>) => x,
        else => "else",
    };
    assert_eq!(out, "else");
}
