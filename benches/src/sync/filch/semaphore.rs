//! `filch_sync::Semaphore`.

use crate::sync::{Semaphore, name};

impl Semaphore for filch_sync::Semaphore {
    const NAME: &'static str = name::FILCH;

    fn new(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire(&self) -> impl Send {
        self.acquire().await.expect("nobody closes it")
    }
}
