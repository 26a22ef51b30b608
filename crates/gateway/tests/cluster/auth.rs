//! The six ways to say who one is, good and bad.

use serde_json::{Value, json};
use testkit::{Client, Close, Dial, Gateway, Request, expiring, sign, sign_with, token};

use crate::fixture::{cluster, options, single};

/// A way to bring a credential along when connecting.
type Way = fn(Dial, &str) -> Dial;

/// All ways but the ticket, which is another credential, and the first frame, which comes later.
const WAYS: [(&str, Way); 4] = [
    ("query", |dial, token| dial.path(format!("/ws?token={token}"))),
    ("header", Dial::bearer),
    ("subprotocol", |dial, token| dial.protocols(&format!("chorus.v1, bearer.{token}"))),
    ("cookie", |dial, token| {
        let dial = dial.header("Cookie", format!("theme=dark; chorus_token={token}; x=y"));
        dial.header("Origin", "http://chat.example")
    }),
];

async fn gateway() -> Gateway {
    options().env("CHORUS_ALLOWED_ORIGINS", "http://chat.example").start().await
}

fn refused(code: u16, reason: &str) -> Close {
    Close { code, reason: reason.to_owned() }
}

/// Tokens that no gateway may take, and how each is refused.
fn bad_tokens() -> Vec<(&'static str, String, Close)> {
    let good = token("alice");
    let (header_and_claims, _) = good.rsplit_once('.').unwrap();
    let soon = expiring(600);
    let failed = || refused(1008, "auth_failed");
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let claims = good.split('.').nth(1).unwrap();
    vec![
        (
            "another key",
            sign_with(&json!({ "sub": "alice", "exp": soon }), "another key, just as long as ours"),
            failed(),
        ),
        ("no signature", format!("{header_and_claims}."), failed()),
        ("algorithm none", format!("{none}.{claims}."), failed()),
        ("not a token", "nonsense".to_owned(), failed()),
        ("no sub", sign(&json!({ "exp": soon })), failed()),
        ("no exp", sign(&json!({ "sub": "alice" })), failed()),
        ("not yet", sign(&json!({ "sub": "alice", "exp": soon, "nbf": expiring(300) })), failed()),
        ("a bad user id", sign(&json!({ "sub": "alice in wonderland", "exp": soon })), failed()),
        ("an empty user id", sign(&json!({ "sub": "", "exp": soon })), failed()),
        ("expired", sign(&json!({ "sub": "alice", "exp": expiring(-3600) })), refused(4401, "token_expired")),
    ]
}

#[tokio::test]
async fn a_good_token_is_taken_in_every_way() {
    let gateway = gateway().await;
    for (name, way) in WAYS {
        let client = way(Dial::to(gateway.addr()).named(name), &token("alice")).welcomed().await;
        let welcome = client.welcome();
        assert_eq!(welcome["user"], "alice", "{name}: {welcome}");
        for field in ["session", "node"] {
            assert!(welcome[field].as_str().is_some_and(|text| !text.is_empty()), "{name}: {welcome}");
        }
        assert_eq!(welcome["heartbeat_ms"], 30_000, "{name}");
        assert_eq!(welcome["limits"]["id_ttl_ms"], 300_000, "{name}: {welcome}");
        // The token itself is never echoed.
        let protocol = (name == "subprotocol").then_some("chorus.v1");
        assert_eq!(client.protocol(), protocol, "{name}");
    }
    let client = Dial::to(gateway.addr()).named("first frame").authenticated(&token("alice")).await;
    assert_eq!(client.welcome()["user"], "alice");
}

#[tokio::test]
async fn a_bad_token_is_refused_in_every_way_after_the_upgrade() {
    let gateway = gateway().await;
    for (what, bad, close) in bad_tokens() {
        for (name, way) in WAYS {
            let dial = way(Dial::to(gateway.addr()).named(&format!("{what} by {name}")), &bad);
            assert_eq!(dial.closed().await, close, "{what} by {name}");
        }
        let mut client = Dial::to(gateway.addr()).open().await.unwrap();
        client.send(&json!({ "type": "auth", "token": bad })).await;
        assert_eq!(client.closed().await, close, "{what} by the first frame");
    }
    let metrics = gateway.metrics().await;
    for code in ["1008", "4401"] {
        assert!(metrics.with("chorus_closes_total", "code", code) > 0.0, "{metrics:?}");
    }
}

#[tokio::test]
async fn a_token_of_nine_kilobytes_is_refused() {
    let gateway = gateway().await;
    let info = "x".repeat(9 * 1024);
    let long = sign(&json!({ "sub": "alice", "exp": expiring(600), "info": info }));
    let mut client = Dial::to(gateway.addr()).open().await.unwrap();
    client.send(&json!({ "type": "auth", "token": long })).await;
    assert_eq!(client.closed().await, refused(1008, "auth_failed"));
}

