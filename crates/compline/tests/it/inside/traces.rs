//! One webhook's way is one trace, told to a collector that speaks OTLP.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use compline::webhook::{Poster, Sender, sample};
use compline_event::AdAccountId;
use compline_ingress::sample::META_APP_SECRET;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::{Span, span::SpanKind},
};
use time::OffsetDateTime;
use tonic::{Request, Response, Status, transport::Server};

use super::process::Process;
use crate::house::until;

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        self.0.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// The endpoint, for a setting.
    async fn open(&self) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .serve(at);
        tokio::spawn(serving);
        format!("http://{at}")
    }

    fn all(&self, name: &str) -> Vec<Span> {
        let spans = self.0.lock().unwrap();
        let named = spans.iter().filter(|span| span.name == name);
        named.cloned().collect()
    }

    /// The only one of that name below `parent`.
    fn below(&self, parent: &Span, name: &str) -> Span {
        let mut found = self.all(name);
        found.retain(|span| span.parent_span_id == parent.span_id);
        assert_eq!(found.len(), 1, "{name} below {}: {found:?}", parent.name);
        let found = found.remove(0);
        assert_eq!(found.trace_id, parent.trace_id);
        assert!(found.start_time_unix_nano >= parent.start_time_unix_nano);
        found
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_one_trace_from_the_post_to_the_rows() {
    let collector = Collector::default();
    let endpoint = collector.open().await;
    let street = Process::start(&[
        ("COMPLINE_TELEMETRY__OTLP_ENDPOINT", &endpoint),
        // How often spans are sent, ms.
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ])
    .await;
    let ingress = format!("http://{}", street.at.addresses.ingress);
    let poster = Poster::new(&ingress, Duration::from_secs(10)).unwrap();
    let account: AdAccountId = sample::ACCOUNT.parse().unwrap();
    let mut samples = sample::ALL
        .iter()
        .filter(|sample| matches!(sample.sender, Sender::Meta));
    for _ in 0..2 {
        let sample = samples.next().unwrap();
        let body = sample.body(&account, OffsetDateTime::now_utc()).unwrap();
        let answer = poster.post(Sender::Meta, META_APP_SECRET, body).await;
        assert_eq!(answer.unwrap().status, 200);
    }
    until("both changes' rows", async || {
        collector.all("apply ad-status").len() >= 2 && collector.all("append ad").len() >= 2
    })
    .await;
    // The last of what is under way is sent.
    street.stop().await;

    let posts = collector.all("POST /webhooks/meta");
    assert_eq!(posts.len(), 2);
    let mut traces = HashMap::new();
    for post in &posts {
        assert_eq!(post.kind(), SpanKind::Server);
        assert!(post.parent_span_id.is_empty(), "it begins its trace");
        traces.insert(post.trace_id.clone(), ());
        let appended = collector.below(post, "append webhook.meta");
        assert!(appended.end_time_unix_nano <= post.end_time_unix_nano);
        let decided = collector.below(&appended, "decide engine:ad");
        let told = collector.below(&decided, "append ad");
        let applied = collector.below(&decided, "apply ad-status");
        // Decided and committed, then told, then read.
        assert!(told.start_time_unix_nano >= decided.end_time_unix_nano);
        assert!(applied.start_time_unix_nano >= told.start_time_unix_nano);
        for span in [&appended, &decided, &told, &applied] {
            let failed = span.status.as_ref().is_some_and(|status| status.code == 2);
            assert!(!failed, "{}: {:?}", span.name, span.status);
        }
    }
    assert_eq!(traces.len(), 2, "a trace for each post");
}
