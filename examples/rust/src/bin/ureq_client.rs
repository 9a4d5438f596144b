//! ureq: a connector in the place of its own.
use mptcp_socket::{Connect, Protocol, ureq::Connector};
use ureq::{
    Agent,
    config::Config,
    unversioned::{resolver::DefaultResolver, transport::Connector as _},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8000/".into());
    let connector = Connector::new(Connect::new(Protocol::from_env()?))
        .on_connect(|watch| println!("we say: {}", watch.transport()));
    let agent = Agent::with_parts(Config::default(), ().chain(connector), DefaultResolver::default());
    for _ in 0..2 {
        // The second request goes over the first one's connection.
        println!("server: {}", agent.get(&url).call()?.body_mut().read_to_string()?);
    }
    Ok(())
}
