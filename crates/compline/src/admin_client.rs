//! Asks a role's admin door: what works, and what has been counted.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(5);
/// A metrics page has some hundred kilobytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// One sample of Prometheus' text format.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Sample {
    pub fn label(&self, name: &str) -> &str {
        self.labels
            .iter()
            .find(|(found, _)| found == name)
            .map_or("", |(_, value)| value)
    }
}

/// The checks of `/readyz`, and whether the process serves. `base_url` is without
/// a path, such as `http://127.0.0.1:7403`.
pub async fn ready(base_url: &str) -> Result<(bool, Value)> {
    let (status, body) = get(&format!("{base_url}/readyz")).await?;
    let body: Value = serde_json::from_str(&body).context("the answer of /readyz")?;
    Ok((status == StatusCode::OK, body["checks"].clone()))
}

/// Everything of `/metrics`.
pub async fn metrics(base_url: &str) -> Result<Vec<Sample>> {
    let page = metrics_page(base_url).await?;
    Ok(page.lines().filter_map(parse_sample).collect())
}

/// `/metrics` as it is.
pub async fn metrics_page(base_url: &str) -> Result<String> {
    let (status, body) = get(&format!("{base_url}/metrics")).await?;
    anyhow::ensure!(status == StatusCode::OK, "{base_url}/metrics: {status}");
    Ok(body)
}

async fn get(url: &str) -> Result<(StatusCode, String)> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url)
        .body(Empty::<Bytes>::new())
        .with_context(|| format!("{url} is not a URL"))?;
    let asking = async {
        let answer = client.request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        Ok::<_, anyhow::Error>((status, body.to_bytes()))
    };
    let (status, body) = tokio::time::timeout(TIMEOUT, asking)
        .await
        .with_context(|| format!("{url} did not answer in {TIMEOUT:?}"))?
        .with_context(|| format!("cannot ask {url}"))?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// `name{label="value",…} number`; comments and what does not parse are none.
fn parse_sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample {
            name: series.to_owned(),
            labels: Vec::new(),
            value,
        });
    };
    let labels = labels
        .strip_suffix('}')?
        .split("\",")
        .filter_map(|label| label.split_once("=\""))
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect();
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_parse_with_their_labels() {
        let sample = parse_sample("x_total{source=\"meta\",outcome=\"a b\"} 12").unwrap();
        assert_eq!((sample.name.as_str(), sample.value), ("x_total", 12.0));
        assert_eq!(
            (sample.label("source"), sample.label("outcome")),
            ("meta", "a b")
        );
        assert_eq!(sample.label("none"), "");
        assert_eq!(parse_sample("up 1").unwrap().value, 1.0);
        assert_eq!(parse_sample("# HELP x y"), None);
    }
}
