//! `filch_sync::RwLock`.

use std::ops::{Deref, DerefMut};

use crate::sync::{RwLock, name};

impl RwLock for filch_sync::RwLock<u64> {
    const NAME: &'static str = name::FILCH;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn read(&self) -> impl Future<Output = impl Deref<Target = u64> + Send> + Send {
        self.read()
    }

    fn write(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send {
        self.write()
    }
}
