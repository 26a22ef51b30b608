//! What a session does by the clock: pings, and deadlines.

use std::time::Duration;

use proto::{Close, server::Expiring};
use tokio::time::{self, Instant};

use super::{Service, Session};
use crate::{clock::unix_ms, connection::End, socket::frame};

/// How long before its end a client is told that its token expires.
const EXPIRING_NOTICE: Duration = Duration::from_secs(30);

/// What the watch keeps while it waits: it is in every session, so it is little.
struct Watch {
    ping_at: Instant,
    /// The expiry that the client was told of, in milliseconds since 1970; 0 before.
    told: u64,
}

impl Session {
    /// Pings, notices silence, and holds the client to its deadlines.
    pub(super) async fn watch(&self) {
        let mut watch = Watch { ping_at: Instant::now() + self.ping_interval(), told: 0 };
        loop {
            let next = self.look_ahead(&mut watch);
            tokio::select! {
                () = time::sleep_until(next) => {}
                () = self.identified.notified() => continue,
            }
            if let Err(close) = self.look_back(&mut watch) {
                return self.connection.end(End::Close(close, None));
            }
        }
    }

    fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.terms.heartbeat.interval_ms)
    }

    fn auth_deadline(&self) -> Duration {
        Duration::from_millis(self.terms.auth.deadline_ms).saturating_sub(self.connection.age())
    }

    /// When the token expires, for those who have one; nobody is asked for one at `/echo`.
    fn expires_at_ms(&self) -> Option<u64> {
        self.identity().map(|identity| identity.expires_at_ms)
    }

    fn is_late_to_authenticate(&self) -> bool {
        self.service == Service::Chat && self.auth_deadline().is_zero() && self.identity().is_none()
    }

    /// Tells the client that its token is about to expire, and says when there is something to be done next.
    fn look_ahead(&self, watch: &mut Watch) -> Instant {
        let now = Instant::now();
        let Some(expires) = self.expires_at_ms() else {
            let deadline = now + self.auth_deadline();
            return if self.service == Service::Echo { watch.ping_at } else { deadline.min(watch.ping_at) };
        };
        let left = Duration::from_millis(expires.saturating_sub(unix_ms()));
        if left <= EXPIRING_NOTICE && watch.told != expires {
            watch.told = expires;
            self.send(&Expiring { in_ms: left.as_millis() as u64 });
        }
        let notice = if watch.told == expires { Duration::ZERO } else { EXPIRING_NOTICE };
        // Some expire past what timers are made for.
        now.checked_add(left.saturating_sub(notice)).map_or(watch.ping_at, |due| due.min(watch.ping_at))
    }

    /// Pings if it is time to, and says whether the client is to go.
    fn look_back(&self, watch: &mut Watch) -> Result<(), Close> {
        if self.is_late_to_authenticate() {
            return Err(Close::AuthTimeout);
        }
        if self.expires_at_ms().is_some_and(|at| at <= unix_ms()) {
            return Err(Close::TokenExpired);
        }
        let now = Instant::now();
        if now >= watch.ping_at {
            // From a stream's client nothing comes; the system notices when it is gone.
            if !self.connection.is_stream() && self.connection.silence() >= self.ping_interval() * 2 {
                return Err(Close::HeartbeatTimeout);
            }
            self.connection.send(frame::ping());
            watch.ping_at = now + self.ping_interval();
        }
        Ok(())
    }
}
