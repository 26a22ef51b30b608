use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::{
    auth::Rights,
    config::{AuthConfig, Secret},
};
use proto::RoomName;

const KEY: &str = "a key that only these tests know!";
const NOW: u64 = 1_800_000_000;

fn authenticator(change: impl FnOnce(&mut AuthConfig)) -> Authenticator {
    let mut config = Config::default();
    config.auth.jwt_secret = Some(Secret::new(KEY));
    change(&mut config.auth);
    Authenticator::new(&config).unwrap()
}

fn sign(algorithm: Algorithm, claims: &Value, key: &str) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

/// Claims that are good, but for what `changes` says; `null` removes.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "sub": "alice", "exp": NOW + 60 });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn verify(authenticator: &Authenticator, token: &str) -> Result<Identity, AuthError> {
    // Nothing here is fetched, so nothing waits.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(authenticator.verify_at(token, NOW * 1000))
}

fn verify_claims(changes: &Value) -> Result<Identity, AuthError> {
    verify(&authenticator(|_| ()), &sign(Algorithm::HS256, &claims(changes), KEY))
}

fn failure(result: Result<Identity, AuthError>) -> &'static str {
    match result {
        Err(AuthError::Failed(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_three_hmac_algorithms_are_good() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let identity = verify(&authenticator(|_| ()), &sign(algorithm, &claims(&json!({})), KEY)).unwrap();
        assert_eq!((identity.user.as_str(), identity.expires_at_ms), ("alice", (NOW + 60) * 1000));
    }
}

#[test]
fn no_other_algorithm_is() {
    let good = sign(Algorithm::HS256, &claims(&json!({})), KEY);
    let (_, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}, {"alg":"None"}, {"alg":"RS256"}, {"alg":"ES256"}, {"alg":"EdDSA"}, {}
    for header in [
        "eyJhbGciOiJub25lIn0",
        "eyJhbGciOiJOb25lIn0",
        "eyJhbGciOiJSUzI1NiJ9",
        "eyJhbGciOiJFUzI1NiJ9",
        "eyJhbGciOiJFZERTQSJ9",
        "e30",
    ] {
        for signature in ["", signature] {
            failure(verify(&authenticator(|_| ()), &format!("{header}.{payload}.{signature}")));
        }
    }
}

#[test]
fn a_critical_header_that_nobody_knows_is_refused() {
    let header = Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() };
    let token = encode(&header, &claims(&json!({})), &EncodingKey::from_secret(KEY.as_bytes())).unwrap();
    assert!(failure(verify(&authenticator(|_| ()), &token)).contains("critical"));
}

#[test]
fn the_signature_must_be_ours() {
    let other = sign(Algorithm::HS256, &claims(&json!({})), "another key of thirty-two bytes or so");
    assert_eq!(failure(verify(&authenticator(|_| ()), &other)), "the signature is not ours");
    // A stranger's token is never "only expired".
    let old = sign(Algorithm::HS256, &claims(&json!({ "exp": 1 })), "another key of thirty-two bytes or so");
    assert_eq!(failure(verify(&authenticator(|_| ()), &old)), "the signature is not ours");

    let good = sign(Algorithm::HS256, &claims(&json!({})), KEY);
    for bad in [
        "",
        "a",
        "a.b.c",
        ".",
        "..",
        &good[1..],
        &good[..good.len() - 1],
        &format!("{good}."),
        &format!(" {good}"),
    ] {
        failure(verify(&authenticator(|_| ()), bad));
    }
}

#[test]
fn times() {
    for (changes, expired) in [
        (json!({ "exp": NOW + 1 }), false),
        (json!({ "exp": NOW }), true),
        (json!({ "exp": NOW - 10 }), true),
        (json!({ "exp": 0 }), true),
        (json!({ "exp": -5 }), true),
        (json!({ "exp": 1.5e9 }), true),
        (json!({ "exp": 1.9e9 }), false),
        (json!({ "exp": 1e300 }), false),
        (json!({ "nbf": NOW }), false),
        (json!({ "nbf": NOW + 5 }), false),
    ] {
        let result = verify_claims(&changes).map(|_| ());
        assert_eq!(result, if expired { Err(AuthError::Expired) } else { Ok(()) }, "{changes}");
    }
    assert_eq!(failure(verify_claims(&json!({ "nbf": NOW + 6 }))), "the token is not good yet");
    // What is not good yet is not expired either.
    assert_eq!(failure(verify_claims(&json!({ "nbf": NOW + 6, "exp": 1 }))), "the token is not good yet");
    for exp in [json!(null), json!("soon"), json!({}), json!((NOW + 60).to_string())] {
        failure(verify_claims(&json!({ "exp": exp })));
    }
}

#[test]
fn the_user_must_be_one() {
    for sub in [json!(null), json!(""), json!("a b"), json!(7), json!("u".repeat(121)), json!("{a}")] {
        failure(verify_claims(&json!({ "sub": sub })));
    }
    assert_eq!(verify_claims(&json!({ "sub": "auth0|5f7c" })).unwrap().user.as_str(), "auth0|5f7c");
}

