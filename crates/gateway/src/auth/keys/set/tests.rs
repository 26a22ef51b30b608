use serde_json::json;
use testkit::{SigningKey, jwks};

use super::*;

fn set(keys: &[&SigningKey]) -> Result<KeySet, BadKeys> {
    KeySet::from_jwks(jwks(keys).as_bytes())
}

fn algorithms(key: &SigningKey) -> Vec<Algorithm> {
    set(&[key]).unwrap().keys[0].algorithms.clone()
}

/// Why a set of this key alone is refused.
fn why_not(key: &SigningKey) -> BadKey {
    match set(&[key]) {
        Err(BadKeys::NoneOfUse(bad)) => bad[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_for_its_algorithm_or_else_for_its_family() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};

    let family = |algorithm| algorithms(&SigningKey::new("k", algorithm).with("alg", Value::Null));
    assert_eq!(family("RS256"), [RS256, RS384, RS512, PS256, PS384, PS512]);
    assert_eq!(family("ES256"), [ES256]);
    assert_eq!(family("ES384"), [ES384]);
    assert_eq!(family("EdDSA"), [EdDSA]);
    assert_eq!(algorithms(&SigningKey::new("k", "PS384")), [PS384]);
}

#[test]
fn what_is_no_key_for_signatures_is_passed_over() {
    let key = |algorithm| SigningKey::new("k", algorithm);
    for (bad, why) in [
        (key("RS256").with("use", "enc"), BadKey::Use),
        (key("RS256").with("key_ops", json!(["encrypt"])), BadKey::Use),
        (key("RS256").with("alg", "HS256"), BadKey::Algorithm),
        (key("RS256").with("alg", "ES256"), BadKey::Algorithm),
        (key("ES256").with("alg", "ES384"), BadKey::Algorithm),
        (key("RS256").with("alg", "RSA-OAEP"), BadKey::Unsupported),
        (key("RS256").with("alg", "none"), BadKey::Unsupported),
        (key("RS256").with("n", "AQAB"), BadKey::Length),
        (key("RS256").with("n", "_".repeat(700)), BadKey::Length),
        (key("ES256").with("x", "AQAB"), BadKey::Unsupported),
        (key("ES256").with("crv", "P-521").with("alg", Value::Null), BadKey::Unsupported),
        (key("ES256").with("crv", "secp256k1"), BadKey::Unsupported),
        (key("EdDSA").with("x", "AQAB"), BadKey::Unsupported),
        (key("EdDSA").with("crv", "X25519"), BadKey::Unsupported),
        (key("ES256").with("kty", "oct").with("k", "c2VjcmV0").with("alg", "HS256"), BadKey::Symmetric),
    ] {
        assert_eq!(why_not(&bad), why, "{bad:?}");
    }
    // And does not spoil the others.
    let keys = set(&[&key("RS256").with("use", "enc"), &key("ES256"), &key("ES256")]).unwrap();
    assert_eq!((keys.names(), &*keys.passed_over), (vec!["k"], &[BadKey::Use, BadKey::Twice][..]));
}

#[test]
fn what_is_no_set() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert_eq!(KeySet::from_jwks(text.as_bytes()).unwrap_err(), BadKeys::Malformed, "{text}");
    }
    for text in [r#"{"keys":[]}"#, r#"{"keys":[7,null,{}]}"#] {
        let error = KeySet::from_jwks(text.as_bytes()).unwrap_err();
        assert!(matches!(error, BadKeys::NoneOfUse(_)), "{text}: {error}");
    }
}

#[test]
fn the_name_chooses_and_the_algorithm_must_fit() {
    let [rsa, other, edwards] = [("a", "RS256"), ("b", "RS256"), ("c", "EdDSA")]
        .map(|(kid, alg)| SigningKey::new(kid, alg).with("alg", Value::Null));
    let keys = set(&[&rsa, &other, &edwards]).unwrap();
    let find = |kid, algorithm| keys.find(kid, algorithm).map(|key| key.kid.unwrap());
    assert_eq!(find(Some("b"), Algorithm::PS512).as_deref(), Ok("b"));
    assert_eq!(find(Some("b"), Algorithm::ES256), Err(NoKey::OtherAlgorithm));
    assert_eq!(find(Some("c"), Algorithm::HS256), Err(NoKey::OtherAlgorithm));
    assert_eq!(find(Some("d"), Algorithm::RS256), Err(NoKey::Unknown));
    assert_eq!(find(None, Algorithm::EdDSA).as_deref(), Ok("c"));
    assert_eq!(find(None, Algorithm::RS256), Err(NoKey::Ambiguous));
    assert_eq!(find(None, Algorithm::ES256), Err(NoKey::Unknown));
}

#[test]
fn one_key_in_pem() {
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        let key = SigningKey::new("k", algorithm);
        let keys = KeySet::from_pem(key.pem().as_bytes()).unwrap();
        let named: Algorithm = algorithm.parse().unwrap();
        assert!(keys.find(None, named).is_ok(), "{algorithm}");
        assert!(keys.find(None, Algorithm::HS256).is_err(), "{algorithm}");
    }
    let truncated = SigningKey::new("k", "ES256").pem().replace("BEGIN PUBLIC", "BEGIN PRIVATE");
    for text in ["", "key", &truncated] {
        assert_eq!(KeySet::from_pem(text.as_bytes()).unwrap_err(), BadKeys::Pem, "{text}");
    }
}
