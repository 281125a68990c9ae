//! What a test may ask for (TEST-1 to TEST-6). Those that are ignored fail, and are run by others.

use filch::testing::Setup;
use filch::time::{Duration, Instant, sleep, timeout};
use filch::{Handle, spawn, spawn_blocking, task};
use std::future::{pending, poll_fn};
use std::mem::forget;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

const HOUR: Duration = Duration::from_secs(3_600);

/// What a test of this file prints when it is run alone, with its seeds replaced if there is another.
fn output_of(test: &str, seed: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    if let Some(seed) = seed {
        command.env("FILCH_TEST_SEED", seed);
    }
    let output = command.output().unwrap();
    assert!(!output.status.success(), "it fails");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

/// TEST-1.
#[filch::test(virtual_time)]
async fn an_hour_takes_no_time() {
    let start = Instant::now();
    sleep(HOUR).await;
    assert_eq!((start.elapsed(), Handle::current().workers()), (HOUR, 2));
}

/// TEST-1.
#[filch::test(workers = 3, virtual_time, timeout = "1min")]
async fn with_workers_and_a_limit() -> Result<(), filch::time::Elapsed> {
    assert_eq!(Handle::current().workers(), 3);
    timeout(2 * HOUR, sleep(HOUR)).await
}

/// TEST-2.
#[filch::test(seed = 7)]
async fn a_seed_is_for_one_worker() {
    assert_eq!(Handle::current().workers(), 1);
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// TEST-3.
#[filch::test(seed = 0..20, workers = 1, virtual_time)]
async fn a_range_is_run_seed_by_seed() {
    RUNS.fetch_add(1, Ordering::Relaxed);
    sleep(HOUR).await;
}

/// TEST-3.
#[test]
fn a_range_is_run_as_often_as_it_has_seeds() {
    // The same test, as a function: once by the harness, perhaps at this moment, and once here.
    let before = RUNS.load(Ordering::Relaxed);
    a_range_is_run_seed_by_seed();
    assert!(RUNS.load(Ordering::Relaxed) >= before + 20);
}

const SEEDS: std::ops::Range<u64> = 2..4;

/// TEST-3.
#[filch::test(seed = SEEDS)]
async fn a_range_has_a_name() {}

static RUNS_TO_THE_END: AtomicUsize = AtomicUsize::new(0);

/// TEST-3.
#[filch::test(seed = u64::MAX - 1..=u64::MAX)]
async fn a_range_with_its_end() {
    RUNS_TO_THE_END.fetch_add(1, Ordering::Relaxed);
}

/// TEST-3.
#[test]
fn a_range_that_has_its_end_in_it_is_run_to_that() {
    // As in `a_range_is_run_as_often_as_it_has_seeds`.
    let before = RUNS_TO_THE_END.load(Ordering::Relaxed);
    a_range_with_its_end();
    assert!(RUNS_TO_THE_END.load(Ordering::Relaxed) >= before + 2);
}

/// TEST-2.
#[filch::test(seed = u64::MAX)]
async fn a_seed_is_any_number() {}

/// Fails if the second task runs first.
#[filch::test(seed = 0..100)]
#[ignore = "it fails"]
async fn fails_with_some_seeds() {
    static ORDER: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    ORDER.lock().unwrap().clear();
    let tasks = [1, 2].map(|number| spawn(async move { ORDER.lock().unwrap().push(number) }));
    for task in tasks {
        task.await.unwrap();
    }
    let order = ORDER.lock().unwrap().clone();
    assert_eq!(order, [1, 2]);
}

/// TEST-3.
#[test]
fn a_failure_says_its_seed_and_is_replayed_by_it() {
    let text = output_of("fails_with_some_seeds", None);
    let (_, rest) = text.split_once("the seed of this failure is ").expect(&text);
    let (seed, rest) = rest.split_once(';').unwrap();
    let command = format!("FILCH_TEST_SEED={seed} cargo test fails_with_some_seeds -- --exact");
    assert!(rest.contains(&command), "{text}");
    // With that seed it fails again, and at once.
    let again = output_of("fails_with_some_seeds", Some(seed));
    assert!(again.contains(&format!("the seed of this failure is {seed};")), "{again}");
    assert!(again.contains("left: [2, 1]"), "{again}");
}

#[filch::test(seed = 5)]
#[ignore = "it fails"]
async fn fails_by_an_error() -> Result<(), String> {
    Err("no".into())
}

/// TEST-3.
#[test]
fn an_error_says_its_seed_too() {
    let text = output_of("fails_by_an_error", None);
    assert!(text.contains("the seed of this failure is 5;"), "{text}");
}

/// TEST-4.
#[filch::test(timeout = "50ms")]
#[should_panic = "did not end within 50ms"]
async fn a_test_that_waits_for_ever() {
    pending::<()>().await;
}

#[filch::test(virtual_time, timeout = "50ms")]
#[ignore = "it fails"]
async fn waits_for_a_task() {
    let task = task::Builder::new().name("the slow one").spawn(pending::<()>());
    task.await.unwrap();
}

/// TEST-4: also where a virtual clock stands for ever.
#[test]
fn a_limit_names_what_was_not_over() {
    let text = output_of("waits_for_a_task", None);
    assert!(text.contains("did not end within 50ms"), "{text}");
    assert!(text.contains("`the slow one`, spawned at"), "{text}");
    assert!(text.contains("test_macro.rs"), "{text}");
}

#[filch::test(timeout = "20ms", seed = 3..9)]
#[ignore = "it fails"]
async fn blocks_its_thread() {
    std::thread::sleep(HOUR);
}

/// TEST-4, TEST-3: that it did, and its seed, is said also where the harness keeps what a test prints.
#[test]
fn a_limit_ends_a_process_that_is_stuck() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["blocks_its_thread", "--exact", "--ignored"]);
    let output = command.output().unwrap();
    assert!(!output.status.success(), "it fails");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("did not end within 20ms, and does not wait"), "{text}");
    assert!(text.contains("the seed of this failure is 3;"), "{text}");
}

