//! A proxy: whoever connects to it talks to another server, and what was moved is printed.
//!
//! ```text
//! cargo run --release --example proxy -- 127.0.0.1:8080 example.org:80
//! ```

use filch::io::Bidirectional;
use filch::net::{TcpListener, TcpStream};
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

#[filch::main]
async fn main() -> io::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, server] = &args[..] else {
        eprintln!("usage: proxy LISTEN SERVER, each as host:port");
        return Ok(ExitCode::from(2));
    };
    let listener = TcpListener::bind(listen.as_str()).await?;
    println!("{} is {server}", listener.local_addr()?);
    serve(&listener, server, |line| println!("{line}")).await;
    Ok(ExitCode::SUCCESS)
}

/// Accepts connections and forwards each, without end. Tells `say` of each that is over.
pub(crate) async fn serve(
    listener: &TcpListener,
    server: &str,
    say: impl Fn(&dyn Display) + Clone + Send + Sync + 'static,
) {
    loop {
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Descriptors may have run out for now; the listener pauses by itself then.
                say(&format_args!("cannot accept: {error}"));
                continue;
            }
        };
        let (server, say) = (server.to_owned(), say.clone());
        filch::spawn(async move {
            if let Err(error) = forward(&client, peer, &server, &say).await {
                say(&format_args!("{peer}: {error}"));
            }
        });
    }
}

/// Moves bytes between a client and the server until both have ended, or one is gone.
async fn forward(
    client: &TcpStream,
    peer: SocketAddr,
    server: &str,
    say: &(impl Fn(&dyn Display) + Sync),
) -> io::Result<()> {
    let server = TcpStream::connect_timeout(server, Duration::from_secs(10)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut moving = Bidirectional::new((client, client), (&server, &server));
    let ended = moving.run().await;
    // Also if it went wrong: what was moved was moved.
    let (there, back) = moving.moved();
    say(&format_args!("{peer}: {there} B there, {back} B back"));
    ended.map(drop)
}
