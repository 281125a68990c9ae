//! Synchronisation primitives for async code, on any executor
