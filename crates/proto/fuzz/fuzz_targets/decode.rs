//! Whatever text comes over a socket: decoding answers, and what it accepts means the same when it is encoded and
//! decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::{DecodeLimits, Request, ServerFrame};

const LIMITS: DecodeLimits = DecodeLimits { data_bytes: 16 * 1024, json_depth: 32 };

fuzz_target!(|text: &str| {
    if let Ok(request) = Request::decode(text, LIMITS) {
        let encoded = request.encode();
        let again = Request::decode(&encoded, LIMITS).expect("what was encoded decodes");
        assert_eq!(encoded, again.encode());
    }
    let _ = ServerFrame::decode(text);
});
