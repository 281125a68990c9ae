//! A file is written while something else goes on: `aiofiles`. No thread waits for the disk.

use filch::fs::File;
use filch::gather;
use filch::io::Write;
use filch::time::{Duration, sleep};
use std::io;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let (written, ()) = gather((write_file(out), something_else(out))).await;
    written.expect("a temporary directory that can be written");
}

async fn write_file(out: fn(&str)) -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("filch-asyncio-07-{}", std::process::id()));
    out("Writing file async...");
    // `async with aiofiles.open(..) as file:` closes it behind the block, as this does.
    filch::with(File::create(&path).await?, async |file| {
        file.write_all(b"written by the kernel, in its own time").await
    })
    .await?;
    sleep(Duration::from_secs(2)).await;
    out("File write complete async");
    std::fs::remove_file(&path)
}

async fn something_else(out: fn(&str)) {
    out("Doing something else...");
    sleep(Duration::from_secs(1)).await;
    out("Done with something else");
}
