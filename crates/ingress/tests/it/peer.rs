//! A sender that writes its own bytes, so that it can misbehave.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::Fixture;
use crate::street::within;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A POST with its length, as vendors send it.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut request = head("POST", path, headers);
    request.truncate(request.len() - 2);
    request.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    request.extend_from_slice(body);
    request
}

/// A POST in pieces of unannounced length.
pub(crate) fn post_chunked(path: &str, headers: &[(&str, &str)], pieces: &[&[u8]]) -> Vec<u8> {
    let mut all = vec![("transfer-encoding", "chunked")];
    all.extend_from_slice(headers);
    let mut request = head("POST", path, &all);
    for piece in pieces {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The fixture as its vendor would deliver it.
pub(crate) fn delivery(fixture: &Fixture) -> Vec<u8> {
    let (path, header) = addressed(fixture);
    post(path, &[(header, &fixture.header)], &fixture.body)
}

pub(crate) fn addressed(fixture: &Fixture) -> (&'static str, &'static str) {
    match fixture.path.starts_with("meta") {
        true => ("/webhooks/meta", "x-hub-signature-256"),
        false => ("/webhooks/stripe", "stripe-signature"),
    }
}

pub(crate) async fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has said no may close before it has read everything.
    let _ = stream.write_all(request).await;
    answer(&mut stream).await
}

/// Reads until the server closes.
pub(crate) async fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = within(stream.read_to_end(&mut bytes)).await;
    let text = String::from_utf8(bytes).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        panic!("no answer but {text:?} and {read:?}");
    };
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
