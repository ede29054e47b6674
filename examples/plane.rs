//! An embedded API server on a port: `cargo run --example plane -- 127.0.0.1:6443 [TOKEN]`.

#![allow(clippy::print_stdout)]

use moin::plane::Plane;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let mut builder = Plane::builder();
    if let Some(token) = arguments.next() {
        builder = builder.token(token);
    }
    let serving = builder.build().serve(address).await?;
    println!("ready {}", serving.url());
    serving.finished().await?;
    Ok(())
}
