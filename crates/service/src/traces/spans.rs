//! Spans as parts of traces that begin or go on in another process. Without traces, nothing here does anything.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::{
    Context, Value,
    trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::correlation::TraceParent;

static ON: AtomicBool = AtomicBool::new(false);

pub(super) fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

/// Whether spans are sent anywhere.
pub fn are_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Makes the span, which has not been entered yet, the child of a span of another process.
pub fn set_parent(span: &Span, parent: TraceParent) {
    if are_on() {
        let context = Context::new().with_remote_span_context(remote(parent));
        // It fails only for a span that was entered.
        let _ = span.set_parent(context);
    }
}

/// Names a span of another process that this one is about, too.
pub fn link(span: &Span, other: TraceParent) {
    if are_on() {
        span.add_link(remote(other));
    }
}

/// Adds an attribute; not to the lines of the log.
pub fn set(span: &Span, name: &'static str, value: impl Into<Value>) {
    if are_on() {
        span.set_attribute(name, value);
    }
}

/// Marks the span as one that failed.
pub fn failed(span: &Span, reason: &'static str) {
    if are_on() {
        span.set_status(Status::error(reason));
    }
}

/// The span's place in its trace, for the spans of other processes that belong below it. None without traces.
pub fn place_of(span: &Span) -> Option<TraceParent> {
    if !are_on() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let place = span.span_context();
    TraceParent::new(
        u128::from_be_bytes(place.trace_id().to_bytes()),
        u64::from_be_bytes(place.span_id().to_bytes()),
        place.is_sampled(),
    )
}

fn remote(parent: TraceParent) -> SpanContext {
    let flags = if parent.is_sampled() {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    SpanContext::new(
        TraceId::from_bytes(parent.trace_id().to_be_bytes()),
        SpanId::from_bytes(parent.span_id().to_be_bytes()),
        flags,
        true,
        TraceState::default(),
    )
}
