//! What mends a finding: changes that the doctor can make itself, and the commands that say the same to a shell.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::{Endpoint, EndpointFlags, Error, Limits, PathManager};

/// What mends a [`Finding`](super::Finding).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Remedy {
    /// Where it is to be done.
    pub place: Place,
    /// The changes, in their order; none where no command can mend it.
    pub actions: Vec<Action>,
    /// What to know or to do besides, as a sentence without its full stop.
    pub advice: Option<String>,
    /// Whether it is left to people, since what was found may be meant so: by a server's owner, by who switched something
    /// off.
    pub by_hand: bool,
}

/// Where a [`Remedy`] is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Place {
    /// On this host.
    #[default]
    Here,
    /// On the server's host.
    Peer,
    /// By whoever runs the network between the two.
    Network,
}

impl Place {
    /// The stable word: `here`, `peer` or `network`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Place::Here => "here",
            Place::Peer => "peer",
            Place::Network => "network",
        }
    }
}

impl Remedy {
    pub(super) fn here(actions: impl IntoIterator<Item = Action>) -> Self {
        Remedy { actions: actions.into_iter().collect(), ..Remedy::default() }
    }

    pub(super) fn at(place: Place, advice: impl Into<String>) -> Self {
        Remedy { place, advice: Some(advice.into()), ..Remedy::default() }
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(super) fn by_hand(mut self) -> Self {
        self.by_hand = true;
        self
    }

    /// The commands, for a shell.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.actions.iter().map(ToString::to_string).collect()
    }

    /// The commands that take it back, in their order.
    #[must_use]
    pub fn undo(&self) -> Vec<String> {
        self.actions.iter().rev().filter_map(Action::undo).map(|action| action.to_string()).collect()
    }

    /// Whether the doctor may do it by itself once it is asked to: it is for this host, changes nothing but endpoints,
    /// limits and sysctls, can be taken back, and is nobody's to decide.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.place == Place::Here
            && !self.by_hand
            && !self.actions.is_empty()
            && self.actions.iter().all(Action::is_safe)
    }
}

/// What became of changes of which one failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Halfway {
    /// Why it failed.
    pub error: Error,
    /// Those that were made before it and could not be taken back, in their order; none as a rule.
    pub done: Vec<Action>,
}

/// A change to a host. As text ([`fmt::Display`]) it is the command that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Adds an endpoint; its interface, if it has one, has this name.
    AddEndpoint(Endpoint, Option<String>),
    /// Deletes the endpoint; its interface, if it has one, has this name.
    DeleteEndpoint(Endpoint, Option<String>),
    /// Sets the limits.
    SetLimits {
        /// What they are to be.
        to: Limits,
        /// What they were, if that is known.
        from: Option<Limits>,
    },
    /// Writes a sysctl.
    Sysctl {
        /// The name, with slashes: `net/mptcp/enabled`.
        name: String,
        /// What it is to be.
        to: String,
        /// What it was, if that is known.
        from: Option<String>,
    },
    /// Sets an interface up.
    SetUp {
        /// Its name.
        interface: String,
    },
    /// Sets the largest packet of an interface.
    SetMtu {
        /// Its name.
        interface: String,
        /// In bytes.
        to: u32,
        /// What it was.
        from: u32,
    },
    /// Adds a default route to the main table.
    AddDefaultRoute {
        /// The router; none on a link from point to point.
        gateway: Option<IpAddr>,
        /// The interface's name.
        interface: String,
        /// Higher than that of the default route in use, which stays the best.
        metric: u32,
    },
    /// Has packets from an address looked up in a routing table.
    AddSourceRule {
        /// The address.
        source: IpAddr,
        /// The number of the table.
        table: u32,
    },
    /// Adds to the list in an environment variable of the shell, for programs started from it.
    Export {
        /// Its name.
        name: &'static str,
        /// What is added, after a comma if there is something already.
        value: String,
    },
}

impl Action {
    /// What takes it back; `None` if nothing does, or what was there before is not known.
    #[must_use]
    pub fn undo(&self) -> Option<Action> {
        Some(match self {
            Action::AddEndpoint(endpoint, interface) => {
                Action::DeleteEndpoint(endpoint.clone(), interface.clone())
            }
            Action::DeleteEndpoint(endpoint, interface) => {
                Action::AddEndpoint(endpoint.clone(), interface.clone())
            }
            Action::SetLimits { to, from: Some(from) } => Action::SetLimits { to: *from, from: Some(*to) },
            Action::Sysctl { name, to, from: Some(from) } => {
                Action::Sysctl { name: name.clone(), to: from.clone(), from: Some(to.clone()) }
            }
            Action::SetMtu { interface, to, from } => {
                Action::SetMtu { interface: interface.clone(), to: *from, from: *to }
            }
            _ => return None,
        })
    }

