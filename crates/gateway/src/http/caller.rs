//! Who calls, and how fast.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
};
use bus::TraceContext;
use proto::UserId;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::{problem::Problem, request};
use crate::{
    app::App,
    auth::{Credential, Identity, Origin, credential, identify, origin},
    config::{Config, Secret},
    dev,
    limits::Who,
};

/// Whoever made a call, and may.
pub(super) struct Caller {
    who: Who,
    identity: Identity,
}

impl Caller {
    fn server(who: Who) -> Result<Self, Problem> {
        let user = UserId::parse(Identity::SERVER).map_err(|_| missing())?;
        Ok(Self { who, identity: Identity::server(user, None) })
    }

    /// The user, or whom the server speaks for.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// In whose name a server speaks: nobody but a server may say.
    pub(super) fn speak_for(&mut self, user: Option<&str>, name: Option<&str>) -> Result<(), Problem> {
        if user.is_none() && name.is_none() {
            return Ok(());
        }
        self.must_be_server()?;
        if let Some(user) = user {
            self.identity = Identity::server(request::user(user)?, None);
        }
        if let Some(name) = name {
            if !Identity::is_name(name) {
                return Err(Problem::bad_request("a name has 1 to 128 bytes without control characters"));
            }
            self.identity.name = Some(name.into());
        }
        Ok(())
    }

    /// What only a server may do.
    pub(super) fn must_be_server(&self) -> Result<(), Problem> {
        match self.who {
            Who::Server(_) | Who::Here => Ok(()),
            Who::User(_) => {
                Err(Problem::new(StatusCode::FORBIDDEN, "this call needs an API key: see api_keys"))
            }
        }
    }

    /// The span that a server's call is in, and whether its trace is kept. A user's word for it would have as many messages
    /// traced as it likes.
    pub(super) fn parent(&self, headers: &HeaderMap) -> Option<(TraceContext, bool)> {
        self.must_be_server().ok()?;
        TraceContext::parse(headers.get("traceparent")?.to_str().ok()?)
    }

    /// For the audit: which server or user, and nothing secret.
    pub(super) fn name(&self) -> String {
        match &self.who {
            Who::Server(number) => format!("API key {}", number + 1),
            Who::Here => "development mode".to_owned(),
            Who::User(user) => user.to_string(),
        }
    }
}

/// A caller that is a server: whoever has an API key. In development mode, as long as there is no key to have, also whoever
/// calls from this machine without any credential.
pub(super) struct Operator(pub(super) Caller);

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let bare = !parts.headers.contains_key(header::AUTHORIZATION);
        let open = {
            let config = app.config.now();
            config.development() && config.api_keys.is_empty()
        };
        let is_here = bare && open && dev::came_from_afar(&parts.headers).is_none();
        let caller = Caller::of(parts, app, is_here).await?;
        caller.must_be_server()?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Self::of(parts, app, false).await
    }
}

impl Caller {
    /// Who made this request, if they may: without a credential, only whoever is `here`.
    async fn of(parts: &Parts, app: &App, is_here: bool) -> Result<Self, Problem> {
        // Held across waits, so a handle of its own.
        let (headers, config) = (&parts.headers, app.config.held());
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let judge = if is_read { origin::check_get } else { origin::check };
        let origin = judge(headers, &config.allowed_origins);
        if origin == Origin::Refused {
            let detail = "this origin is not allowed: see allowed_origins";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        let caller = match credential::bearer(headers).and_then(|token| api_key(&config, &token)) {
            Some(number) => Self::server(Who::Server(number))?,
            None if is_here => Self::server(Who::Here)?,
            None => {
                let credential = Credential::from_call(headers, &config.auth.cookie, origin)
                    .map_err(|error| Problem::new(StatusCode::FORBIDDEN, error.to_string()))?
                    .ok_or_else(missing)?;
                let identity = identify(&app.auth, &*app.bus, &credential).await?;
                Self { who: Who::User(identity.user.clone()), identity }
            }
        };
        app.calls.take(&caller.who, &config.limits, Instant::now()).map_err(|wait| {
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many calls: slow down");
            Problem { retry_after: Some(wait), ..problem }
        })?;
        if matches!(caller.who, Who::User(_)) {
            app.moderation
                .check(&caller.identity)
                .await
                .map_err(|expulsion| Problem::new(StatusCode::FORBIDDEN, expulsion.to_string()))?;
        }
        Ok(caller)
    }
}

fn missing() -> Problem {
    let detail = "this call needs a token or an API key: Authorization: Bearer <token>";
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

/// The number of the API key that this is, if it is one. All are compared, and each in a time that says nothing but its
/// length.
fn api_key(config: &Config, token: &Secret) -> Option<usize> {
    let token = token.expose().as_bytes();
    let matches = config.api_keys.iter().map(|key| bool::from(key.expose().as_bytes().ct_eq(token)));
    matches.enumerate().fold(None, |found, (number, matches)| if matches { Some(number) } else { found })
}