/// TEST-5.
#[filch::test(leak_check)]
async fn a_test_that_leaves_nothing() -> std::io::Result<()> {
    let listener = filch::net::TcpListener::bind("127.0.0.1:0").await?;
    let stream = filch::net::TcpStream::connect(listener.local_addr()?).await?;
    let (accepted, _peer) = listener.accept().await?;
    assert!(timeout(Duration::from_millis(1), listener.accept()).await.is_err());
    drop((listener, stream, accepted));
    drop(spawn(async { task::yield_now().await }));
    drop(spawn_blocking(|| std::thread::sleep(Duration::from_millis(2))));
    Ok(())
}

/// TEST-5.
#[filch::test(leak_check, virtual_time)]
async fn a_task_that_panics_is_no_leak() {
    assert!(spawn(async { panic!("on purpose") }).await.is_err());
    sleep(HOUR).await;
}

/// TEST-5, TEST-6.
#[filch::test(leak_check, virtual_time, seed = 3)]
#[should_panic = "`forgotten`, spawned at crates/filch/tests/test_macro.rs"]
async fn a_task_that_is_left() {
    drop(task::Builder::new().name("forgotten").spawn(sleep(HOUR)));
    task::yield_now().await;
}

/// TEST-6.
#[filch::test(leak_check)]
#[should_panic = "a blocking closure, spawned at crates/filch/tests/test_macro.rs"]
async fn a_closure_that_is_left() {
    // Until the runtime ends.
    drop(spawn_blocking(|| {
        while !filch::is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }));
}

/// TEST-6.
#[filch::test(leak_check)]
#[should_panic = "has left behind:\n  1 timer"]
async fn a_timer_that_is_left() {
    let mut nap = Box::pin(sleep(HOUR));
    poll_fn(|cx| Poll::Ready(nap.as_mut().poll(cx).is_pending())).await;
    forget(nap);
}

/// TEST-6.
#[filch::test(leak_check)]
#[should_panic = "operations in flight: 1\n  descriptor"]
async fn an_operation_that_is_left() {
    let listener = filch::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(timeout(Duration::from_millis(1), listener.accept()).await.is_err());
    forget(listener);
}

/// TEST-6.
#[filch::test(leak_check)]
#[should_panic = "(/dev/null)"]
async fn a_descriptor_that_is_left() {
    forget(std::fs::File::open("/dev/null").unwrap());
}

#[filch::test(leak_check)]
#[should_panic]
#[ignore = "it fails"]
async fn does_not_panic_alone() {}

