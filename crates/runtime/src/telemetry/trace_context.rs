//! W3C trace context, so that one trace crosses processes and whatever carries messages.
//! <https://www.w3.org/TR/trace-context/#traceparent-header>

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Whether this process sends traces anywhere; set once, when it begins.
static KEPT: AtomicBool = AtomicBool::new(false);

pub(super) fn are_kept() {
    KEPT.store(true, Ordering::Relaxed);
}

/// The header's and metadata key's name.
pub const TRACEPARENT: &str = "traceparent";

/// The current span as a `traceparent`; `None` when no trace is being recorded.
pub fn current_traceparent() -> Option<String> {
    traceparent(&Span::current())
}

/// `span` as a `traceparent`; `None` when no trace is being recorded.
pub fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags().to_u8()
        )
    })
}

/// Makes `span` a child of the `traceparent` that a caller or a message brought. To be called
/// before the span is entered. False when the text is not one, or no trace is being recorded.
pub fn set_parent(span: &Span, traceparent: &str) -> bool {
    let Some(parent) = parse(traceparent) else {
        return false;
    };
    let context = opentelemetry::Context::new().with_remote_span_context(parent);
    span.set_parent(context).is_ok()
}

/// A span of what is done about a message, below the `traceparent` that it brought;
/// `None`, and `span` is not made, when that trace is not kept.
pub fn follow(traceparent: &str, span: impl FnOnce() -> Span) -> Option<Span> {
    if traceparent.is_empty() || !KEPT.load(Ordering::Relaxed) {
        return None;
    }
    let parent = parse(traceparent).filter(SpanContext::is_sampled)?;
    let span = span();
    let context = opentelemetry::Context::new().with_remote_span_context(parent);
    span.set_parent(context).ok()?;
    Some(span)
}

/// A span below the current one; none, and `span` is not made, when no trace is kept
/// here.
pub fn step(span: impl FnOnce() -> Span) -> Span {
    let is_sampled = || Span::current().context().span().span_context().is_sampled();
    match KEPT.load(Ordering::Relaxed) && is_sampled() {
        true => span(),
        false => Span::none(),
    }
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // A later version may append fields, never change these; `ff` is forbidden.
    let known =
        version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
    if !known || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}
