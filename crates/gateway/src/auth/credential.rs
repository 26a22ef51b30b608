//! The credential that an upgrade request carries, wherever it stands.

use axum::http::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL},
};

use super::Origin;
use crate::config::Secret;

/// What a client says that it is. Printing it shows nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token that was meant for us: in a header, a subprotocol, or the query.
    Token(Secret),
    /// A ticket, from the query.
    Ticket(Secret),
    /// A token that a browser adds to every request, whosever page makes it; the request's origin is allowed.
    Cookie(Secret),
}

/// Why a request is refused before the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// HTTP 400: subprotocols were offered, and ours is not among them. A browser would fail anyway.
    #[error("of the subprotocols offered none is chorus.v1; bearer.<token> needs chorus.v1 beside it")]
    Subprotocol,
    /// HTTP 403: a cookie without an `Origin` may come from anybody's page.
    #[error("a cookie is good only with an Origin that is allowed")]
    CookieWithoutOrigin,
}

/// Whether the client offers our subprotocol, which is then to be selected.
pub fn offers_subprotocol(headers: &HeaderMap) -> Result<bool, BadRequest> {
    let mut any = false;
    for offer in subprotocols(headers) {
        if offer == proto::SUBPROTOCOL {
            return Ok(true);
        }
        any = true;
    }
    if any { Err(BadRequest::Subprotocol) } else { Ok(false) }
}

impl Credential {
    /// Finds the credential of an upgrade request, if there is one: `Authorization`, then the subprotocol
    /// `bearer.<token>`, then `?token=`, then `?ticket=`, and only without any of these the cookie.
    pub fn from_request(
        uri: &Uri,
        headers: &HeaderMap,
        cookie: &str,
        origin: Origin,
    ) -> Result<Option<Self>, BadRequest> {
        if let Some(token) = bearer(headers).or_else(|| protocol_token(headers)) {
            return Ok(Some(Self::Token(token)));
        }
        if let Some(token) = query(uri, "token") {
            return Ok(Some(Self::Token(token)));
        }
        if let Some(ticket) = query(uri, "ticket") {
            return Ok(Some(Self::Ticket(ticket)));
        }
        Self::from_cookie(headers, cookie, origin)
    }

    /// Finds the credential of a call to the HTTP API: `Authorization`, or without it the cookie.
    pub fn from_call(headers: &HeaderMap, cookie: &str, origin: Origin) -> Result<Option<Self>, BadRequest> {
        match bearer(headers) {
            Some(token) => Ok(Some(Self::Token(token))),
            None => Self::from_cookie(headers, cookie, origin),
        }
    }

    /// Finds the credential of a request for an event stream: `Authorization`, then `?ticket=`, then the cookie. A token
    /// in the query is not looked at: a stream's URL is repeated at every reconnect, and stands in that many logs.
    pub fn from_stream(
        uri: &Uri,
        headers: &HeaderMap,
        cookie: &str,
        origin: Origin,
    ) -> Result<Option<Self>, BadRequest> {
        if let Some(token) = bearer(headers) {
            return Ok(Some(Self::Token(token)));
        }
        match query(uri, "ticket") {
            Some(ticket) => Ok(Some(Self::Ticket(ticket))),
            None => Self::from_cookie(headers, cookie, origin),
        }
    }

    fn from_cookie(headers: &HeaderMap, name: &str, origin: Origin) -> Result<Option<Self>, BadRequest> {
        match (cookie_value(headers, name), origin) {
            (None, _) => Ok(None),
            (Some(token), Origin::Allowed) => Ok(Some(Self::Cookie(token))),
            (Some(_), Origin::None | Origin::Refused) => Err(BadRequest::CookieWithoutOrigin),
        }
    }
}

/// The token of `Authorization: Bearer <token>`. Another scheme is somebody else's, such as a proxy's.
pub fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

fn protocol_token(headers: &HeaderMap) -> Option<Secret> {
    subprotocols(headers).find_map(|offer| offer.strip_prefix("bearer.")).map(Secret::new)
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

fn query(uri: &Uri, key: &str) -> Option<Secret> {
    let mut pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(name, _)| name == key).map(|(_, value)| Secret::new(value))
}

