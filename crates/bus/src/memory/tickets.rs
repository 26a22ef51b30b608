//! Tickets: values that can be taken once, and read as long as they are kept.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use crate::BusError;

/// Tickets that may wait at the same time.
const MOST: usize = 100_000;

#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<String, Ticket>>);

struct Ticket {
    value: Bytes,
    expires: Instant,
}

impl Tickets {
    pub(super) fn put(&self, ticket: &str, value: Bytes, ttl: Duration) -> Result<(), BusError> {
        let now = Instant::now();
        let mut tickets = self.0.lock();
        if tickets.len() >= MOST {
            tickets.retain(|_, ticket| ticket.expires > now);
        }
        if tickets.len() >= MOST {
            return Err(BusError::unavailable("too many tickets are waiting"));
        }
        if tickets.get(ticket).is_some_and(|known| known.expires > now) {
            return Err(BusError::unavailable("this ticket exists"));
        }
        tickets.insert(ticket.to_owned(), Ticket { value, expires: now + ttl });
        Ok(())
    }

    pub(super) fn take(&self, ticket: &str) -> Option<Bytes> {
        let ticket = self.0.lock().remove(ticket)?;
        (ticket.expires > Instant::now()).then_some(ticket.value)
    }

    pub(super) fn read(&self, ticket: &str, ttl: Duration) -> Option<Bytes> {
        let now = Instant::now();
        let mut tickets = self.0.lock();
        let ticket = tickets.get_mut(ticket).filter(|ticket| ticket.expires > now)?;
        ticket.expires = now + ttl;
        Some(ticket.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_expired_makes_room() {
        let tickets = Tickets::default();
        for number in 0..MOST {
            tickets.put(&number.to_string(), Bytes::new(), Duration::ZERO).unwrap();
        }
        tickets.put("kept", Bytes::from_static(b"v"), Duration::from_mins(1)).unwrap();
        assert_eq!(tickets.0.lock().len(), 1);
        assert_eq!(tickets.take("1"), None);
        assert_eq!(tickets.take("kept").as_deref(), Some(&b"v"[..]));
    }
}
