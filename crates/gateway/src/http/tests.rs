use std::{
    future::pending,
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
    routing::post,
};
use bus::{
    Append, Appending, BusError, Follower, Following, Health, Marked, MemoryBus, Mute, NodeId, NodeInfo,
    Notice, Page, PresenceUpdate, ReadFrom, Retention, Retentions, RoomState, RoomsPage, Sanction, Sanctions,
    Told,
};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use proto::{Position, RoomName, UserId};
use serde_json::Value;
use tokio::sync::broadcast;
use tower::ServiceExt;

use super::*;
use crate::{
    app::App,
    auth::{Claims, ticket},
    config::{Config, Secret},
    metrics::Metrics,
    moderation::Ban,
};

/// A state with a key and the memory bus.
pub(crate) fn state(change: impl FnOnce(&mut Config)) -> HttpState {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(Secret::new("k".repeat(32)));
    change(&mut config);
    HttpState {
        auth: Arc::new(Authenticator::new(&config).unwrap()),
        config: Arc::new(config.into()),
        bus: Arc::new(MemoryBus::new("test", Retention { length: 10, age_ms: 1000 })),
        draining: Arc::default(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// Calls a router as a client would.
pub(crate) async fn call(router: Router, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let request =
        headers.iter().fold(Request::builder().method(method).uri(uri), |request, (name, value)| {
            request.header(*name, *value)
        });
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

/// A node, and the route of its API that makes tickets.
async fn ticket_office(change: impl FnOnce(&mut Config)) -> (Arc<App>, Router) {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(Secret::new("k".repeat(32)));
    change(&mut config);
    let app = App::new(config, Metrics::new().into()).await.unwrap();
    let router = tickets_of(&app);
    (app, router)
}

fn tickets_of(app: &Arc<App>) -> Router {
    Router::new().route("/v1/tickets", post(tickets::create)).with_state(Arc::clone(app))
}

fn token(app: &App) -> String {
    app.auth.mint(&Claims::new(UserId::parse("alice").unwrap(), 60)).unwrap()
}

#[tokio::test]
async fn probes() {
    let state = state(|_| ());
    let answer = call(router(state.clone()), "GET", "/healthz", &[]).await;
    assert_eq!((answer.status, &*answer.text), (200, "ok\n"));

    let answer = call(router(state.clone()), "GET", "/readyz", &[]).await;
    assert_eq!((answer.status, answer.json()["ready"].clone()), (200, Value::Bool(true)), "{}", answer.text);
    assert_eq!(answer.json()["bus"].get("down_since_ms"), None, "{}", answer.text);

    state.draining.set(1).unwrap();
    let answer = call(router(state.clone()), "GET", "/readyz", &[]).await;
    assert_eq!((answer.status, answer.json()["draining"].clone()), (503, Value::Bool(true)));
    assert_eq!(call(router(state), "GET", "/healthz", &[]).await.status, 200, "draining is not dead");

    let answer =
        call(router(HttpState { bus: Arc::new(Away::new()), ..self::state(|_| ()) }), "GET", "/readyz", &[])
            .await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json(),
        serde_json::json!({
            "ready": false,
            "bus": { "up": false, "detail": "gone", "down_since_ms": 1_700_000_000_123_u64 },
            "keys": true,
            "draining": false
        })
    );
}

#[tokio::test]
async fn metrics_move_to_their_own_listener() {
    let one = state(|_| ());
    let answer = call(router(one.clone()), "GET", "/metrics", &[]).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );

    let two = state(|config| config.metrics_listen = Some(([127, 0, 0, 1], 9090).into()));
    assert_eq!(call(router(two.clone()), "GET", "/metrics", &[]).await.status, 404);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(call(metrics_router(two.clone()), "GET", path, &[]).await.status, 200, "{path}");
    }
    assert_eq!(call(metrics_router(two), "POST", "/v1/tickets", &[]).await.status, 404);
}

#[tokio::test]
async fn a_token_buys_a_ticket() {
    let (app, office) = ticket_office(|_| ()).await;
    let bearer = format!("Bearer {}", token(&app));
    let answer = call(office, "POST", "/v1/tickets", &[("authorization", &bearer)]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.json()["expires_in_ms"], 60_000);
    let identity = ticket::redeem(&*app.bus, answer.json()["ticket"].as_str().unwrap()).await.unwrap();
    assert_eq!(identity.user.as_str(), "alice");
}

#[tokio::test]
async fn a_cookie_buys_one_only_for_an_allowed_page() {
    let (app, office) = ticket_office(|_| ()).await;
    let cookie = format!("chorus_token={}", token(&app));
    for (origin, status) in
        [("http://chat.example.com", 200), ("http://evil.example", 403), ("null", 403), ("", 403)]
    {
        let headers = [("host", "chat.example.com"), ("cookie", &cookie), ("origin", origin)];
        let headers = if origin.is_empty() { &headers[..2] } else { &headers[..] };
        let answer = call(office.clone(), "POST", "/v1/tickets", headers).await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

/// They are kept for a minute each, so nobody may have as many as they can ask for; and whoever may not come in needs none.
#[tokio::test]
async fn tickets_are_calls_like_others() {
    let (app, office) = ticket_office(|config| {
        config.limits.calls_per_second = 1;
        config.api_keys = vec![Secret::new("s".repeat(32))];
    })
    .await;
    let bearer = format!("Bearer {}", token(&app));
    let headers = [("authorization", &*bearer)];
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) && statuses.len() < 10 {
        statuses.push(call(office.clone(), "POST", "/v1/tickets", &headers).await.status);
    }
    assert_eq!((statuses.first(), statuses.last()), (Some(&200), Some(&429)), "{statuses:?}");

    let server = format!("Bearer {}", "s".repeat(32));
    let answer = call(office, "POST", "/v1/tickets", &[("authorization", &server)]).await;
    assert_eq!(answer.status, 403, "{}", answer.text);

    let (app, office) = ticket_office(|_| ()).await;
    let alice = UserId::parse("alice").unwrap();
    let ban = Ban { until_ms: u64::MAX, reason: String::new() };
    app.moderation.ban("the test", &alice, &ban).await.unwrap();
    let bearer = format!("Bearer {}", token(&app));
    let answer = call(office, "POST", "/v1/tickets", &[("authorization", &bearer)]).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
}

#[tokio::test]
async fn errors_are_problems() {
    let (app, good) = ticket_office(|_| ()).await;
    let bearer = format!("Bearer {}", token(&app));
    let old = app.auth.mint(&Claims::new(UserId::parse("alice").unwrap(), 0)).unwrap();
    let old = format!("Bearer {old}");
    let (mut without, _) = ticket_office(|_| ()).await;
    Arc::get_mut(&mut without).unwrap().bus = Arc::new(Away::new());
    let away = tickets_of(&without);
    for (office, authorization, status, title) in [
        (&good, None, 401, "Unauthorized"),
        (&good, Some("Bearer nonsense"), 401, "Unauthorized"),
        (&good, Some("Basic nonsense"), 401, "Unauthorized"),
        (&good, Some(&*old), 401, "Unauthorized"),
        (&away, Some(&*bearer), 503, "Service Unavailable"),
    ] {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let answer = call(office.clone(), "POST", "/v1/tickets", &headers).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"));
        assert_eq!((&answer.json()["title"], &answer.json()["status"]), (&title.into(), &status.into()));
        assert!(!answer.text.contains("nonsense"), "{}", answer.text);
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
    }
}

/// A bus that is not there.
struct Away(NodeId);

impl Away {
    fn new() -> Self {
        Self(NodeId::new("test"))
    }

    fn error<T>() -> Result<T, BusError> {
        Err(BusError::Unavailable { cause: "gone".into() })
    }
}

#[async_trait]
impl Bus for Away {
    fn append(&self, _: &RoomName, _: Append) -> Appending {
        unreachable!("no route appends")
    }
    async fn follow(&self, _: &RoomName, _: Arc<dyn Follower>) -> Result<Following, BusError> {
        Self::error()
    }
    fn set_retentions(&self, _: Retentions) {}
    async fn read(&self, _: &RoomName, _: ReadFrom, _: u32) -> Result<Page, BusError> {
        Self::error()
    }
    async fn head(&self, _: &RoomName) -> Result<Position, BusError> {
        Self::error()
    }
    async fn publish(&self, _: &RoomName, _: Bytes) -> Result<(), BusError> {
        Self::error()
    }
    async fn signal(&self, _: Bytes) -> Result<(), BusError> {
        Self::error()
    }
    fn signals(&self) -> broadcast::Receiver<Bytes> {
        broadcast::Sender::new(1).subscribe()
    }
    async fn put_ticket(&self, _: &str, _: Bytes, _: u64) -> Result<(), BusError> {
        Self::error()
    }
    async fn read_ticket(&self, _: &str, _: u64) -> Result<Option<Bytes>, BusError> {
        Self::error()
    }
    async fn take_ticket(&self, _: &str) -> Result<Option<Bytes>, BusError> {
        Self::error()
    }
    async fn tell_presence(&self, _: &RoomName, _: &PresenceUpdate) -> Result<Told, BusError> {
        Self::error()
    }
    async fn room_state(&self, _: &RoomName, _: u64, _: u64) -> Result<RoomState, BusError> {
        Self::error()
    }
    async fn mark_read(
        &self,
        _: &RoomName,
        _: &[(UserId, Position)],
        _: bool,
    ) -> Result<Vec<Marked>, BusError> {
        Self::error()
    }
    async fn set_mute(&self, _: &RoomName, _: &UserId, _: Option<&Mute>, _: u64) -> Result<(), BusError> {
        Self::error()
    }
    async fn set_sanction(
        &self,
        _: &UserId,
        _: Sanction,
        _: Option<(&[u8], u64)>,
        _: u64,
    ) -> Result<(), BusError> {
        Self::error()
    }
    async fn sanctions(&self, _: &UserId, _: u64) -> Result<Sanctions, BusError> {
        Self::error()
    }
    async fn claim_sessions(&self, _: &UserId, _: u64, _: u64) -> Result<bool, BusError> {
        Self::error()
    }
    async fn take_rate(&self, _: &str, _: u32, _: u32) -> Result<Option<Duration>, BusError> {
        Self::error()
    }
    fn describe(&self, _: Bytes) {}
    async fn nodes(&self) -> Result<Vec<NodeInfo>, BusError> {
        Self::error()
    }
    async fn rooms(&self, _: Option<&str>, _: u32) -> Result<RoomsPage, BusError> {
        Self::error()
    }
    fn notices(&self) -> broadcast::Receiver<Notice> {
        broadcast::Sender::new(1).subscribe()
    }
    fn health(&self) -> Health {
        let since = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        Health { up: false, detail: "gone".to_owned(), down_since: Some(since) }
    }
    fn node(&self) -> &NodeId {
        &self.0
    }
    async fn close(&self) {
        pending::<()>().await;
    }
}
