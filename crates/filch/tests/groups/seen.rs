//! Who is there: counted, so that a test can say that nobody is.

use filch::task::Report;
use filch::{Builder, Runtime};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// How many guards there are.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

pub(crate) struct Guard(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn guard(&self) -> Guard {
        self.0.fetch_add(1, Ordering::SeqCst);
        Guard(self.0.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the error hook was told.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Report>>>);

impl Told {
    pub(crate) fn builder(&self) -> Builder {
        let told = self.clone();
        Runtime::builder().on_error(move |report| told.0.lock().unwrap().push(report.clone()))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(Report::to_string).collect()
    }
}
