//! A configuration that is read anew while the node runs: what holds at once, what for newcomers, what never; and a bad one.

use serde_json::{Value, json};
use testkit::{
    Client, Dial, Gateway, GatewayOptions, PATIENCE, Request, Response, Signal, expiring, sign_with, until,
};

use crate::fixture::chorus;

const KEY: &str = "the first key of the server";
const OTHER_KEY: &str = "another key of the server";
const SECRET: &str = "the first secret, of thirty-two bytes or more";
const OTHER_SECRET: &str = "another secret, of thirty-two bytes or more";

/// A file with all that the node needs, for the environment of a process that runs can't be changed.
fn file(key: &str, secret: &str, more: &str) -> String {
    format!("api_keys = [{key:?}]\n{more}\n[auth]\njwt_secret = {secret:?}\n")
}

async fn start(more: &str) -> Gateway {
    GatewayOptions::bare(chorus()).config(&file(KEY, SECRET, more)).start().await
}

fn token_of(user: &str, secret: &str) -> String {
    sign_with(&json!({ "sub": user, "exp": expiring(3600) }), secret)
}

async fn connect(gateway: &Gateway, user: &str) -> Client {
    Dial::to(gateway.addr()).bearer(&token_of(user, SECRET)).named(user).welcomed().await
}

async fn reload(gateway: &Gateway, key: &str) -> Response {
    Request::post("/v1/reload").bearer(key).send(gateway.addr()).await
}

