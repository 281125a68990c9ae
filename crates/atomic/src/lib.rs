//! Atomics, locks and the work-stealing deque of filch, with one switch between the real thing and the model checkers
