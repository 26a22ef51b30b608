//! The keys that tokens are signed with: PEM and JWKS files, and an issuer with a server, which rotates them and fails.

use std::fs;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use testkit::{
    Answer, Client, Close, Dial, Gateway, GatewayOptions, Issuer, PATIENCE, Request, SECRET, SigningKey,
    expiring, jwks, sign, until,
};

use crate::fixture::chorus;

/// Every algorithm with public keys.
const PUBLIC: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

fn claims() -> Value {
    json!({ "sub": "alice", "exp": expiring(600) })
}

/// A gateway that believes an issuer, and asks it for nothing but what a test provokes.
fn believing(issuer: &Issuer) -> GatewayOptions {
    GatewayOptions::bare(chorus())
        .env("CHORUS_JWKS_URL", issuer.url())
        .env("CHORUS_AUTH_JWKS_CA", issuer.ca().display().to_string())
        .env("CHORUS_AUTH_JWKS_REFRESH_SECONDS", "86400")
}

async fn accepted(gateway: &Gateway, token: &str) -> Client {
    let client = Dial::to(gateway.addr()).bearer(token).welcomed().await;
    assert_eq!(client.welcome()["user"], "alice");
    client
}

async fn refused(gateway: &Gateway, token: &str, what: &str) {
    let close = Dial::to(gateway.addr()).bearer(token).closed().await;
    assert_eq!(close, Close { code: 1008, reason: "auth_failed".to_owned() }, "{what}");
}

/// How many fetches of the keys went well, or did not.
async fn refreshes(gateway: &Gateway, result: &str) -> f64 {
    gateway.metrics().await.with("chorus_jwks_refreshes_total", "result", result)
}

/// Waits until that are so many.
async fn fetched(gateway: &Gateway, result: &str, times: f64) {
    until(PATIENCE, &format!("{times} fetches to be {result}"), async || {
        let seen = refreshes(gateway, result).await;
        if seen >= times { Ok(()) } else { Err(format!("{seen}\n{}", gateway.log())) }
    })
    .await;
}

#[tokio::test]
async fn every_algorithm_is_good_with_a_key_of_its_own() {
    let keys: Vec<_> = PUBLIC.iter().map(|algorithm| SigningKey::new(algorithm, algorithm)).collect();
    let issuer = Issuer::start(&keys.iter().collect::<Vec<_>>()).await;
    let gateway = believing(&issuer).env("CHORUS_JWT_SECRET", SECRET).start().await;
    for key in &keys {
        accepted(&gateway, &key.sign(&claims())).await;
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let secret = EncodingKey::from_secret(SECRET.as_bytes());
        accepted(&gateway, &encode(&Header::new(algorithm), &claims(), &secret).unwrap()).await;
    }
    // A key that names its algorithm is good for no other of its family.
    let header = Header { kid: Some("RS256".to_owned()), ..Header::new(Algorithm::PS256) };
    refused(&gateway, &keys[0].sign_with(&claims(), &header), "PS256 by a key of RS256").await;
    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn a_public_key_is_never_a_secret_and_no_signature_is_none() {
    let key = SigningKey::new("k", "RS256").with("alg", Value::Null);
    let stranger = SigningKey::new("k", "ES256");
    let issuer = Issuer::start(&[&key]).await;
    let gateway = believing(&issuer).start().await;
    let good = key.sign(&claims());
    accepted(&gateway, &good).await;

    let jwk = key.jwk().to_string();
    for published in [key.pem(), key.pem().trim(), &jwk, key.jwk()["n"].as_str().unwrap()] {
        for kid in [None, Some("k".to_owned())] {
            let header = Header { kid, ..Header::new(Algorithm::HS256) };
            let secret = EncodingKey::from_secret(published.as_bytes());
            refused(&gateway, &encode(&header, &claims(), &secret).unwrap(), "a public key as a secret")
                .await;
        }
    }
    refused(&gateway, &stranger.sign(&claims()), "a key of another family by the same name").await;
    let payload = good.split('.').nth(1).unwrap();
    // {"alg":"none"} and {"alg":"none","kid":"k"}
    for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIiwia2lkIjoiayJ9"] {
        refused(&gateway, &format!("{header}.{payload}."), "alg none").await;
    }
    // Neither is a place that a token names asked for its keys.
    let elsewhere = Issuer::start(&[&stranger]).await;
    let url = Some(elsewhere.url());
    let header =
        Header { kid: Some("k".to_owned()), jku: url.clone(), x5u: url, ..Header::new(Algorithm::ES256) };
    refused(&gateway, &stranger.sign_with(&claims(), &header), "jku").await;
    assert_eq!((issuer.requests(), elsewhere.requests()), (1, 0));
}

