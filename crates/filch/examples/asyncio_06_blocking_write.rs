//! What not to do: code that blocks, in a task. In asyncio everything stands still for two seconds. Here one
//! worker does; the others take over what it had to do.

use filch::gather;
use filch::time::{Duration, sleep};
use std::thread;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    gather((write_file(out), something_else(out))).await;
}

async fn write_file(out: fn(&str)) {
    let path = std::env::temp_dir().join(format!("filch-asyncio-06-{}", std::process::id()));
    out("Writing file...");
    std::fs::write(&path, "written by a call that blocks")
        .expect("a temporary directory that can be written");
    // A slow disk.
    thread::sleep(Duration::from_secs(2));
    std::fs::remove_file(&path).expect("the file is there");
    out("File write complete");
}

async fn something_else(out: fn(&str)) {
    out("Doing something else...");
    sleep(Duration::from_secs(1)).await;
    out("Done with something else");
}
