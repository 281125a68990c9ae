//! Benchmarks of filch.
