//! The same programs on filch, tokio, smol and a bare executor of one thread: the primitives of `filch-sync`
//! promise the same on all of them (`docs/semantics.md`).
//!
//! A program is one generic function in `programs.rs`. To add one, write it there and name it below.

mod executor;
mod programs;

use executor::{Bare, Executor, Filch, FilchOneWorker, Smol, Tokio, TokioOneThread};

/// Makes a test of each program on each executor.
macro_rules! on_all {
    ($($program:ident,)*) => {
        on_all! { filch Filch, filch_one_worker FilchOneWorker, tokio Tokio,
            tokio_one_thread TokioOneThread, smol Smol, bare Bare; [$($program),*] }
    };
    ($($name:ident $executor:ident),*; $programs:tt) => {
        $(on_all! { @one $name $executor $programs })*
    };
    (@one $name:ident $executor:ident [$($program:ident),*]) => {
        mod $name {
            use super::{$executor, Executor, programs};
            $(
                #[test]
                fn $program() {
                    let _watchdog = filch_testkit::limits::watchdog(120);
                    $executor::run(programs::$program::<$executor>());
                }
            )*
        }
    };
}

on_all! {
    a_lock_excludes_and_some_give_up,
    a_lock_is_handed_over_in_order,
    readers_share_and_writers_do_not,
    a_semaphore_lets_in_so_many,
    a_closed_semaphore_turns_all_away,
    an_event_releases_all_who_wait,
    a_barrier_passes_all_of_a_generation,
    a_condition_makes_a_queue,
    a_queue_feeds_workers_until_it_ends,
    a_priority_queue_is_drained,
    promises_are_kept_or_abandoned,
    a_shared_promise_is_for_all,
    a_watch_shows_the_last_value,
    a_broadcast_reaches_everybody,
    a_once_cell_is_set_by_one,
    a_thread_outside_waits_for_tasks,
}
