//! An error that says what was tried.

use std::fmt;
use std::io::Error;

/// An error of the system, with what was tried: found inside a [`std::io::Error`] by its `get_ref` and
/// `downcast_ref`. The outer error has the same kind.
///
/// ```
/// # filch::run(async {
/// let error = filch::fs::read("/no/such/file").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("cannot open /no/such/file: "));
/// let failed = error.get_ref().unwrap().downcast_ref::<filch::io::Failed>().unwrap();
/// assert!(failed.system().raw_os_error().is_some());
/// # });
/// ```
#[derive(Debug)]
pub struct Failed {
    tried: String,
    system: Error,
}

impl Failed {
    /// What was tried: a verb, and what it was tried on.
    pub fn tried(&self) -> &str {
        &self.tried
    }

    /// The system's own error, with its number.
    pub fn system(&self) -> &Error {
        &self.system
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.tried, self.system)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.system)
    }
}

/// Says what was tried. An error that says so already stays as it is.
pub(crate) fn failed(verb: &str, what: impl fmt::Display, system: Error) -> Error {
    if system.get_ref().is_some_and(|inner| inner.is::<Failed>()) {
        return system;
    }
    Error::new(system.kind(), Failed { tried: format!("{verb} {what}"), system })
}
