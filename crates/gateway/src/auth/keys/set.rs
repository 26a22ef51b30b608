//! Public keys as they are published (RFC 7517, PEM), each pinned to what it is good for.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use tokio_rustls::rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

use super::NoKey;

/// A key, its name, and the only algorithms that it is good for.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Pinned {
    /// Its name, if it has one.
    pub(in crate::auth) kid: Option<String>,
    /// What it may have signed by: one algorithm, or all of its family.
    pub(in crate::auth) algorithms: Vec<Algorithm>,
    /// The key.
    pub(in crate::auth) key: DecodingKey,
}

/// Why a text holds no keys for us.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// It is no set of keys.
    #[error("it is no JWKS: expected a JSON object with a list of keys")]
    Malformed,
    /// It is one, and each of its keys is of another kind.
    #[error("none of its keys is for RS*, PS*, ES256, ES384 or EdDSA signatures{}", first(.0))]
    NoneOfUse(Vec<BadKey>),
    /// It is no PEM file with a public key.
    #[error(
        "expected a file with one public key in PEM (BEGIN PUBLIC KEY), as `openssl pkey -pubout` or \
         `openssl x509 -pubkey -noout` print it"
    )]
    Pem,
}

/// Why a key is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// A shared secret that is published is none.
    #[error("it is symmetric: auth.jwt_secret is the place for a secret")]
    Symmetric,
    /// Of a type, a curve or an algorithm that we do not have, or not as its type must be.
    #[error("its type, curve or algorithm is not supported, or it is malformed")]
    Unsupported,
    /// It says that it is not for checking signatures.
    #[error("it is not for signatures (use, key_ops)")]
    Use,
    /// It names an algorithm of another family than its own.
    #[error("its alg is not one of its own type")]
    Algorithm,
    /// RSA with less than 2,048 bits (RFC 7518, section 3.3), or more than 4,096.
    #[error("an RSA key must have 2048 to 4096 bits")]
    Length,
    /// Another key before it has its name, and its algorithm.
    #[error("another key of the set has the same kid")]
    Twice,
}

fn first(bad: &[BadKey]) -> String {
    bad.first().map_or_else(String::new, |bad| format!(" (the first: {bad})"))
}

/// The keys that may sign.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<Pinned>,
    /// What is wrong with those that are not among them.
    pub(super) passed_over: Vec<BadKey>,
}

impl KeySet {
    /// Reads a JWKS. A key that we can't use is passed over, as RFC 7517 (section 5) asks for.
    pub(super) fn from_jwks(text: &[u8]) -> Result<Self, BadKeys> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }

        let Set { keys } = serde_json::from_slice(text).map_err(|_| BadKeys::Malformed)?;
        let mut set = Self::default();
        for key in keys {
            let pinned =
                serde_json::from_value(key).map_err(|_| BadKey::Unsupported).and_then(|jwk| pin(&jwk));
            match pinned {
                Ok(pinned) if set.has(&pinned) => set.passed_over.push(BadKey::Twice),
                Ok(pinned) => set.keys.push(pinned),
                Err(bad) => set.passed_over.push(bad),
            }
        }
        if set.keys.is_empty() { Err(BadKeys::NoneOfUse(set.passed_over)) } else { Ok(set) }
    }

    /// Reads the one key of a PEM file.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, BadKeys> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text).map_err(|_| BadKeys::Pem)?;
        let key = from_spki(&der).ok_or(BadKeys::Pem)?;
        let jwk = Jwk::from_decoding_key(&key, None).map_err(|_| BadKeys::Pem)?;
        let pinned = pin(&jwk).map_err(|bad| BadKeys::NoneOfUse(vec![bad]))?;
        Ok(Self { keys: vec![pinned], passed_over: Vec::new() })
    }

    /// The key of this name that is good for the algorithm; without a name the only one that is good for it.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Pinned, NoKey> {
        let named = |key: &&Pinned| kid.is_none() || key.kid.as_deref() == kid;
        let mut good = self.keys.iter().filter(named).filter(|key| key.algorithms.contains(&algorithm));
        match (good.next(), good.next()) {
            (Some(key), None) => Ok(key.clone()),
            (Some(_), Some(_)) => Err(NoKey::Ambiguous),
            (None, _) if kid.is_some() && self.keys.iter().any(|key| named(&key)) => {
                Err(NoKey::OtherAlgorithm)
            }
            (None, _) => Err(NoKey::Unknown),
        }
    }

    /// The names of the keys, for a log line.
    pub(super) fn names(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.kid.as_deref().unwrap_or("(none)")).collect()
    }

    fn has(&self, key: &Pinned) -> bool {
        let same = |other: &Pinned| {
            other.kid == key.kid
                && other.algorithms.iter().any(|algorithm| key.algorithms.contains(algorithm))
        };
        key.kid.is_some() && self.keys.iter().any(same)
    }
}

/// Takes a public key for what it is, and never for more.
fn pin(jwk: &Jwk) -> Result<Pinned, BadKey> {
    let CommonParameters { public_key_use, key_operations, key_algorithm, key_id, .. } = &jwk.common;
    let for_signatures = public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !for_signatures {
        return Err(BadKey::Use);
    }
    let family = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms(),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return Err(BadKey::Unsupported),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        AlgorithmParameters::OctetKey(_) => return Err(BadKey::Symmetric),
        _ => return Err(BadKey::Unsupported),
    };
    let algorithms = match key_algorithm {
        None => family.to_vec(),
        Some(named) => {
            let named = Algorithm::try_from(*named).map_err(|_| BadKey::Unsupported)?;
            if !family.contains(&named) {
                return Err(BadKey::Algorithm);
            }
            vec![named]
        }
    };
    let key = DecodingKey::from_jwk(jwk).map_err(|_| BadKey::Unsupported)?;
    check_length(&key, family)?;
    Ok(Pinned { kid: key_id.clone(), algorithms, key })
}

/// Whether the key is as long as its type has it: nothing later would tell a truncated key from a bad signature.
fn check_length(key: &DecodingKey, family: &[Algorithm]) -> Result<(), BadKey> {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            let bits = n.iter().skip_while(|byte| **byte == 0).count() * 8;
            // The library checks no signature of a longer one, and a short one can be broken.
            if (2_048..=4_096).contains(&bits) { Ok(()) } else { Err(BadKey::Length) }
        }
        DecodingKeyKind::SecretOrDer(bytes) => {
            // An uncompressed point: a byte that says so, and two coordinates.
            let right = match family {
                [Algorithm::ES256] => 65,
                [Algorithm::ES384] => 97,
                _ => 32,
            };
            if bytes.len() == right { Ok(()) } else { Err(BadKey::Unsupported) }
        }
    }
}

/// What stands in `BEGIN PUBLIC KEY` (RFC 5280, 3279, 5480, 8410).
fn from_spki(der: &[u8]) -> Option<DecodingKey> {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

    let info = SubjectPublicKeyInfoRef::try_from(der).ok()?;
    let bits = info.subject_public_key.as_bytes()?;
    match info.algorithm.oid {
        RSA => Some(DecodingKey::from_rsa_der(bits)),
        EC => Some(DecodingKey::from_ec_der(bits)),
        ED25519 => Some(DecodingKey::from_ed_der(bits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
