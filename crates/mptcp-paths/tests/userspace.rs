//! A program that manages the paths of one connection, with the kernel's own path manager off.
#![allow(clippy::unit_arg, reason = "`Some(assert_eq!(..))`: that is the event, and it is right")]

#[cfg(target_os = "linux")]
mod support;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    std::process::ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::SocketAddr;
    use std::process::ExitCode;

    use crate::support::{Result, connect, listen, wait};
    use mptcp_paths::{Endpoint, EndpointFlags, Error, PathEvent, PathEvents};
    use netlab::{Lab, LinkSpec};

    pub fn main() -> ExitCode {
        crate::support::main(vec![("a_program_manages_the_paths_of_a_connection", managed)])
    }

    fn managed() -> Result {
        let lab = Lab::new()?;
        let (phone, server) = (lab.host("phone")?, lab.host("server")?);
        let wifi = lab.link(&phone, &server, LinkSpec::new().name("wifi"))?;
        let lte = lab.link(&phone, &server, LinkSpec::new().name("lte"))?;
        let listener = listen(&server)?;
        let to = SocketAddr::from((wifi.address(&server)?, 80));
        let (local, second) = (lte.address(&phone)?, SocketAddr::from((lte.address(&server)?, 80)));
        let none = EndpointFlags::default();
        let mut of_phone = phone.run(PathEvents::open)??;
        let mut of_server = server.run(PathEvents::open)??;
        let (mut phones, mut servers) = (phone.path_manager()?, server.path_manager()?);
        let established = |event: &PathEvent| match event {
            PathEvent::Established(connection) => Some(connection.token),
            _ => None,
        };

        // Of the kernel's own path manager, connections are not given away.
        let ends = connect(&phone, &listener, to)?;
        let token = wait(&mut of_phone, established)?;
        let refused = phones.open_subflow(token, &Endpoint::new(local, none), second);
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
        wait(&mut of_server, established)?;
        drop(ends);

        for host in [&phone, &server] {
            host.sysctl("net.mptcp.pm_type", "1")?;
        }
        let ends = connect(&phone, &listener, to)?;
        let token = wait(&mut of_phone, established)?;
        let of_peer = wait(&mut of_server, established)?;
        assert!(matches!(phones.withdraw(token, 77), Err(Error::Refused { .. })));

        // An identifier must be named, for it is how the address is withdrawn.
        let unnamed = servers.announce(of_peer, &Endpoint::new(second.ip(), none));
        assert!(matches!(unnamed, Err(Error::Refused { .. })), "{unnamed:?}");
        servers.announce(of_peer, &Endpoint { id: Some(5), ..Endpoint::new(second.ip(), none) })?;
        wait(&mut of_phone, |event| match event {
            PathEvent::Announced { remote_id, address, .. } => {
                Some(assert_eq!((*remote_id, *address), (5, second.ip())))
            }
            _ => None,
        })?;

        phones.open_subflow(token, &Endpoint { id: Some(9), ..Endpoint::new(local, none) }, second)?;
        let path = wait(&mut of_phone, |event| match event {
            PathEvent::SubflowEstablished(path) => Some(path.clone()),
            _ => None,
        })?;
        assert_eq!((path.local.ip(), path.remote, path.local_id, path.token), (local, second, 9, token));
        let of_connection = phones.endpoints_of(token)?;
        assert!(
            of_connection.iter().any(|own| own.address == local && own.id == Some(9)),
            "{of_connection:?}"
        );
        assert_eq!(phones.endpoints()?, []);

        phones.set_backup(token, path.local, path.remote, true)?;
        wait(&mut of_server, |event| match event {
            PathEvent::SubflowPriority(path) if path.remote.ip() == local => Some(assert!(path.backup)),
            _ => None,
        })?;

        phones.close_subflow(token, path.local, path.remote)?;
        wait(&mut of_phone, |event| match event {
            PathEvent::SubflowClosed(closed) => Some(assert_eq!(closed.local, path.local)),
            _ => None,
        })?;

        servers.withdraw(of_peer, 5)?;
        wait(&mut of_phone, |event| match event {
            PathEvent::Removed { remote_id, .. } => Some(assert_eq!(*remote_id, 5)),
            _ => None,
        })?;
        drop(ends);
        Ok(())
    }
}
