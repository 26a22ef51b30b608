use std::time::Duration;

use bus::{MemoryBus, Retention};
use proto::{RoomName, UserId};
use serde_json::value::RawValue;

use super::*;
use crate::auth::{Rights, rights::Grants};

fn bus() -> MemoryBus {
    MemoryBus::new("test", Retention { length: 10, age_ms: 1000 })
}

fn identity(expires_at_ms: u64) -> Identity {
    Identity {
        user: UserId::parse("alice").unwrap(),
        name: Some("Alice".into()),
        info: Some(RawValue::from_string(r#"{"a":1}"#.to_owned()).unwrap()),
        expires_at_ms,
        rooms: Some(Grants::new([("team:*", "rw"), ("team:1", "")]).unwrap()),
    }
}

#[tokio::test]
async fn a_ticket_stands_for_the_whole_identity_once() {
    let bus = bus();
    let before = identity(unix_ms() + 60_000);
    let ticket = issue(&bus, &before).await.unwrap();
    assert_eq!(ticket.len(), LENGTH);
    assert_ne!(ticket, issue(&bus, &before).await.unwrap());

    let after = redeem(&bus, &ticket).await.unwrap();
    assert_eq!(
        (&after.user, &after.name, after.expires_at_ms),
        (&before.user, &before.name, before.expires_at_ms)
    );
    assert_eq!(after.info.as_deref().map(RawValue::get), Some(r#"{"a":1}"#));
    let rights = |room| after.rights(&RoomName::parse(room).unwrap(), Rights::NONE).to_string();
    assert_eq!([rights("team:2"), rights("team:1"), rights("lobby")], ["rw", "", ""]);

    assert!(matches!(redeem(&bus, &ticket).await, Err(AuthError::Failed(_))));
}

#[tokio::test]
async fn a_ticket_outlives_no_token() {
    let bus = bus();
    let ticket = issue(&bus, &identity(unix_ms() - 1)).await.unwrap();
    assert_eq!(redeem(&bus, &ticket).await.unwrap_err(), AuthError::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_good_for_a_minute() {
    let bus = bus();
    let [early, late] = [issue(&bus, &identity(u64::MAX)).await, issue(&bus, &identity(u64::MAX)).await];
    tokio::time::advance(Duration::from_millis(TTL_MS - 1)).await;
    assert!(redeem(&bus, &early.unwrap()).await.is_ok());
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(redeem(&bus, &late.unwrap()).await.is_err());
}

#[tokio::test]
async fn what_is_no_ticket_is_not_asked_for() {
    for bad in ["", "abc", &"g".repeat(LENGTH), &"a".repeat(LENGTH + 1), "*", "é"] {
        assert_eq!(
            redeem(&bus(), bad).await.unwrap_err(),
            AuthError::Failed("the ticket is malformed"),
            "{bad}"
        );
    }
}
