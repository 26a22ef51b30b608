//! The pages: the chat at `/`, the tester and the cluster, as `clients/pages` builds them into `crates/gateway/pages`.
//!
//! They are part of the program, so that a node needs no file beside it; and what is built is committed, so that it
//! takes cargo alone to build the program. They hold nothing secret: whoever reaches a node may have them.

use std::{
    io::Write,
    sync::{LazyLock, OnceLock},
};

use axum::{
    Json, Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Serialize;

use crate::http::HttpState;

/// What Vite made.
#[derive(RustEmbed)]
#[folder = "pages"]
struct Built;

/// Everything comes from here, nothing runs inline, nobody frames it.
macro_rules! policy {
    ($connect:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src ",
            $connect,
            "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    };
}

const POLICY: &str = policy!("'self'");

/// The tester's purpose is to connect to whatever one names.
const TESTER_POLICY: &str = policy!("'self' ws: wss:");

/// Below it a packet carries the file as it is.
const WORTH_COMPRESSING: usize = 1024;

/// The files and where they are served, once for the process.
static FILES: LazyLock<Vec<(String, File)>> = LazyLock::new(|| {
    Built::iter().filter_map(|name| Some((path(&name), File::new(&name, Built::get(&name)?)?))).collect()
});

/// The routes, or none where the configuration wants no pages.
pub fn router(state: &HttpState) -> Router {
    if !state.config.now().pages {
        return Router::new();
    }
    let about = About { guests: state.config.now().development() };
    let about = ([(header::CACHE_CONTROL, "no-store")], Json(about));
    let router = Router::new().route("/site.json", get(async move || about.clone()));
    FILES.iter().fold(router, |router, (path, file)| {
        router.route(path, get(async move |headers: HeaderMap| file.answer(&headers)))
    })
}

/// What the pages ask of the node that they came from. To try instead would put errors into everybody's console.
#[derive(Clone, Serialize)]
struct About {
    /// Guests get a token at `/dev/token`.
    guests: bool,
}

/// Where a file is served: a page has no ending, and the first has no name.
fn path(name: &str) -> String {
    match name.strip_suffix(".html") {
        Some("index") => "/".to_owned(),
        Some(page) => format!("/{page}"),
        None => format!("/{name}"),
    }
}

/// A file and what is said with it.
struct File {
    text: Bytes,
    kind: &'static str,
    policy: &'static str,
    cache: &'static str,
    /// Of what is in it, and in the two encodings as strong validators must be.
    tag: HeaderValue,
    packed_tag: HeaderValue,
    /// Made when it is first asked for, which takes some milliseconds for the largest.
    packed: OnceLock<Option<Bytes>>,
}

impl File {
    /// None for a kind of file that no page should have; a test sees that none has.
    fn new(name: &str, file: EmbeddedFile) -> Option<Self> {
        let kind = match name.rsplit_once('.')?.1 {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => return None,
        };
        let hash = file.metadata.sha256_hash();
        let hash = hash[..16].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Some(Self {
            text: Bytes::from_owner(file.data),
            kind,
            policy: if name == "tester.html" { TESTER_POLICY } else { POLICY },
            // Vite puts a hash of the content into the names below `assets`, so what is there never changes.
            cache: if name.starts_with("assets/") {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            },
            tag: HeaderValue::try_from(format!("\"{hash}\"")).ok()?,
            packed_tag: HeaderValue::try_from(format!("\"{hash}-gz\"")).ok()?,
            packed: OnceLock::new(),
        })
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let packed = takes_gzip(headers).then(|| self.packed()).flatten();
        let tag = if packed.is_some() { &self.packed_tag } else { &self.tag };
        let said = [
            (header::CACHE_CONTROL, self.cache),
            (header::VARY, "accept-encoding"),
            (header::CONTENT_SECURITY_POLICY, self.policy),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ];
        let about = (said, [(header::ETAG, tag.clone())]);
        if knows(headers, tag) {
            return (StatusCode::NOT_MODIFIED, about).into_response();
        }
        let kind = [(header::CONTENT_TYPE, self.kind)];
        match packed {
            Some(packed) => (about, kind, [(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
            None => (about, kind, self.text.clone()).into_response(),
        }
    }

    fn packed(&self) -> Option<Bytes> {
        self.packed
            .get_or_init(|| {
                if self.text.len() < WORTH_COMPRESSING {
                    return None;
                }
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&self.text).ok()?;
                encoder.finish().ok().map(Bytes::from)
            })
            .clone()
    }
}

/// Whether the client says that it takes gzip, and not that it would rather not (`q=0`).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let (name, terms) = offer.split_once(';').unwrap_or((offer, ""));
        let refused = terms.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Whether the client has the file already. A proxy may have made the tag a weak one.
fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|one| one == "*" || tag.to_str().is_ok_and(|tag| one.trim_start_matches("W/") == tag))
}

#[cfg(test)]
mod tests;
