//! `Origin`: which pages may speak to us in their users' names.

use axum::http::{
    HeaderMap,
    header::{HOST, ORIGIN},
};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Where a request says that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It does not say: not a page in a browser.
    None,
    /// From a page that is allowed.
    Allowed,
    /// From another page, from one without an origin (`null`), or from something malformed.
    Refused,
}

/// Judges a request's `Origin` by the list, or if that is empty, by the request's own `Host`.
pub fn check(headers: &HeaderMap, allowed: &[String]) -> Origin {
    let mut values = headers.get_all(ORIGIN).iter();
    let origin = match (values.next(), values.next()) {
        (None, _) => return Origin::None,
        (Some(value), None) => value.to_str().ok().and_then(Site::of_origin),
        (Some(_), Some(_)) => None,
    };
    let Some(origin) = origin else { return Origin::Refused };
    let good = if allowed.is_empty() {
        own_host(headers).is_some_and(|(host, port)| origin.is_at(host, port))
    } else {
        allowed.iter().filter_map(|text| Site::of_origin(text)).any(|site| site == origin)
    };
    if good { Origin::Allowed } else { Origin::Refused }
}

/// The same of a request that changes nothing. A browser sends no `Origin` with a GET of its page's own site, and says by
/// `Sec-Fetch-Site`, which no page can set, that it is one.
pub fn check_get(headers: &HeaderMap, allowed: &[String]) -> Origin {
    let origin = check(headers, allowed);
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let same_site = sites.next().is_some_and(|site| site == "same-origin") && sites.next().is_none();
    if origin != Origin::None || !same_site {
        return origin;
    }
    let own = || {
        let (host, port) = own_host(headers)?;
        let mut sites = allowed.iter().filter_map(|text| Site::of_origin(text));
        Some(sites.any(|site| site.is_at(host, port)))
    };
    let good = allowed.is_empty() || own().unwrap_or_default();
    if good { Origin::Allowed } else { Origin::None }
}

/// Whether a text is an origin that a browser could send, fit for the list.
pub fn is_origin(text: &str) -> bool {
    Site::of_origin(text).is_some()
}

/// The host and the port that a request was sent to.
fn own_host(headers: &HeaderMap) -> Option<(&str, Option<u16>)> {
    host_and_port(headers.get(HOST)?.to_str().ok()?)
}

/// An origin taken apart.
struct Site<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Site<'a> {
    fn of_origin(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = host_and_port(rest)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let scheme_is_good =
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(plain);
        scheme_is_good.then_some(Self { scheme, host, port })
    }

    /// The port that is meant when none is named. A proxy may end TLS in front of us, so this is the page's
    /// scheme also for our own host.
    fn default_port(&self) -> Option<u16> {
        match self.scheme.to_ascii_lowercase().as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        }
    }

    fn is_at(&self, host: &str, port: Option<u16>) -> bool {
        let default = self.default_port();
        default.is_some() && self.host.eq_ignore_ascii_case(host) && self.port.or(default) == port.or(default)
    }
}

impl PartialEq for Site<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(self.default_port()) == other.port.or(other.default_port())
    }
}

/// Splits `host[:port]`; `None` if it is anything else.
pub(crate) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at(end);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    (!host.is_empty() && host.bytes().all(plain)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn judge(host: &str, origin: &str, allowed: &[&str]) -> Origin {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        check(&headers, &allowed.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn by_default_a_page_speaks_to_the_host_it_came_from() {
        for (host, origin) in [
            ("chat.example.com", "https://chat.example.com"),
            ("chat.example.com", "http://chat.example.com"),
            ("chat.example.com:443", "https://chat.example.com"),
            ("chat.example.com", "https://chat.example.com:443"),
            ("Chat.Example.com", "HTTPS://chat.example.COM"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("[::1]", "http://[::1]:80"),
        ] {
            assert_eq!(judge(host, origin, &[]), Origin::Allowed, "{origin} at {host}");
        }
        for (host, origin) in [
            ("chat.example.com", "https://example.com"),
            ("chat.example.com", "https://chat.example.com.evil.org"),
            ("chat.example.com", "https://evil.org"),
            ("chat.example.com", "https://chat.example.com:8443"),
            ("chat.example.com:8080", "http://chat.example.com"),
            ("chat.example.com:443", "http://chat.example.com"),
            ("chat.example.com", "null"),
            ("chat.example.com", ""),
            ("chat.example.com", "chat.example.com"),
            ("chat.example.com", "https://"),
            ("chat.example.com", "https://chat.example.com/"),
            ("chat.example.com", "https://chat.example.com@evil.org"),
            ("chat.example.com", "https://chat.example.com:"),
            ("chat.example.com", "https://chat.example.com:99999"),
            ("chat.example.com", "https://chat.example.com:+443"),
            ("chat.example.com", "https://chat.example.com https://evil.org"),
            ("abcdef", "chrome-extension://abcdef"),
            ("[::1", "http://[::1"),
        ] {
            assert_eq!(judge(host, origin, &[]), Origin::Refused, "{origin} at {host}");
        }
    }

    #[test]
    fn a_list_replaces_the_default() {
        let allowed = ["https://app.example.com", "http://localhost:3000", "capacitor://localhost"];
        for origin in [
            "https://app.example.com",
            "https://APP.example.com:443",
            "http://localhost:3000",
            "capacitor://localhost",
        ] {
            assert_eq!(judge("chat.example.com", origin, &allowed), Origin::Allowed, "{origin}");
        }
        for origin in [
            "https://chat.example.com",
            "http://app.example.com",
            "http://localhost",
            "https://localhost:3000",
            "null",
        ] {
            assert_eq!(judge("chat.example.com", origin, &allowed), Origin::Refused, "{origin}");
        }
    }

    #[test]
    fn none_and_several() {
        let mut headers = HeaderMap::new();
        assert_eq!(check(&headers, &[]), Origin::None);
        headers.insert(HOST, HeaderValue::from_static("a"));
        for _ in 0..2 {
            headers.append(ORIGIN, HeaderValue::from_static("http://a"));
        }
        assert_eq!(check(&headers, &[]), Origin::Refused);
        headers.clear();
        headers.insert(ORIGIN, HeaderValue::from_static("http://a"));
        assert_eq!(check(&headers, &[]), Origin::Refused);
    }

    #[test]
    fn a_get_of_the_same_site_has_no_origin() {
        let judge = |site: &'static str, allowed: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("chat.example.com"));
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            check_get(&headers, &allowed.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(judge("same-origin", &[]), Origin::Allowed);
        assert_eq!(judge("same-origin", &["https://chat.example.com"]), Origin::Allowed);
        assert_eq!(judge("same-origin", &["https://app.example.com"]), Origin::None);
        for site in ["same-site", "cross-site", "none", "Same-Origin", ""] {
            assert_eq!(judge(site, &[]), Origin::None, "{site}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("chat.example.com"));
        headers.append(SEC_FETCH_SITE, HeaderValue::from_static("same-origin"));
        headers.insert(ORIGIN, HeaderValue::from_static("https://evil.org"));
        assert_eq!(check_get(&headers, &[]), Origin::Refused, "an Origin that is there counts");
        headers.remove(ORIGIN);
        headers.append(SEC_FETCH_SITE, HeaderValue::from_static("cross-site"));
        assert_eq!(check_get(&headers, &[]), Origin::None);
    }

    #[test]
    fn what_may_stand_in_the_list() {
        for good in ["https://chat.example.com", "http://localhost:3000", "tauri://localhost"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["*", "null", "chat.example.com", "https://*.example.com", "https://a/b", "//a"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
