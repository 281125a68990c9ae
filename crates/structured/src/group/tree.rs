//! How a group's errors are displayed: as a tree.

use super::error::{Failure, GroupError};
use std::fmt::{self, Write};

/// From this level on the tree goes no further to the right.
const DEEPEST: usize = 32;

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_group(self, f)
    }
}

/// A group that is being written.
struct Level<'a> {
    left: std::slice::Iter<'a, Failure>,
    /// How much of the indent is for what is around it.
    indent: usize,
}

/// A group's line, and below it one for each that failed. Not by recursion: how deep it goes is not for us to say.
fn write_group(group: &GroupError, f: &mut dyn Write) -> fmt::Result {
    write_head(group, f)?;
    let mut levels = vec![Level { left: group.iter(), indent: 0 }];
    // What begins each line.
    let mut indent = String::new();
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { return Ok(()) };
        let Some(failure) = level.left.next() else {
            indent.truncate(level.indent);
            levels.pop();
            continue;
        };
        let is_last = level.left.as_slice().is_empty();
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        write!(f, "\n{indent}{branch}")?;
        let before = indent.len();
        if depth <= DEEPEST {
            indent.push_str(below);
        } else {
            write!(f, "({depth} deep) ")?;
        }
        write_who(failure, f)?;
        f.write_str(": ")?;
        if let Some(group) = failure.downcast_ref::<GroupError>() {
            write_head(group, f)?;
            levels.push(Level { left: group.iter(), indent: before });
        } else {
            write_error(failure, f, &indent)?;
            indent.truncate(before);
        }
    }
}

fn write_head(group: &GroupError, f: &mut dyn Write) -> fmt::Result {
    match group.len() {
        0 => return write!(f, "the group at {} was cancelled", group.location()),
        1 => write!(f, "1 error")?,
        n => write!(f, "{n} errors")?,
    }
    write!(f, " in the group at {}", group.location())
}

/// `indent` begins each line but the first.
fn write_error(failure: &Failure, f: &mut dyn Write, indent: &str) -> fmt::Result {
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
        write_who(self, f)?;
        f.write_str(": ")?;
        match self.downcast_ref::<GroupError>() {
            Some(group) => write_group(group, f),
            None => write_error(self, f, ""),
        }
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

/// All that failed, also in groups in the group.
struct Failures<'a>(&'a GroupError);

impl fmt::Debug for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_list();
        let mut levels = vec![self.0.iter()];
        while let Some(level) = levels.last_mut() {
            match level.next() {
                None => drop(levels.pop()),
                Some(failure) => match failure.downcast_ref::<GroupError>() {
                    Some(group) => levels.push(group.iter()),
                    None => drop(shown.entry(failure)),
                },
            }
        }
        shown.finish()
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
