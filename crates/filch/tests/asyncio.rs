//! The examples named `asyncio_..` say what they should, when they should: by the virtual clock exactly then.

macro_rules! examples {
    ($($path:literal $name:ident)*) => {$(
        #[path = $path]
        #[allow(dead_code, reason = "its main")]
        mod $name;
    )*};
}

examples! {
    "../examples/asyncio_01_hello.rs" hello
    "../examples/asyncio_02_gather.rs" gather
    "../examples/asyncio_03_create_task.rs" create_task
    "../examples/asyncio_06_blocking_write.rs" blocking_write
    "../examples/asyncio_07_file.rs" file
    "../examples/asyncio_09_timeout.rs" timeout
    "../examples/asyncio_10_cancel.rs" cancel
    "../examples/asyncio_11_first_completed.rs" first_completed
    "../examples/asyncio_12_task_group.rs" task_group
    "../examples/asyncio_13_chain.rs" chain
    "../examples/asyncio_15_shield.rs" shield
    "../examples/asyncio_16_lock.rs" lock
    "../examples/asyncio_17_queue.rs" queue
    "../examples/asyncio_18_semaphore.rs" semaphore
    "../examples/asyncio_19_event.rs" event
    "../examples/asyncio_20_barrier.rs" barrier
    "../examples/asyncio_21_never_awaited.rs" never_awaited
    "../examples/asyncio_22_blocking.rs" blocking
    "../examples/asyncio_23_test.rs" test
    "../examples/asyncio_24_from_sync.rs" from_sync
}

use filch::time::{Duration, Instant};
use filch::{ContextVar, Runtime};
use std::sync::{Arc, Mutex};

/// What an example has said, each line with the time since its start.
type Said = Arc<Mutex<Vec<(Duration, String)>>>;

static SAID: ContextVar<(Option<Instant>, Said)> = ContextVar::new("said");

/// Notes what an example says. Its tasks have the variable from it.
fn note(line: &str) {
    let (start, said) = SAID.get();
    let time = start.map_or(Duration::ZERO, |start| start.elapsed());
    said.lock().unwrap().push((time, line.to_owned()));
}

/// Runs an example by the virtual clock, in the order of asyncio. Returns what it says, each line with its time in
/// milliseconds.
fn said<F: Future<Output = ()>>(example: impl FnOnce(fn(&str)) -> F) -> Vec<(u128, String)> {
    let said = Said::default();
    let builder = Runtime::builder().current_thread().virtual_time(true);
    let ran = builder.run(async {
        SAID.set((Some(Instant::now()), said.clone()));
        example(note).await;
    });
    ran.expect("a runtime");
    let said = said.lock().unwrap();
    said.iter().map(|(time, line)| (time.as_millis(), line.clone())).collect()
}

/// Runs an example in real time, on two workers. Returns what it says, in order.
fn said_in_real_time<F: Future<Output = ()>>(example: impl FnOnce(fn(&str)) -> F) -> Vec<String> {
    let said = Said::default();
    let ran = Runtime::builder().workers(2).run(async {
        SAID.set((None, said.clone()));
        example(note).await;
    });
    ran.expect("a runtime");
    said.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
}

fn is(said: &[(u128, String)], expected: &[(u128, &str)]) {
    let said: Vec<_> = said.iter().map(|(time, line)| (*time, line.as_str())).collect();
    assert_eq!(said, expected);
}

#[test]
fn hello_and_a_second_later_world() {
    is(&said(hello::example), &[(0, "Hello"), (1000, "World")]);
}

#[test]
fn gather_takes_as_long_as_the_longest() {
    is(&said(gather::example), &EVENTS);
}

const EVENTS: [(u128, &str); 4] = [
    (0, "Event 1 started"),
    (0, "Event 2 started"),
    (1000, "Event 2 completed"),
    (2000, "Event 1 completed"),
];

#[test]
fn a_task_begins_when_its_maker_waits() {
    let first = (0, "Tasks have been created and are running");
    is(&said(create_task::example), &[&[first][..], &EVENTS].concat());
}

/// On several workers it may begin at once.
#[test]
fn on_several_workers_the_lines_come_in_any_order() {
    let mut said = said_in_real_time(create_task::example);
    assert_eq!(said.len(), 5);
    assert_eq!(said.split_off(3), ["Event 2 completed", "Event 1 completed"]);
    said.sort();
    let begun = ["Event 1 started", "Event 2 started", "Tasks have been created and are running"];
    assert_eq!(said, begun);
}

#[test]
fn a_call_that_blocks_holds_up_its_own_task_only() {
    let said = said_in_real_time(blocking_write::example);
    let place = |line: &str| said.iter().position(|said| said == line).expect("it is said");
    assert!(place("Writing file...") < place("File write complete"));
    assert!(place("Done with something else") < place("File write complete"));
}

#[test]
fn a_file_is_written_while_something_else_goes_on() {
    let said = said(file::example);
    let lines: Vec<_> = said.iter().map(|(_, line)| line.as_str()).collect();
    let expected = [
        "Writing file async...",
        "Doing something else...",
        "Done with something else",
        "File write complete async",
    ];
    assert_eq!(lines, expected);
    let times: Vec<_> = said.iter().map(|(time, _)| *time).collect();
    assert_eq!(times[..3], [0, 0, 1000]);
    // The clock stands while the kernel writes; an open that takes it more than a millisecond may cost the second that
    // the other one sleeps.
    assert!([2000, 3000].contains(&times[3]), "{times:?}");
}

