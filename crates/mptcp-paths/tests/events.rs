//! Events from the kernel, of real connections between two hosts, and of their links.
#![allow(clippy::unit_arg, reason = "`Some(assert_eq!(..))`: that is the event, and it is right")]

#[cfg(target_os = "linux")]
mod support;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    {
        assert!(matches!(mptcp_paths::PathEvents::open(), Err(mptcp_paths::Error::Unsupported)));
        std::process::ExitCode::SUCCESS
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::{IpAddr, SocketAddr};
    use std::process::ExitCode;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use crate::support::{PATIENCE, Result, connect, listen, wait};
    use mptcp_paths::{Endpoint, EndpointFlags, FlagChange, HostEvent, HostEvents, PathEvent, PathEvents};
    use netlab::{Host, Lab, Link, LinkSpec};
    use socket2::Socket;

    pub fn main() -> ExitCode {
        crate::support::main(vec![
            ("a_connection_tells_its_life", a_connection_tells_its_life),
            ("announcements_and_listeners_are_told", announcements_and_listeners_are_told),
            ("the_host_tells_its_changes", the_host_tells_its_changes),
            ("a_listener_that_is_too_slow_is_told", a_listener_that_is_too_slow_is_told),
        ])
    }

    fn subflow(address: IpAddr) -> Endpoint {
        Endpoint::new(address, EndpointFlags::SUBFLOW)
    }

    struct Bench {
        _lab: Lab,
        phone: Host,
        server: Host,
        wifi: Link,
        lte: Link,
        listener: Socket,
    }

    impl Bench {
        fn new() -> Result<Self> {
            let lab = Lab::new()?;
            let (phone, server) = (lab.host("phone")?, lab.host("server")?);
            let wifi = lab.link(&phone, &server, LinkSpec::new().name("wifi"))?;
            let lte = lab.link(&phone, &server, LinkSpec::new().name("lte"))?;
            for host in [&phone, &server] {
                host.mptcp_limits(8, 8)?;
            }
            let listener = listen(&server)?;
            Ok(Self { _lab: lab, phone, server, wifi, lte, listener })
        }

        /// A connection over wifi that has carried a byte each way, after which joins may come.
        fn connect(&self) -> Result<(Socket, Socket)> {
            let to = SocketAddr::from((self.wifi.address(&self.server)?, 80));
            connect(&self.phone, &self.listener, to)
        }
    }

    fn a_connection_tells_its_life() -> Result {
        let bench = Bench::new()?;
        let mut events = bench.phone.run(PathEvents::open)??;
        assert_eq!(events.next_event()?, None);
        let (client, server) = bench.connect()?;
        let (wifi, lte) = (bench.wifi.address(&bench.phone)?, bench.lte.address(&bench.phone)?);
        let remote = SocketAddr::from((bench.wifi.address(&bench.server)?, 80));

        let token = wait(&mut events, |event| match event {
            PathEvent::Created(connection) => {
                assert_eq!((connection.local.ip(), connection.remote), (wifi, remote));
                assert!(!connection.server_side);
                Some(connection.token)
            }
            _ => None,
        })?;
        wait(&mut events, |event| match event {
            PathEvent::Established(connection) => Some(assert_eq!(connection.token, token)),
            _ => None,
        })?;

        let mut manager = bench.phone.path_manager()?;
        manager.add(&Endpoint { id: Some(42), ..subflow(lte) })?;
        wait(&mut events, |event| match event {
            PathEvent::SubflowEstablished(path) => {
                assert_eq!(
                    (path.token, path.local.ip(), path.remote, path.local_id),
                    (token, lte, remote, 42)
                );
                Some(assert!(!path.backup && path.error.is_none()))
            }
            _ => None,
        })?;
        manager.change(42, FlagChange { backup: Some(true), ..FlagChange::default() })?;
        assert!(manager.endpoint(42)?.is_some_and(|endpoint| endpoint.flags.backup));
        // This end decided it; that the other was told shows there.
        manager.delete_address(lte, None)?;
        wait(&mut events, |event| match event {
            PathEvent::SubflowClosed(path) => Some(assert_eq!((path.token, path.local.ip()), (token, lte))),
            _ => None,
        })?;
        drop((client, server));
        wait(&mut events, |event| match event {
            PathEvent::Closed { token: closed } => Some(assert_eq!(*closed, token)),
            _ => None,
        })
    }

