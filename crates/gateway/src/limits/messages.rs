//! How fast a user may send messages, by all nodes together.

use std::time::Duration;

use proto::{ErrorCode, RoomName, UserId};

use crate::{app::App, refusal::Refusal};

/// Lets one more message of a user pass, or says when it may. While the bus is away all pass: see
/// [`frames_per_second`](crate::config::LimitsConfig::frames_per_second) for what holds then.
///
/// # Errors
/// When there are too many.
pub async fn pace(app: &App, user: &UserId, room: &RoomName) -> Result<(), Refusal> {
    let everywhere = app.config.now().limits.messages_per_second;
    if everywhere > 0 {
        take(app, user.as_str(), everywhere).await?;
    }
    let here = app.config.now().namespace(room).messages_per_second;
    if here > 0 {
        take(app, &format!("{user} {room}"), here).await?;
    }
    Ok(())
}

async fn take(app: &App, scope: &str, per_second: u32) -> Result<(), Refusal> {
    match app.bus.take_rate(scope, per_second, per_second.saturating_mul(2)).await {
        Ok(Some(wait)) => Err(too_fast(wait)),
        Ok(None) | Err(_) => Ok(()),
    }
}

fn too_fast(wait: Duration) -> Refusal {
    let retry_after = Some(wait);
    let refusal = Refusal::new(ErrorCode::RateLimited, "too many messages of this user: slow down");
    Refusal { retry_after, ..refusal }
}
