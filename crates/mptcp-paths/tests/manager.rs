//! The path manager against the kernel, in network namespaces of the tests' own.

#[cfg(target_os = "linux")]
mod support;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    {
        assert!(matches!(mptcp_paths::PathManager::open(), Err(mptcp_paths::Error::Unsupported)));
        std::process::ExitCode::SUCCESS
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::net::IpAddr;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, ExitCode};

    use crate::support::{Result, Test};
    use mptcp_paths::doctor::Action;
    use mptcp_paths::{Endpoint, EndpointFlags, Error, Limits, PathManager};
    use netlab::Lab;

    /// Set for a child of these tests that runs without privileges.
    const UNPRIVILEGED: &str = "MPTCP_PATHS_TEST_UNPRIVILEGED";

    pub fn main() -> ExitCode {
        if std::env::var_os(UNPRIVILEGED).is_some() {
            return without_privileges();
        }
        let is_root = nix::unistd::geteuid().is_root();
        let mut tests: Vec<Test> = vec![
            ("a_snapshot_tells_the_whole_host", a_snapshot_tells_the_whole_host),
            ("settings_are_those_of_the_namespace", settings_are_those_of_the_namespace),
            ("the_ways_out_are_in_the_kernels_order", the_ways_out_are_in_the_kernels_order),
            ("a_new_namespace_has_the_kernels_defaults", a_new_namespace_has_the_kernels_defaults),
            ("endpoints_are_added_listed_and_deleted", endpoints_are_added_listed_and_deleted),
            ("an_endpoint_exists_only_once", an_endpoint_exists_only_once),
            ("limits_are_set_and_bounded", limits_are_set_and_bounded),
            ("refusals_carry_the_kernels_words", refusals_carry_the_kernels_words),
            ("it_belongs_to_the_namespace_it_was_opened_in", it_belongs_to_the_namespace_it_was_opened_in),
            ("changes_are_made_all_or_none", changes_are_made_all_or_none),
            (
                "the_identifier_of_what_has_gone_is_another_ones",
                the_identifier_of_what_has_gone_is_another_ones,
            ),
        ];
        if is_root {
            // Anyone else is root of the namespace soon, and has nobody to become.
            tests.push(("changing_needs_a_capability", changing_needs_a_capability));
        }
        crate::support::main(tests)
    }

    fn manager() -> Result<PathManager> {
        Ok(Lab::new()?.host("host")?.path_manager()?)
    }

    fn the_ways_out_are_in_the_kernels_order() -> Result {
        let lab = Lab::new()?;
        let (phone, server) = (lab.host("phone")?, lab.host("server")?);
        let names = |host: &netlab::Host| -> Result<Vec<String>> {
            Ok(host.run(mptcp_paths::ways_out)??.into_iter().map(|way| way.interface).collect())
        };
        assert!(names(&phone)?.is_empty());
        let wifi = lab.link(&phone, &server, netlab::LinkSpec::new().name("wifi"))?;
        lab.link(&phone, &server, netlab::LinkSpec::new().name("lte"))?;
        assert_eq!(names(&phone)?, ["wifi", "lte"]);
        assert!(phone.run(mptcp_paths::ways_out)??.iter().all(|way| way.ipv4));
        wifi.set_carrier(false)?;
        assert_eq!(names(&phone)?, ["lte"]);
        Ok(())
    }

    fn a_snapshot_tells_the_whole_host() -> Result {
        let lab = Lab::new()?;
        let (phone, server) = (lab.host("phone")?, lab.host("server")?);
        let wifi = lab.link(&phone, &server, netlab::LinkSpec::new().name("wifi"))?;
        let read = || phone.run(mptcp_paths::Snapshot::read);
        let before = read()??;
        let interface = before.interface_named("wifi").ok_or("no wifi")?;
        assert_eq!(interface.index, wifi.interface_index(&phone)?);
        assert!(interface.is_usable() && !interface.loopback && interface.up && interface.carrier);
        assert_eq!((interface.kind.as_deref(), interface.mtu), (Some("veth"), Some(1500)));
        let ours = wifi.addresses(&phone);
        let usable: Vec<_> = interface.usable_addresses().map(|own| own.address).collect();
        assert!(!ours.is_empty() && ours.iter().all(|address| usable.contains(address)), "{usable:?}");
        assert!(
            !usable.iter().any(|address| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        );
        let v4 = wifi.address(&phone)?;
        assert_eq!(before.interface_with(v4).map(|found| found.index), Some(interface.index));
        assert!(before.interface(1).is_some_and(|lo| lo.loopback && lo.usable_addresses().count() == 0));

        let defaults = before.default_routes(interface.index);
        assert_eq!(defaults.len(), ours.len());
        let route = defaults.iter().find(|route| route.preferred_source == Some(v4)).ok_or("no route")?;
        assert_eq!((route.hops[0].gateway, route.hops[0].dead), (Some(wifi.address(&server)?), false));
        assert_eq!((route.metric, route.protocol), (100, 4));
        // Table numbers above 255 have an attribute of their own.
        let by_source = before.rules.iter().find(|rule| rule.from == Some(mptcp_paths::Prefix::host(v4)));
        let by_source = by_source.ok_or("no rule")?;
        assert_eq!((by_source.action, by_source.priority), (mptcp_paths::RuleAction::Table(1001), 1001));
        assert!(before.routes.iter().any(|route| route.table == 1001 && route.is_default()));
        assert!(before.rules.iter().any(|rule| rule.ipv6) && !by_source.has_more && !by_source.inverted);

        wifi.set_carrier(false)?;
        let after = read()??;
        let interface = after.interface_named("wifi").ok_or("no wifi")?;
        assert!(interface.up && !interface.carrier && !interface.is_usable());
        let dead = after.default_routes(interface.index);
        assert!(!dead.is_empty() && dead.iter().all(|route| route.hops[0].dead), "{dead:?}");
        wifi.take_address(&phone)?;
        let after = read()??;
        assert!(
            after.interface_with(v4).is_none()
                && after.default_routes(wifi.interface_index(&phone)?).is_empty()
        );
        Ok(())
    }

    fn settings_are_those_of_the_namespace() -> Result {
        let host = Lab::new()?.host("host")?;
        let settings = host.run(mptcp_paths::Settings::read)?;
        assert_eq!(settings.enabled, Some(true));
        assert_eq!(host.run(PathManager::kind)?, Some(mptcp_paths::ManagerKind::Kernel));
        host.sysctl("net.mptcp.add_addr_timeout", "7")?;
        assert_eq!(host.run(mptcp_paths::Settings::read)?.add_addr_timeout, Some(7));
        if settings.pm_type.is_some() {
            host.sysctl("net.mptcp.pm_type", "1")?;
            assert_eq!(host.run(PathManager::kind)?, Some(mptcp_paths::ManagerKind::Userspace));
        }
        Ok(())
    }

    fn a_new_namespace_has_the_kernels_defaults() -> Result {
        let mut manager = manager()?;
        assert_eq!(manager.endpoints()?, []);
        assert_eq!(manager.limits()?, Limits { subflows: 2, add_addr_accepted: 0 });
        Ok(())
    }

    fn endpoints_are_added_listed_and_deleted() -> Result {
        let mut manager = manager()?;
        let v4 = Endpoint::new(IpAddr::from([192, 0, 2, 1]), EndpointFlags::SUBFLOW);
        let flags = EndpointFlags { backup: true, fullmesh: true, ..EndpointFlags::SUBFLOW };
        let v6 = Endpoint {
            id: Some(77),
            interface: Some(1),
            ..Endpoint::new(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), flags)
        };
        let signal = EndpointFlags::SIGNAL;
        let announced = Endpoint { port: Some(8443), ..Endpoint::new(IpAddr::from([127, 0, 0, 1]), signal) };
        for endpoint in [&v4, &v6, &announced] {
            manager.add(endpoint)?;
        }

        let listed = manager.endpoints()?;
        assert_eq!(listed.len(), 3);
        for wanted in [&v4, &v6, &announced] {
            let found =
                listed.iter().find(|endpoint| endpoint.address == wanted.address).ok_or("not listed")?;
            let id = found.id.ok_or("without an id")?;
            assert_eq!(found, &Endpoint { id: Some(wanted.id.unwrap_or(id)), ..wanted.clone() });
        }

        manager.delete(77)?;
        let left: Vec<_> = manager.endpoints()?.into_iter().map(|endpoint| endpoint.address).collect();
        assert_eq!(left.len(), 2);
        assert!(!left.contains(&v6.address));
        manager.flush()?;
        assert_eq!(manager.endpoints()?, []);
        Ok(())
    }

    fn an_endpoint_exists_only_once() -> Result {
        let mut manager = manager()?;
        let endpoint = Endpoint::new(IpAddr::from([192, 0, 2, 1]), EndpointFlags::SUBFLOW);
        manager.add(&endpoint)?;
        match manager.add(&endpoint) {
            Err(Error::Exists { address, .. }) => assert_eq!(address, endpoint.address),
            other => return Err(format!("{other:?}").into()),
        }
        assert_eq!(manager.endpoints()?.len(), 1);
        Ok(())
    }

    fn limits_are_set_and_bounded() -> Result {
        let mut manager = manager()?;
        let limits = Limits { subflows: 5, add_addr_accepted: 3 };
        manager.set_limits(limits)?;
        assert_eq!(manager.limits()?, limits);
        let too_many = manager.set_limits(Limits { subflows: 9, add_addr_accepted: 0 });
        assert!(matches!(too_many, Err(Error::Refused { .. })), "{too_many:?}");
        assert_eq!(manager.limits()?, limits);
        Ok(())
    }

    fn refusals_carry_the_kernels_words() -> Result {
        let mut manager = manager()?;
        let unknown = manager.delete(9);
        match &unknown {
            Err(error @ Error::Refused { message: Some(message), .. }) => {
                assert!(message.contains("not found"), "{message}");
                assert!(error.to_string().contains(message.as_str()), "{error}");
            }
            other => return Err(format!("{other:?}").into()),
        }
        let port_without_signal = Endpoint {
            port: Some(80),
            ..Endpoint::new(IpAddr::from([192, 0, 2, 1]), EndpointFlags::SUBFLOW)
        };
        assert!(matches!(manager.add(&port_without_signal), Err(Error::Refused { .. })));
        Ok(())
    }

    fn it_belongs_to_the_namespace_it_was_opened_in() -> Result {
        let (mut here, mut there) = (manager()?, manager()?);
        here.add(&Endpoint::new(IpAddr::from([192, 0, 2, 1]), EndpointFlags::SUBFLOW))?;
        assert_eq!(here.endpoints()?.len(), 1);
        assert_eq!(there.endpoints()?, []);
        Ok(())
    }

    fn changes_are_made_all_or_none() -> Result {
        let host = Lab::new()?.host("host")?;
        let mut manager = host.path_manager()?;
        let both = EndpointFlags { signal: true, ..EndpointFlags::SUBFLOW };
        manager.add(&Endpoint { id: Some(7), ..Endpoint::new(IpAddr::from([192, 0, 2, 1]), both) })?;
        let (endpoints, limits) = (manager.endpoints()?, manager.limits()?);
        let endpoint = endpoints.first().ok_or("no endpoint")?.clone();
        // What the kernel doesn't take: a port with the flag subflow.
        let refused = Endpoint { id: None, port: Some(8443), ..endpoint.clone() };
        let to = Limits { subflows: 8, add_addr_accepted: 8 };
        let changes = [
            Action::SetLimits { to, from: Some(limits) },
            Action::DeleteEndpoint(endpoint, None),
            Action::AddEndpoint(refused, None),
        ];
        let halfway = host.run(|| Action::apply_all(&changes))?.err().ok_or("all was done")?;
        assert!(matches!(halfway.error, Error::Refused { .. }), "{halfway:?}");
        assert_eq!(halfway.done, []);
        assert_eq!((manager.endpoints()?, manager.limits()?), (endpoints, limits));
        // Where something can't be taken back, that is said.
        let blind = [Action::SetLimits { to, from: None }, changes[2].clone()];
        let halfway = host.run(|| Action::apply_all(&blind))?.err().ok_or("all was done")?;
        assert_eq!((halfway.done.as_slice(), manager.limits()?), (&blind[..1], to));
        Ok(())
    }

    fn the_identifier_of_what_has_gone_is_another_ones() -> Result {
        let host = Lab::new()?.host("host")?;
        let mut manager = host.path_manager()?;
        let numbered = |last| Endpoint {
            id: Some(3),
            ..Endpoint::new(IpAddr::from([192, 0, 2, last]), EndpointFlags::SUBFLOW)
        };
        manager.add(&numbered(2))?;
        let there = manager.endpoints()?;
        host.run(|| Action::DeleteEndpoint(numbered(1), None).apply())??;
        assert_eq!(manager.endpoints()?, there);
        host.run(|| Action::DeleteEndpoint(numbered(2), None).apply())??;
        assert_eq!(manager.endpoints()?, []);
        Ok(())
    }

    fn changing_needs_a_capability() -> Result {
        const NOBODY: u32 = 65_534;
        // By descriptor: the build directory may be out of others' reach, and this process' executable isn't.
        let mut child = Command::new("/proc/self/exe");
        child.env(UNPRIVILEGED, "1").uid(NOBODY).gid(NOBODY).current_dir("/");
        let output = child.output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains("CAP_NET_ADMIN"), "{told}");
        Ok(())
    }

    /// Reading works for everyone; changing says what it takes.
    fn without_privileges() -> ExitCode {
        let outcome = PathManager::open().and_then(|mut manager| {
            manager.endpoints()?;
            manager.limits()?;
            manager.add(&Endpoint::new(IpAddr::from([192, 0, 2, 1]), EndpointFlags::SUBFLOW))
        });
        match outcome {
            Err(error @ Error::Permission { .. }) => {
                println!("{error}");
                ExitCode::SUCCESS
            }
            other => {
                println!("{other:?}");
                ExitCode::FAILURE
            }
        }
    }
}
