//! Prints a log file and then what is added to it, through rotations, until Ctrl-C: `tail -n +1 -F`.
//!
//! ```text
//! cargo run --release --example tail -- /var/log/syslog
//! ```
//!
//! A log is rotated in one of two ways. Its file is *renamed* and a new one made: then the old one is read to its end
//! before the new one is begun. (What is written to the old one after the new one was seen is not read, nor a file
//! that has come and gone between two looks.) Or it is *emptied* where it is: then it is read from its beginning again. (What nobody
//! has read by then is gone, and a file that has grown beyond its old length by the time one looks cannot be told from
//! one that just grew. That is why renaming is the better way.)

use filch::fs::File;
use filch::io::{BufRead, BufReader, stdout};
use filch::time::{Duration, sleep};
use std::io::{self, ErrorKind, SeekFrom};
use std::path::PathBuf;
use std::process::ExitCode;

/// How long to wait, at the end of the file, before looking again.
const PAUSE: Duration = Duration::from_millis(100);

#[filch::main]
async fn main() -> io::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (path, most) = match &args[..] {
        [path] => (path, Ok(u64::MAX)),
        [path, most] => (path, most.parse()),
        _ => return Ok(usage()),
    };
    let Ok(most) = most else { return Ok(usage()) };
    let mut tail = Tail::open(path, PAUSE).await?;
    for _ in 0..most {
        if !print(tail.next_line().await?).await? {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line, and says whether anybody reads still.
async fn print(mut line: Vec<u8>) -> io::Result<bool> {
    line.push(b'\n');
    match stdout().write_all(&line).await {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: tail FILE [LINES], to follow a file, or to end after so many lines");
    ExitCode::from(2)
}

/// The lines of a file that others write and rotate.
pub(crate) struct Tail {
    path: PathBuf,
    pause: Duration,
    file: BufReader<File>,
    /// So many bytes of the file were taken.
    position: u64,
    /// The line that the writer is in the midst of.
    line: Vec<u8>,
    /// What is at the path now, if that is another file.
    next: Option<File>,
}

impl Tail {
    /// Begins at the beginning of the file, and looks for more that often.
    pub(crate) async fn open(path: impl Into<PathBuf>, pause: Duration) -> io::Result<Self> {
        let path = path.into();
        let file = BufReader::new(File::open(&path).await?);
        Ok(Self { path, pause, file, position: 0, line: Vec::new(), next: None })
    }

    /// Waits for the next line, and gives it without its end.
    ///
    /// It may be dropped at any time: what was taken from the file is in `self` before the next wait.
    pub(crate) async fn next_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            self.position += self.file.read_until(b'\n', &mut self.line).await? as u64;
            if self.line.ends_with(b"\n") {
                self.line.pop();
                return Ok(std::mem::take(&mut self.line));
            }
            // That is the end of the file, for now.
            if let Some(next) = self.next.take() {
                // And for ever: it was read once more after the other was there.
                self.file = BufReader::new(next);
                self.position = 0;
                // Nobody will end this line any more.
                if !self.line.is_empty() {
                    return Ok(std::mem::take(&mut self.line));
                }
                continue;
            }
            let ours = self.file.get_ref().metadata().await?;
            if ours.len() < self.position {
                self.file.get_ref().seek(SeekFrom::Start(0)).await?;
                self.position = 0;
                if !self.line.is_empty() {
                    return Ok(std::mem::take(&mut self.line));
                }
                continue;
            }
            match File::open(&self.path).await {
                Ok(file) => {
                    let there = file.metadata().await?;
                    if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) {
                        self.next = Some(file);
                        continue;
                    }
                }
                // It was renamed, and the new one is yet to come.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            sleep(self.pause).await;
        }
    }
}
