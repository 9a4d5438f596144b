//! What holds a download together: it looks, twenty times a second and whenever a fetch ends, at what is known, and lets the
//! lanes do what the plan has for them.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode};
use mptcp_socket::Spoken;
use tokio::{
    sync::oneshot,
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep},
};
use url::Url;

use super::{
    Options,
    answer::Version,
    checksum::Checksum,
    fetch::{self, Ask, Extent, Failed},
    judge::Judge,
    outcome::{Downloaded, Head, Link, Progress, Strategy},
    part::{Part, State},
    plan::{LaneId, LeaseId, Order, Plan},
    ranges::Ranges,
    scouts::Scouts,
    shared::{Lane, Shared, Sink},
    ways::Ways,
};
use crate::{Client, Error, Response, client::Request};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it tells how far it is.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(100);

/// How long a network may be away before there is a first answer.
const AT_FIRST: Duration = Duration::from_secs(5);

/// Where the trial of Multipath TCP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    Before,
    Running,
    Over,
}

pub(super) struct Engine {
    pub(super) client: Client,
    pub(super) request: Request,
    pub(super) options: Options,
    pub(super) order: Order,
    pub(super) shared: Arc<Shared>,
    pub(super) part: Option<Part>,
    pub(super) tell_head: Option<oneshot::Sender<Head>>,
    pub(super) head: Option<Head>,
    pub(super) tasks: JoinSet<(LeaseId, LaneId, Result<(), Failed>)>,
    pub(super) aborts: HashMap<LeaseId, AbortHandle>,
    /// Clients of lanes, by lane.
    pub(super) clients: HashMap<LaneId, Client>,
    /// What can be told from another version of the body, if the server says.
    pub(super) version: Option<Arc<Version>>,
    /// Whether parts of it can be had.
    pub(super) ranges: bool,
    /// The URL that answered, the headers that were sent to it, and its address.
    pub(super) url: Url,
    pub(super) sent: HeaderMap,
    pub(super) remote: Option<std::net::SocketAddr>,
    pub(super) digests: Vec<Checksum>,
    pub(super) ways: Ways,
    pub(super) judge: Judge,
    pub(super) scouts: Scouts,
    pub(super) striped: bool,
    /// Whether bound connections bring something until it is known how Multipath TCP does.
    pub(super) trial: Trial,
    /// How many connections there may be; less than asked for, once the server has had enough.
    pub(super) allowed: usize,
    pub(super) started: Instant,
    pub(super) told: Instant,
    pub(super) busy_until: Option<Instant>,
    /// For how long the server has asked to wait since it had sent so many bytes.
    pub(super) waited: (Duration, u64),
    pub(super) resumed: u64,
    pub(super) requests: u32,
    pub(super) failures: u32,
    pub(super) restarts: u32,
    /// Parts that were not what their digests say.
    pub(super) spoilt: u32,
    /// When it was last looked whether to give up.
    pub(super) looked: Instant,
    pub(super) latest_failure: Option<Error>,
    /// Whether the URL that redirects led to has failed, and the original one is asked.
    pub(super) back_to_origin: bool,
}

impl Engine {
    pub(super) fn new(
        client: Client,
        request: Request,
        mut options: Options,
        sink: Sink,
        order: Order,
    ) -> Self {
        let now = Instant::now();
        let plan = Plan::new(u64::MAX, order, Ranges::default());
        let ways = Ways::new(options.paths.take().unwrap_or(super::Paths::Off));
        let allowed = options.connections;
        Self {
            url: request.url.clone(),
            client,
            request,
            options,
            order,
            shared: Arc::new(Shared::new(plan, sink, now)),
            part: None,
            tell_head: None,
            head: None,
            tasks: JoinSet::new(),
            aborts: HashMap::new(),
            clients: HashMap::new(),
            version: None,
            ranges: false,
            sent: HeaderMap::new(),
            remote: None,
            digests: Vec::new(),
            ways,
            judge: Judge::default(),
            scouts: Scouts::default(),
            striped: false,
            trial: Trial::Before,
            allowed,
            started: now,
            told: now,
            busy_until: None,
            waited: (Duration::ZERO, 0),
            resumed: 0,
            requests: 0,
            failures: 0,
            restarts: 0,
            spoilt: 0,
            looked: now,
            latest_failure: None,
            back_to_origin: false,
        }
    }

