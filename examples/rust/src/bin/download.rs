//! mphttp's own client: a request, and a download over every link.
use mphttp::{Client, Protocol};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8000/big.iso".into());
    // Protocol::Tcp, Mptcp, MptcpOnly, or what MPHTTP_PROTOCOL says.
    let client = Client::builder().protocol(Protocol::from_env()?).build()?;
    let response = client.get(&url).send().await?;
    println!("we say: {}", response.transport()); // "MPTCP over 2 paths", or "TCP: …" and why

    let done = client.download(&url).to_file("big.iso").await?;
    println!("{} bytes, {}: {:?}", done.bytes, done.strategy, done.links);
    Ok(())
}
