//! Whatever bytes a socket gives, and in whatever pieces: the same messages come out, or the same reason to close.
#![no_main]

use gateway::socket::decoder::Decoder;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1024;

fn decode(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut decoder = Decoder::new(LIMIT);
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(incoming)) => out.push(format!("{incoming:?}")),
                Ok(None) => break,
                Err(close) => {
                    out.push(format!("{close:?}"));
                    return out;
                }
            }
        }
    }
    out
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(whole, decode(bytes, usize::from(piece).max(1)));
});