fn cookie_value(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| Secret::new(value.trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn find(
        uri: &str,
        lines: &[(HeaderName, &'static str)],
        origin: Origin,
    ) -> Result<Option<Credential>, BadRequest> {
        Credential::from_request(&uri.parse().unwrap(), &headers(lines), "chorus_token", origin)
    }

    fn token(text: &str) -> Credential {
        Credential::Token(Secret::new(text))
    }

    #[test]
    fn every_place_and_their_order() {
        let ticket = Credential::Ticket(Secret::new("t"));
        let cookie = Credential::Cookie(Secret::new("c"));
        let header = (AUTHORIZATION, "Bearer h");
        let protocol = (SEC_WEBSOCKET_PROTOCOL, "chorus.v1, bearer.p");
        let baked = (COOKIE, "a=b; chorus_token=c; d=e");
        let all = [header.clone(), protocol.clone(), baked.clone()];
        for (uri, lines, expected) in [
            ("/ws", &[][..], None),
            ("/ws?token=q", &[][..], Some(token("q"))),
            ("/ws?room=a&token=a%2Eb", &[][..], Some(token("a.b"))),
            ("/ws?ticket=t", &[][..], Some(ticket.clone())),
            ("/ws?ticket=t&token=q", &[][..], Some(token("q"))),
            ("/ws", &[header][..], Some(token("h"))),
            ("/ws", &[(AUTHORIZATION, "bearer  h ")][..], Some(token("h"))),
            ("/ws", &[(AUTHORIZATION, "Basic h")][..], None),
            ("/ws?token=q", &all[1..], Some(token("p"))),
            ("/ws?token=q&ticket=t", &all[..], Some(token("h"))),
            ("/ws?ticket=t", &all[2..], Some(ticket)),
            ("/ws", &all[2..], Some(cookie.clone())),
            ("/ws", &[(COOKIE, "x=y"), (COOKIE, "chorus_token=\"c\"")][..], Some(cookie)),
            ("/ws", &[(COOKIE, "chorus_token2=c")][..], None),
            ("/ws?token=", &[][..], Some(token(""))),
        ] {
            assert_eq!(find(uri, lines, Origin::Allowed), Ok(expected), "{uri} {lines:?}");
        }
    }

    #[test]
    fn a_cookie_needs_an_origin_unless_it_is_not_used() {
        let baked = [(COOKIE, "chorus_token=c")];
        for origin in [Origin::None, Origin::Refused] {
            assert_eq!(find("/ws", &baked, origin), Err(BadRequest::CookieWithoutOrigin));
            assert_eq!(find("/ws?token=q", &baked, origin), Ok(Some(token("q"))));
        }
    }

    #[test]
    fn calls_know_no_query() {
        let from = |lines| Credential::from_call(&headers(lines), "chorus_token", Origin::None);
        assert_eq!(from(&[(AUTHORIZATION, "Bearer h"), (COOKIE, "chorus_token=c")]), Ok(Some(token("h"))));
        assert_eq!(from(&[(COOKIE, "chorus_token=c")]), Err(BadRequest::CookieWithoutOrigin));
        assert_eq!(from(&[]), Ok(None));
    }

    #[test]
    fn streams_take_no_token_from_the_query() {
        let from = |uri: &str, lines, origin| {
            Credential::from_stream(&uri.parse().unwrap(), &headers(lines), "chorus_token", origin)
        };
        let ticket = Credential::Ticket(Secret::new("t"));
        let all = [(AUTHORIZATION, "Bearer h"), (COOKIE, "chorus_token=c")];
        assert_eq!(from("/v1/events?ticket=t", &all, Origin::None), Ok(Some(token("h"))));
        assert_eq!(from("/v1/events?ticket=t", &all[1..], Origin::None), Ok(Some(ticket)));
        let cookie = Credential::Cookie(Secret::new("c"));
        assert_eq!(from("/v1/events?token=q", &all[1..], Origin::Allowed), Ok(Some(cookie)));
        assert_eq!(from("/v1/events", &all[1..], Origin::None), Err(BadRequest::CookieWithoutOrigin));
        assert_eq!(from("/v1/events?token=q", &[], Origin::None), Ok(None));
    }

    #[test]
    fn the_subprotocol() {
        let offers = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| (SEC_WEBSOCKET_PROTOCOL, *line)).collect();
            offers_subprotocol(&headers(&lines))
        };
        assert_eq!(offers(&[]), Ok(false));
        assert_eq!(offers(&["chorus.v1"]), Ok(true));
        assert_eq!(offers(&["bearer.x,chorus.v1"]), Ok(true));
        assert_eq!(offers(&["graphql-ws", "chorus.v1"]), Ok(true));
        for bad in ["graphql-ws", "bearer.x", "chorus.v2, bearer.x", "CHORUS.V1", ""] {
            assert_eq!(offers(&[bad]), Err(BadRequest::Subprotocol), "{bad}");
        }
    }

    #[test]
    fn printing_shows_nothing() {
        let shown = format!("{:?}", find("/ws?ticket=hunter2", &[], Origin::None));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
