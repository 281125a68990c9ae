//! curl and nginx, with the proxy in between: every byte of every file.

use super::program::{Running, find, output};
use super::{Folder, Proxy};
use crate::support::PATIENCE;
use filch_testkit::Random;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use xxhash_rust::xxh3::Xxh3;

const PIECE: usize = 1 << 20;

/// Writes a file of so many bytes, and gives their hash. No piece is as another.
fn write(path: &Path, len: usize) -> u64 {
    let mut piece = Random::new(len as u64).bytes(PIECE);
    let mut hash = Xxh3::new();
    let mut file = BufWriter::new(File::create(path).unwrap());
    for from in (0..len).step_by(PIECE) {
        piece[..8].copy_from_slice(&(from as u64).to_le_bytes());
        let part = &piece[..PIECE.min(len - from)];
        hash.update(part);
        file.write_all(part).unwrap();
    }
    file.flush().unwrap();
    hash.digest()
}

/// The length and the hash of what can be read.
fn read(mut from: impl Read) -> (usize, u64) {
    let (mut hash, mut len) = (Xxh3::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece).unwrap() {
            0 => return (len, hash.digest()),
            more => {
                hash.update(&piece[..more]);
                len += more;
            }
        }
    }
}

/// nginx, as one process, with a configuration of its own.
fn nginx(program: &Path, folder: &Folder) -> (Running, SocketAddr) {
    let root = folder.0.display();
    Running::listening(|address| {
        let text = format!(
            "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/errors;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n\
             access_log off; sendfile on; default_type application/octet-stream;\n\
             client_body_temp_path {root}/temp; proxy_temp_path {root}/temp;\n\
             fastcgi_temp_path {root}/temp; uwsgi_temp_path {root}/temp; scgi_temp_path {root}/temp;\n\
             server {{ listen {address}; root {root}; }}\n\
             }}\n"
        );
        let config = folder.path("nginx.conf");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-e").arg(folder.path("errors")).arg("-c").arg(config).arg("-p").arg(&folder.0);
        command
    })
}

fn curl(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Nothing of this machine's configuration, and no proxy but ours.
    command.args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--fail"]);
    command.args(["--max-time", "600"]);
    command
}

/// Fetches a file of each length by itself, through the proxy.
fn fetch(name: &str, lengths: &[usize]) {
    let (Some(curl_path), Some(nginx_path)) = (find("curl"), find("nginx")) else { return };
    let before = Before::now("filch");
    let folder = Folder::new(name);
    let (_nginx, address) = nginx(&nginx_path, &folder);
    let proxy = Proxy::new(address);
    for &len in lengths {
        let file = format!("file-{len}");
        let hash = write(&folder.path(&file), len);
        let mut command = curl(&curl_path);
        command.arg(format!("http://{}/{file}", proxy.address)).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let got = read(child.stdout.take().unwrap());
        assert!(child.wait().unwrap().success());
        assert_eq!(got, (len, hash), "{len} bytes");
        let moved = proxy.moved();
        assert_eq!(moved.len(), 1);
        assert!(moved[0].1 > len as u64, "with the header: {moved:?}");
        std::fs::remove_file(folder.path(&file)).unwrap();
    }
    drop(proxy);
    before.check();
}

#[test]
fn files_of_all_sizes() {
    let _alone = alone(PATIENCE);
    let lengths = [1, 2, 1000, 65_535, 65_536, 65_537, 1 << 20, (16 << 20) + 1];
    fetch("files", &lengths);
}

#[test]
#[ignore = "a soak test: a file of 1 GiB"]
fn soak_files_up_to_a_gibibyte() {
    let _alone = alone(10 * PATIENCE);
    fetch("gibibyte", &[1, 1 << 10, 1 << 20, 128 << 20, 1 << 30]);
}

#[test]
fn many_files_at_once() {
    const FILES: usize = 100;
    let _alone = alone(PATIENCE);
    let (Some(curl_path), Some(nginx_path)) = (find("curl"), find("nginx")) else { return };
    let before = Before::now("filch");
    let folder = Folder::new("many-files");
    let (_nginx, address) = nginx(&nginx_path, &folder);
    let proxy = Proxy::new(address);
    let length = |number| number * 7_919 % 400_000 + 1;
    let hashes: Vec<_> = (0..FILES)
        .map(|number| write(&folder.path(&format!("f{number}")), length(number)))
        .collect();
    let mut command = curl(&curl_path);
    command.args(["--parallel", "--parallel-immediate", "--parallel-max", "50"]);
    // Each in a connection of its own, and then as few as there may be.
    for header in ["Connection: close", "Connection: keep-alive"] {
        command.args(["--header", header]).current_dir(&folder.0);
        command.arg(format!("http://{}/f[0-{}]", proxy.address, FILES - 1)).args(["-o", "got-#1"]);
        output(&mut command);
        for (number, &hash) in hashes.iter().enumerate() {
            let got = folder.path(&format!("got-{number}"));
            assert_eq!(read(File::open(&got).unwrap()), (length(number), hash), "file {number}");
            std::fs::remove_file(got).unwrap();
        }
        let moved = proxy.moved();
        let all: u64 = (0..FILES).map(|number| length(number) as u64).sum();
        let back: u64 = moved.iter().map(|(_, back)| back).sum();
        assert!(back > all, "all of it, and headers");
        command = curl(&curl_path);
    }
    drop(proxy);
    before.check();
}
