//! Configuration: what is refused, how it is said, and what wins.

use std::process::Output;

use testkit::{Dial, Gateway, GatewayOptions, SECRET};

use crate::fixture::{chorus, options};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code 2, nothing on stdout, and one line that names all of `words`.
fn assert_refused(output: &Output, words: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "one line, not:\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "the message does not name {word:?}: {stderr}");
    }
}

/// Exit code 2 and a message of any length: flags and commands that do not exist come with their usage.
fn assert_misused(output: &Output, word: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(word), "{stderr}");
}

#[tokio::test]
async fn a_bad_value_is_named_with_its_key_and_exits_2() {
    let variables = [
        ("CHORUS_LISTEN", "nonsense"),
        ("CHORUS_LISTEN", "127.0.0.1:99999"),
        ("CHORUS_METRICS_LISTEN", "here"),
        ("CHORUS_DRAIN_SECONDS", "soon"),
        ("CHORUS_LOG_FORMAT", "xml"),
        ("CHORUS_ALLOWED_ORIGINS", "not an origin"),
        ("CHORUS_TRUSTED_PROXIES", "10.0.0.0/99"),
    ];
    for (name, value) in variables {
        let output = options().env(name, value).run().await;
        // A key may be named as in the file or as in the environment.
        let stderr = text(&output.stderr).to_lowercase();
        let key = name.trim_start_matches("CHORUS_").to_lowercase();
        assert!(stderr.contains(&key), "{name} is not named: {stderr}");
        assert_refused(&output, &[value]);
    }
    // What may hold a password is not repeated.
    let output = options().env("CHORUS_REDIS_URL", "http://:hunter2@127.0.0.1").run().await;
    assert_refused(&output, &["redis_url", "redis://"]);
    assert!(!text(&output.stderr).contains("hunter2"));

    let files = [
        ("drain_seconds = -1", &["drain_seconds", "-1"][..]),
        ("drain_seconds = \"ten\"", &["drain_seconds", "ten"]),
        ("colour = \"blue\"", &["colour"]),
        ("[limits]\nframe_bites = 1", &["frame_bites"]),
        ("[limits]\ndata_bytes = 0", &["data_bytes", "0"]),
        ("[limits]\ndata_bytes = 100000\nframe_bytes = 1000", &["frame_bytes", "1000"]),
        ("[rooms]\ndefault_rights = \"rwx\"", &["default_rights", "rwx"]),
        ("[namespaces.team]\nmembers = -1", &["namespaces.team.members", "-1"]),
        ("[namespaces.'te am']\nmembers = 1", &["namespaces.te am", "no namespace"]),
        ("[namespaces.team]\nmembers = 1\npresence = false", &["namespaces.team.members", "presence"]),
        ("[heartbeat]\ninterval_ms = 0", &["interval_ms", "0"]),
        ("log_format = \"xml\"", &["log_format", "xml"]),
        ("this is not TOML", &["chorus.toml"]),
    ];
    for (toml, words) in files {
        assert_refused(&options().config(toml).run().await, words);
    }
}

#[tokio::test]
async fn what_cannot_be_together_is_refused() {
    // A cluster node with a key made at start could not check what another node's clients bring.
    let output = GatewayOptions::bare(chorus()).env("CHORUS_REDIS_URL", "redis://127.0.0.1:1").run().await;
    assert_refused(&output, &["jwt_secret"]);
    let output = options().args(&["--config", "/nowhere/chorus.toml"]).run().await;
    assert_refused(&output, &["/nowhere/chorus.toml"]);
    let output = options().args(&["--lisen", "127.0.0.1:0"]).run().await;
    assert_misused(&output, "--lisen");
    let output = options().listen("0.0.0.0:0").env("CHORUS_JWT_SECRET", "short").run().await;
    assert_refused(&output, &["jwt_secret"]);
    assert!(!text(&output.stderr).contains("\"short\""), "a secret is not repeated, not even a bad one");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = options().start().await;
    let addr = first.addr().to_string();
    let output = options().listen(&addr).run().await;
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains(&addr), "{}", text(&output.stderr));
}

#[tokio::test]
async fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let node = async |options: GatewayOptions| -> String {
        let gateway: Gateway = options.start().await;
        let client = Dial::to(gateway.addr()).bearer(&testkit::token("alice")).welcomed().await;
        client.node().to_owned()
    };
    let named = || options().config("node = \"of-the-file\"\n").node("of-the-environment");
    // A node id is its name and something that no two starts share.
    assert!(node(named()).await.starts_with("of-the-environment"));
    assert!(node(named().args(&["--node", "of-the-flag"])).await.starts_with("of-the-flag"));
}

#[tokio::test]
async fn the_configuration_is_printed_without_its_secrets() {
    let redis = "redis://default:hunter2@127.0.0.1:6379";
    let output = options()
        .env("CHORUS_REDIS_URL", redis)
        .env("CHORUS_API_KEYS", "key-of-the-backend-0123456789")
        .args(&["config"])
        .run()
        .await;
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for key in
        ["listen", "drain_seconds = 10", "frames_per_second = 50", "interval_ms = 30000", "127.0.0.1:6379"]
    {
        assert!(printed.contains(key), "{key} is missing in:\n{printed}");
    }
    for secret in [SECRET, "hunter2", "key-of-the-backend"] {
        assert!(!printed.contains(secret), "{secret} is printed:\n{printed}");
        assert!(!text(&output.stderr).contains(secret));
    }
}

#[tokio::test]
async fn a_minted_token_opens_the_door_it_names() {
    let gateway = options().start().await;
    let mint = [
        "token", "--sub", "alice", "--name", "Alice", "--room", "lobby=rw", "--room", "news=r", "--ttl", "1h",
    ];
    let output = options().args(&mint).run().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let token = text(&output.stdout);
    assert_eq!(token.lines().count(), 1, "the token alone: {token}");
    let mut alice = Dial::to(gateway.addr()).bearer(token.trim()).welcomed().await;
    assert_eq!(alice.welcome()["user"], "alice");
    alice.join("lobby").await;
    alice.say("lobby", "hello").await;
    assert_eq!(alice.expect("message").await["name"], "Alice");
    alice.join("news").await;
    for request in [
        serde_json::json!({ "type": "message", "room": "news", "data": 1 }),
        serde_json::json!({ "type": "join", "room": "elsewhere" }),
    ] {
        assert_eq!(alice.refused(request).await, "forbidden");
    }
}

#[tokio::test]
async fn a_token_needs_a_user_a_key_and_a_sensible_time() {
    for (arguments, word) in [
        (&["token"][..], "--sub"),
        (&["token", "--sub", "two words"], "two words"),
        (&["token", "--sub", "alice", "--ttl", "soon"], "soon"),
        (&["token", "--sub", "alice", "--room", "lobby"], "lobby"),
        (&["token", "--sub", "alice", "--room", "lobby=rwx"], "rwx"),
    ] {
        assert_misused(&options().args(arguments).run().await, word);
    }
    let output = GatewayOptions::bare(chorus()).args(&["token", "--sub", "alice"]).run().await;
    assert_refused(&output, &["jwt_secret"]);
}

#[tokio::test]
async fn the_version_is_told() {
    let output = GatewayOptions::bare(chorus()).args(&["version"]).run().await;
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains(env!("CARGO_PKG_VERSION")), "{output:?}");
    let output = GatewayOptions::bare(chorus()).args(&["dance"]).run().await;
    assert_misused(&output, "dance");
}
