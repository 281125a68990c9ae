//! One loom model per protocol: the models are in `tests/`.
