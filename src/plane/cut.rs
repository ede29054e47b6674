//! Breaking an answer off on purpose.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::Frame;

fn broken() -> axum::Error {
    axum::Error::new(io::Error::new(io::ErrorKind::ConnectionReset, "cut on purpose"))
}

/// A body whose connection breaks after so many lines, each of which is an event of a watch.
pub(crate) fn after(body: Body, lines: usize) -> Body {
    Body::new(Cut { body, lines, over: false })
}

struct Cut {
    body: Body,
    lines: usize,
    over: bool,
}

impl Cut {
    /// The part of a chunk that still gets through.
    fn rest(&mut self, bytes: Bytes) -> Bytes {
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            self.lines -= 1;
            if self.lines == 0 {
                self.over = true;
                return bytes.slice(..=at);
            }
        }
        bytes
    }
}

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.over || self.lines == 0 {
            return Poll::Ready(Some(Err(broken())));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = frame.map_data(|bytes| self.rest(bytes));
                Poll::Ready(Some(Ok(frame)))
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn so_many_lines_come_through() {
        let mut body = after(Body::from("a\nb\nc\n"), 2);
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&first[..], b"a\nb\n");
        assert!(body.frame().await.unwrap().is_err());
    }
}
