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
        issued_at_ms: None,
        server: false,
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

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_ticket_for_itself() {
    let bus = bus();
    let rooms = |names: &[&str]| names.iter().map(|name| RoomName::parse(name).unwrap()).collect::<Vec<_>>();
    let (mine, others) = (rooms(&["a", "b"]), rooms(&["a"]));
    let ticket = issue(&bus, &identity(u64::MAX)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(redeem_for_stream(&bus, &ticket, &mine).await.unwrap().user.as_str(), "alice");
        tokio::time::advance(Duration::from_millis(STREAM_TTL_MS - 1)).await;
    }
    assert!(redeem_for_stream(&bus, &ticket, &others).await.is_err());
    assert!(redeem(&bus, &ticket).await.is_err(), "it is good for nothing else");
    renew(&bus, &ticket).await;
    tokio::time::advance(Duration::from_millis(STREAM_TTL_MS - 1)).await;
    assert!(redeem_for_stream(&bus, &ticket, &mine).await.is_ok());
    tokio::time::advance(Duration::from_millis(STREAM_TTL_MS + 1)).await;
    assert!(redeem_for_stream(&bus, &ticket, &mine).await.is_err());

    let ticket = issue(&bus, &identity(u64::MAX)).await.unwrap();
    assert!(redeem(&bus, &ticket).await.is_ok());
    assert!(redeem_for_stream(&bus, &ticket, &mine).await.is_err(), "it was used");

    let ticket = issue(&bus, &identity(unix_ms() + 60_000)).await.unwrap();
    assert!(redeem_for_stream(&bus, &ticket, &mine).await.is_ok());
}

#[tokio::test]
async fn what_is_no_ticket_is_not_asked_for() {
    for bad in ["", "abc", &"g".repeat(LENGTH), &"a".repeat(LENGTH + 1), "*", "é"] {
        assert_eq!(
            redeem(&bus(), bad).await.unwrap_err(),
            AuthError::Failed("the ticket is malformed"),
            "{bad}"
        );
        assert!(redeem_for_stream(&bus(), bad, &[]).await.is_err(), "{bad}");
    }
}