#[tokio::test]
async fn a_rotated_key_is_fetched_once_and_unknown_ones_do_not_fetch_again() {
    let [old, new, unknown] = ["old", "new", "unknown"].map(|kid| SigningKey::new(kid, "ES256"));
    let issuer = Issuer::start(&[&old]).await;
    let gateway = believing(&issuer).start().await;
    accepted(&gateway, &old.sign(&claims())).await;
    assert_eq!(issuer.requests(), 1);

    issuer.publish(&[&new]);
    // All at once, as everybody comes after a rotation; for all of them there is one fetch.
    let token = new.sign(&claims());
    tokio::join!(accepted(&gateway, &token), accepted(&gateway, &token), accepted(&gateway, &token));
    assert_eq!(issuer.requests(), 2);
    refused(&gateway, &old.sign(&claims()), "a key that was taken back").await;
    for _ in 0..20 {
        refused(&gateway, &unknown.sign(&claims()), "a key that nobody has").await;
    }
    assert_eq!(issuer.requests(), 2, "half a minute is not over");
}

#[tokio::test]
async fn a_renewal_by_a_new_key_fetches_it() {
    let [old, new] = ["old", "new"].map(|kid| SigningKey::new(kid, "EdDSA"));
    let issuer = Issuer::start(&[&old]).await;
    let gateway = believing(&issuer).start().await;
    let mut client = accepted(&gateway, &old.sign(&claims())).await;
    issuer.publish(&[&old, &new]);
    let reply = client.request(json!({ "type": "auth", "token": new.sign(&claims()) })).await;
    assert_eq!(reply["type"], "ok", "{reply}");
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn whatever_the_issuer_does_the_keys_of_before_hold() {
    let [key, planted] = ["k", "planted"].map(|kid| SigningKey::new(kid, "ES256"));
    let issuer = Issuer::start(&[&key]).await;
    let elsewhere = Issuer::start(&[&planted]).await;
    let gateway = believing(&issuer).env("CHORUS_AUTH_JWKS_REFRESH_SECONDS", "1").start().await;
    fetched(&gateway, "ok", 1.0).await;

    let padding = " ".repeat(256 * 1024);
    for answer in [
        Answer::Redirect(elsewhere.url()),
        Answer::Status(500),
        Answer::Flood(1 << 20),
        Answer::Body(jwks(&[&planted]) + &padding),
        Answer::Body("<html>".to_owned()),
        Answer::Body(r#"{"keys":[]}"#.to_owned()),
        Answer::Stall,
    ] {
        let what = format!("{answer:?}").chars().take(40).collect::<String>();
        issuer.answer(answer);
        // One more than that: the one that was counted may have begun before.
        let failed = refreshes(&gateway, "failed").await;
        fetched(&gateway, "failed", failed + 2.0).await;
        accepted(&gateway, &key.sign(&claims())).await;
        assert_eq!(elsewhere.requests(), 0, "{what}");
    }
    refused(&gateway, &planted.sign(&claims()), "a key of behind a redirect").await;

    let ok = refreshes(&gateway, "ok").await;
    issuer.publish(&[&planted]);
    fetched(&gateway, "ok", ok + 1.0).await;
    accepted(&gateway, &planted.sign(&claims())).await;
    assert!(gateway.log().contains("could not be fetched"), "{}", gateway.log());
}

#[tokio::test]
async fn without_any_key_clients_are_told_to_come_back_and_then_it_heals() {
    let key = SigningKey::new("k", "ES256");
    let issuer = Issuer::start(&[&key]).await;
    issuer.answer(Answer::Status(503));
    let gateway = believing(&issuer).start().await;
    fetched(&gateway, "failed", 1.0).await;

    let token = key.sign(&claims());
    let close = Dial::to(gateway.addr()).bearer(&token).closed().await;
    assert_eq!(close.code, 1013, "{close:?}");
    let answer = Request::post("/v1/tickets").bearer(&token).send(gateway.addr()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("unavailable")), "{answer:?}");
    assert!(answer.json()["detail"].as_str().unwrap().contains("auth.jwks_url"), "{answer:?}");
    let stream = Request::get("/v1/events?room=a").bearer(&token).send(gateway.addr()).await;
    assert_eq!(stream.status, 503, "{stream:?}");
    // A deployment must not put it in the place of a node that has its keys.
    let ready = Request::get("/readyz").send(gateway.addr()).await;
    assert_eq!((ready.status, &ready.json()["keys"]), (503, &json!(false)), "{ready:?}");

    issuer.publish(&[&key]);
    fetched(&gateway, "ok", 1.0).await;
    gateway.ready().await;
    accepted(&gateway, &token).await;
}

#[tokio::test]
async fn a_server_that_nobody_trusted_has_signed_for_is_not_believed() {
    let key = SigningKey::new("k", "ES256");
    let [issuer, other] = [Issuer::start(&[&key]).await, Issuer::start(&[&key]).await];
    let gateway =
        believing(&issuer).env("CHORUS_AUTH_JWKS_CA", other.ca().display().to_string()).start().await;
    fetched(&gateway, "failed", 1.0).await;
    assert_eq!(issuer.requests(), 0);
    assert!(gateway.log().contains("auth.jwks_ca"), "{}", gateway.log());
}

#[tokio::test]
async fn keys_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys").display().to_string();
    let key = SigningKey::new("k", "RS256");
    fs::write(&path, key.pem()).unwrap();
    let gateway = GatewayOptions::bare(chorus()).env("CHORUS_JWT_PUBLIC_KEY", &path).start().await;
    accepted(&gateway, &key.sign(&claims())).await;
    accepted(&gateway, &key.sign_with(&claims(), &Header::new(Algorithm::PS512))).await;
    refused(&gateway, &SigningKey::new("k", "ES256").sign(&claims()), "another family").await;
    refused(&gateway, &sign(&claims()), "a secret that this gateway does not have").await;

    let [old, new] = ["old", "new"].map(|kid| SigningKey::new(kid, "ES384"));
    for url in [path.clone(), format!("file://{path}")] {
        fs::write(&path, jwks(&[&old])).unwrap();
        let gateway = GatewayOptions::bare(chorus()).env("CHORUS_JWKS_URL", &url).start().await;
        accepted(&gateway, &old.sign(&claims())).await;
        // A new key is looked for in a file as well.
        fs::write(&path, jwks(&[&old, &new])).unwrap();
        accepted(&gateway, &new.sign(&claims())).await;
    }
}

