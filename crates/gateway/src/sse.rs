//! `GET /v1/events`: the rooms' events as Server-Sent Events, for whoever can't have a WebSocket.
//!
//! A stream is a [session](crate::session) like a socket's: the same rooms, cursors, limits and drain. What differs is at
//! its two ends. All that can be refused is refused before it begins, as HTTP has it; and frames go out as [`Blocks`],
//! through a [`Pipe`] into the body of the answer.
#![expect(unused_qualifications, reason = "what utoipa makes of `params` names it by its path")]

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use proto::{Position, RoomName};
use utoipa::IntoParams;

use crate::{
    app::App,
    auth::{self, Credential, Identity, Origin, credential::BadRequest, origin, ticket},
    command, drain,
    http::problem::{Problem, ProblemBody},
    limits::{Permit, Refusal, client_address},
    refusal,
    serve::Line,
    session::{Stream, StreamOpening},
    socket::Peer,
};

mod blocks;
mod event_id;
mod pipe;

pub use blocks::Blocks;
pub use pipe::{Outflow, Pipe, pipe};

/// Rooms of one stream.
pub const MOST_ROOMS: usize = 8;

/// A crowd of so many is reckoned with when a node dies without a word: it spreads their return, as the drain does.
const CROWD: usize = 2_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Proxies that know it (nginx) then hand on each block as it comes.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a request asks for.
struct Wish {
    /// The rooms, as they were written, each once.
    rooms: Vec<RoomName>,
    /// Where the client stands in some of them, and perhaps in others.
    places: Vec<(RoomName, Position)>,
    /// How many of the last messages it wants where it stands nowhere.
    recent: Option<u32>,
}

/// Why there is no stream.
struct NoStream {
    problem: Problem,
    /// Set where it is that no connection is taken.
    refusal: Option<Refusal>,
}

impl From<Problem> for NoStream {
    fn from(problem: Problem) -> Self {
        Self { problem, refusal: None }
    }
}

/// What the document says of the query.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read by hand: see `Wish`")]
pub(crate) struct Asked {
    /// The rooms, each once.
    #[param(min_items = 1, max_items = 8)]
    room: Vec<String>,
    /// Replay from the last so many messages on, in rooms that `Last-Event-ID` says nothing of.
    recent: Option<u32>,
    /// The last `id:` of an earlier stream; the header beats it.
    last_event_id: Option<String>,
    /// From `POST /v1/tickets`; bound to these rooms by its first use.
    ticket: Option<String>,
}