#[test]
fn audience_and_issuer_are_required_once_they_are_configured() {
    let authenticator = authenticator(|auth| {
        auth.audience = Some("chat".to_owned());
        auth.issuer = Some("app".to_owned());
    });
    for (changes, why) in [
        (json!({ "aud": "chat", "iss": "app" }), None),
        (json!({ "aud": ["other", "chat"], "iss": "app" }), None),
        (json!({ "iss": "app" }), Some("the token names no audience")),
        (json!({ "aud": 7, "iss": "app" }), Some("the token names no audience")),
        (json!({ "aud": "other", "iss": "app" }), Some("the token is for another audience")),
        (json!({ "aud": [], "iss": "app" }), Some("the token is for another audience")),
        (json!({ "aud": "chat" }), Some("the token names no issuer")),
        (json!({ "aud": "chat", "iss": "evil" }), Some("the token is from another issuer")),
        (json!({ "aud": "other", "iss": "app", "exp": 1 }), Some("the token is for another audience")),
    ] {
        let result = verify(&authenticator, &sign(Algorithm::HS256, &claims(&changes), KEY));
        assert_eq!(result.map(|_| ()), why.map_or(Ok(()), |why| Err(AuthError::Failed(why))), "{changes}");
    }
    assert!(verify_claims(&json!({ "aud": "anything", "iss": "anybody" })).is_ok());
}

#[test]
fn names_and_info_are_bounded() {
    for name in ["Alice", "Анна 🦀", &"n".repeat(128)] {
        assert_eq!(verify_claims(&json!({ "name": name })).unwrap().name.as_deref(), Some(name));
    }
    for name in ["", "a\nb", "a\u{0}", "a\u{85}", &"n".repeat(129)] {
        assert!(failure(verify_claims(&json!({ "name": name }))).starts_with("the name"), "{name:?}");
    }

    let info = json!({ "avatar": "a.png", "tags": [1, 2] });
    let identity = verify_claims(&json!({ "info": info })).unwrap();
    assert_eq!(serde_json::from_str::<Value>(identity.info.unwrap().get()).unwrap(), info);
    assert!(verify_claims(&json!({ "info": "i".repeat(1022) })).is_ok());
    let deep = (0..17).fold(json!(1), |inner, _| json!([inner]));
    for info in [json!("i".repeat(1023)), deep] {
        assert!(failure(verify_claims(&json!({ "info": info }))).starts_with("info"));
    }
}

#[test]
fn rooms_are_bounded_and_checked() {
    let rooms = |count: usize| {
        (0..count).map(|n| (format!("room{n}"), json!("r"))).collect::<serde_json::Map<_, _>>()
    };
    let identity = verify_claims(&json!({ "rooms": rooms(64) })).unwrap();
    let rights = |room| identity.rights(&RoomName::parse(room).unwrap(), Rights::READ_WRITE);
    assert_eq!((rights("room63"), rights("room64")), (Rights::READ, Rights::NONE));
    failure(verify_claims(&json!({ "rooms": rooms(65) })));
    for rooms in [json!({ "a b": "r" }), json!({ "a": "x" }), json!({ "a": 1 }), json!(["a"]), json!("a")] {
        failure(verify_claims(&json!({ "rooms": rooms })));
    }
    // An empty object opens nothing; that is not the same as no object.
    let none = verify_claims(&json!({ "rooms": {} })).unwrap();
    assert_eq!(none.rights(&RoomName::parse("lobby").unwrap(), Rights::READ_WRITE), Rights::NONE);
}

#[test]
fn a_token_has_8_kib_at_most() {
    let sized = |length| sign(Algorithm::HS256, &claims(&json!({ "x": "x".repeat(length) })), KEY);
    let fitting =
        (6000..6200).map(sized).rfind(|token| token.len() <= Authenticator::MAX_TOKEN_BYTES).unwrap();
    assert!(fitting.len() > 8180, "{}", fitting.len());
    assert!(verify(&authenticator(|_| ()), &fitting).is_ok());
    assert_eq!(failure(verify(&authenticator(|_| ()), &sized(6200))), "the token is longer than 8 KiB");
}

#[tokio::test]
async fn what_is_minted_is_believed_here_and_nowhere_else() {
    let [one, other] = [(), ()].map(|()| Authenticator::new(&Config::default()).unwrap());
    let token = one.mint(&Claims::new(UserId::parse("guest").unwrap(), 60)).unwrap();
    assert_eq!(one.verify(&token).await.unwrap().user.as_str(), "guest");
    assert_eq!(failure(other.verify(&token).await), "the signature is not ours");
}

#[test]
fn a_cluster_without_a_key_has_no_authenticator() {
    let redis_url = crate::config::RedisUrl::parse("redis://127.0.0.1");
    assert!(Authenticator::new(&Config { redis_url, ..Config::default() }).is_err());
}
