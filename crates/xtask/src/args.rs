//! The command line, read by hand: a command, then flags, options and names in any order.

use std::str::FromStr;

/// What is left of the command line.
#[derive(Debug)]
pub(crate) struct Args {
    rest: Vec<String>,
}

impl Args {
    /// The arguments of this process, without its own name.
    pub(crate) fn from_env() -> Self {
        Self { rest: std::env::args().skip(1).collect() }
    }

    /// Takes the first argument.
    pub(crate) fn command(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.rest.remove(0))
    }

    /// Takes `--name` and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.rest.len();
        self.rest.retain(|arg| arg != name);
        self.rest.len() != before
    }

    /// Takes `--name VALUE` or `--name=VALUE`.
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let prefix = format!("{name}=");
        let Some(at) = self.rest.iter().position(|arg| arg == name || arg.starts_with(&prefix))
        else {
            return Ok(None);
        };
        let arg = self.rest.remove(at);
        let value = match arg.strip_prefix(&prefix) {
            Some(value) => value.to_owned(),
            None if at < self.rest.len() => self.rest.remove(at),
            None => return Err(format!("{name} needs a value")),
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("{name} does not take `{value}`")),
        }
    }

    /// The names that are left. An option that nobody took is a mistake.
    pub(crate) fn names(self) -> Result<Vec<String>, String> {
        match self.rest.iter().find(|arg| arg.starts_with('-')) {
            Some(option) => Err(format!("no option named `{option}`")),
            None => Ok(self.rest),
        }
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.names()?.first() {
            Some(name) => Err(format!("what should `{name}` mean here?")),
            None => Ok(()),
        }
    }

    /// Everything that is left, as it was given.
    pub(crate) fn into_rest(self) -> Vec<String> {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args { rest: line.split_whitespace().map(str::to_owned).collect() }
    }

    #[test]
    fn flags_options_and_names_in_any_order() {
        let mut args = args("idle --seconds 5 --mutate inbox --preemptions=3");
        assert!(args.flag("--mutate"));
        assert!(!args.flag("--mutate"));
        assert_eq!(args.option("--seconds"), Ok(Some(5)));
        assert_eq!(args.option("--preemptions"), Ok(Some(3)));
        assert_eq!(args.option::<u32>("--absent"), Ok(None));
        assert_eq!(args.names().unwrap(), ["idle", "inbox"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            args("--seconds").option::<u32>("--seconds").unwrap_err(),
            "--seconds needs a value"
        );
        assert_eq!(
            args("--seconds soon").option::<u32>("--seconds").unwrap_err(),
            "--seconds does not take `soon`"
        );
        assert_eq!(args("--mutant").names().unwrap_err(), "no option named `--mutant`");
        assert_eq!(args("x").finish().unwrap_err(), "what should `x` mean here?");
    }
}
