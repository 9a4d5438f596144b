//! rustls alone, blocking: TLS on what the listener accepts. Arguments: the address, and PEM files of certificate and key.
use std::{error::Error, io::Write, net::TcpStream, sync::Arc};

use mptcp_socket::{Listen, Protocol, Watched};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

fn greet(config: Arc<ServerConfig>, stream: Watched<TcpStream>) -> Result<(), Box<dyn Error>> {
    let watch = stream.watch();
    let mut tls = StreamOwned::new(ServerConnection::new(config)?, stream);
    // The first write shakes hands.
    writeln!(tls, "{}", watch.transport())?;
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(certificate), Some(key)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("give ADDRESS CERTIFICATE KEY".into());
    };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let config = Arc::new(config);
    let listening = Listen::new(Protocol::from_env()?).bind(address.parse()?)?;
    println!("listening on {}", listening.local_addr()?);
    loop {
        let (stream, peer) = listening.accept()?;
        let config = Arc::clone(&config);
        std::thread::spawn(move || {
            if let Err(error) = greet(config, stream) {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