/// TEST-5: what should panic, and does not, fails.
#[test]
fn one_that_should_panic_alone_and_does_not() {
    let text = output_of("does_not_panic_alone", None);
    assert!(text.contains("did not panic as expected"), "{text}");
}

#[filch::test(leak_check)]
#[should_panic = "boom"]
#[ignore = "it fails"]
async fn panics_alone_with_something_else() {
    panic!("bang");
}

/// TEST-5: what should panic, and does so with something else, fails.
#[test]
fn another_panic_than_was_expected_is_a_failure() {
    let text = output_of("panics_alone_with_something_else", None);
    assert!(text.contains("panic did not contain expected string"), "{text}");
}

#[filch::test(leak_check)]
#[cfg_attr(unix, cfg_attr(not(windows), should_panic))]
#[ignore = "it fails"]
async fn does_not_panic_alone_where_it_should() {}

/// TEST-5: also where `should_panic` is not always there.
#[test]
fn one_that_should_panic_here_alone_and_does_not() {
    let text = output_of("does_not_panic_alone_where_it_should", None);
    assert!(text.contains("did not panic as expected"), "{text}");
}

#[test]
#[should_panic]
#[ignore = "it fails"]
fn cannot_be_run_alone() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a whole limit to read from.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) }, 0);
    let setup = Setup::new("test_macro::cannot_be_run_alone").leak_check().should_panic();
    setup.run(|| unreachable!("not here"), || async {});
}

/// TEST-5: what should panic, and cannot be run, fails: with no descriptor to be had for what it prints.
#[test]
fn one_that_should_panic_alone_and_is_not_run() {
    let text = output_of("cannot_be_run_alone", None);
    assert!(text.contains("it could not be run alone"), "{text}");
    assert!(text.contains("did not panic as expected"), "{text}");
}

/// TEST-5: so does one that is not found there.
#[test]
fn one_that_should_panic_alone_and_is_not_there() {
    let setup = Setup::new("test_macro::nowhere").leak_check().should_panic();
    // No panic, of which a harness would think that it is the right one.
    setup.run(|| unreachable!("not here"), || async {});
}

#[filch::test(leak_check)]
#[ignore = "it fails"]
async fn ends_its_process() {
    std::process::exit(0);
}

/// TEST-5: one that ends its process has not passed, though that is a good end.
#[test]
fn one_that_ends_its_process_alone() {
    let text = output_of("ends_its_process", None);
    assert!(text.contains("alone in its process it failed"), "{text}");
}

#[filch::test(leak_check)]
#[ignore = "it fails"]
async fn fails_and_quotes_a_harness() {
    panic!("panic did not contain expected string; note: test did not panic as expected");
}

/// TEST-5: what a test prints says nothing about whether it fails.
#[test]
fn one_that_prints_what_a_harness_says_fails_all_the_same() {
    output_of("fails_and_quotes_a_harness", None);
}

#[filch::test(leak_check)]
#[ignore = "it fails"]
async fn fails_and_leaves_a_task() -> Result<(), String> {
    drop(spawn(pending::<()>()));
    Err("the cause of it".into())
}

/// TEST-5: an error is told, not what it left behind.
#[test]
fn an_error_comes_before_what_is_left() {
    let text = output_of("fails_and_leaves_a_task", None);
    assert!(text.contains("the cause of it") && !text.contains("has left behind"), "{text}");
}

/// Says which file the process lives as long as.
const LIVES: &str = "FILCH_TEST_PROCESS_LIVES";

#[filch::test(leak_check)]
#[ignore = "others run it"]
async fn leaves_a_process() {
    let wait = "while [ -e \"$0\" ]; do sleep 0.01; done";
    let path = std::env::var(LIVES).unwrap();
    // It has what the test prints to, until its end.
    drop(Command::new("sh").args(["-c", wait, &path]).spawn().unwrap());
}

/// TEST-5: a process that goes on holds up nobody.
#[test]
fn a_process_that_is_left_is_not_waited_for() {
    let path = std::env::temp_dir().join(format!("filch-lives-{}", std::process::id()));
    std::fs::write(&path, "").unwrap();
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["leaves_a_process", "--exact", "--ignored"]).env(LIVES, &path);
    let status = alone.status();
    std::fs::remove_file(&path).unwrap();
    assert!(status.unwrap().success());
}
