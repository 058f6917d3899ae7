//! One kept-alive HTTP connection that posts signed webhooks.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use bytes::Bytes;
use compline_ingress::{sample, signature::meta};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// See [`body`].
pub(crate) const BODY_BYTES_ABOUT: usize = 350;

/// A relay's webhook: the documented sample with everything that it may carry.
pub(super) fn body(account: &str, ad_id: &str, at: i64, status: &str, old_status: &str) -> Bytes {
    let reason = "Ads may not promote the sale or use of unsafe supplements";
    Bytes::from(format!(
        r#"{{"object":"ad_account","entry":[{{"id":"{account}","time":{at},"changes":[{{"field":"ad_status","value":{{"ad_id":"{ad_id}","ad_account_id":"{account}","level":"AD","status":"{status}","old_status":"{old_status}","reason":"{reason}","placements":["facebook_feed","instagram_stories"]}}}}]}}]}}"#
    ))
}

/// A body and its signature header.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    body: Bytes,
    signature: HeaderValue,
}

impl Signed {
    pub(super) fn new(body: Bytes) -> Self {
        let signature = meta::sign(sample::META_APP_SECRET, &body);
        Self {
            body,
            signature: HeaderValue::from_str(&signature).expect("hex is a header's value"),
        }
    }
}

pub(super) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // Its error is the next request's error too.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Posts and waits for the 200.
    pub(super) async fn post(&mut self, signed: &Signed) -> Result<()> {
        let request = Request::post("/webhooks/meta")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(meta::HEADER, signed.signature.clone())
            .body(Full::new(signed.body.clone()))?;
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        ensure!(status == StatusCode::OK, "a webhook was answered {status}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_about_the_length_that_is_told() {
        let len = body(
            "100000001",
            "23849200000001",
            1_800_000_000,
            "DISAPPROVED",
            "ACTIVE",
        )
        .len();
        assert!(len.abs_diff(BODY_BYTES_ABOUT) < 50, "{len}");
    }
}