/// Reads it anew, and gives what the answer says.
async fn reloaded(gateway: &Gateway, text: &str) -> Value {
    gateway.configure(text);
    let response = reload(gateway, KEY).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

/// Waits for so many lines of the log that hold all of the words.
async fn logged(gateway: &Gateway, times: usize, words: &[&str]) {
    until(PATIENCE, &format!("{times} lines of the log with {words:?}"), async || {
        let log = gateway.log();
        let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
        if lines >= times { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn limits_and_namespaces_hold_at_once_and_what_welcome_said_to_the_end() {
    let gateway = start("").await;
    let mut old = connect(&gateway, "alice").await;
    old.join("news:a").await;
    old.join("lobby").await;
    old.say("news:a", "before").await;

    let change = reloaded(
        &gateway,
        &file(
            KEY,
            SECRET,
            "[limits]\ndata_bytes = 100\nrooms_per_connection = 1\n[namespaces.news]\nmembers_may_post = false\n",
        ),
    )
    .await;
    let expected = ["limits.data_bytes", "limits.rooms_per_connection", "namespaces.news.members_may_post"];
    assert_eq!(change, json!({ "changed": expected, "needs_restart": [] }));
    logged(&gateway, 1, &["audit", "API key 1", "limits.data_bytes"]).await;

    // What holds of a room holds for everybody.
    let post =
        |room: &str, bytes: usize| json!({ "type": "message", "room": room, "data": "x".repeat(bytes - 2) });
    assert_eq!(old.refused(post("news:a", 10)).await, "forbidden");
    assert_eq!(old.refused(post("lobby", 101)).await, "too_large");
    old.ok(post("lobby", 100)).await;
    // What holds of a connection was said to it.
    old.join("a-third-one").await;
    let mut new = connect(&gateway, "bob").await;
    assert_eq!(new.welcome()["limits"]["rooms_per_connection"], 1);
    assert_eq!(new.welcome()["limits"]["data_bytes"], 100);
    new.join("lobby").await;
    assert_eq!(new.refused(json!({ "type": "join", "room": "another" })).await, "too_large");

    // And back, by the signal this time.
    gateway.configure(&file(KEY, SECRET, ""));
    gateway.signal(Signal::HUP);
    logged(&gateway, 1, &["audit", "SIGHUP", "limits.data_bytes"]).await;
    old.ok(post("news:a", 10)).await;
    old.ok(post("lobby", 101)).await;
}

#[tokio::test]
async fn how_many_may_come_changes_while_they_are_there() {
    let gateway = start("").await;
    let mut first = connect(&gateway, "alice").await;
    reloaded(&gateway, &file(KEY, SECRET, "[limits]\nconnections = 1\n")).await;
    // Who is inside stays; who comes is told that there is no place.
    let closed = Dial::to(gateway.addr()).bearer(&token_of("bob", SECRET)).closed().await;
    assert_eq!(closed.code, 1013, "{closed:?}");
    first.join("lobby").await;
    reloaded(&gateway, &file(KEY, SECRET, "")).await;
    connect(&gateway, "bob").await;

    // While any number of sessions is allowed nobody counts them; those of before count all the same.
    reloaded(&gateway, &file(KEY, SECRET, "[limits]\nsessions_per_user = 1\n")).await;
    let second = Dial::to(gateway.addr()).bearer(&token_of("alice", SECRET)).closed().await;
    assert_eq!(second.code, 1013, "{second:?}");
    first.say("lobby", "still here").await;
}

#[tokio::test]
async fn what_a_node_may_bear_is_told_anew() {
    let gateway = start("").await;
    reloaded(&gateway, &file(KEY, SECRET, "drain_seconds = 7\n[limits]\nconnections = 123\n")).await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.get("chorus_connections_limit"), Some(123.0));
    assert_eq!(metrics.get("chorus_drain_limit_seconds"), Some(7.0));
}

#[tokio::test]
async fn an_api_key_is_replaced() {
    let gateway = start("").await;
    assert_eq!(reload(&gateway, OTHER_KEY).await.status, 401);
    assert_eq!(reload(&gateway, &token_of("alice", SECRET)).await.status, 403, "users may not");
    let change = reloaded(&gateway, &file(OTHER_KEY, SECRET, "")).await;
    assert_eq!(change, json!({ "changed": ["api_keys"], "needs_restart": [] }));
    assert_eq!(reload(&gateway, KEY).await.status, 401);
    let again = reload(&gateway, OTHER_KEY).await;
    assert_eq!((again.status, again.json()), (200, json!({ "changed": [], "needs_restart": [] })));
}

#[tokio::test]
async fn a_new_secret_is_for_newcomers_and_those_who_are_there_stay() {
    let gateway = start("").await;
    let mut alice = connect(&gateway, "alice").await;
    alice.join("lobby").await;
    reloaded(&gateway, &file(KEY, OTHER_SECRET, "")).await;

    let old = Dial::to(gateway.addr()).bearer(&token_of("bob", SECRET)).closed().await;
    assert_eq!(old.code, 1008, "{old:?}");
    let mut bob =
        Dial::to(gateway.addr()).bearer(&token_of("bob", OTHER_SECRET)).named("bob").welcomed().await;
    bob.join("lobby").await;
    alice.say("lobby", "I am still who I was").await;
    bob.until_events("lobby", 1).await;
    // She renews with what is good now.
    alice.ok(json!({ "type": "auth", "token": token_of("alice", OTHER_SECRET) })).await;
    for text in [SECRET, OTHER_SECRET, KEY] {
        assert!(!gateway.log().contains(text), "a secret is in the log");
    }
}

#[tokio::test]
async fn the_log_says_more_or_less() {
    let gateway = start("log = 'warn,audit=info,gateway=info'").await;
    let text = |log: &str| file(KEY, SECRET, &format!("log = {log:?}"));
    reloaded(&gateway, &text("warn,gateway=info")).await;
    logged(&gateway, 1, &["log lines are written by another filter"]).await;
    // Under this filter the audit is silent, and under the next it speaks again.
    reloaded(&gateway, &text("warn,gateway=info")).await;
    reloaded(&gateway, &text("info")).await;
    logged(&gateway, 2, &["log lines are written by another filter"]).await;
    assert_eq!(gateway.log().matches("configuration read anew").count(), 1, "{}", gateway.log());
    reloaded(&gateway, &text("info")).await;
    logged(&gateway, 2, &["audit", "configuration read anew"]).await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why() {
    let gateway = start("").await;
    let mut alice = connect(&gateway, "alice").await;
    alice.join("lobby").await;
    let worse = [
        (
            file(OTHER_KEY, OTHER_SECRET, "[limits]\ndata_bytes = 0\n"),
            &["limits.data_bytes = 0", "chorus.toml"][..],
        ),
        (file(OTHER_KEY, OTHER_SECRET, "log = 'gateway=nonsense'"), &["log = ", "nonsense"]),
        (file(OTHER_KEY, OTHER_SECRET, "colour = 'blue'"), &["colour"]),
        ("this is not TOML".to_owned(), &["chorus.toml", "line 1"]),
        (format!("api_keys = [{OTHER_KEY:?}]\n"), &["development mode", "restart"]),
        (
            format!("api_keys = [{OTHER_KEY:?}]\n[auth]\njwks_url = 'http://127.0.0.1:1/keys'\n"),
            &["auth.jwks_url", "http://127.0.0.1:1/keys"],
        ),
        (
            format!("api_keys = [{OTHER_KEY:?}]\n[auth]\njwt_public_key = '/nowhere/key.pem'\n"),
            &["auth.jwt_public_key", "/nowhere/key.pem"],
        ),
    ];
    for (number, (text, words)) in worse.iter().enumerate() {
        gateway.configure(text);
        // The key of before is still the one.
        let response = reload(&gateway, KEY).await;
        let problem = response.json();
        assert_eq!(response.status, 422, "{response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        let detail = problem["detail"].as_str().unwrap();
        assert!(words.iter().all(|word| detail.contains(word)), "{words:?}: {detail}");
        gateway.signal(Signal::HUP);
        logged(&gateway, number + 1, &["WARN", "audit", "SIGHUP", "everything is as before"]).await;
        logged(&gateway, 1, &[&["WARN", "API key 1"][..], words].concat()).await;
    }
    connect(&gateway, "bob").await;
    alice.say("lobby", "x".repeat(1000)).await;
}

#[tokio::test]
async fn what_only_a_restart_changes_is_named_and_stays() {
    let gateway = start("").await;
    let more = "redis_url = 'redis://:hunter2@127.0.0.1:1'\npages = false\n[tail]\nbytes = 2000\n[limits]\nframe_burst = 7\n";
    let change = reloaded(&gateway, &file(KEY, SECRET, more)).await;
    let expected = json!({
        "changed": ["limits.frame_burst"],
        "needs_restart": ["redis_url", "pages", "tail.bytes"],
    });
    assert_eq!(change, expected);
    logged(&gateway, 1, &["WARN", "until the node is restarted", "redis_url"]).await;
    assert!(!gateway.log().contains("hunter2"));
    assert_eq!(Request::get("/").send(gateway.addr()).await.status, 200, "the pages are still there");
    let client = connect(&gateway, "alice").await;
    assert_eq!(client.welcome()["limits"]["frame_burst"], 7);
}

#[tokio::test]
async fn other_keys_of_an_issuer_are_had_before_they_are_believed() {
    let key = testkit::SigningKey::new("new", "ES256");
    let issuer = testkit::Issuer::start(&[&key]).await;
    let gateway = start("").await;
    gateway.configure(&format!(
        "api_keys = [{KEY:?}]\n[auth]\njwks_url = {:?}\njwks_ca = {:?}\n",
        issuer.url(),
        issuer.ca()
    ));
    let response = reload(&gateway, KEY).await;
    assert_eq!(
        (response.status, &response.json()["changed"]),
        (200, &json!(["auth.jwt_secret", "auth.jwks_url", "auth.jwks_ca"]))
    );
    assert_eq!(issuer.requests(), 1);
    let claims = json!({ "sub": "alice", "exp": expiring(3600) });
    Dial::to(gateway.addr()).bearer(&key.sign(&claims)).welcomed().await;
    let old = Dial::to(gateway.addr()).bearer(&token_of("bob", SECRET)).closed().await;
    assert_eq!(old.code, 1008, "{old:?}");
    // A reload for another reason needs no issuer: it keeps what it has of this one.
    issuer.answer(testkit::Answer::Status(500));
    gateway.configure(&format!(
        "api_keys = [{KEY:?}]\n[limits]\nframe_burst = 7\n[auth]\njwks_url = {:?}\njwks_ca = {:?}\n",
        issuer.url(),
        issuer.ca()
    ));
    assert_eq!(reload(&gateway, KEY).await.status, 200);
    Dial::to(gateway.addr()).bearer(&key.sign(&claims)).welcomed().await;
}
