//! The plane on a socket: plain HTTP or TLS, HTTP/1.1 or HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::auth::authenticate::{Certificate, Peer};
use super::http;
use super::server::Server;
use super::tls::client_of;

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests that are under way may take after the server was stopped.
const DRAIN: Duration = Duration::from_secs(5);
/// Watches hold a stream each.
const STREAMS: u32 = 4096;
/// Small windows would make big lists wait for the client.
const WINDOW: u32 = 1 << 20;

/// What turns a connection into a TLS one and tells who is at its other end.
#[derive(Clone)]
pub(crate) struct Tls {
    pub acceptor: TlsAcceptor,
    pub verifier: Arc<dyn ClientCertVerifier>,
}

/// Serves until the server is stopped and its requests are answered.
pub(crate) async fn serve(server: Arc<Server>, listener: TcpListener, tls: Option<Tls>) -> io::Result<()> {
    let mut stopped = server.stopped();
    let graceful = Arc::new(GracefulShutdown::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                // Without it small answers wait for the client's acknowledgement; a failure only costs time.
                let _ = stream.set_nodelay(true);
                let watcher = graceful.watcher();
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => {
                            let peer = Peer {
                                address: Some(address),
                                trusted: true,
                                certificate: Certificate::None,
                            };
                            connection(server, stream, peer, watcher).await;
                        }
                        Some(tls) => secure(server, stream, address, &tls, watcher).await,
                    }
                });
            }
            Err(error) => {
                // Too many open files, most likely: others will be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if let Some(graceful) = Arc::into_inner(graceful) {
        // A client that reads no further does not hold up the end.
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    }
    Ok(())
}

async fn secure(
    server: Arc<Server>,
    stream: TcpStream,
    address: SocketAddr,
    tls: &Tls,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let shaken = tokio::time::timeout(HANDSHAKE, tls.acceptor.accept(stream)).await;
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake error"),
        Err(_) => return tracing::debug!(%address, "TLS handshake timed out"),
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = client_of(&*tls.verifier, chain);
    connection(server, stream, Peer { address: Some(address), trusted: false, certificate }, watcher).await;
}

async fn connection(
    server: Arc<Server>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let peer = Arc::new(peer);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (server, peer) = (server.clone(), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(http::handle(server, request.map(Body::new), peer).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}
