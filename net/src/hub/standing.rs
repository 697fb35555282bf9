//! What the hub says about itself, and how the home gathers what all hubs of a node say.

use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::time::Instant;

use super::{Door, Hub};
use crate::ask::reply::{Answered, Reply, reply};
use crate::commons::Helm;
use crate::connection::{Connection, Phase};
use crate::lanes::{LaneReport, LanesReport};
use crate::node::{ConnectionPage, PageStart};
use crate::pool::PoolReport;
use crate::report::{Report, Traffic};
use crate::stats::{ConnectionStats, IoThreadStats, SessionStats, Stats};
use crate::system::SystemWork;
use crate::tally::Tally;
use crate::transport::Stream;

/// What the home asks another thread.
pub(crate) enum Question {
    /// How it stands.
    Figures { reply: Reply<Figures> },
    /// Some of its connections.
    Connections { from: PageStart, limit: usize, reply: Reply<ConnectionPage> },
}

/// How one thread stands.
pub(crate) struct Figures {
    traffic: Traffic,
    lanes: LanesReport,
    pool: PoolReport,
    tally: Tally,
    thread: IoThreadStats,
}

impl<S: Stream> Hub<S> {
    /// Gathers how all threads stand, and tells it: at once, if there is but this one.
    pub(super) fn tell_stats(&mut self, helm: &Helm, tell: impl FnOnce(Stats, &mut Answered) + 'static) {
        let (common, own) = (self.common_stats(helm), self.figures());
        let ask = |door: &Door<S>| {
            let (reply, figures) = reply();
            // A thread that does not run any more says nothing.
            let _ = door.questions.send(Question::Figures { reply });
            figures
        };
        let others: Vec<_> = self.home.iter().flat_map(|home| &home.doors).map(ask).collect();
        if others.is_empty() {
            tell(summed(common, own, Vec::new()), &mut self.answered);
            return;
        }
        self.system.begin(|queue| async move {
            let mut figures = Vec::with_capacity(others.len());
            for other in others {
                figures.extend(other.await);
            }
            let stats = summed(common, own, figures);
            queue.push(SystemWork::Tell(Box::new(move |answered| tell(stats, answered))));
        });
    }

    /// Some connections: those of one thread after those of another.
    pub(super) fn tell_connections(
        &mut self,
        helm: &Helm,
        from: PageStart,
        limit: usize,
        reply: Reply<ConnectionPage>,
    ) {
        let door = self.home.as_ref().and_then(|home| home.doors.get(from.thread.checked_sub(1)?));
        if let Some(door) = door {
            // A thread that does not run any more says nothing.
            let _ = door.questions.send(Question::Connections { from, limit, reply });
        } else {
            reply.put(self.connection_page(&helm.engine, from, limit), &mut self.answered);
        }
    }

    /// Answers the home.
    pub(crate) fn answer(&mut self, question: Question) {
        match question {
            Question::Figures { reply } => reply.send(self.figures()),
            Question::Connections { from, limit, reply } => {
                let commons = self.commons.clone();
                let helm = commons.relay().look(&mut self.waits);
                let page = self.connection_page(&helm.engine, from, limit);
                // Nobody is woken while others wait for the engine.
                drop(helm);
                reply.send(page);
            }
        }
    }

    /// What is told of a node beside the figures of its threads.
    fn common_stats(&self, helm: &Helm) -> Stats {
        let counts = helm.engine.counts();
        Stats {
            report: Report { counts, uptime: self.commons.started_at().elapsed(), ..Report::default() },
            sessions: SessionStats {
                anonymous: counts.sessions - counts.online - counts.logins_pending,
                login_pending: counts.logins_pending,
                in_lobby: counts.online - counts.members,
                in_room: counts.members,
            },
            logins: self.home.as_ref().map(|home| home.logins().stats()).unwrap_or_default(),
            scheduled: self.scheduled.stats(),
            extensions: helm.extension_figures.stats(&helm.engine),
            middleware: helm.chain.stats(),
            buffers: self.home.as_ref().map(|home| home.buffers.report()).unwrap_or_default(),
            journal: helm.engine.journal_stats(),
            ..Stats::default()
        }
    }

    /// How this thread stands.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            traffic: self.traffic,
            lanes: LanesReport {
                system: self.system.report(),
                user: self.user_lane,
                background: LaneReport { waiting: self.is_untidy().into(), ..self.background_lane },
            },
            pool: self.pool.report(),
            tally: self.tally.clone(),
            thread: IoThreadStats {
                connections: self.connections.count() as u64,
                engine_waits: self.waits.count,
                engine_waited: self.waits.total,
                parcels: self.parcels,
                appends: self.appends,
                moved_here: self.moved_here,
            },
        }
    }

    /// Up to `limit` connections, those of `from` and later slots, and where the next ones begin: perhaps on the next
    /// thread.
    fn connection_page(&self, engine: &Engine, from: PageStart, limit: usize) -> ConnectionPage {
        let now = self.commons.now();
        let mut connections = self.connections.at_or_behind(from.index);
        let tell = |connection| connection_stats(engine, connection, now);
        let page = connections.by_ref().take(limit).map(tell).collect();
        let next = connections.next().map(|connection| connection.session.index);
        let thread = self.place.thread;
        let has_more = thread + 1 < self.commons.threads();
        let next = next.map(|index| PageStart { thread, index });
        (page, next.or_else(|| has_more.then_some(PageStart { thread: thread + 1, index: 0 })))
    }
}

/// The figures of the threads together with what is told beside them.
fn summed(common: Stats, own: Figures, others: Vec<Figures>) -> Stats {
    let mut stats = common;
    let Figures { traffic, lanes, pool, mut tally, thread } = own;
    stats.report = Report { traffic, lanes, pool, ..stats.report };
    stats.io_threads.push(thread);
    for other in others {
        let Figures { traffic, lanes, pool, tally: more, thread } = other;
        stats.report.traffic.add(traffic);
        stats.report.lanes.add(lanes);
        stats.report.pool.add(pool);
        tally.add(&more);
        stats.io_threads.push(thread);
    }
    stats.report.connections = stats.io_threads.iter().map(|thread| thread.connections).sum();
    stats.report.engine_waited = stats.io_threads.iter().map(|thread| thread.engine_waited).sum();
    tally.tell(&mut stats);
    stats
}

fn connection_stats<S>(engine: &Engine, connection: &Connection<S>, now: Instant) -> ConnectionStats {
    let user = engine.user(connection.session);
    ConnectionStats {
        session: connection.session,
        address: connection.peer,
        user: user.map(|user| user.name()),
        room: user.and_then(|user| user.room()),
        closing: match connection.phase {
            Phase::Open => None,
            Phase::Closing(reason) | Phase::Broken(reason) => Some(reason),
        },
        connected: now.saturating_since(connection.connected_at),
        idle: now.saturating_since(connection.heard_at),
        packets_in: connection.packets_in,
        bytes_in: connection.bytes_in,
        packets_out: connection.packets_out,
        bytes_out: connection.bytes_out,
        inbox_bytes: connection.inbox.len() as u64,
        outbox_bytes: connection.outbox.len() as u64,
        heartbeat_latency: connection.heartbeat_latency_us.map(|micros| Duration::from_micros(micros.get().into())),
    }
}
