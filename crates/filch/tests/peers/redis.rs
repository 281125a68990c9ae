//! Redis, and its own benchmark, with the proxy in between.

use super::program::{Running, answer, find, output};
use super::{Folder, Proxy};
use crate::support::PATIENCE;
use filch_testkit::Random;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::process::{Command, Stdio};

#[test]
fn the_benchmark_runs_through_the_proxy() {
    const CLIENTS: usize = 50;
    // Whole pipelines of them.
    const REQUESTS: usize = 1_600;
    let _alone = alone(PATIENCE);
    let (Some(server), Some(benchmark), Some(cli)) =
        (find("redis-server"), find("redis-benchmark"), find("redis-cli"))
    else {
        return;
    };
    let before = Before::now("filch");
    let folder = Folder::new("redis");
    let (_redis, address) = Running::listening(|address| {
        let mut command = Command::new(&server);
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        command.args(["--bind", &host, "--port", &port, "--daemonize", "no"]);
        command.args(["--save", "", "--appendonly", "no", "--logfile", "log", "--dir"]);
        command.arg(&folder.0).stdout(Stdio::null());
        command
    });
    let proxy = Proxy::new(address);
    let (host, port) = (proxy.address.ip().to_string(), proxy.address.port().to_string());
    let at = ["-h", &host, "-p", &port];

    for pipeline in ["1", "16"] {
        let mut command = Command::new(&benchmark);
        command.args(at).args(["-q", "-t", "ping_mbulk,set,get,incr,lpush,lrange_100"]);
        command.args(["-n", &REQUESTS.to_string(), "-c", &CLIENTS.to_string(), "-P", pipeline]);
        let said = String::from_utf8(output(&mut command)).unwrap();
        for test in ["PING_MBULK", "SET", "GET", "INCR", "LPUSH", "LRANGE_100"] {
            let is_result =
                |line: &str| line.starts_with(test) && line.contains("requests per second");
            assert!(said.split(['\n', '\r']).any(is_result), "no result of {test}: {said}");
        }
        assert!(!said.contains("rror"), "{said}");
        let moved = proxy.moved();
        assert!(moved.len() >= CLIENTS, "{} connections", moved.len());
    }
    // Each request was carried out once.
    let say = |args: &[&str]| output(Command::new(&cli).args(at).args(args));
    let count = String::from_utf8(say(&["GET", "counter:__rand_int__"])).unwrap();
    assert_eq!(count.trim(), (2 * REQUESTS).to_string());
    // A value comes back as it was.
    let value = Random::new(1).bytes(3_000_000);
    answer(Command::new(&cli).args(at).args(["-x", "SET", "value"]), &value);
    let got = say(&["GET", "value"]);
    assert!(got[..got.len() - 1] == value, "every byte");
    proxy.moved();
    drop(proxy);
    before.check();
}
