//! What the hub says about itself.

use std::time::Duration;

use lobbyd_core::time::Instant;

use super::Hub;
use crate::connection::{Connection, Phase};
use crate::lanes::{LaneReport, LanesReport};
use crate::report::Report;
use crate::stats::{ConnectionStats, SessionStats, Stats};
use crate::transport::Stream;

impl<S: Stream> Hub<S> {
    /// How the driver stands.
    pub(crate) fn report(&self) -> Report {
        Report {
            counts: self.engine.counts(),
            connections: self.connections.count() as u64,
            traffic: self.traffic,
            lanes: LanesReport {
                system: self.system.report(),
                user: self.user_lane,
                background: LaneReport { waiting: self.is_untidy().into(), ..self.background_lane },
            },
            pool: self.pool.report(),
            uptime: self.started_at.elapsed(),
        }
    }

    /// Everything about it.
    pub(crate) fn stats(&self) -> Stats {
        let report = self.report();
        let counts = report.counts;
        let mut stats = Stats {
            report,
            sessions: SessionStats {
                anonymous: counts.sessions - counts.online - counts.logins_pending,
                login_pending: counts.logins_pending,
                in_lobby: counts.online - counts.members,
                in_room: counts.members,
            },
            logins: self.logins.stats(),
            scheduled: self.scheduled.stats(),
            extensions: self.extension_figures.stats(&self.engine),
            middleware: self.chain.stats(),
            buffers: self.buffers.report(),
            ..Stats::default()
        };
        self.tally.tell(&mut stats);
        stats
    }

    /// Up to `limit` connections, those of `from` and later slots, and the slot at which the next ones begin.
    pub(crate) fn connection_page(&self, from: u32, limit: usize) -> (Vec<ConnectionStats>, Option<u32>) {
        let now = self.now();
        let mut connections = self.connections.at_or_behind(from);
        let page = connections.by_ref().take(limit).map(|connection| self.connection_stats(connection, now)).collect();
        (page, connections.next().map(|connection| connection.session.index))
    }

    fn connection_stats(&self, connection: &Connection<S>, now: Instant) -> ConnectionStats {
        let user = self.engine.user(connection.session);
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
}
