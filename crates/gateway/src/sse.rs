//! `GET /v1/events`: the rooms' events as Server-Sent Events, for whoever can't have a WebSocket.
//!
//! A stream is a [session](crate::session) like a socket's: the same rooms, cursors, limits and drain. What differs is at
//! its two ends. All that can be refused is refused before it begins, as HTTP has it; and frames go out as [`Blocks`],
//! through a [`Pipe`] into the body of the answer.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use proto::{ErrorCode, Position, RoomName};

use crate::{
    app::App,
    auth::{self, AuthError, Credential, Identity, Origin, credential::BadRequest, origin, ticket},
    command, drain,
    http::problem::Problem,
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
    status: StatusCode,
    detail: String,
    /// Set where the request was not even looked at.
    refusal: Option<Refusal>,
}

/// `GET /v1/events`.
pub async fn events(State(app): State<Arc<App>>, request: Request) -> Response {
    match open(&app, request).await {
        Ok(response) => response,
        Err(NoStream { status, detail, refusal }) => {
            if let Some(refusal) = refusal {
                app.metrics.refused(refusal);
            }
            let mut response = Problem::new(status, detail).into_response();
            if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    }
}

async fn open(app: &Arc<App>, request: Request) -> Result<Response, NoStream> {
    let (parts, _) = request.into_parts();
    let (uri, headers, extensions) = (&parts.uri, &parts.headers, &parts.extensions);
    let origin = origin::check_get(headers, &app.config.allowed_origins);
    if origin == Origin::Refused {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            Refusal::Origin,
            "this origin is not allowed: see allowed_origins",
        ));
    }
    let wish = Wish::of(uri, headers)?;
    let credential = Credential::from_stream(uri, headers, &app.config.auth.cookie, origin)
        .map_err(|error| match error {
            BadRequest::CookieWithoutOrigin => {
                refuse(StatusCode::FORBIDDEN, Refusal::Origin, &error.to_string())
            }
            BadRequest::Subprotocol => bad_request(&error.to_string()),
        })?
        .ok_or_else(|| fail(StatusCode::UNAUTHORIZED, "a stream needs a token, a ticket or a cookie"))?;
    let peer = extensions.get::<Peer>().map_or([0, 0, 0, 0].into(), |peer| peer.0.ip());
    let place = admit(app, client_address(peer, headers, &app.config.trusted_proxies))?;
    let line = extensions.get::<Line>().cloned().ok_or_else(|| {
        tracing::error!("a request came by no connection of ours");
        fail(StatusCode::INTERNAL_SERVER_ERROR, "this connection can't carry a stream")
    })?;

    let identity = identify(app, &credential, &wish.rooms).await?;
    // A session finds that out, too; but a client that is told so in words comes back for ever.
    if let Err(expulsion) = app.moderation.check(&identity).await {
        return Err(refuse(StatusCode::FORBIDDEN, expulsion.refusal(), &expulsion.to_string()));
    }
    let seats = find_seats(app, &identity, wish).await?;
    let ticket = match credential {
        Credential::Ticket(ticket) => Some(ticket),
        Credential::Token(_) | Credential::Cookie(_) => None,
    };
    // Its first word is when to come back, for a node that dies can't say it any more.
    let retry = format!("retry: {}\n\n", drain::retry_after(CROWD).as_millis());
    let (pipe, body) = pipe(retry.as_bytes());
    let opening = StreamOpening { identity, seats, ticket, place, line };
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
                    let room = RoomName::parse(&value).map_err(|error| bad_request(&error.to_string()))?;
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
            event_id::parse(&last.unwrap_or_default()).map_err(|error| bad_request(&error.to_string()))?;
        Ok(wish)
    }
}

/// The place for the stream.
fn admit(app: &App, address: IpAddr) -> Result<Permit, NoStream> {
    if app.is_draining() {
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, Refusal::Draining, "this node is about to end"));
    }
    app.admission.admit(address).map_err(|reason| {
        let status = match reason {
            Refusal::Address => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        refuse(status, reason, "too many connections: try again later or on another node")
    })
}

async fn identify(app: &App, credential: &Credential, rooms: &[RoomName]) -> Result<Identity, NoStream> {
    let identity = match credential {
        Credential::Ticket(ticket) => {
            // In whichever order they are named, they are the same stream's.
            let mut rooms = rooms.to_vec();
            rooms.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            ticket::redeem_for_stream(&*app.bus, ticket.expose(), &rooms).await
        }
        credential => auth::identify(&app.auth, &*app.bus, credential).await,
    };
    identity.map_err(|error| {
        let status = match error {
            AuthError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            AuthError::Failed(_) | AuthError::Expired => StatusCode::UNAUTHORIZED,
        };
        fail(status, &error.to_string())
    })
}

/// Where the client will stand in each of its rooms. Rights come first: whom one room is closed to waits for none.
async fn find_seats(app: &App, identity: &Identity, wish: Wish) -> Result<Vec<command::Seat>, NoStream> {
    let refused = |refused: refusal::Refusal| {
        app.metrics.failed(refused.code);
        let status = match refused.code {
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        };
        fail(status, &refused.message)
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
        seats.push(command::find_seat(app, &room, since, wish.recent).await.map_err(refused)?);
    }
    Ok(seats)
}

fn fail(status: StatusCode, detail: &str) -> NoStream {
    NoStream { status, detail: detail.to_owned(), refusal: None }
}

fn refuse(status: StatusCode, refusal: Refusal, detail: &str) -> NoStream {
    NoStream { refusal: Some(refusal), ..fail(status, detail) }
}

fn bad_request(detail: &str) -> NoStream {
    refuse(StatusCode::BAD_REQUEST, Refusal::BadRequest, detail)
}