    /// Downloads. `part`: the file it goes to; `state`: what an earlier one has left there.
    pub(super) async fn run(
        mut self,
        part: Option<Part>,
        state: Option<State>,
        tell_head: Option<oneshot::Sender<Head>>,
    ) -> Result<Downloaded, Error> {
        (self.part, self.tell_head) = (part, tell_head);
        let limit = self.request.timeout.or(self.client.timeout());
        match limit {
            None => self.download(state).await,
            Some(after) => {
                let phase = crate::Phase::Total;
                tokio::time::timeout(after, self.download(state))
                    .await
                    .unwrap_or(Err(Error::Timeout { phase, after }))
            }
        }?;
        self.conclude().await
    }

    async fn download(&mut self, state: Option<State>) -> Result<(), Error> {
        while let Err(error) = self.begin(state.clone()).await {
            // A network that has just gone may be back at once. More than a moment is for the caller to know.
            if !is_away(&error) || self.started.elapsed() > AT_FIRST.min(self.options.retry_for) {
                return Err(error);
            }
            sleep(TELL_EVERY).await;
        }
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.shared.state().plan.is_complete() {
                if self.settle().await? {
                    return Ok(());
                }
                continue;
            }
            tokio::select! {
                biased;
                Some(joined) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok((lease, lane, result)) = joined {
                        self.ended(lease, lane, result).await?;
                    }
                }
                () = self.scouts.news() => {}
                _ = ticks.tick() => {}
            }
            self.step()?;
        }
    }

    /// Everything has arrived: waits until it is where it belongs. A digest may still say that it is not right.
    async fn settle(&mut self) -> Result<bool, Error> {
        loop {
            let idle: Vec<LeaseId> = {
                let state = self.shared.state();
                self.aborts.keys().copied().filter(|&lease| !state.is_held(lease)).collect()
            };
            // Those that are still in the middle of an answer are not needed any more, unless they are about to end.
            for lease in idle {
                let over = self.shared.state().plan.lease(lease).is_none_or(|lease| lease.pos < lease.limit);
                if over {
                    self.abort(lease);
                }
            }
            let Ok(next) = tokio::time::timeout(LOOK_EVERY * 2, self.tasks.join_next()).await else {
                if self.shared.state().any_held() {
                    self.tell();
                    continue;
                }
                break;
            };
            match next {
                None => break,
                Some(Ok((lease, lane, result))) => self.ended(lease, lane, result).await?,
                Some(Err(_)) => {}
            }
        }
        self.tasks.abort_all();
        Ok(self.shared.state().plan.is_complete())
    }

    /// Tells how far it is.
    pub(super) fn tell(&mut self) {
        self.told = Instant::now();
        if self.options.progress.is_none() {
            return;
        }
        let progress = self.progress();
        if let Some(look) = &mut self.options.progress {
            look(&progress);
        }
    }

    fn progress(&self) -> Progress {
        let now = Instant::now();
        let state = self.shared.state();
        let total = Some(state.plan.total()).filter(|&total| total != u64::MAX && self.head.is_some());
        let quiet = now.duration_since(state.last);
        let waiting = self.busy_until.and_then(|until| until.checked_duration_since(now));
        let (bytes, links) = (state.plan.received().len(), links(&state.lanes));
        drop(state);
        Progress {
            bytes,
            total,
            strategy: self.strategy(),
            links,
            stalled: (self.head.is_some() && quiet > Duration::from_secs(1)).then_some(quiet),
            waiting,
        }
    }

    fn strategy(&self) -> Strategy {
        let state = self.shared.state();
        let bringing = state.lanes.iter().filter(|lane| lane.received > 0).count();
        let mptcp = || self.head.as_ref().is_some_and(|head| head.watch.spoken() == Spoken::Mptcp);
        if self.striped && bringing > 1 {
            Strategy::Striped
        } else if mptcp() {
            Strategy::Mptcp
        } else {
            Strategy::Single
        }
    }

    /// Lets an answer flow.
    pub(super) fn pump(&mut self, lease: LeaseId, response: Response) {
        let shared = Arc::clone(&self.shared);
        let abort = self.tasks.spawn(async move {
            let result = fetch::pump(&shared, lease, response, Extent::ALL, None).await;
            (lease, 0, result)
        });
        self.aborts.insert(lease, abort);
    }

    /// Asks for what a lane has leased.
    pub(super) fn fetch(&mut self, lease: LeaseId, lane: LaneId) {
        let Some(version) = self.version.clone() else { return };
        let (range, total) = {
            let mut state = self.shared.state();
            state.began(lease, Instant::now());
            let Some(leased) = state.plan.lease(lease) else { return };
            (leased.pos..leased.end, state.plan.total())
        };
        let mut request = self.template();
        if !self.back_to_origin {
            request.url = self.url.clone();
            request.headers = self.sent.clone();
        }
        let client = self.client_of(lane);
        if lane != 0 {
            // It is another client's: its own protocol holds.
            request.protocol = None;
        }
        self.requests += 1;
        tracing::debug!(lane, lease, from = range.start, to = range.end, "asking for a part");
        let ask = Ask {
            lease,
            range,
            total: (total != u64::MAX).then_some(total),
            version,
            whole_will_do: !self.striped,
        };
        let shared = Arc::clone(&self.shared);
        let abort = self.tasks.spawn(async move {
            let result = fetch::fetch(shared, client, request, ask).await;
            (lease, lane, result)
        });
        self.aborts.insert(lease, abort);
    }

    /// Ends a fetch, and its connection with it; what it has not brought is free.
    pub(super) fn abort(&mut self, lease: LeaseId) {
        if let Some(abort) = self.aborts.remove(&lease) {
            abort.abort();
        }
        self.shared.state().release(lease);
    }

    pub(super) async fn sink_reset(&mut self) -> Result<(), Error> {
        let outcome = match &self.shared.sink {
            Sink::File(pen) => pen.reset().await,
            // What a reader could have had of another body is gone since `restart`.
            Sink::Reader(_) | Sink::Nowhere(_) => Ok(()),
        };
        if outcome.is_err() { Err(self.sink_failure().await) } else { Ok(()) }
    }

    pub(super) async fn sink_name(&mut self, state: State) -> Result<(), Error> {
        let Sink::File(pen) = &self.shared.sink else { return Ok(()) };
        if pen.name(state).await.is_err() { Err(self.sink_failure().await) } else { Ok(()) }
    }

    pub(super) async fn sink_failure(&mut self) -> Error {
        match &mut self.part {
            Some(part) => part.failure().await,
            None => super::aborted(),
        }
    }

    /// All is there: checks it, and hands it over.
    async fn conclude(mut self) -> Result<Downloaded, Error> {
        self.tell();
        let total = self.shared.state().plan.total();
        // It looks at the first answer.
        let strategy = self.strategy();
        let digests = mem::take(&mut self.digests);
        let verified = !digests.is_empty();
        let Some(head) = self.head.take() else { return Err(super::aborted()) };
        if let Some(part) = self.part.take()
            // The file is what the answer is about: it stays as it is.
            && head.status != StatusCode::NOT_MODIFIED
        {
            part.finish(total, move |file| check(file, &digests)).await?;
        }
        if let Sink::Nowhere(tally) = &self.shared.sink {
            tally.lock().unwrap_or_else(PoisonError::into_inner).check()?;
        }
        let (requests, failures) = (self.requests, self.failures);
        tracing::info!(bytes = total, ?strategy, requests, failures, verified, "a download is whole");
        let state = self.shared.state();
        Ok(Downloaded {
            status: head.status,
            url: head.url,
            version: head.version,
            headers: head.headers,
            bytes: total,
            resumed: self.resumed,
            strategy,
            links: links(&state.lanes),
            requests: self.requests,
            failures: self.failures,
            elapsed: self.started.elapsed(),
            connect_time: head.connect_time,
            max_gap: state.max_gap,
            transport: head.watch.transport(),
            verified,
        })
    }
}

/// Whether no packet could leave this host.
fn is_away(error: &Error) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable};
    let Error::Connect { source, .. } = error else { return false };
    let away = [AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable];
    let attempts = source.attempts();
    !attempts.is_empty() && attempts.iter().all(|attempt| away.contains(&attempt.source.kind()))
}

/// Reads a finished file, and compares. The outer error is that of reading.
fn check(file: &std::fs::File, digests: &[Checksum]) -> std::io::Result<Result<(), Error>> {
    for checksum in digests {
        let mut hasher = checksum.hasher();
        hasher.read(file)?;
        if let Err(error) = checksum.check(hasher) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// What each interface has brought, over all lanes.
fn links(lanes: &[Lane]) -> Vec<Link> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (interface, bytes) in lanes.iter().flat_map(Lane::links) {
        *sums.entry(interface).or_default() += bytes;
    }
    sums.into_iter().map(|(interface, bytes)| Link { interface, bytes }).collect()
}
