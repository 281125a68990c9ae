//! Nothing, through the ring.

use super::{Operation, WaitWithout};
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue};
use std::io;

/// Does nothing, in the kernel.
#[derive(Debug, Default)]
pub struct Nop(());

impl Nop {
    /// One of them.
    pub fn new() -> Self {
        Self(())
    }
}

// SAFETY: no memory is involved; one completion.
unsafe impl Operation for Nop {
    type Output = io::Result<()>;
    const NAME: &'static str = "nop";
    const WAIT: WaitKind = WaitKind::Other;

    fn entry(&mut self) -> squeue::Entry {
        opcode::Nop::new().build()
    }

    fn call(&mut self) -> io::Result<i32> {
        Ok(0)
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Immediate
    }

    gives_nothing!();
}
