//! Traces to a collector.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::registry::LookupSpan;

use crate::RuntimeError;

/// Batches spans and sends them over gRPC, off the callers' path.
pub(super) fn provider(
    service: &str,
    endpoint: &str,
    ratio: f64,
) -> Result<SdkTracerProvider, RuntimeError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| RuntimeError::Telemetry {
            part: "the OTLP exporter",
            source: source.into(),
        })?;
    let resource = Resource::builder().with_service_name(service.to_owned());
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource.build())
        .build())
}

/// Spans of level info and above; the exporter's own spans stay out, or each export makes more.
pub(super) fn layer<S>(service: &str, provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service.to_owned()))
        .with_filter(LevelFilter::INFO)
}
