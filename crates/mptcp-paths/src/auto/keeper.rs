//! The driver: reads the host, has a plan made, carries it out, and undoes it in the end.

use std::time::{Duration, Instant};

use super::plan::{Change, Made, Options, Owned, Plan, plan};
use super::rival::rival;
use crate::{Endpoint, Error, PathManager, Snapshot, SourceRoutes};

/// After this many endpoints that somebody else deleted, with less than [`FORGIVEN`] between each two, the keeper gives in.
const PATIENCE: u32 = 5;
const FORGIVEN: Duration = Duration::from_secs(60);

/// Keeps the endpoints of a network namespace right: that of the thread which opened it, on which all of its methods have
/// to be called.
#[derive(Debug)]
pub struct Keeper {
    options: Options,
    manager: PathManager,
    routes: SourceRoutes,
    owned: Owned,
    /// How many endpoints somebody else deleted, and when that was last seen.
    taken_away: u32,
    taken_at: Option<Instant>,
}

/// What a look at the host came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The plan.
    pub plan: Plan,
    /// Changes that were refused; they are tried again at the next look.
    pub failures: Vec<(Change, Error)>,
}

impl Keeper {
    /// Opens the namespace of the calling thread. Nothing is changed yet.
    ///
    /// # Errors
    /// [`Error::Managed`] if somebody else manages the paths; those of [`PathManager::open`].
    pub fn open(options: Options) -> Result<Self, Error> {
        if let Some(rival) = rival() {
            return Err(Error::Managed(rival));
        }
        let (manager, routes) = (PathManager::open()?, SourceRoutes::open()?);
        Ok(Self { options, manager, routes, owned: Owned::default(), taken_away: 0, taken_at: None })
    }

    /// What would be changed now.
    ///
    /// # Errors
    /// If the host can't be read.
    pub fn plan(&mut self) -> Result<Plan, Error> {
        let host = Snapshot::read()?;
        let (endpoints, limits) = (self.manager.endpoints()?, self.manager.limits()?);
        Ok(plan(&self.options, &self.owned, &host, &endpoints, limits))
    }

    /// Looks at the host and changes what has to be changed.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Managed`] if somebody else has taken over,
    /// [`Error::TakenAway`] if somebody keeps deleting endpoints, and if the host can't be read. What was made stays
    /// until [`Keeper::undo`].
    pub fn look(&mut self) -> Result<Outcome, Error> {
        if let Some(rival) = rival() {
            return Err(Error::Managed(rival));
        }
        self.forget_lost()?;
        let plan = self.plan()?;
        let mut outcome = Outcome::default();
        for change in &plan.changes {
            match self.apply(change) {
                Ok(()) => {}
                Err(error @ Error::Permission { .. }) => return Err(error),
                Err(error) => outcome.failures.push((change.clone(), error)),
            }
        }
        for made in &mut self.owned.endpoints {
            made.stalled = plan.stalled.contains(&made.endpoint.address);
        }
        outcome.plan = plan;
        Ok(outcome)
    }

    /// Undoes everything that was made and is still there. The paths of the endpoints are closed.
    ///
    /// # Errors
    /// The first that arises; the rest is undone all the same.
    pub fn undo(&mut self) -> Result<Vec<Change>, Error> {
        let there = self.manager.endpoints()?;
        self.owned.endpoints.retain(|made| is_there(&there, made));
        let changes = self.owned.undo(self.manager.limits()?);
        let mut first = None;
        for change in &changes {
            if let Err(error) = self.apply(change) {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(changes), Err)
    }

    /// Endpoints of ours that somebody else has deleted are made again, but not for ever.
    fn forget_lost(&mut self) -> Result<(), Error> {
        let there = self.manager.endpoints()?;
        let before = self.owned.endpoints.len();
        let lost = self.owned.endpoints.iter().find(|made| !is_there(&there, made));
        let address = lost.map(|made| made.endpoint.address);
        self.owned.endpoints.retain(|made| is_there(&there, made));
        let lost = before - self.owned.endpoints.len();
        if lost > 0 {
            if self.taken_at.is_none_or(|at| at.elapsed() > FORGIVEN) {
                self.taken_away = 0;
            }
            self.taken_at = Some(Instant::now());
            self.taken_away = self.taken_away.saturating_add(u32::try_from(lost).unwrap_or(u32::MAX));
        }
        match address {
            Some(address) if self.taken_away >= PATIENCE => Err(Error::TakenAway(address)),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        match change {
            Change::SetLimits(limits) => {
                let found =
                    self.owned.limits.map_or_else(|| self.manager.limits(), |(found, _)| Ok(found))?;
                self.manager.set_limits(*limits)?;
                self.owned.limits = (*limits != found).then_some((found, *limits));
            }
            Change::AddEndpoint(endpoint) => {
                self.manager.add(endpoint)?;
                let made = self.manager.endpoints()?.into_iter().find(|made| made.is_at(endpoint));
                let made = made.unwrap_or_else(|| endpoint.clone());
                self.owned.endpoints.push(Made { endpoint: made, stalled: false });
            }
            Change::SetBackup(endpoint, backup) => {
                let id = endpoint.id.ok_or(Error::NoEndpoint(endpoint.address))?;
                self.manager.change(id, Change::backup(*backup))?;
            }
            Change::DeleteEndpoint(endpoint) => {
                let id = endpoint.id.ok_or(Error::NoEndpoint(endpoint.address))?;
                self.manager.delete(id)?;
                self.owned.endpoints.retain(|made| !made.endpoint.is_at(endpoint));
            }
            Change::AddRouting(routing) => {
                // Whatever of it was made has to be undone, also after a failure half-way.
                self.owned.routings.push(routing.clone());
                self.routes.add(routing)?;
            }
            Change::DeleteRouting(routing) => {
                self.routes.delete(routing)?;
                self.owned.routings.retain(|made| made != routing);
            }
        }
        Ok(())
    }
}

fn is_there(endpoints: &[Endpoint], made: &Made) -> bool {
    endpoints.iter().any(|endpoint| endpoint.is_at(&made.endpoint) && endpoint.id == made.endpoint.id)
}