    fn is_safe(&self) -> bool {
        match self {
            Action::AddEndpoint(..)
            | Action::DeleteEndpoint(..)
            | Action::SetLimits { .. }
            | Action::Sysctl { .. } => self.undo().is_some(),
            _ => false,
        }
    }

    /// Does it, in the network namespace of the calling thread, without running a program.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`; [`Error::Sysctl`], [`Error::Exists`], [`Error::Refused`] and others
    /// as the kernel has them; [`Error::Unsupported`] for changes that are left to their command.
    pub fn apply(&self) -> Result<(), Error> {
        match self {
            Action::AddEndpoint(endpoint, _) => PathManager::open()?.add(endpoint),
            Action::DeleteEndpoint(endpoint, _) => {
                let mut manager = PathManager::open()?;
                // An endpoint that was added a moment ago has an identifier that only the kernel knows.
                let found = manager
                    .endpoints()?
                    .into_iter()
                    .find(|other| other.address == endpoint.address && other.port == endpoint.port);
                match found.and_then(|found| found.id) {
                    Some(id) => manager.delete(id),
                    // It has gone by itself. Its identifier may be another endpoint's by now.
                    None => Ok(()),
                }
            }
            Action::SetLimits { to, .. } => PathManager::open()?.set_limits(*to),
            Action::Sysctl { name, to, .. } => {
                fs::write(sysctl_path(name), to).map_err(|source| match source.kind() {
                    io::ErrorKind::PermissionDenied => Error::Permission { doing: "write a sysctl" },
                    _ => Error::Sysctl { name: name.clone(), source },
                })
            }
            _ => Err(Error::Unsupported),
        }
    }

    /// [Does](Action::apply) all of these, in their order, or none: if one fails, those before it are taken back.
    ///
    /// # Errors
    /// Those of [`Action::apply`], with what could not be taken back.
    pub fn apply_all(actions: &[Action]) -> Result<(), Halfway> {
        let mut done: Vec<&Action> = Vec::new();
        for action in actions {
            if let Err(error) = action.apply() {
                while let Some(last) = done.last() {
                    // What can't be taken back stands, and so does what it was built on.
                    if last.undo().is_none_or(|back| back.apply().is_err()) {
                        break;
                    }
                    done.pop();
                }
                return Err(Halfway { error, done: done.into_iter().cloned().collect() });
            }
            done.push(action);
        }
        Ok(())
    }
}

pub(super) fn sysctl_path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name)
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::AddEndpoint(endpoint, interface) => {
                write!(f, "mphttp paths add {}", endpoint.address)?;
                let EndpointFlags { subflow, signal, backup, fullmesh, laminar, implicit: _ } =
                    endpoint.flags;
                for (set, word) in [
                    (subflow, "subflow"),
                    (signal, "signal"),
                    (backup, "backup"),
                    (fullmesh, "fullmesh"),
                    (laminar, "laminar"),
                ] {
                    if set {
                        write!(f, " --{word}")?;
                    }
                }
                if let Some(port) = endpoint.port {
                    write!(f, " --port {port}")?;
                }
                if let Some(interface) = interface {
                    write!(f, " --dev {}", quoted(interface))?;
                }
                if let Some(id) = endpoint.id {
                    write!(f, " --id {id}")?;
                }
                Ok(())
            }
            // An address may be announced on several ports. The identifier would tell them apart too, and may be another
            // one's by the time that this is run.
            Action::DeleteEndpoint(Endpoint { address, port: Some(port), .. }, _) => {
                write!(f, "mphttp paths del {}", SocketAddr::new(*address, *port))
            }
            Action::DeleteEndpoint(endpoint, _) => write!(f, "mphttp paths del {}", endpoint.address),
            Action::SetLimits { to, .. } => write!(
                f,
                "mphttp paths limits --subflows {} --add-addr-accepted {}",
                to.subflows, to.add_addr_accepted
            ),
            // With a dot in an interface's name only slashes are plain: sysctl(8) takes both.
            Action::Sysctl { name, to, .. } if name.contains('.') => {
                write!(f, "sysctl -w {}", quoted(&format!("{name}={to}")))
            }
            Action::Sysctl { name, to, .. } => {
                write!(f, "sysctl -w {}", quoted(&format!("{}={to}", name.replace('/', "."))))
            }
            Action::SetUp { interface } => write!(f, "ip link set dev {} up", quoted(interface)),
            Action::SetMtu { interface, to, .. } => {
                write!(f, "ip link set dev {} mtu {to}", quoted(interface))
            }
            Action::AddDefaultRoute { gateway, interface, metric } => {
                match gateway {
                    Some(IpAddr::V6(gateway)) => write!(f, "ip -6 route add default via {gateway}")?,
                    Some(IpAddr::V4(gateway)) => write!(f, "ip route add default via {gateway}")?,
                    None => write!(f, "ip route add default")?,
                }
                write!(f, " dev {} metric {metric}", quoted(interface))
            }
            Action::AddSourceRule { source, table } => {
                let family = if source.is_ipv6() { "ip -6" } else { "ip" };
                write!(f, "{family} rule add from {source} table {table}")
            }
            Action::Export { name, value } => {
                write!(f, "export {name}=\"${{{name}:+${name},}}\"{}", quoted(value))
            }
        }
    }
}

