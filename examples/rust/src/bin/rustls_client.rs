//! rustls alone, blocking: TLS on a connection that we made. Arguments: host, port, and a PEM file of roots.
use std::{error::Error, io::Read, sync::Arc};

use mptcp_socket::{Connect, Protocol};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(host), Some(port), Some(roots)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("give HOST PORT ROOTS".into());
    };
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(roots)? {
        store.add(root?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
    let stream = Connect::new(Protocol::from_env()?).to_host(&host, port.parse()?)?.watched();
    println!("we say: {}", stream.watch().transport());
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(host)?)?;
    let mut text = String::new();
    StreamOwned::new(connection, stream).read_to_string(&mut text)?;
    print!("server: {text}");
    Ok(())
}
