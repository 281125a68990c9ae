//! Peers that nobody here wrote: curl and nginx, socat, Redis and its benchmark, through the example `proxy` and
//! on their own. Each is started by the test that needs it, on this machine's own addresses, and ended by it.
//!
//! Where a program is missing its tests say so and do nothing; with `FILCH_REQUIRE_SERVICES=1` they fail.

mod http;
mod program;
#[path = "../../examples/proxy.rs"]
#[allow(dead_code, reason = "its `main` has nothing to do here")]
mod proxy;
mod redis;
mod socat;
#[path = "../support/mod.rs"]
mod support;

use filch::Runtime;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The proxy, in a runtime of its own.
struct Proxy {
    address: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    runtime: Runtime,
}

impl Proxy {
    fn new(server: SocketAddr) -> Self {
        let runtime = support::runtime(2);
        let listener = runtime.block_on(filch::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let to = said.clone();
        runtime.handle().spawn(async move {
            let say = move |line: &dyn std::fmt::Display| to.lock().unwrap().push(line.to_string());
            proxy::serve(&listener, &server.to_string(), say).await;
        });
        Self { address, said, runtime }
    }

    /// Waits until all connections are over, and gives what was said of each: how many bytes went there and
    /// back. None of them may have failed.
    fn moved(&self) -> Vec<(u64, u64)> {
        // The watchdog ends it if that is never.
        while self.runtime.handle().metrics().tasks > 1 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        let number = |text: &str| text.split(' ').next().and_then(|number| number.parse().ok());
        let moved = |line: &String| {
            let (_, moved) = line.split_once(": ")?;
            let (there, back) = moved.split_once(" B there, ")?;
            Some((number(there)?, number(back)?))
        };
        said.iter().map(|line| moved(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }
}

/// A folder that is there for as long as the test runs.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("peers-{name}"));
        let _of_an_earlier_run = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