#[tokio::test]
async fn a_file_without_keys_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys").display().to_string();
    for (name, text, words) in [
        ("CHORUS_JWT_PUBLIC_KEY", None, "auth.jwt_public_key = "),
        ("CHORUS_JWT_PUBLIC_KEY", Some("no key"), "BEGIN PUBLIC KEY"),
        ("CHORUS_JWKS_URL", None, "auth.jwks_url = "),
        ("CHORUS_JWKS_URL", Some("no key"), "it is no JWKS"),
        ("CHORUS_JWKS_URL", Some(r#"{"keys":[]}"#), "none of its keys"),
    ] {
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let file = if text.is_some() { path.clone() } else { format!("{path}.not") };
        let output = GatewayOptions::bare(chorus()).env(name, file).run().await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn audience_and_issuer_are_asked_of_every_key() {
    let key = SigningKey::new("k", "ES256");
    let issuer = Issuer::start(&[&key]).await;
    let asking = "[auth]\naudience = \"chat\"\nissuer = \"https://login.example\"";
    let gateway = believing(&issuer).config(asking).start().await;
    let with = |more: Value| {
        let mut all = claims();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key.sign(&all)
    };
    accepted(&gateway, &with(json!({ "aud": "chat", "iss": "https://login.example" }))).await;
    for bad in [
        json!({}),
        json!({ "aud": "chat" }),
        json!({ "iss": "https://login.example" }),
        json!({ "aud": "mail", "iss": "https://login.example" }),
        json!({ "aud": "chat", "iss": "https://evil.example" }),
    ] {
        refused(&gateway, &with(bad.clone()), &bad.to_string()).await;
    }
}

#[tokio::test]
async fn the_readme_says_how() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let line = readme.lines().find(|line| line.trim().starts_with("CHORUS_JWKS_URL=")).unwrap();
    let key = SigningKey::new("k", "RS256");
    let issuer = Issuer::start(&[&key]).await;
    let mut options = believing(&issuer);
    for (name, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
        // But for the place, which is an example's.
        if name != "CHORUS_JWKS_URL" {
            options = options.env(name, value);
        }
    }
    let gateway = options.start().await;
    refused(&gateway, &key.sign(&claims()), "a token for nobody").await;
    let token = key.sign(&json!({ "sub": "alice", "exp": expiring(600), "aud": "chat" }));
    accepted(&gateway, &token).await;
}