/// The events of up to eight rooms, as Server-Sent Events.
///
/// Each block is a frame of the protocol; its `id` says where the client stands in all of the rooms.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(
        Asked,
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id:` of an earlier stream."),
    ),
    security(("token" = []), ()),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn events(State(app): State<Arc<App>>, request: Request) -> Response {
    open(&app, request).await.unwrap_or_else(|NoStream { problem, refusal }| {
        if let Some(refusal) = refusal {
            app.metrics.refused(refusal);
        }
        problem.into_response()
    })
}

async fn open(app: &Arc<App>, request: Request) -> Result<Response, NoStream> {
    let (parts, _) = request.into_parts();
    let (uri, headers, extensions) = (&parts.uri, &parts.headers, &parts.extensions);
    let config = app.config.held();
    let origin = origin::check_get(headers, &config.allowed_origins);
    if origin == Origin::Refused {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            Refusal::Origin,
            "this origin is not allowed: see allowed_origins",
        ));
    }
    let wish = Wish::of(uri, headers)?;
    let credential = Credential::from_stream(uri, headers, &config.auth.cookie, origin)
        .map_err(|error| match error {
            BadRequest::CookieWithoutOrigin => {
                refuse(StatusCode::FORBIDDEN, Refusal::Origin, error.to_string())
            }
            BadRequest::Subprotocol => bad_request(error.to_string()),
        })?
        .ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "a stream needs a token, a ticket or a cookie")
        })?;
    let peer = extensions.get::<Peer>().map_or([0, 0, 0, 0].into(), |peer| peer.0.ip());
    let address = client_address(peer, headers, &config.trusted_proxies);
    let place = admit(app, address)?;
    let line = extensions.get::<Line>().cloned().ok_or_else(|| {
        tracing::error!("a request came by no connection of ours");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this connection can't carry a stream")
    })?;

    let identity = identify(app, &credential, &wish.rooms).await?;
    // A session finds that out, too; but a client that is told so in words comes back for ever.
    if let Err(expulsion) = app.moderation.check(&identity).await {
        return Err(refuse(StatusCode::FORBIDDEN, expulsion.refusal(), expulsion.to_string()));
    }
    let seats = find_seats(app, &identity, wish).await?;
    let ticket = match credential {
        Credential::Ticket(ticket) => Some(ticket),
        Credential::Token(_) | Credential::Cookie(_) => None,
    };
    // Its first word is when to come back, for a node that dies can't say it any more.
    let retry = format!("retry: {}\n\n", drain::retry_after(CROWD).as_millis());
    let (pipe, body) = pipe(retry.as_bytes());
    let opening = StreamOpening { identity, seats, ticket, address, place, line };
    let mut stream = Stream::begin(Arc::clone(app), pipe, opening);
    app.tasks.spawn(async move { stream.run().await });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (ACCEL_BUFFERING, "no"),
        (header::CONNECTION, "close"),
    ];
    Ok((headers, Body::new(body)).into_response())
}

impl Wish {
    /// Reads `?room=…&room=…`, `recent`, and where the client stands: the header that an `EventSource` sends when it
    /// comes back, or else the query, for one that is made anew.
    fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, NoStream> {
        let mut wish = Self { rooms: Vec::new(), places: Vec::new(), recent: None };
        let mut last = None;
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*key {
                "room" => {
                    let room = RoomName::parse(&value).map_err(|error| bad_request(error.to_string()))?;
                    if !wish.rooms.contains(&room) {
                        wish.rooms.push(room);
                    }
                    // A line has place for thousands, and each is compared with the others.
                    if wish.rooms.len() > MOST_ROOMS {
                        break;
                    }
                }
                "recent" => {
                    let number = value.parse().map_err(|_| bad_request("recent is a whole number"))?;
                    wish.recent = Some(number);
                }
                "last_event_id" => last = Some(value.into_owned()),
                _ => {}
            }
        }
        if !(1..=MOST_ROOMS).contains(&wish.rooms.len()) {
            return Err(bad_request("a stream is of 1 to 8 rooms: ?room=a&room=b"));
        }
        if let Some(header) = headers.get(LAST_EVENT_ID).filter(|header| !header.is_empty()) {
            // What is no text is no id of ours either.
            last = Some(header.to_str().unwrap_or("?").to_owned());
        }
        wish.places =
            event_id::parse(&last.unwrap_or_default()).map_err(|error| bad_request(error.to_string()))?;
        Ok(wish)
    }
}

/// The place for the stream.
fn admit(app: &App, address: IpAddr) -> Result<Permit, NoStream> {
    if app.is_draining() {
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, Refusal::Draining, "this node is about to end"));
    }
    app.admission.admit(address, &app.config.now().limits).map_err(|reason| {
        let status = match reason {
            Refusal::Address => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        refuse(status, reason, "too many connections: try again later or on another node")
    })
}

async fn identify(app: &App, credential: &Credential, rooms: &[RoomName]) -> Result<Identity, Problem> {
    Ok(match credential {
        Credential::Ticket(ticket) => {
            // In whichever order they are named, they are the same stream's.
            let mut rooms = rooms.to_vec();
            rooms.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            ticket::redeem_for_stream(&*app.bus, ticket.expose(), &rooms).await?
        }
        credential => auth::identify(&app.auth, &*app.bus, credential).await?,
    })
}

/// Where the client will stand in each of its rooms. Rights come first: whom one room is closed to waits for none.
async fn find_seats(app: &App, identity: &Identity, wish: Wish) -> Result<Vec<command::Seat>, Problem> {
    let refused = |refusal: refusal::Refusal| {
        app.metrics.failed(refusal.code);
        Problem::from(refusal)
    };
    let mut rooms: Vec<RoomName> = Vec::new();
    for room in wish.rooms {
        let room = command::readable_room(app, identity, room).map_err(refused)?;
        // `@me` may be there by its name, too.
        if !rooms.contains(&room) {
            rooms.push(room);
        }
    }
    let mut seats = Vec::with_capacity(rooms.len());
    for room in rooms {
        let since =
            wish.places.iter().find(|(other, _)| *other == room).map(|(_, position)| position.clone());
        seats.push(command::find_seat(app, identity, &room, since, wish.recent).await.map_err(refused)?);
    }
    Ok(seats)
}

fn refuse(status: StatusCode, refusal: Refusal, detail: impl Into<Cow<'static, str>>) -> NoStream {
    NoStream { problem: Problem::new(status, detail), refusal: Some(refusal) }
}

fn bad_request(detail: impl Into<Cow<'static, str>>) -> NoStream {
    refuse(StatusCode::BAD_REQUEST, Refusal::BadRequest, detail)
}
