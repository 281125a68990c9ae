//! A coroutine that nobody awaits does nothing. The compiler says so, where it can see it.

use filch::spawn;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    out("Wrong:");
    // Without a name the compiler warns: "futures do nothing unless you `.await` or poll them".
    let _forgotten = hello("nobody hears this", out);
    out("Right:");
    hello("I am awaited", out).await;
    out("Also right:");
    spawn(hello("I am a task", out)).await.expect("it does not panic");
}

async fn hello(text: &str, out: fn(&str)) {
    out(text);
}
