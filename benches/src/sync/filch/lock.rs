//! `filch_sync::Lock`.

use std::ops::DerefMut;

use filch_sync::Lock;

use crate::sync::{Mutex, name};

impl Mutex for Lock<u64> {
    const NAME: &'static str = name::FILCH;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn lock(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send {
        self.lock()
    }
}
