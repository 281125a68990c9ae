//! A tour of filch on real work: it reads a tree of files through the ring, serves them over TCP to a
//! thousand clients in the same process, and checks every byte that arrives.
//!
//! ```text
//! cargo run --release --example tour -- --help
//! ```
//!
//! The function `tour` below is all of it from beginning to end. Each step is a file:
//!
//! | | |
//! |---|---|
//! | `walk` | finds the files: directories can only be listed by blocking, so it is done elsewhere |
//! | `reading` | reads and hashes them all through the ring, 64 at a time |
//! | `catalogue` | knows the files, their pieces and hashes, and reads a piece again |
//! | `server` | accepts connections, a task each, until the clients are done |
//! | `client` | asks for piece after piece and compares what comes with the hashes |
//! | `hog` | a task that burns processor time, for the others to be stolen from |
//! | `parts` | with `--all`: files, sockets, processes, signals, standard streams, groups and locks beside it, cancelled at random; `leftovers` sees that nothing is left of it |
//! | `table`, `json` | show what came of it |

mod all;
mod catalogue;
mod client;
mod descriptors;
mod hog;
mod json;
mod leftovers;
mod options;
mod parts;
mod piece;
mod progress;
mod protocol;
mod reading;
mod report;
mod server;
mod skipped;
mod stamp;
mod table;
mod tally;
mod units;
mod walk;
mod workers;

use all::All;
use client::Errand;
use filch::net::TcpListener;
use filch::{Handle, Runtime};
use options::Options;
use parts::Dice;
use report::Report;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tally::Tally;
use workers::WorkerReport;

/// So many clients, if the system has the descriptors for them.
const CLIENTS: usize = 1000;

/// So many files are read at a time.
const READERS: usize = 64;

/// How the tour ends, as the shell sees it.
mod status {
    /// Every byte was right.
    pub(crate) const RIGHT: u8 = 0;
    /// A byte was wrong, or a client did not get its answer.
    pub(crate) const WRONG: u8 = 1;
    /// There was no tour: a wrong option, nothing to serve, no io_uring.
    pub(crate) const NO_TOUR: u8 = 2;
}

fn main() -> ExitCode {
    run(std::env::args_os(), &mut io::stdout().lock()).into()
}

/// Takes the tour that `args` ask for, and writes what came of it to `out`. Returns the exit status.
pub(crate) fn run(args: impl Iterator<Item = OsString>, out: &mut impl Write) -> u8 {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(status) => return status,
    };
    if options.echo {
        return filch::run(parts::echo()).map_or_else(no_tour, |()| status::RIGHT);
    }
    let descriptors = leftovers::descriptors();
    let mut runtime = Runtime::builder();
    if let Some(workers) = options.workers {
        runtime = runtime.workers(workers.into());
    }
    let reports = all::Reports::default();
    if options.all {
        let reports = reports.clone();
        runtime = runtime.on_error(move |report| reports.add(report));
    }
    // This thread is worker 0 for as long as the tour takes.
    let mut report = match runtime.run(tour(&options)) {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return no_tour(error),
        Err(refused) => return no_tour(refused),
    };
    if let Some(all) = &mut report.all {
        all.log.faults.extend(reports.take());
        all.threads_left = leftovers::threads();
        all.descriptors_left = leftovers::descriptors().saturating_sub(descriptors);
    }
    let show = if options.json { json::write } else { table::write };
    match show(&report, out) {
        Ok(()) if report.all_is_right() => status::RIGHT,
        Ok(()) => status::WRONG,
        Err(error) => no_tour(error),
    }
}

fn no_tour(why: impl std::fmt::Display) -> u8 {
    eprintln!("tour: {why}");
    status::NO_TOUR
}

async fn tour(options: &Options) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let spare = descriptors::spare();

    let mut found = walk::walk(&options.path, options.limits()).await?;
    let begun = Instant::now();
    let catalogue = Arc::new(reading::read_all(found.files, READERS.min(spare)).await);
    let reading = begun.elapsed();
    found.skipped.merge(catalogue.skipped());
    if catalogue.files() == 0 {
        let why: String = found.skipped.reasons().map(|reason| format!("\n  {reason}")).collect();
        let why =
            why + if found.too_large > 0 { "\n  there are large ones: try --all" } else { "" };
        return Err(format!("there is no file to serve in {}{why}", options.path.display()).into());
    }

    let clients = CLIENTS.min(spare / client::DESCRIPTORS).max(1);
    if clients < CLIENTS {
        let fewer = units::things(clients as u64, "client");
        let limit = units::things(descriptors::limit(), "descriptor");
        eprintln!("tour: only {fewer}, not {}: the limit is {limit}", units::count(CLIENTS as u64));
    }
    let answers = Arc::default();
    let mut dice = Dice::new(options.seed());
    let mut all = match options.all {
        true => Some(All::begin(options.seed(), &options.myself())?),
        false => None,
    };
    let before = Handle::current().metrics();
    let begun = Instant::now();
    let bar = filch::spawn(progress::serving(options.duration(), Arc::clone(&answers)));
    let hog = filch::spawn(hog::burn(dice.another()));
    let mut tally = Tally::default();
    while let Some(lap) = options.lap(begun.elapsed()) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let errand = Errand {
            server: listener.local_addr()?,
            catalogue: catalogue.clone(),
            time: lap,
            answers: answers.clone(),
        };
        let until = Instant::now() + lap;
        let visits = all
            .as_ref()
            .map(|all| filch::spawn(parts::visit_all(all.places(), until, dice.another())));
        let crowd = filch::spawn(client::crowd(clients, errand));
        // The server is a task too, rather than a part of this future, which only worker 0 polls.
        let server = filch::spawn(server::serve(listener, catalogue.clone(), crowd));
        let (seen, troubles) = server.await?;
        tally.merge(&seen?);
        troubles.iter().for_each(|trouble| tally.trouble(trouble));
        match (&mut all, visits) {
            (Some(all), Some(visits)) => all.end_lap(visits.await?).await,
            _ => break,
        }
    }
    let serving = begun.elapsed();
    let after = Handle::current().metrics();

    // These two would go on for ever. When the handle of an aborted task is ready, the task is gone.
    for endless in [bar, hog] {
        endless.abort();
        let _aborted = endless.await;
    }
    Ok(Report {
        path: options.path.clone(),
        clients,
        files: catalogue.files(),
        bytes: catalogue.bytes(),
        reading,
        serving,
        too_large: found.too_large,
        is_cut: found.is_cut,
        changed: catalogue.changed(),
        skipped: found.skipped,
        tally,
        workers: WorkerReport::between(&before, &after),
        all,
        tasks_left: Handle::current().metrics().tasks,
    })
}
