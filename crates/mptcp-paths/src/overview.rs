//! Everything about a host's paths at once: what `mphttp paths` shows.

use crate::{Endpoint, Error, Interface, Limits, ManagerKind, PathManager, Route, Rule, Settings, Snapshot};

/// The endpoints and limits of a network namespace, who manages its paths, and the network they stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Overview {
    /// Who manages the paths of new connections; `None` without MPTCP.
    pub manager: Option<ManagerKind>,
    /// The limits; `None` if they could not be read.
    pub limits: Option<Limits>,
    /// The endpoints; `None` if they could not be read.
    pub endpoints: Option<Vec<Endpoint>>,
    /// The interfaces with their addresses.
    pub interfaces: Vec<Interface>,
    /// The default routes of all tables.
    pub default_routes: Vec<Route>,
    /// The routing rules.
    pub rules: Vec<Rule>,
    /// The sysctls.
    pub settings: Settings,
    /// What could not be read, and what to do about it.
    pub problems: Vec<String>,
}

impl Overview {
    /// Reads the network namespace of the calling thread. Everyone may, on the kernels of today.
    ///
    /// # Errors
    /// [`Error::Unsupported`] elsewhere than on Linux, and if the host's network can't be read. That the endpoints
    /// can't is only told, in [`Overview::problems`].
    pub fn read() -> Result<Self, Error> {
        let host = Snapshot::read()?;
        let settings = Settings::read();
        let mut problems = Vec::new();
        let mut told = |error: Error| {
            let text = error.to_string();
            if !problems.contains(&text) {
                problems.push(text);
            }
        };
        if host.unreadable > 0 {
            told(Error::Unreadable(host.unreadable));
        }
        let (mut limits, mut endpoints) = (None, None);
        match PathManager::open() {
            Ok(mut manager) => {
                limits = manager.limits().map_err(&mut told).ok();
                endpoints = manager.endpoints().map_err(&mut told).ok();
            }
            Err(error) => told(error),
        }
        Ok(Self {
            manager: settings.manager(),
            limits,
            endpoints,
            interfaces: host.interfaces,
            default_routes: host.routes.into_iter().filter(Route::is_default).collect(),
            rules: host.rules,
            settings,
            problems,
        })
    }

    /// The name of the interface with this index.
    #[must_use]
    pub fn interface_name(&self, index: u32) -> Option<&str> {
        let interface = self.interfaces.iter().find(|interface| interface.index == index);
        interface.map(|interface| interface.name.as_str())
    }
}
