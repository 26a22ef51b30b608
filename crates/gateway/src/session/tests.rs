//! Ends of a session that no client can bring about.

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time,
};

use super::*;
use crate::{config::Config, metrics::Metrics};

#[tokio::test]
async fn a_fault_of_ours_closes_its_connection_and_forgets_it() {
    // The socket stayed open, read by nobody, for as long as the node ran.
    let app = App::new(Config::default(), Arc::new(Metrics::new())).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let address = IpAddr::from([127, 0, 0, 1]);
    let place = app.admission.admit(address, &app.config.now().limits).map_err(|_| unreachable!());
    let opening = Opening { service: Service::Chat, credential: None, rooms: Vec::new(), address, place };
    let visit = Visit::begin(Arc::clone(&app), server.into(), &Bytes::new(), opening);
    let session = tokio::spawn(async move {
        let _visit = visit;
        panic!("as a fault in a session would")
    });
    assert!(session.await.unwrap_err().is_panic());

    let mut seen = Vec::new();
    time::timeout(Duration::from_secs(5), client.read_to_end(&mut seen)).await.unwrap().unwrap();
    assert_eq!(seen, frame::close(Close::Internal));
    assert_eq!(app.connections.all().len(), 0);
}
