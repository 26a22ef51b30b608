//! An issuer of tokens: a real HTTPS server with a JWKS, which can misbehave.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::Certificates;

mod key;

pub use key::SigningKey;

/// What the issuer does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 and this body.
    Body(String),
    /// This status, without a body.
    Status(u16),
    /// 302 to this place.
    Redirect(String),
    /// 200 and so many bytes, without saying how many.
    Flood(usize),
    /// Nothing, for as long as the client waits.
    Stall,
}

/// A running issuer; gone when dropped.
#[derive(Debug)]
pub struct Issuer {
    addr: SocketAddr,
    certificates: Certificates,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    answer: Mutex<Answer>,
    requests: AtomicUsize,
}

impl Issuer {
    /// Starts one that publishes these keys.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let certificates = Certificates::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let state =
            Arc::new(State { answer: Mutex::new(Answer::Body(jwks(keys))), requests: AtomicUsize::new(0) });
        let task = tokio::spawn(serve(listener, acceptor(&certificates), Arc::clone(&state)));
        Self { addr, certificates, state, task }
    }

    /// Where its JWKS is.
    pub fn url(&self) -> String {
        format!("https://{}/.well-known/jwks.json", self.addr)
    }

    /// The certificate of the CA that signed its own.
    pub fn ca(&self) -> PathBuf {
        self.certificates.file("ca.pem")
    }

    /// Publishes these keys, and no others, from now on.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.answer(Answer::Body(jwks(keys)));
    }

    /// Does this with each request from now on.
    ///
    /// # Panics
    /// When a task of its own has panicked.
    pub fn answer(&self, answer: Answer) {
        *self.state.answer.lock().expect("nobody panics with it") = answer;
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The document that has these keys.
pub fn jwks(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

fn acceptor(certificates: &Certificates) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificates.file("server.pem")).expect("a PEM file");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(certificates.file("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the certificate's own key");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        // A client that does not trust it, or goes away, is none of its business.
        tokio::spawn(async move {
            let _ = serve_one(stream, &acceptor, &state).await;
        });
    }
}

async fn serve_one(stream: TcpStream, acceptor: &TlsAcceptor, state: &State) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    state.requests.fetch_add(1, Ordering::SeqCst);
    let answer = state.answer.lock().expect("nobody panics with it").clone();
    let text = match answer {
        Answer::Body(body) => {
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        }
        Answer::Status(status) => format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"),
        Answer::Redirect(to) => {
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
        }
        Answer::Flood(bytes) => format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(bytes)),
        Answer::Stall => {
            // Ends when the client gives up.
            stream.read_line(&mut line).await?;
            return Ok(());
        }
    };
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
