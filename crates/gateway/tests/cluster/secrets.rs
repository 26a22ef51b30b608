//! What is in no line that a cluster logs, at any level.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testkit::{
    Client, Dial, EventStream, Gateway, GatewayOptions, PATIENCE, RawSocket, Redis, Request, SECRET,
    StreamDial, expiring, sign, sign_with, until,
};

use crate::fixture::options;

/// Everything that must not be seen, and for each what it is.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// Remembers one; a token also by its parts, of which each is good for something.
    fn keep(&mut self, what: &str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        for part in secret.split('.').filter(|part| part.len() > 12) {
            self.0.push((what.to_owned(), part.to_owned()));
        }
        self.0.push((what.to_owned(), secret.clone()));
        secret
    }

    fn token(&mut self, what: &str, user: &str) -> String {
        // Each is another one.
        let token = sign(&json!({ "sub": user, "exp": expiring(600), "name": what }));
        // What all tokens of this key begin with is no secret.
        let parts: Vec<&str> = token.split('.').skip(1).collect();
        parts.iter().for_each(|part| self.0.push((what.to_owned(), (*part).to_owned())));
        // Nor the beginning of it, as when a long text is cut.
        let signature = parts.last().and_then(|signature| signature.get(..16)).unwrap_or_default();
        self.0.push((what.to_owned(), signature.to_owned()));
        token
    }

    fn are_not_in(&self, whose: &str, text: &str) {
        for (what, secret) in &self.0 {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{whose} tells {what} ({secret}): {}", line.unwrap_or_default());
        }
    }
}

/// Nodes that say all that there is to say, and where Redis is.
struct Stage {
    redis: Redis,
    api_key: String,
    collector_key: String,
}

impl Stage {
    fn node(&self, name: &str, password: &str) -> GatewayOptions {
        options()
            .node(name)
            .env("CHORUS_LOG", "trace")
            .env("CHORUS_LOG_FORMAT", "json")
            .env("CHORUS_REDIS_URL", format!("redis://chat:{password}@127.0.0.1:{}", self.redis.port()))
            .env("CHORUS_ALLOWED_ORIGINS", "http://chat.example")
            .env("CHORUS_OTLP_ENDPOINT", "http://127.0.0.1:1")
            .env("CHORUS_OTLP_SAMPLE", "1")
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={}", self.collector_key))
            // In a file, so that it can be read anew.
            .config(&format!("api_keys = [\"{}\"]\n", self.api_key))
    }
}

/// Whoever reads logs must not be able to speak for those who are in them, at no level: filters are widened in an outage,
/// and logs go far.
#[tokio::test]
async fn no_secret_is_in_any_line_that_a_cluster_logs() {
    let mut secrets = Secrets::default();
    let password = secrets.keep("the password of Redis", "redis-pass-3f9a0c71");
    let wrong_password = secrets.keep("a wrong password of Redis", "wrong-pass-77b2c9e4");
    secrets.keep("the key of tokens", SECRET);
    let stage = Stage {
        redis: Redis::start_with(&[&format!("user chat on >{password} ~* &* +@all")]).await,
        api_key: secrets.keep("an API key", "api-key-0d1e2f3a4b5c6d7e"),
        collector_key: secrets.keep("the collector's key", "collector-key-a1b2c3d4"),
    };
    let nodes = [stage.node("one", &password).start().await, stage.node("two", &password).start().await];
    for node in &nodes {
        node.ready().await;
    }
    let (one, two) = (nodes[0].addr(), nodes[1].addr());

    let mut clients = come_in_every_way(&mut secrets, one, two).await;
    let streams = come_by_ticket(&mut secrets, one, two, &mut clients).await;
    be_refused_in_every_way(&mut secrets, one, two).await;
    for client in &mut clients {
        client.join("lobby").await;
    }
    for client in &mut clients {
        client.say("lobby", "hello").await;
    }
    for client in &mut clients {
        client.until_events("lobby", 6).await;
    }
    let call = async |method: &'static str, path: &str, body: Value| {
        let response = Request::new(method, path).bearer(&stage.api_key).json(&body).send(one).await;
        assert!(response.status < 300, "{path}: {response:?}");
    };
    call("POST", "/v1/rooms/lobby/messages", json!({ "data": 1 })).await;
    call("PUT", "/v1/users/bob/ban", json!({ "reason": "spam" })).await;
    call("POST", "/v1/users/alice/disconnect", json!({})).await;
    for mut client in clients {
        client.closed().await;
    }
    drop(streams);
    read_configurations_anew(&mut secrets, &nodes[0], &stage.api_key).await;

    // An outage, and a node that has the wrong password.
    stage.redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    stage.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    for node in &nodes {
        node.ready().await;
    }
    let locked_out = stage.node("three", &wrong_password).start().await;
    until(PATIENCE, "a word of the password", async || {
        let log = locked_out.log();
        if log.contains("WRONGPASS") { Ok(()) } else { Err(log) }
    })
    .await;

    for node in nodes.into_iter().chain([locked_out]) {
        let (log, stdout) = (node.log(), node.stdout());
        assert!(log.contains("\"TRACE\""), "all was said that there is: {log}");
        secrets.are_not_in("the log", &log);
        secrets.are_not_in("standard output", &stdout);
    }
}