#[tokio::test]
async fn audience_and_issuer_are_required_where_they_are_configured() {
    let gateway = options().config("[auth]\naudience = \"chat\"\nissuer = \"us\"\n").start().await;
    let claims = |extra: Value| {
        let mut claims = json!({ "sub": "alice", "exp": expiring(600) });
        claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        sign(&claims)
    };
    let good = [json!({ "aud": "chat", "iss": "us" }), json!({ "aud": ["mail", "chat"], "iss": "us" })];
    for claim in good {
        Dial::to(gateway.addr()).bearer(&claims(claim)).welcomed().await;
    }
    let bad = [
        json!({}),
        json!({ "aud": "chat" }),
        json!({ "iss": "us" }),
        json!({ "aud": "mail", "iss": "us" }),
        json!({ "aud": "chat", "iss": "them" }),
    ];
    for claim in bad {
        let name = claim.to_string();
        let close = Dial::to(gateway.addr()).named(&name).bearer(&claims(claim)).closed().await;
        assert_eq!(close, refused(1008, "auth_failed"), "{name}");
    }
}

#[tokio::test]
async fn a_ticket_is_good_once_and_on_any_node() {
    let cluster = cluster(2).await;
    let memory = single().await;
    for (issuing, using) in [(cluster.addr(0), cluster.addr(1)), (memory.addr(), memory.addr())] {
        let response = Request::post("/v1/tickets").bearer(&token("alice")).send(issuing).await;
        assert_eq!(response.status, 200, "{response:?}");
        let body = response.json();
        let lifetime = body["expires_in_ms"].as_u64().unwrap();
        assert!((50_000..=60_000).contains(&lifetime), "{body}");
        let path = format!("/ws?ticket={}", body["ticket"].as_str().unwrap());

        let client = Dial::to(using).path(&path).welcomed().await;
        assert_eq!(client.welcome()["user"], "alice");
        for again in [using, issuing] {
            let close = Dial::to(again).path(&path).named("the ticket again").closed().await;
            assert_eq!(close, refused(1008, "auth_failed"));
        }
        let close = Dial::to(using).path("/ws?ticket=never-issued").closed().await;
        assert_eq!(close, refused(1008, "auth_failed"));
    }
}

#[tokio::test]
async fn a_ticket_is_issued_only_for_a_good_token() {
    let gateway = gateway().await;
    let bare = Request::post("/v1/tickets").send(gateway.addr()).await;
    assert_eq!(bare.status, 401, "{bare:?}");
    for (what, bad, _) in bad_tokens() {
        let response = Request::post("/v1/tickets").bearer(&bad).send(gateway.addr()).await;
        assert_eq!(response.status, 401, "{what}: {response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{what}");
        assert!(!response.body.contains(&bad), "{what}: the token came back: {response:?}");
    }
}

#[tokio::test]
async fn a_ticket_carries_the_rights_of_its_token() {
    let gateway = single().await;
    let reader = sign(&json!({ "sub": "alice", "exp": expiring(600), "rooms": { "news": "r" } }));
    let response = Request::post("/v1/tickets").bearer(&reader).send(gateway.addr()).await;
    let path = format!("/ws?ticket={}", response.json()["ticket"].as_str().unwrap());
    let mut alice = Dial::to(gateway.addr()).path(path).welcomed().await;
    alice.join("news").await;
    assert_eq!(alice.refused(json!({ "type": "message", "room": "news", "data": 1 })).await, "forbidden");
    assert_eq!(alice.refused(json!({ "type": "join", "room": "lobby" })).await, "forbidden");
}

#[tokio::test]
async fn an_explicit_credential_beats_the_cookie() {
    let gateway = gateway().await;
    let with_cookie = || {
        let dial = Dial::to(gateway.addr()).header("Origin", "http://chat.example");
        dial.header("Cookie", format!("chorus_token={}", token("alice")))
    };
    assert_eq!(with_cookie().bearer(&token("bob")).welcomed().await.welcome()["user"], "bob");
    assert_eq!(with_cookie().bearer("nonsense").closed().await, refused(1008, "auth_failed"));
}

#[tokio::test]
async fn a_cookie_counts_for_nothing_without_an_origin() {
    let gateway = gateway().await;
    let dial = Dial::to(gateway.addr()).header("Cookie", format!("chorus_token={}", token("alice")));
    assert_eq!(dial.refused().await.status, 403);
}