    fn announcements_and_listeners_are_told() -> Result {
        let bench = Bench::new()?;
        let mut of_server = bench.server.run(PathEvents::open)??;
        let mut of_phone = bench.phone.run(PathEvents::open)??;
        let (_client, _server) = bench.connect()?;
        let second = bench.lte.address(&bench.server)?;
        let signal = EndpointFlags::SIGNAL;
        let mut manager = bench.server.path_manager()?;
        manager.add(&Endpoint { port: Some(8443), ..Endpoint::new(second, signal) })?;
        wait(&mut of_server, |event| match event {
            PathEvent::ListenerCreated { local } => {
                Some(assert_eq!(*local, SocketAddr::from((second, 8443))))
            }
            _ => None,
        })?;
        let id = wait(&mut of_phone, |event| match event {
            PathEvent::Announced { remote_id, address, port, .. } => {
                assert_eq!((*address, *port), (second, Some(8443)));
                Some(*remote_id)
            }
            _ => None,
        })?;
        wait(&mut of_server, |event| match event {
            PathEvent::SubflowEstablished(path) => Some(assert_eq!(path.local.ip(), second)),
            _ => None,
        })?;
        manager.delete_address(second, Some(8443))?;
        wait(&mut of_phone, |event| match event {
            PathEvent::Removed { remote_id, .. } => Some(assert_eq!(*remote_id, id)),
            _ => None,
        })?;
        wait(&mut of_server, |event| match event {
            PathEvent::ListenerClosed { local } => Some(assert_eq!(local.port(), 8443)),
            _ => None,
        })
    }

    fn the_host_tells_its_changes() -> Result {
        let bench = Bench::new()?;
        let mut events = bench.phone.run(HostEvents::open)??;
        let ours = bench.lte.address(&bench.phone)?;
        let index = bench.lte.interface_index(&bench.phone)?;
        let mut wait = |what: &str, wanted: &dyn Fn(&HostEvent) -> bool| -> Result {
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                while let Some(event) = events.next_event()? {
                    if wanted(&event) {
                        return Ok(());
                    }
                }
                sleep(Duration::from_millis(5));
            }
            Err(format!("no {what}").into())
        };
        bench.lte.take_address(&bench.phone)?;
        wait(
            "route gone",
            &|event| matches!(event, HostEvent::RouteGone(route) if route.is_default() && route.leaves_through(index)),
        )?;
        wait(
            "address gone",
            &|event| matches!(event, HostEvent::AddressGone(gone) if gone.interface == index && gone.address.address == ours),
        )?;
        bench.lte.give_address(&bench.phone)?;
        wait("address", &|event| matches!(event, HostEvent::Address(new) if new.address.address == ours))?;
        wait("route", &|event| matches!(event, HostEvent::Route(route) if route.leaves_through(index)))?;
        bench.lte.set_carrier(false)?;
        wait(
            "carrier",
            &|event| matches!(event, HostEvent::Interface(lost) if lost.name == "lte" && lost.up && !lost.carrier),
        )
    }

    fn a_listener_that_is_too_slow_is_told() -> Result {
        let bench = Bench::new()?;
        let mut events = bench.phone.run(HostEvents::open)??;
        // A dozen events each; what the kernel keeps for a listener holds far fewer of them than this.
        for _ in 0..300 {
            bench.lte.take_address(&bench.phone)?;
            bench.lte.give_address(&bench.phone)?;
        }
        let mut lost = false;
        while let Some(event) = events.next_event()? {
            lost |= event == HostEvent::Lost;
        }
        assert!(lost, "all events fit; the test must make more");
        // And it goes on.
        bench.lte.take_address(&bench.phone)?;
        assert!(matches!(events.next_event()?, Some(HostEvent::RouteGone(_))));
        Ok(())
    }
}