/// Good tokens, in each place where one may be.
async fn come_in_every_way(secrets: &mut Secrets, one: SocketAddr, two: SocketAddr) -> Vec<Client> {
    let mut good = |how: &str| secrets.token(&format!("a token by {how}"), "alice");
    let mut clients = vec![
        Dial::to(one).path(format!("/ws?token={}", good("query"))).welcomed().await,
        Dial::to(two).bearer(&good("header")).welcomed().await,
        Dial::to(one).protocols(&format!("chorus.v1, bearer.{}", good("subprotocol"))).welcomed().await,
        Dial::to(two)
            .header("Cookie", format!("chorus_token={}", good("cookie")))
            .header("Origin", "http://chat.example")
            .welcomed()
            .await,
        Dial::to(one).authenticated(&good("frame")).await,
    ];
    clients[0].ok(json!({ "type": "auth", "token": good("renewal") })).await;
    clients
}

/// A socket and a stream by tickets, one of which comes a second time, and a stream by a token.
async fn come_by_ticket(
    secrets: &mut Secrets,
    one: SocketAddr,
    two: SocketAddr,
    clients: &mut Vec<Client>,
) -> [EventStream; 2] {
    let token = secrets.token("a token for tickets", "alice");
    let mut ticket = async || {
        let response = Request::post("/v1/tickets").bearer(&token).send(one).await.json();
        secrets.keep("a ticket", response["ticket"].as_str().expect("a ticket"))
    };
    let (first, second) = (ticket().await, ticket().await);
    clients.push(Dial::to(two).path(format!("/ws?ticket={first}")).welcomed().await);
    Dial::to(one).path(format!("/ws?ticket={first}")).closed().await;
    let by_ticket = StreamDial::to(two, &["lobby"]).query("ticket", &second).welcomed().await;
    let token = secrets.token("a token for a stream", "alice");
    [by_ticket, StreamDial::to(one, &["lobby"]).bearer(&token).welcomed().await]
}

/// Bad credentials in every place, and good ones where they do not belong, or in what can't be read.
async fn be_refused_in_every_way(secrets: &mut Secrets, one: SocketAddr, two: SocketAddr) {
    let wrong_key = secrets.keep("a wrong API key", "not-a-key-5c6d7e8f90a1b2");
    let expired = sign(&json!({ "sub": "alice", "exp": expiring(-3600) }));
    let forged =
        sign_with(&json!({ "sub": "mallory", "exp": expiring(600) }), "a key of her own, long enough");
    for bad in [&expired, &forged] {
        // What all tokens of a kind begin with is no secret.
        secrets.keep("a bad token's signature", bad.rsplit('.').next().unwrap_or_default());
    }
    for bad in [&expired, &forged, &wrong_key] {
        Dial::to(one).path(format!("/ws?token={bad}")).closed().await;
        Dial::to(two).bearer(bad).closed().await;
        Dial::to(one).protocols(&format!("chorus.v1, bearer.{bad}")).closed().await;
        let mut client = Dial::to(one).open().await.expect("an upgrade");
        client.send(&json!({ "type": "auth", "token": bad })).await;
        client.closed().await;
        StreamDial::to(two, &["lobby"]).bearer(bad).refused().await;
        assert_eq!(Request::get("/v1/nodes").bearer(bad).send(one).await.status, 401);
    }
    let astray = secrets.token("a token in the wrong place", "alice");
    let mut socket = RawSocket::open(one, &format!("/ws?room={astray}&x={astray}")).await;
    socket.text(&format!("{{\"token\":\"{astray}\"")).await;
    Request::get(format!("/v1/rooms/{astray}/messages?token={astray}")).bearer(&astray).send(one).await;
    Request::post("/v1/tickets").bearer(&astray).text_body(astray.as_str()).send(two).await;
}

/// A good one and bad ones, with a secret where it belongs and where it does not.
async fn read_configurations_anew(secrets: &mut Secrets, node: &Gateway, api_key: &str) {
    let new_key = secrets.keep("a new API key", "new-key-9f8e7d6c5b4a3f2e");
    let reload = async || Request::post("/v1/reload").bearer(api_key).send(node.addr()).await.status;
    node.configure(&format!("api_keys = [\"{api_key}\", \"{new_key}\"]\n"));
    assert_eq!(reload().await, 200);
    for bad in [
        format!("api_keys = \"{new_key}\"\n"),
        format!("api_keys = [\"{new_key}\"\n"),
        format!("api_keys = [[\"{new_key}\"]]\n"),
        format!("api_key = \"{new_key}\"\n"),
    ] {
        node.configure(&bad);
        assert!((400..500).contains(&reload().await), "{bad}");
    }
}
