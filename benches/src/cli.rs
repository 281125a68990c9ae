//! The command line of `compare`.

use crate::plan::Row;
use crate::rows::ROWS;

/// What `--help` says.
pub const HELP: &str = "\
Compares filch and its peers, in one run.

usage: compare [ROW...] [options]

  ROW               rows to run, or groups of them (default: those marked * in --list)
  --list            say which rows there are
  --json            one JSON object on one line of standard output, everything else on standard error
  --quick           small sizes: does everything work? (the figures mean little)
  --repeat N        trials of each contender (default 3)
  --workers 1|2     only the shapes with that many workers
  --variant NAME    only the shapes of that name
  --contender NAME  only this contender; may be given several times
  --instructions    count instructions per operation under callgrind instead
  --no-wait         do not wait for a quiet machine before each trial
  --help            this text
";

/// A parsed command line.
#[derive(Debug)]
pub struct Options {
    /// Rows to run, in order.
    pub rows: Vec<&'static Row>,
    /// Contenders to run; empty for all.
    pub contenders: Vec<String>,
    /// Only shapes with that many workers.
    pub workers: Option<usize>,
    /// Only shapes of that name.
    pub variant: Option<String>,
    /// Trials of each contender.
    pub repeat: usize,
    /// Small sizes.
    pub quick: bool,
    /// JSON on standard output instead of tables.
    pub json: bool,
    /// Whether to wait for a quiet machine.
    pub wait: bool,
    /// What to do.
    pub mode: Mode,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Measure time.
    Compare,
    /// Count instructions.
    Instructions,
    /// Say which rows there are.
    List,
    /// Print [`HELP`].
    Help,
}

/// Parses the arguments, without the program's name.
///
/// # Errors
///
/// A sentence about the first argument that makes no sense.
pub fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        rows: Vec::new(),
        contenders: Vec::new(),
        workers: None,
        variant: None,
        repeat: 3,
        quick: false,
        json: false,
        wait: true,
        mode: Mode::Compare,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--json" => options.json = true,
            "--quick" => options.quick = true,
            "--no-wait" => options.wait = false,
            "--list" => options.mode = Mode::List,
            "--help" | "-h" => options.mode = Mode::Help,
            "--instructions" => options.mode = Mode::Instructions,
            "--contender" => {
                let name = value()?;
                if !ROWS.iter().any(|row| row.contenders.contains(&name.as_str())) {
                    return Err(format!("no contender `{name}`"));
                }
                options.contenders.push(name.clone());
            }
            "--variant" => {
                let name = value()?;
                let shapes = || ROWS.iter().flat_map(|row| row.shapes);
                if !shapes().any(|shape| shape.variant == name) {
                    return Err(format!("no variant `{name}`"));
                }
                options.variant = Some(name.clone());
            }
            "--repeat" => {
                options.repeat = match value()?.parse() {
                    Ok(repeat) if repeat > 0 => repeat,
                    _ => return Err("--repeat takes a number of at least 1".to_owned()),
                }
            }
            "--workers" => {
                options.workers = match value()?.as_str() {
                    "1" => Some(1),
                    "2" => Some(2),
                    other => return Err(format!("--workers takes 1 or 2, not `{other}`")),
                }
            }
            flag if flag.starts_with('-') => return Err(format!("no option `{flag}`")),
            name => {
                let named = |row: &&Row| row.name == name || row.group == name;
                let before = options.rows.len();
                options.rows.extend(ROWS.iter().copied().filter(named));
                if options.rows.len() == before {
                    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                    return Err(format!("no row `{name}`; there are {}", names.join(", ")));
                }
            }
        }
    }
    if options.rows.is_empty() {
        let usual = |row: &&Row| match options.mode {
            Mode::Instructions => row.instructions.is_some(),
            _ => row.by_default,
        };
        options.rows = ROWS.iter().copied().filter(usual).collect();
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Options, String> {
        parse(&line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn everything() {
        let options = of(
            "echo --json --quick --repeat 5 --workers 2 --contender ring yield --variant single",
        )
        .unwrap();
        let rows: Vec<_> = options.rows.iter().map(|row| row.name).collect();
        assert_eq!(rows, ["echo", "yield"]);
        assert!(options.json && options.quick && options.wait);
        assert_eq!((options.repeat, options.workers), (5, Some(2)));
        assert_eq!(options.variant.as_deref(), Some("single"));
        assert_eq!(options.contenders, ["ring"]);
        assert_eq!(options.mode, Mode::Compare);
    }

    #[test]
    fn no_row_means_the_usual_ones() {
        let names = |line| of(line).unwrap().rows.iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(
            names(""),
            ["spawn_join", "group", "ping_pong", "yield", "timeout", "echo", "file_rand"]
        );
        assert_eq!(
            names("--instructions"),
            [
                "spawn_join",
                "group",
                "ping_pong",
                "yield",
                "chained_spawn",
                "timeout",
                "file_small",
                "uncontended"
            ]
        );
    }

    #[test]
    fn a_group_is_its_rows() {
        let names = |line| of(line).unwrap().rows.iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(
            names("io"),
            [
                "echo",
                "echo_sizes",
                "bulk",
                "accept",
                "udp",
                "hog",
                "file_rand",
                "file_depths",
                "file_small",
                "file_copy"
            ]
        );
        assert!(names("sync yield").starts_with(&["mutex", "rwlock", "semaphore"]));
        assert!(names("sync yield").ends_with(&["uncontended", "yield"]));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, mention) in [
            ("ehco", "ehco"),
            ("--jsn", "--jsn"),
            ("--repeat", "--repeat"),
            ("--repeat 0", "at least 1"),
            ("--workers 3", "`3`"),
            ("--contender tokyo", "tokyo"),
            ("--variant octuple", "octuple"),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.contains(mention), "{error}");
        }
    }
}
