//! Whatever somebody publishes on a room's channel: nothing panics, and a follower gets every event of the log once
//! and in order.
#![no_main]

use bus::fuzzing::Channel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut channel = Channel::new();
    for payload in bytes.split(|&byte| byte == 0xff) {
        channel.publish(payload);
    }
    channel.end();
});
