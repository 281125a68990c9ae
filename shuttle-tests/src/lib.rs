//! Whole programs of filch under random schedules: the programs are in `tests/`.
//!
//! A program is a closure that spawns tasks and threads, waits for them and checks what came of it. It
//! is run again and again, under schedules drawn at random and under such as hunt for bugs that need a
//! few badly placed switches (PCT). All its synchronisation is `filch-atomic`'s, so every operation of it
//! is a place to switch at. Memory is as strong as it gets here: weak orders are loom's business.

#[cfg(filch_shuttle)]
pub mod explore;
