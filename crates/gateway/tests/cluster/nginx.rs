//! nginx in front, with each choice that `nginx/README.md` offers.

mod handshakes;
mod proxy_protocol;
mod reload;
mod sockets;
mod spread;
mod tls;
