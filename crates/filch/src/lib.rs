//! A work-stealing async runtime for Linux on io_uring: Send tasks, completion I/O, nothing lost on drop
