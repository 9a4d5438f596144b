//! mphttp's own client: an upload that goes on after a break, and in a new process.
use std::time::Duration;

use mphttp::{Client, Protocol};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8000/incoming/".into());
    let client = Client::builder().protocol(Protocol::from_env()?).build()?;
    let uploaded = client
        .upload(&url)
        .file("big.iso")
        .retry_for(Duration::from_secs(600))
        .state("big.iso.upload")
        .resume(true)
        .progress(|sent, size| eprintln!("{sent} of {size}"))
        .send()
        .await?;
    println!("{} interruptions, {}", uploaded.interruptions(), uploaded.response().transport());
    Ok(())
}
