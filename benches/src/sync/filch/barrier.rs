//! `filch_sync::Barrier`.

use crate::sync::{Barrier, name};

impl Barrier for filch_sync::Barrier {
    const NAME: &'static str = name::FILCH;

    fn new(count: usize) -> Self {
        Self::new(count)
    }

    async fn wait(&self) {
        self.wait().await.expect("nobody breaks it");
    }
}
