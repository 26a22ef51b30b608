//! Where a collector of traces is.

use std::fmt;

use axum::http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::jwks::web;

/// A collector that speaks OTLP over HTTP: `http://` or `https://`, a host, perhaps a path; no login and no query, which
/// could hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl(Uri);

impl CollectorUrl {
    /// Takes a URL; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        web(text).filter(|uri| uri.query().is_none()).map(Self)
    }

    /// Where spans are posted to.
    pub fn traces(&self) -> Uri {
        const PATH: &str = "/v1/traces";
        let text = self.0.to_string();
        let base = text.trim_end_matches('/');
        // Some know it with its path.
        let whole = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
        whole.parse().unwrap_or_else(|_| self.0.clone())
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for CollectorUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CollectorUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a collector's URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_below_it() {
        for (text, traces) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://[::1]/otlp", "https://[::1]/otlp/v1/traces"),
            ("https://apm.example/v1/traces", "https://apm.example/v1/traces"),
        ] {
            let url = CollectorUrl::parse(text).unwrap();
            assert_eq!(
                (url.traces().to_string().as_str(), url.is_secure()),
                (traces, text.starts_with("https"))
            );
        }
        for bad in
            ["", "collector:4318", "grpc://collector:4317", "http://", "http://u:p@c", "http://c/?key=k"]
        {
            assert_eq!(CollectorUrl::parse(bad), None, "{bad}");
        }
    }
}
