//! The measuring client: a kept connection that sends bytes built beforehand and reads one answer at a time.
//!
//! It is a measuring instrument and no HTTP client. On two cores the client competes with what it measures, so it does
//! the least that shows an answer to be whole: one write, one read, the head parsed in place, the body counted. It
//! follows no redirect, decodes no transfer coding, and fails on whatever it does not expect. Servers and floors are
//! driven by this same client, so what it costs is in both.

use std::net::SocketAddr;

use anyhow::{Context, anyhow, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MOST_HEADERS: usize = 32;
const BUFFER: usize = 16 * 1024;

/// A kept connection; it owns the bytes of the answer read last.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// One whole answer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    pub(crate) is_function_error: bool,
    head: &'a [u8],
}

struct Head {
    status: u16,
    length: usize,
    body_length: usize,
    is_function_error: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).context("send without delay")?;
        Ok(Self { stream, received: Vec::with_capacity(BUFFER) })
    }

    /// Sends `request` and reads the answer to it.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.received.clear();
        self.stream.write_all(request).await.context("send a request")?;
        let head = loop {
            let count = self.stream.read_buf(&mut self.received).await.context("read an answer")?;
            ensure!(count > 0, "the server closed the connection in the middle of an answer");
            if let Some(head) = parse_head(&self.received)?
                && self.received.len() >= head.length + head.body_length
            {
                break head;
            }
        };
        let (head_bytes, body) = self.received.split_at(head.length);
        Ok(Answer { status: head.status, body, is_function_error: head.is_function_error, head: head_bytes })
    }
}

impl Answer<'_> {
    /// Fails unless the request, and the function where there is one, succeeded.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.status / 100 != 2 || self.is_function_error {
            bail!("the answer is {} {}", self.status, String::from_utf8_lossy(self.body));
        }
        Ok(())
    }

    /// The value of a header, where it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(self.head).ok()?;
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// The head at the start of `received`, once it is whole.
fn parse_head(received: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) =
        response.parse(received).context("read the head of an answer")?
    else {
        return Ok(None);
    };
    let status = response.code.context("the answer has no status")?;
    let mut body_length = if status == 204 { Some(0) } else { None };
    let mut is_function_error = false;
    for header in response.headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).context("read Content-Length")?;
            body_length = Some(text.parse().with_context(|| format!("read Content-Length {text:?}"))?);
        } else if header.name.eq_ignore_ascii_case("x-amz-function-error") {
            is_function_error = true;
        }
    }
    let body_length =
        body_length.ok_or_else(|| anyhow!("an answer of status {status} has no Content-Length"))?;
    Ok(Some(Head { status, length, body_length, is_function_error }))
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Amz-Function-Error: Unhandled\r\n\r\n{}";
        assert!(parse_head(&whole[..30]).unwrap().is_none());
        let head = parse_head(whole).unwrap().unwrap();
        assert_eq!((head.status, head.body_length, head.is_function_error), (200, 2, true));
        assert_eq!(head.length, whole.len() - 2);
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_carries_its_length() {
        let bytes = request("POST", "/f", &[("A", "b")], b"{}");
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "POST /f HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nA: b\r\n\r\n{}");
    }
}
