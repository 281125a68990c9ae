//! What `#[filch::test]` makes of its options: for the macro, which documents them.

mod alone;
mod watchdog;

use crate::{Builder, Handle};
use filch_atomic::panics::{Payload, caught};
use std::env;
use std::fmt::{Debug, Write};
use std::ops::{Range, RangeInclusive};
use std::panic::resume_unwind;
use std::time::Duration;

/// Replaces the seeds of all tests that have one.
const SEED: &str = "FILCH_TEST_SEED";

/// So many milliseconds what is on its way out is given.
const ROUNDS: usize = 100;

/// How one test is to be run.
#[derive(Debug)]
pub struct Setup {
    /// Its path, the crate included.
    name: &'static str,
    seeds: Option<RangeInclusive<u64>>,
    timeout: Option<Duration>,
    leak_check: bool,
    should_panic: bool,
}

/// What a test may return.
pub trait TestOutput {
    /// That all is well.
    fn passed() -> Self;

    /// Whether it is not.
    fn has_failed(&self) -> bool;
}

impl TestOutput for () {
    fn passed() {}

    fn has_failed(&self) -> bool {
        false
    }
}

impl<T: TestOutput, E: Debug> TestOutput for Result<T, E> {
    fn passed() -> Self {
        Ok(T::passed())
    }

    fn has_failed(&self) -> bool {
        self.as_ref().map_or(true, T::has_failed)
    }
}

/// A seed, or a range of them: what `seed = ..` may be.
pub trait Seeds {
    /// All of them.
    ///
    /// # Panics
    ///
    /// If there are none.
    fn seeds(self) -> RangeInclusive<u64>;
}

impl Seeds for u64 {
    fn seeds(self) -> RangeInclusive<u64> {
        self..=self
    }
}

impl Seeds for Range<u64> {
    fn seeds(self) -> RangeInclusive<u64> {
        assert!(!self.is_empty(), "there is no seed in {self:?}");
        self.start..=self.end - 1
    }
}

impl Seeds for RangeInclusive<u64> {
    fn seeds(self) -> RangeInclusive<u64> {
        assert!(!self.is_empty(), "there is no seed in {self:?}");
        self
    }
}

impl Setup {
    /// For the test of this path.
    pub fn new(name: &'static str) -> Self {
        Self { name, seeds: None, timeout: None, leak_check: false, should_panic: false }
    }

    /// With this seed, or with each of these, one after the other.
    pub fn seed(mut self, seed: impl Seeds) -> Self {
        self.seeds = Some(seed.seeds());
        self
    }

    /// So long at most, in real time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// With a look at what is left when it is over.
    pub fn leak_check(mut self) -> Self {
        self.leak_check = true;
        self
    }

    /// It has `#[should_panic]`.
    pub fn should_panic(mut self) -> Self {
        self.should_panic = true;
        self
    }

    /// Runs the test.
    #[track_caller]
    pub fn run<F>(self, builder: impl Fn() -> Builder, test: impl Fn() -> F) -> F::Output
    where
        F: Future<Output: TestOutput>,
    {
        if self.leak_check && alone::passes_in_a_child(self.name, self.should_panic) {
            return F::Output::passed();
        }
        let Some(seeds) = self.seeds.clone() else { return self.run_once(builder(), test(), None) };
        let seeds = match env::var(SEED) {
            Ok(seed) => {
                let seed = seed.parse().unwrap_or_else(|_| panic!("{SEED} is no number: {seed}"));
                seed..=seed
            }
            Err(_) => seeds,
        };
        let mut output = F::Output::passed();
        for seed in seeds {
            match caught(|| self.run_once(builder().seed(seed), test(), Some(seed))) {
                Ok(given) => output = given,
                Err(panic) => self.tell(seed, Some(panic)),
            }
            if output.has_failed() {
                self.tell(seed, None);
                break;
            }
        }
        output
    }

    /// How to have the same once more.
    fn replay(&self, seed: u64) -> String {
        let (crate_name, test) = self.name.split_once("::").unwrap_or(("", self.name));
        format!(
            "the seed of this failure is {seed}; to replay it: {SEED}={seed} cargo test {test} -- --exact \
             (in `{crate_name}`)"
        )
    }

    /// Says how.
    fn tell(&self, seed: u64, panic: Option<Payload>) {
        eprintln!("{}", self.replay(seed));
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn run_once<F>(&self, builder: Builder, test: F, seed: Option<u64>) -> F::Output
    where
        F: Future<Output: TestOutput>,
    {
        let leak_check = self.leak_check;
        let main = async move {
            let before = leak_check.then(alone::descriptors);
            let output = test.await;
            // One that failed has a cause of its own to tell, and leaves behind what it was about.
            if let Some(before) = before
                && !output.has_failed()
            {
                check_for_leaks(&before).await;
            }
            output
        };
        match self.timeout {
            None => builder.run_main(main),
            Some(limit) => {
                let replay = seed.map(|seed| self.replay(seed));
                watchdog::run(self.name, limit, replay, |dog| builder.run_main(dog.watch(main)))
            }
        }
    }
}

/// Panics if anything is left that the test began.
async fn check_for_leaks(before: &alone::Descriptors) {
    let handle = Handle::current();
    let mut leaks = String::new();
    for _ in 0..ROUNDS {
        leaks = leaks_of(&handle, before);
        if leaks.is_empty() {
            return;
        }
        // What is on its way out: a task whose handle was dropped, a descriptor that is being closed. In real time, so
        // that no sleep is over.
        let pause = crate::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)));
        pause.await.expect("it only sleeps");
    }
    panic!("this test has left behind:{leaks}");
}

fn leaks_of(handle: &Handle, before: &alone::Descriptors) -> String {
    let mut leaks = handle.inner().left().to_string();
    let operations = handle.operations();
    if operations > 0 {
        let _ = write!(leaks, "\n  operations in flight: {operations}");
    }
    for (number, what) in alone::descriptors() {
        if before.get(&number) != Some(&what) {
            let _ = write!(leaks, "\n  descriptor {number} ({what})");
        }
    }
    leaks
}
