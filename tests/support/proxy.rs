//! A way between a client and a server that can be cut, as a network is: nothing is refused, nothing arrives.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A TCP proxy; it ends with the runtime it was started on.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
}

/// What is lost on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct State {
    requests: bool,
    answers: bool,
}

impl Proxy {
    /// A way to the server at `HOST:PORT`.
    pub async fn to(server: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = watch::Sender::<State>::default();
        let (server, told) = (server.to_owned(), state.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), told.subscribe()));
            }
        });
        Proxy { address, state }
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// From now on these do not arrive; nobody is told, and nothing is lost for good: it arrives when it may again.
    pub fn lose(&self, requests: bool, answers: bool) {
        self.state.send_replace(State { requests, answers });
    }
}

async fn forward(client: TcpStream, server: String, state: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        () = pump(client_read, server_write, state.clone(), |state| !state.requests) => {}
        () = pump(server_read, client_write, state, |state| !state.answers) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    is_open: fn(&State) -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let closed = state.wait_for(is_open).await.is_err();
        if closed || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
