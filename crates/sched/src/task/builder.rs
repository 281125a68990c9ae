//! What a task is given besides its future.

use super::{Meta, Name};

/// Describes a task before it is spawned.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder spawns nothing by itself"]
pub struct Builder {
    name: Option<Name>,
}

impl Builder {
    /// Nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task: the name is in its errors, its reports, and wherever tasks are shown.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(Name::new(name));
        self
    }

    /// The description, with a fresh number and the caller's place as the place of the spawn.
    #[track_caller]
    pub fn meta(self) -> Meta {
        Meta { name: self.name, ..Meta::here() }
    }
}