/// As a word of a POSIX shell: interfaces may have almost any name.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_its_command_and_its_way_back() {
        let flags = EndpointFlags { backup: true, ..EndpointFlags::SUBFLOW };
        let endpoint = Endpoint { id: Some(3), ..Endpoint::new(IpAddr::from([192, 0, 2, 7]), flags) };
        let delete = Action::DeleteEndpoint(endpoint.clone(), Some("lte0".into()));
        let add = Action::AddEndpoint(Endpoint { id: None, ..endpoint.clone() }, None);
        let limits = |subflows| Limits { subflows, add_addr_accepted: 0 };
        let remedy = Remedy::here([
            delete,
            add,
            Action::SetLimits { to: limits(8), from: Some(limits(0)) },
            Action::Sysctl {
                name: "net/ipv4/conf/eth0.1/rp_filter".into(),
                to: "2".into(),
                from: Some("1".into()),
            },
        ]);
        assert_eq!(
            remedy.commands(),
            [
                "mphttp paths del 192.0.2.7",
                "mphttp paths add 192.0.2.7 --subflow --backup",
                "mphttp paths limits --subflows 8 --add-addr-accepted 0",
                "sysctl -w net/ipv4/conf/eth0.1/rp_filter=2",
            ]
        );
        assert_eq!(
            remedy.undo(),
            [
                "sysctl -w net/ipv4/conf/eth0.1/rp_filter=1",
                "mphttp paths limits --subflows 0 --add-addr-accepted 0",
                "mphttp paths del 192.0.2.7",
                "mphttp paths add 192.0.2.7 --subflow --backup --dev lte0 --id 3",
            ]
        );
        assert!(remedy.is_safe());
    }

    #[test]
    fn only_what_can_be_taken_back_is_safe() {
        let up = Remedy::here([Action::SetUp { interface: "lte0".into() }]);
        assert!(!up.is_safe());
        let unknown =
            Remedy::here([Action::Sysctl { name: "net/mptcp/enabled".into(), to: "1".into(), from: None }]);
        assert!(!unknown.is_safe());
        assert_eq!(unknown.commands(), ["sysctl -w net.mptcp.enabled=1"]);
        assert!(!Remedy::at(Place::Network, "…").is_safe());
        let limits = Limits { subflows: 8, add_addr_accepted: 0 };
        let known = || Remedy::here([Action::SetLimits { to: limits, from: Some(limits) }]);
        assert!(known().is_safe() && !known().by_hand().is_safe());
    }

    #[test]
    fn one_of_several_endpoints_at_an_address_is_named_with_its_port() {
        let flags = EndpointFlags { signal: true, ..EndpointFlags::default() };
        let address = IpAddr::from([192, 0, 2, 7]);
        let endpoint = Endpoint { id: Some(3), port: Some(8443), ..Endpoint::new(address, flags) };
        let delete = Action::DeleteEndpoint(endpoint, None);
        assert_eq!(delete.to_string(), "mphttp paths del 192.0.2.7:8443");
        let back = delete.undo().map(|back| back.to_string());
        assert_eq!(back.as_deref(), Some("mphttp paths add 192.0.2.7 --signal --port 8443 --id 3"));
    }

    #[test]
    fn lists_of_the_shell_are_added_to() {
        let export = |value: &str| Action::Export { name: "no_proxy", value: value.into() }.to_string();
        assert_eq!(export("host"), r#"export no_proxy="${no_proxy:+$no_proxy,}"host"#);
        assert_eq!(export("a b"), r#"export no_proxy="${no_proxy:+$no_proxy,}"'a b'"#);
    }

    #[test]
    fn odd_names_of_interfaces_stay_one_word() {
        let up = Action::SetUp { interface: "it's; reboot".into() };
        assert_eq!(up.to_string(), r"ip link set dev 'it'\''s; reboot' up");
    }
}
