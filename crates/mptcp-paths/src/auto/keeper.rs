//! The driver: reads the host, has a plan made, carries it out, and undoes it in the end.

use std::fmt;
use std::time::{Duration, Instant};

use super::plan::{Change, Made, Options, Owned, Plan, plan};
use super::rival::rival;
use super::routing::SourceRouting;
use crate::{Endpoint, Error, Limits, PathManager, Snapshot, SourceRoutes};

/// After so many looks that found endpoints or routings deleted by somebody else, with less than [`FORGIVEN`] between each
/// two, the keeper gives in. However many were deleted at once: one clearing is not a fight.
const PATIENCE: u32 = 5;
const FORGIVEN: Duration = Duration::from_secs(60);

/// Keeps the endpoints of a network namespace right: that of the thread which opened it, on which all of its methods have
/// to be called.
pub struct Keeper {
    options: Options,
    manager: PathManager,
    routes: SourceRoutes,
    owned: Owned,
    journal: Option<Journal>,
    /// Routings whose rules were there: no kernel deletes those by itself.
    standing: Vec<SourceRouting>,
    /// How often somebody else had deleted endpoints or routings, and when that was last seen.
    taken_away: u32,
    taken_at: Option<Instant>,
}

/// Who is told what there is to undo.
type Journal = Box<dyn FnMut(&Owned)>;

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("options", &self.options)
            .field("owned", &self.owned)
            .finish_non_exhaustive()
    }
}

/// What a look at the host came to.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use]
pub struct Outcome {
    /// The plan, with the changes that were tried.
    pub plan: Plan,
    /// Changes that were refused; they are tried again at the next look.
    pub failures: Vec<(Change, Error)>,
}

impl Keeper {
    /// Opens the namespace of the calling thread. Nothing is changed yet. Who manages the paths there is asked at each
    /// [look](Keeper::look), so that what a crash left behind can be undone in any case.
    ///
    /// # Errors
    /// Those of [`PathManager::open`].
    pub fn open(options: Options) -> Result<Self, Error> {
        let (manager, routes) = (PathManager::open()?, SourceRoutes::open()?);
        let owned = Owned::default();
        Ok(Self {
            options,
            manager,
            routes,
            owned,
            journal: None,
            standing: Vec::new(),
            taken_away: 0,
            taken_at: None,
        })
    }

    /// Has `journal` told what there is to undo, before anything is added and after anything is deleted. Kept where a crash
    /// leaves it, it can be [adopted](Keeper::adopt).
    pub fn set_journal(&mut self, journal: impl FnMut(&Owned) + 'static) {
        self.journal = Some(Box::new(journal));
    }

    /// Takes over what an earlier keeper of this network namespace made and didn't undo: what of it is still there is
    /// renewed, deleted and undone as if it had been made here. Gives how many endpoints and routings that are.
    ///
    /// # Errors
    /// If the host can't be read; then nothing is taken over.
    pub fn adopt(&mut self, mut owned: Owned) -> Result<usize, Error> {
        let (host, endpoints, limits) = self.read()?;
        owned.endpoints.retain_mut(|made| made.find(&endpoints));
        owned.routings.retain(|routing| routing.is_there(&host));
        owned.limits = owned.limits.filter(|(_, set)| *set == limits);
        self.standing = owned.routings.iter().filter(|routing| routing.has_rules(&host)).cloned().collect();
        self.owned = owned;
        self.record();
        Ok(self.owned.endpoints.len() + self.owned.routings.len())
    }

    /// What would be changed now.
    ///
    /// # Errors
    /// [`Error::Managed`] if somebody else manages the paths, and if the host can't be read.
    pub fn plan(&mut self) -> Result<Plan, Error> {
        not_managed()?;
        let (host, endpoints, limits) = self.read()?;
        Ok(plan(&self.options, &self.owned, &host, &endpoints, limits))
    }

    fn read(&mut self) -> Result<(Snapshot, Vec<Endpoint>, Limits), Error> {
        Ok((Snapshot::read()?, self.manager.endpoints()?, self.manager.limits()?))
    }

    /// Looks at the host and changes what has to be changed. Without `CAP_NET_ADMIN` the first change fails with
    /// [`Error::Permission`], and no other is tried.
    ///
    /// # Errors
    /// [`Error::Managed`] if somebody else has taken over, [`Error::TakenAway`] if somebody keeps deleting endpoints, and if
    /// the host can't be read. What was made stays until [`Keeper::undo`].
    pub fn look(&mut self) -> Result<Outcome, Error> {
        not_managed()?;
        let (host, endpoints, limits) = self.read()?;
        self.forget_lost(&host, &endpoints)?;
        let mut plan = plan(&self.options, &self.owned, &host, &endpoints, limits);
        let changes = std::mem::take(&mut plan.changes);
        let hopeless = |error: &Error| matches!(error, Error::Permission { .. });
        let outcome = self.carry_out(changes, plan, hopeless);
        let failed: Vec<_> = outcome.failures.iter().map(|(change, _)| change).collect();
        if self.owned.set_stalled(&outcome.plan.stalled, &failed) {
            self.record();
        }
        Ok(outcome)
    }

