//! A message's two changes of form: from a client's frame, and into the frame that everybody gets.

use std::hint::black_box;

use bus::LogEvent;
use gateway::{
    config::LimitsConfig,
    relay::frame_of,
    socket::decoder::{Decoder, Incoming},
};
use proto::{ClientFrame, DecodeLimits, Request};

use crate::sample::{Said, client_frame, log_event};

/// Bytes from a socket to a request.
pub(crate) fn decode(times: u64) -> Result<(), String> {
    let limits = LimitsConfig::default();
    let bounds = DecodeLimits { data_bytes: limits.data_bytes, json_depth: limits.json_depth };
    let mut decoder = Decoder::new(limits.frame_bytes);
    let bytes = client_frame();
    let mut requests = 0;
    for _ in 0..times {
        decoder.feed(black_box(&bytes));
        while let Some(incoming) = decoder.next_message().map_err(|close| format!("{close:?}"))? {
            let Incoming::Text(text) = incoming else { return Err("a frame of another kind".to_owned()) };
            let request = Request::decode(text, bounds).map_err(|error| error.message)?;
            requests += u64::from(matches!(black_box(&request).frame, ClientFrame::Message(_)));
        }
    }
    if requests == times { Ok(()) } else { Err(format!("{requests} messages of {times} frames")) }
}

/// An event to the body that is stored, as the sender's gateway does it, and to the frame that is sent, as every gateway does.
pub(crate) fn encode(times: u64) -> Result<(), String> {
    let said = Said::new()?;
    let LogEvent { position, key, .. } = log_event()?;
    for _ in 0..times {
        let body = black_box(&said).event().encode_body().into();
        let event = LogEvent { position: position.clone(), key: key.clone(), body, trace: None };
        black_box(frame_of(black_box(&event)));
    }
    Ok(())
}
