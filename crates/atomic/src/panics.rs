//! Panics of code that is anybody's: wakers, destructors, hooks. They must not keep others from what is theirs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::{mem, thread};

/// What a panic is thrown with.
pub type Payload = Box<dyn Any + Send>;

/// Runs code that must not unwind into the caller's. The caller's word: nothing of its own is left half done by
/// a panic in it.
///
/// # Errors
///
/// What it panicked with.
pub fn caught<R>(run: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(run))
}

/// Drops what is somebody else's, a payload above all, though its destructor may panic. The payload of that may
/// panic in its turn when it is dropped, and so on without end: then it is leaked.
pub fn drop_caught<T>(value: T) {
    let Err(payload) = caught(|| drop(value)) else { return };
    if let Err(another) = caught(|| drop(payload)) {
        mem::forget(another);
    }
}

/// Polls a future by `poll`, and drops it where it is if it is over by that, which for its destructors is still a part of
/// it. One that has panicked is over.
///
/// # Errors
///
/// The first panic: of the poll, or else of the destructors. An output is dropped then.
///
/// # Panics
///
/// If the future is over already.
pub fn poll_and_end<F: Future>(
    mut future: Pin<&mut Option<F>>,
    poll: impl FnOnce(Pin<&mut F>) -> Poll<F::Output>,
) -> Result<Poll<F::Output>, Payload> {
    let running = future.as_mut().as_pin_mut().expect("it is not over");
    let polled = caught(|| poll(running));
    if let Ok(Poll::Pending) = polled {
        return polled;
    }
    match (polled, caught(|| future.set(None))) {
        (polled, Ok(())) => polled,
        (Err(first), Err(another)) => {
            drop_caught(another);
            Err(first)
        }
        // Here, for whoever unwinds by that panic has no room for another.
        (Ok(output), Err(panic)) => {
            drop_caught(output);
            Err(panic)
        }
    }
}

/// Ends a future that has given its output, and gives that on. It is dropped if `end` panics: whoever unwinds by that has no
/// room for a panic of its destructor.
///
/// # Panics
///
/// As `end` does.
pub fn ended<T>(output: T, end: impl FnOnce()) -> T {
    if let Err(panic) = caught(end) {
        drop_caught(output);
        resume_unwind(panic);
    }
    output
}

/// The first panic of several calls.
#[derive(Debug, Default)]
pub struct Panics(Option<Payload>);

impl Panics {
    /// Runs `f`, and keeps its panic, if it is the first.
    pub fn caught(&mut self, f: impl FnOnce()) {
        let Err(payload) = caught(f) else { return };
        if self.0.is_none() {
            self.0 = Some(payload);
        } else {
            drop_caught(payload);
        }
    }

    /// The first panic, if there was one, for who has something else to do with it.
    pub fn first(self) -> Option<Payload> {
        self.0
    }

    /// Goes on with the panic, if there was one, when all is done. Not where the thread unwinds already: a second
    /// panic would end the process.
    ///
    /// # Panics
    ///
    /// As said.
    pub fn pass_on(mut self) {
        match self.0.take() {
            Some(payload) if thread::panicking() => drop_caught(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::panic::panic_any;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    /// Panics when it is dropped, with as many more like it, one in the other.
    struct Nested(usize, Arc<()>);

    impl Drop for Nested {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Nested(self.0 - 1, self.1.clone()));
            }
        }
    }

    #[test]
    fn payloads_are_dropped() {
        let alive = Arc::new(());
        // Two destructors that panic, and the last one's payload that does not.
        drop_caught(Nested(1, alive.clone()));
        assert_eq!(Arc::strong_count(&alive), 1);
        let mut panics = Panics::default();
        for _ in 0..3 {
            let payload = Nested(0, alive.clone());
            panics.caught(move || panic_any(payload));
        }
        assert_eq!(Arc::strong_count(&alive), 2, "the first is kept, the others are gone");
        let first = caught(|| panics.pass_on()).unwrap_err();
        assert!(first.is::<Nested>());
        drop(first);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    /// No end of the process, and nothing leaks, where the thread unwinds already.
    #[test]
    fn one_panic_at_a_time() {
        struct PassesOn(Arc<()>);
        impl Drop for PassesOn {
            fn drop(&mut self) {
                let mut panics = Panics::default();
                let payload = Nested(0, self.0.clone());
                panics.caught(move || panic_any(payload));
                panics.pass_on();
            }
        }
        let alive = Arc::new(());
        let passes_on = PassesOn(alive.clone());
        let payload = caught(move || {
            let _passes_on = passes_on;
            panic_any(7_u8);
        });
        assert!(payload.unwrap_err().is::<u8>());
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    /// Whichever of poll, output and destructor panic: the first one is given, nothing is left, and the process goes on.
    #[test]
    fn a_future_and_its_output_end_by_one_panic() {
        let alive = Arc::new(());
        for case in 0..8_u8 {
            let [in_poll, in_drop, in_output] = [0, 1, 2].map(|bit| case >> bit & 1 == 1);
            let nested = |panics| Nested(usize::from(panics), alive.clone());
            let (held, mut output) = (nested(in_drop), Some(nested(in_output)));
            let future = poll_fn(move |_| {
                let _held = &held;
                let output = output.take();
                if in_poll {
                    // Not with it in hand: that would be the future's own two panics.
                    drop_caught(output);
                    panic_any(case);
                }
                Poll::Ready(output)
            });
            let mut future = pin!(Some(future));
            let mut cx = Context::from_waker(Waker::noop());
            let polled = poll_and_end(future.as_mut(), |future| future.poll(&mut cx));
            assert!(future.is_none());
            match polled {
                Ok(polled) => {
                    assert!(!in_poll && !in_drop && polled.is_ready());
                    drop_caught(polled);
                }
                Err(payload) if in_poll => assert_eq!(payload.downcast_ref(), Some(&case)),
                Err(payload) => assert!(in_drop && payload.is::<Nested>()),
            }
            assert_eq!(Arc::strong_count(&alive), 1, "case {case}");
        }
    }

    /// The chain of payloads that panic is cut, by a leak.
    #[test]
    fn it_comes_to_an_end() {
        struct Endless;
        impl Drop for Endless {
            fn drop(&mut self) {
                panic_any(Endless);
            }
        }
        drop_caught(Endless);
    }
}