#[test]
fn a_timeout_is_over_in_time() {
    let expected = [(0, "Starting slow operation..."), (3000, "The operation timed out!")];
    is(&said(timeout::example), &expected);
}

#[test]
fn a_cancel_is_heard_and_caught() {
    let expected = [
        (0, "Task started..."),
        (1000, "Task was cancelled!"),
        (1000, "Main caught the cancellation."),
    ];
    is(&said(cancel::example), &expected);
}

#[test]
fn the_first_of_three_answers() {
    let expected = [(1000, "Got first result: Response from Server B")];
    is(&said(first_completed::example), &expected);
}

/// One error, since the other task is over by then; and with the delays swapped that one is cancelled.
#[test]
fn a_group_gives_its_errors_and_cancels_who_is_left() {
    let expected = [
        (1000, "Task 1 done"),
        (2000, "Task 2 done"),
        (2000, "Caught: task 2 has failed"),
        (2000, "The other way round:"),
        (3000, "Task 2 done"),
        (3000, "Caught: task 2 has failed"),
    ];
    is(&said(task_group::example), &expected);
}

#[test]
fn a_coroutine_that_awaits_another_one() {
    is(&said(chain::example), &[(1000, "Result from the inner one")]);
}

#[test]
fn what_is_shielded_ends_when_it_ends() {
    let expected = [
        (0, "Critical write started..."),
        (1000, "Main task timed out, the write goes on..."),
        (3000, "Critical write complete!"),
        (4000, "Main exiting"),
    ];
    is(&said(shield::example), &expected);
}

#[test]
fn a_lock_lets_one_in_at_a_time() {
    is(&said(lock::example), &[(1000, "Final counter: 100")]);
}

#[test]
fn a_queue_keeps_its_order_and_its_bound() {
    let said = said(queue::example);
    let of = |what: &str| {
        let lines = said.iter().filter(|(_, line)| line.starts_with(what));
        lines.map(|(time, line)| (*time, line[what.len()..].to_owned())).collect::<Vec<_>>()
    };
    let (produced, consumed) = (of("Produced "), of("Consumed "));
    assert_eq!((produced.len(), consumed.len(), said.len()), (5, 5, 10));
    for (number, (produced, consumed)) in (1..).zip(produced.iter().zip(&consumed)) {
        assert_eq!((&produced.1, &consumed.1), (&number.to_string(), &number.to_string()));
        // Who consumes does nothing else.
        assert_eq!(produced.0, consumed.0);
    }
    assert!(said.last().unwrap().0 <= 5000);
}

#[test]
fn a_semaphore_lets_five_in_at_a_time() {
    let (mut inside, mut most) = (0_u32, 0);
    let said = said(semaphore::example);
    for (_, line) in &said {
        if line.ends_with("is in") {
            inside += 1;
        } else {
            inside -= 1;
        }
        most = most.max(inside);
    }
    assert_eq!((said.len(), inside, most), (40, 0, 5));
    for batch in 0..4 {
        let entered = |line: &&(u128, String)| line.0 == 1000 * batch && line.1.ends_with("is in");
        assert_eq!(said.iter().filter(entered).count(), 5, "{batch}");
    }
    assert_eq!(said.last().unwrap().0, 4000);
}

#[test]
fn an_event_lets_all_go() {
    let expected = [
        (0, "Connecting to the database..."),
        (0, "Worker A is waiting"),
        (0, "Worker B is waiting"),
        (2000, "The database is ready!"),
        (2000, "Worker A is starting"),
        (2000, "Worker B is starting"),
    ];
    is(&said(event::example), &expected);
}

#[test]
fn a_barrier_lets_nobody_go_before_all_have_come() {
    let mut said = said(barrier::example);
    // Who passes first is not said.
    said.sort();
    let expected = [
        (1000, "Worker 1 has done stage 1"),
        (2000, "Worker 2 has done stage 1"),
        (3000, "Worker 1: barrier passed!"),
        (3000, "Worker 2: barrier passed!"),
        (3000, "Worker 3 has done stage 1"),
        (3000, "Worker 3: barrier passed!"),
    ];
    is(&said, &expected);
}

#[test]
fn a_future_that_is_not_awaited_does_nothing() {
    let expected =
        [(0, "Wrong:"), (0, "Right:"), (0, "I am awaited"), (0, "Also right:"), (0, "I am a task")];
    is(&said(never_awaited::example), &expected);
}

#[test]
fn who_blocks_holds_up_the_same_task_and_no_other() {
    let said = said_in_real_time(blocking::example);
    let place = |line: &str| said.iter().position(|said| said.starts_with(line)).expect("said");
    assert!(place("I am a task") < place("...unblocked"));
    assert!(place("...unblocked") < place("I am a part"));
}

#[test]
fn two_and_three() {
    is(&said(test::example), &[(10, "2 + 3 = 5")]);
}

/// Without a runtime around, so in real time.
#[test]
fn code_that_is_not_async_calls_code_that_is() {
    let said = Said::default();
    SAID.set((None, said.clone()));
    from_sync::example(note);
    let said: Vec<_> = said.lock().unwrap().iter().map(|(_, line)| line.clone()).collect();
    let expected = [
        "In sync code, calling async...",
        "Got result: Async result",
        "Got another result: Async result",
    ];
    assert_eq!(said, expected);
}
