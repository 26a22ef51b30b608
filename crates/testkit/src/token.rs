//! Tokens, signed as an application's backend would sign them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

/// The HS256 key that [`crate::Gateway`] is started with and that [`token`] signs with.
pub const SECRET: &str = "a secret that only tests know, long enough for HS256";

/// How long a [`token`] is good, in seconds: longer than anything here takes, a soak too.
const LIFETIME: i64 = 86_400;

/// A token for `user`, good for a day, without `rooms`.
pub fn token(user: &str) -> String {
    sign(&json!({ "sub": user, "exp": expiring(LIFETIME) }))
}

/// Signs any claims with [`SECRET`].
pub fn sign(claims: &Value) -> String {
    sign_with(claims, SECRET)
}

/// Signs any claims with any key.
pub fn sign_with(claims: &Value, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("claims can be signed")
}

/// The `exp` of a token that ends in so many seconds; negative for one that has ended.
pub fn expiring(in_seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_secs()).expect("the clock is not that far ahead") + in_seconds
}
