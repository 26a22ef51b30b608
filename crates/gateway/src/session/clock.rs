//! What a session does by the clock: pings, and deadlines.

use std::time::Duration;

use proto::{Close, server::Expiring};
use tokio::time::{self, Instant};

use super::{Service, Session};
use crate::{clock::unix_ms, connection::End, socket::frame};

/// How long before its end a client is told that its token expires.
const EXPIRING_NOTICE: Duration = Duration::from_secs(30);

impl Session {
    /// Pings, notices silence, and holds the client to its deadlines.
    pub(super) async fn watch(&self) {
        let interval = Duration::from_millis(self.terms.heartbeat.interval_ms);
        let auth_deadline = Instant::now() + Duration::from_millis(self.terms.auth.deadline_ms);
        let anonymous = self.service == Service::Echo;
        let mut ping_at = Instant::now() + interval;
        // The expiry that the client was told of.
        let mut told = None;
        loop {
            let identity = self.identity();
            let expires = identity.map(|identity| identity.expires_at_ms);
            let left = expires.map(|at| Duration::from_millis(at.saturating_sub(unix_ms())));
            if let Some(left) = left
                && left <= EXPIRING_NOTICE
                && told != expires
            {
                told = expires;
                self.send(&Expiring { in_ms: left.as_millis() as u64 });
            }
            let deadline = match left {
                None if anonymous => ping_at,
                None => auth_deadline,
                // Half a year on: past what timers are made for, and long past the next heartbeat.
                Some(left) if left > Duration::from_hours(4_000) => ping_at + interval,
                Some(left) if told == expires => Instant::now() + left,
                Some(left) => Instant::now() + left.saturating_sub(EXPIRING_NOTICE),
            };
            tokio::select! {
                () = time::sleep_until(deadline.min(ping_at)) => {}
                () = self.identified.notified() => continue,
            }
            let now = Instant::now();
            if left.is_none() && !anonymous && now >= auth_deadline {
                return self.connection.end(End::Close(Close::AuthTimeout, None));
            }
            if expires.is_some_and(|at| at <= unix_ms()) {
                return self.connection.end(End::Close(Close::TokenExpired, None));
            }
            if now >= ping_at {
                // From a stream's client nothing comes; the system notices when it is gone.
                if !self.connection.is_stream() && self.connection.silence() >= interval * 2 {
                    return self.connection.end(End::Close(Close::HeartbeatTimeout, None));
                }
                self.connection.send(frame::ping());
                ping_at = now + interval;
            }
        }
    }
}
