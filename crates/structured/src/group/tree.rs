//! How a group's errors are displayed: as a tree.

use super::error::{Failure, GroupError};
use std::fmt::{self, Write};

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_group(self, f, "")
    }
}

/// A group's line, and below it one for each that failed. `indent` begins each line but the first.
fn write_group(group: &GroupError, f: &mut dyn Write, indent: &str) -> fmt::Result {
    match group.len() {
        0 => return write!(f, "the group at {} was cancelled", group.location()),
        1 => write!(f, "1 error")?,
        n => write!(f, "{n} errors")?,
    }
    write!(f, " in the group at {}", group.location())?;
    for (place, failure) in group.iter().enumerate() {
        let is_last = place + 1 == group.len();
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        write!(f, "\n{indent}{branch}")?;
        write_failure(failure, f, &format!("{indent}{below}"))?;
    }
    Ok(())
}

fn write_failure(failure: &Failure, f: &mut dyn Write, indent: &str) -> fmt::Result {
    write_who(failure, f)?;
    f.write_str(": ")?;
    if let Some(group) = failure.downcast_ref::<GroupError>() {
        return write_group(group, f, indent);
    }
    let text = failure.error().to_string();
    for (number, line) in text.lines().enumerate() {
        if number > 0 {
            write!(f, "\n{indent}")?;
        }
        f.write_str(line)?;
    }
    Ok(())
}

/// `task 7 "reader", spawned at src/main.rs:3:5`
fn write_who(failure: &Failure, f: &mut dyn Write) -> fmt::Result {
    let Some(task) = failure.task() else { return f.write_str("the body") };
    write!(f, "task {}", task.id)?;
    if let Some(name) = &task.name {
        write!(f, " {:?}", &**name)?;
    }
    write!(f, ", spawned at {}", task.location)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_failure(self, f, "")
    }
}

impl fmt::Debug for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let mut shown = f.debug_struct("GroupError");
            let location = format_args!("{}", self.location());
            return shown.field("location", &location).field("failures", &Failures(self)).finish();
        }
        write!(f, "GroupError({self})")
    }
}

struct Failures<'a>(&'a GroupError);

impl fmt::Debug for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter()).finish()
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut who = String::new();
        write_who(self, &mut who)?;
        write!(f, "Failure({who}: ")?;
        fmt::Debug::fmt(self.error(), f)?;
        f.write_str(")")
    }
}
