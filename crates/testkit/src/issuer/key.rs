//! Keys to sign tokens with, of every family that has public ones.

use std::sync::OnceLock;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rsa::{
    RsaPrivateKey,
    pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey},
    pkcs8::{EncodePublicKey, LineEnding},
    rand_core::OsRng,
};
use serde_json::Value;

/// A private key, and all that is published of it.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    private: EncodingKey,
    jwk: Value,
    pem: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.jwk)
    }
}

impl SigningKey {
    /// Makes one for an algorithm (`RS256`, `ES384`, `EdDSA`, …). Those of RSA share one pair, for it takes a second to
    /// find its primes.
    ///
    /// # Panics
    /// When the algorithm has no public keys.
    pub fn new(kid: &str, algorithm: &str) -> Self {
        let algorithm: Algorithm = algorithm.parse().expect("an algorithm");
        let (private, public, pem) = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => on_a_curve(algorithm),
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => panic!("a secret is not published"),
            _ => of_rsa(),
        };
        let jwk = Jwk::from_decoding_key(&public, Some(algorithm)).expect("a public key");
        let jwk = serde_json::to_value(jwk).expect("a JWK is JSON");
        Self { algorithm, private, jwk, pem }.with("kid", kid)
    }

    /// Says something else in its JWK; `null` leaves the field out.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.jwk[field] = value.into();
        if let Some(fields) = self.jwk.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self
    }

    /// The public half, as a JWKS has it.
    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// The public half, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs claims with it by its algorithm, and names it.
    pub fn sign(&self, claims: &Value) -> String {
        let kid = self.jwk["kid"].as_str().map(ToOwned::to_owned);
        self.sign_with(claims, &Header { kid, ..Header::new(self.algorithm) })
    }

    /// Signs claims with it under any header of its family.
    ///
    /// # Panics
    /// When the header's algorithm is of another family.
    pub fn sign_with(&self, claims: &Value, header: &Header) -> String {
        encode(header, claims, &self.private).expect("claims can be signed")
    }
}

fn on_a_curve(algorithm: Algorithm) -> (EncodingKey, DecodingKey, String) {
    let kind = match algorithm {
        Algorithm::ES256 => &PKCS_ECDSA_P256_SHA256,
        Algorithm::ES384 => &PKCS_ECDSA_P384_SHA384,
        _ => &PKCS_ED25519,
    };
    let pair = KeyPair::generate_for(kind).expect("a key");
    let (private, public) = (pair.serialize_der(), pair.public_key_raw());
    let (private, public) = match algorithm {
        Algorithm::EdDSA => (EncodingKey::from_ed_der(&private), DecodingKey::from_ed_der(public)),
        _ => (EncodingKey::from_ec_der(&private), DecodingKey::from_ec_der(public)),
    };
    (private, public, pair.public_key_pem())
}

fn of_rsa() -> (EncodingKey, DecodingKey, String) {
    static PAIR: OnceLock<RsaPrivateKey> = OnceLock::new();
    let pair = PAIR.get_or_init(|| RsaPrivateKey::new(&mut OsRng, 2_048).expect("an RSA key"));
    let private = pair.to_pkcs1_der().expect("a private key");
    let public = pair.to_public_key();
    let der = public.to_pkcs1_der().expect("a public key");
    let pem = public.to_public_key_pem(LineEnding::LF).expect("a public key");
    (EncodingKey::from_rsa_der(private.as_bytes()), DecodingKey::from_rsa_der(der.as_bytes()), pem)
}
