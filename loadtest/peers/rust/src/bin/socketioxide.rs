//! A chat on socketioxide, as its documentation shows it: one node, no adapter. `PORT` says where.

use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on("join", async |socket: SocketRef, Data::<String>(room), joined: AckSender| {
            socket.join(room.clone());
            let _ = joined.send(&room);
        });
        socket.on("message", async |io: SocketIo, Data::<serde_json::Value>(message)| {
            let room = message["room"].as_str().unwrap_or_default().to_owned();
            let _ = io.to(room).emit("message", &message).await;
        });
    });
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ready");
    axum::serve(listener, axum::Router::new().layer(layer)).await?;
    Ok(())
}