#[tokio::test]
async fn a_foreign_origin_is_refused_before_the_upgrade() {
    let listed = gateway().await;
    let default = single().await;
    let own = format!("http://{}", default.addr());
    let cases = [
        (&listed, "http://chat.example", true),
        (&listed, "https://chat.example", false),
        (&listed, "http://chat.example.evil.example", false),
        (&listed, "null", false),
        (&default, own.as_str(), true),
        (&default, "http://evil.example", false),
        (&default, "null", false),
    ];
    for (gateway, origin, allowed) in cases {
        let dial = Dial::to(gateway.addr()).named(origin).bearer(&token("alice")).header("Origin", origin);
        if allowed {
            dial.welcomed().await;
        } else {
            assert_eq!(dial.refused().await.status, 403, "{origin}");
        }
    }
}

#[tokio::test]
async fn subprotocols_without_ours_are_refused() {
    let gateway = gateway().await;
    for offered in ["graphql-ws", "chorus.v2, mqtt", "bearer.abc"] {
        let dial = Dial::to(gateway.addr()).bearer(&token("alice")).protocols(offered);
        assert_eq!(dial.refused().await.status, 400, "{offered}");
    }
    for offered in ["chorus.v1", "mqtt, chorus.v1"] {
        let client = Dial::to(gateway.addr()).bearer(&token("alice")).protocols(offered).welcomed().await;
        assert_eq!(client.protocol(), Some("chorus.v1"), "{offered}");
    }
}

#[tokio::test]
async fn whoever_says_nothing_or_something_else_first_is_closed() {
    let gateway = options().config("[auth]\ndeadline_ms = 300\n").start().await;
    assert_eq!(Dial::to(gateway.addr()).closed().await, refused(1008, "auth_timeout"));

    let gateway = single().await;
    for first in [json!({ "type": "join", "room": "lobby" }), json!({ "type": "ping" })] {
        let mut client = Dial::to(gateway.addr()).open().await.unwrap();
        client.send(&first).await;
        assert_eq!(client.closed().await, refused(1008, "auth_required"), "{first}");
    }
}

#[tokio::test]
async fn a_token_that_expires_is_renewed_or_the_connection_ends() {
    let gateway = single().await;
    let short = |user: &str| sign(&json!({ "sub": user, "exp": expiring(3) }));
    let mut renews = Dial::to(gateway.addr()).named("renews").bearer(&short("alice")).welcomed().await;
    let mut forgets = Dial::to(gateway.addr()).named("forgets").bearer(&short("bob")).welcomed().await;
    for client in [&mut renews, &mut forgets] {
        let expiring = client.expect("expiring").await;
        assert!(expiring["in_ms"].as_u64().is_some_and(|ms| ms <= 30_000), "{expiring}");
    }
    renews.ok(json!({ "type": "auth", "token": token("alice") })).await;
    assert_eq!(forgets.closed().await, refused(4401, "token_expired"));
    assert_eq!(renews.request(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn a_token_is_not_renewed_by_one_of_somebody_else() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    for other in [token("bob"), "nonsense".to_owned()] {
        assert_eq!(alice.refused(json!({ "type": "auth", "token": other })).await, "forbidden");
    }
    // She is who she was.
    alice.join("lobby").await;
    alice.say("lobby", "still here").await;
    assert_eq!(alice.expect("message").await["from"], "alice");
}

#[tokio::test]
async fn rights_are_those_of_the_most_exact_pattern() {
    let gateway = single().await;
    let rooms =
        json!({ "team:*": "rw", "team:secret:*": "", "team:secret:mine": "rw", "news": "r", "box": "w" });
    let alice = sign(&json!({ "sub": "alice", "exp": expiring(600), "rooms": rooms }));
    let mut alice = Dial::to(gateway.addr()).bearer(&alice).welcomed().await;
    // Whether it may join, and whether it may post.
    let cases = [
        ("team:a", true, true),
        ("team:secret:plans", false, false),
        ("team:secret:mine", true, true),
        ("news", true, false),
        ("lobby", false, false),
        ("@bob", false, false),
        ("@alice", true, false),
    ];
    for (room, may_join, may_post) in cases {
        let join = alice.request(json!({ "type": "join", "room": room })).await;
        assert_eq!(join["type"] == "ok", may_join, "{room}: {join}");
        let history = alice.request(json!({ "type": "history", "room": room })).await;
        assert_eq!(history["type"] == "ok", may_join, "{room}: {history}");
        let post = alice.request(json!({ "type": "message", "room": room, "data": 1 })).await;
        assert_eq!(post["type"] == "ok", may_post, "{room}: {post}");
        let reason = if may_join { "forbidden" } else { "not_joined" };
        assert!(may_post || post["code"] == reason || post["code"] == "forbidden", "{room}: {post}");
    }
    assert_eq!(alice.refused(json!({ "type": "join", "room": "box" })).await, "forbidden");
}
