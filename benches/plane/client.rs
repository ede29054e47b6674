//! A client that costs next to nothing: requests are bytes that were made before, answers are read to their end.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How a server is reached.
#[derive(Clone)]
pub struct Address {
    pub host: String,
    pub token: String,
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that is kept open.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Address {
    pub async fn connect(&self) -> Connection {
        let tcp = TcpStream::connect(&self.host).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from("127.0.0.1").unwrap();
                let connector = tokio_rustls::TlsConnector::from(config.clone());
                Box::new(connector.connect(name, tcp).await.unwrap())
            }
        };
        Connection { stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// The bytes of a request.
    pub fn request(&self, method: &str, path: &str, content_type: &str, body: &str) -> Vec<u8> {
        let (host, token, length) = (&self.host, &self.token, body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\naccept: application/json\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Connection {
    pub async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
    }

    /// Sends a request and reads its answer; the status.
    pub async fn ask(&mut self, request: &[u8]) -> u16 {
        self.send(request).await;
        let head = self.head().await;
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text[9..12].parse().unwrap();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        self.buffer.drain(..head);
        match length {
            Some(length) => self.skip(length).await,
            None => self.skip_chunks().await,
        }
        status
    }

    /// Reads the head of an answer; how long it is.
    pub async fn head(&mut self) -> usize {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                return at + 4;
            }
            self.fill().await;
        }
    }

    async fn skip(&mut self, length: usize) {
        while self.buffer.len() < length {
            self.fill().await;
        }
        self.buffer.drain(..length);
    }

    async fn skip_chunks(&mut self) {
        loop {
            let line = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(at) => break at,
                    None => self.fill().await,
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line]).unwrap(), 16).unwrap();
            self.skip(line + 2 + size + 2).await;
            if size == 0 {
                return;
            }
        }
    }

    /// Reads what is there; how many events of a watch end in it.
    pub async fn events(&mut self) -> usize {
        self.fill().await;
        let found = self.buffer.windows(2).filter(|pair| pair == b"}\n").count();
        // An end may be cut in two.
        let keep = usize::from(self.buffer.last() == Some(&b'}'));
        self.buffer.drain(..self.buffer.len() - keep);
        found
    }

    /// Forgets what was read.
    pub fn forget(&mut self, length: usize) {
        self.buffer.drain(..length);
    }

    async fn fill(&mut self) {
        assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "the server hung up");
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