    /// Undoes everything that was made and is still there, as far as it can be. The paths of the endpoints are closed. What
    /// failed is among the [failures](Outcome::failures), and can be tried again.
    pub fn undo(&mut self) -> Outcome {
        // What can't be read is taken to be as it was left.
        if let Ok(there) = self.manager.endpoints() {
            self.owned.endpoints.retain_mut(|made| made.find(&there));
        }
        let limits = self.manager.limits().ok().or(self.owned.limits.map(|(_, set)| set));
        let changes = self.owned.undo(limits);
        // What somebody else has changed is none of a later keeper's either.
        self.owned.limits = self.owned.limits.filter(|(_, set)| Some(*set) == limits);
        self.record();
        self.carry_out(changes, Plan::default(), |_| false)
    }

    /// Makes these changes, up to a `hopeless` failure, and says in the plan which of them were tried.
    fn carry_out(&mut self, changes: Vec<Change>, plan: Plan, hopeless: fn(&Error) -> bool) -> Outcome {
        let mut outcome = Outcome { plan, failures: Vec::new() };
        for change in changes {
            let result = self.apply(&change);
            match &result {
                Ok(()) => tracing::info!(%change, "changed"),
                Err(error) => tracing::warn!(%change, %error, "could not be changed"),
            }
            self.record();
            outcome.plan.changes.push(change.clone());
            if let Err(error) = result {
                let ends = hopeless(&error);
                outcome.failures.push((change, error));
                if ends {
                    break;
                }
            }
        }
        outcome
    }

    fn record(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal(&self.owned);
        }
    }

    /// What somebody else has deleted of ours is made again, but not for ever.
    fn forget_lost(&mut self, host: &Snapshot, there: &[Endpoint]) -> Result<(), Error> {
        let mut lost = None;
        self.owned.endpoints.retain_mut(|made| {
            let found = made.find(there);
            // One without an identifier was never seen.
            if !found && made.endpoint.id.is_some() {
                lost = Some(made.endpoint.address);
            }
            found
        });
        self.standing.retain(|routing| self.owned.routings.contains(routing));
        self.standing.retain(|routing| {
            let found = routing.has_rules(host);
            if !found {
                lost = Some(routing.address);
            }
            found
        });
        let Some(address) = lost else { return Ok(()) };
        self.record();
        if self.taken_at.is_none_or(|at| at.elapsed() > FORGIVEN) {
            self.taken_away = 0;
        }
        self.taken_at = Some(Instant::now());
        self.taken_away += 1;
        if self.taken_away >= PATIENCE { Err(Error::TakenAway(address)) } else { Ok(()) }
    }

    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        match change {
            Change::SetLimits(limits) => {
                let before = self.manager.limits()?;
                let owned = self.owned.limits;
                self.owned.set_limits(before, *limits);
                // Where nothing is left to undo, that is written down once it is so.
                if self.owned.limits.is_some() {
                    self.record();
                }
                self.manager.set_limits(*limits).inspect_err(|_| self.owned.limits = owned)?;
            }
            Change::AddEndpoint(endpoint) => {
                // First, so that it is undone whatever happens to the answer.
                self.owned.endpoints.push(Made { endpoint: endpoint.clone(), stalled: false });
                self.record();
                if let Err(error) = self.manager.add(endpoint) {
                    // The kernel may have done it if its answer was lost; the next look will find out.
                    if !matches!(error, Error::Netlink(_) | Error::Malformed(_)) {
                        self.owned.endpoints.pop();
                    }
                    return Err(error);
                }
                // The identifier; if it can't be read now, the next look does.
                if let (Ok(there), Some(made)) = (self.manager.endpoints(), self.owned.endpoints.last_mut()) {
                    made.find(&there);
                }
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
                if !self.owned.routings.contains(routing) {
                    self.owned.routings.push(routing.clone());
                    self.record();
                }
                self.routes.add(routing)?;
                if !self.standing.contains(routing) {
                    self.standing.push(routing.clone());
                }
            }
            Change::DeleteRouting(routing) => {
                self.routes.delete(routing)?;
                self.owned.routings.retain(|made| made != routing);
            }
        }
        Ok(())
    }
}

/// Whether nobody else manages the paths.
fn not_managed() -> Result<(), Error> {
    rival().map_or(Ok(()), |rival| Err(Error::Managed(rival)))
}
