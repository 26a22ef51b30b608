//! Where a set of keys is.

use std::{fmt, path::PathBuf};

use axum::http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A JWKS: of a server, or in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksUrl {
    /// `http://` or `https://` and a host, without a login.
    Http(Uri),
    /// `file:///…`, or a path as it is.
    File(PathBuf),
}

impl JwksUrl {
    /// Takes a URL or a path; `None` if it is neither, or of another scheme.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("file://") {
            return path.starts_with('/').then(|| Self::File(path.into()));
        }
        if !text.contains("://") {
            return (!text.is_empty()).then(|| Self::File(text.into()));
        }
        web(text).map(Self::Http)
    }

    /// Whether somebody on the way could put keys of his own into it.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Http(uri) => uri.scheme_str() != Some("https"),
            Self::File(_) => false,
        }
    }
}

/// A URL of http or https with a host, and without a login, which would be printed with the rest of the configuration.
pub(super) fn web(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme = matches!(uri.scheme_str()?, "http" | "https");
    let place = uri.authority().is_some_and(|place| !place.as_str().contains('@'));
    let host = uri.host().is_some_and(|host| !host.is_empty());
    (scheme && place && host).then_some(uri)
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(uri) => uri.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Serialize for JwksUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JwksUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not the place of a JWKS"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        for (text, open) in [
            ("https://login.example/jwks.json?v=1", false),
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]:1/", true),
        ] {
            let url = JwksUrl::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.is_open()), (text, open));
            assert!(matches!(url, JwksUrl::Http(_)), "{text}");
        }
        for (text, path) in
            [("file:///etc/keys", "/etc/keys"), ("/etc/keys", "/etc/keys"), ("keys.json", "keys.json")]
        {
            assert_eq!(JwksUrl::parse(text), Some(JwksUrl::File(path.into())));
        }
        for bad in
            ["", "ftp://a/b", "https://", "https:///x", "https://u:p@a/", "file://host/x", "https://a b/"]
        {
            assert_eq!(JwksUrl::parse(bad), None, "{bad}");
        }
    }
}
