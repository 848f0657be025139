//! The requests that objects come from: what connects the log lines and spans about an object with the request of the API
//! server that made it.

use crd::{ArxivQuery, REQUEST_ID_ANNOTATION, TRACE_PARENT_ANNOTATION};
use service::{
    correlation::{TraceParent, is_request_id},
    traces,
};
use tracing::Span;

/// The annotations that say where an object comes from.
const ANNOTATIONS: [&str; 2] = [REQUEST_ID_ANNOTATION, TRACE_PARENT_ANNOTATION];

/// How many objects are named that share a request to arXiv.
const MAX_NAMED: usize = 8;

/// Whether an annotation says where its object comes from, and can be used: anyone who may write objects may write anything
/// there.
pub(crate) fn is_usable(name: &str, value: &str) -> bool {
    match name {
        REQUEST_ID_ANNOTATION => is_request_id(value.as_bytes()),
        TRACE_PARENT_ANNOTATION => value.parse::<TraceParent>().is_ok(),
        _ => false,
    }
}

/// The request that an object comes from; nothing is known of one that was made with kubectl.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Origin {
    pub(crate) request_id: Option<String>,
    pub(crate) trace: Option<TraceParent>,
}

impl Origin {
    /// From the object's annotations.
    pub(crate) fn of(object: &ArxivQuery) -> Self {
        let annotation = |name: &str| {
            let annotations = object.metadata.annotations.as_ref()?;
            let value = annotations.get(name)?;
            is_usable(name, value).then_some(value)
        };
        let [request_id, trace] = ANNOTATIONS.map(annotation);
        Self {
            request_id: request_id.cloned(),
            trace: trace.and_then(|trace| trace.parse().ok()),
        }
    }
}

/// A span with the fields of an object. `tracing` knows names of spans when it is compiled.
macro_rules! of_object {
    ($name:literal, $object:expr, $origin:expr) => {{
        let (metadata, origin) = (&$object.metadata, &$origin);
        tracing::error_span!(
            $name,
            object = metadata.name.as_deref(),
            namespace = metadata.namespace.as_deref(),
            request_id = origin.request_id.as_deref(),
            trace_id = origin
                .trace
                .map(|trace| tracing::field::display(trace.shown_trace_id())),
        )
    }};
}

/// The span of a reconciliation of this object. At the most urgent level, so that no line of any level lacks it.
pub(crate) fn span_of(object: &ArxivQuery) -> Span {
    let origin = Origin::of(object);
    let span = of_object!("reconcile", object, origin);
    if let Some(trace) = origin.trace {
        traces::set_parent(&span, trace);
    }
    span
}

/// The span of what the log says about this object between two reconciliations.
pub(crate) fn log_span_of(object: &ArxivQuery) -> Span {
    of_object!("retry", object, Origin::of(object))
}

/// The span of a request to arXiv, with the first few of the objects that wait for its page.
pub(crate) fn span_of_page<'a>(waiting: impl Iterator<Item = (String, &'a Origin)>) -> Span {
    let (mut objects, mut request_ids, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (object, origin) in waiting.take(MAX_NAMED) {
        objects.push(object);
        request_ids.extend(origin.request_id.as_deref());
        places.extend(origin.trace);
    }
    let joined = |texts: &[&str]| (!texts.is_empty()).then(|| texts.join(","));
    let objects: Vec<_> = objects.iter().map(String::as_str).collect();
    let mut places = places.into_iter();
    let trace = places.next();
    let span = tracing::error_span!(
        "fetch",
        objects = joined(&objects),
        request_ids = joined(&request_ids),
        trace_id = trace.map(|trace| display(trace.shown_trace_id())),
    );
    if let Some(trace) = trace {
        traces::set_parent(&span, trace);
    }
    for other in places {
        traces::link(&span, other);
    }
    span
}

#[cfg(test)]
mod tests {
    use crd::ArxivQuerySpec;

    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn origin(annotations: [(&str, &str); 2]) -> Origin {
        let mut object = ArxivQuery::new("q", ArxivQuerySpec::default());
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned()));
        object.metadata.annotations = Some(annotations.into());
        Origin::of(&object)
    }

    #[test]
    fn valid_annotations_name_the_request_and_others_are_ignored() {
        let known = origin([(REQUEST_ID_ANNOTATION, "r-1"), (TRACE_PARENT_ANNOTATION, TRACE)]);
        assert_eq!(known.request_id.as_deref(), Some("r-1"));
        assert_eq!(known.trace.unwrap().to_string(), TRACE);
        for value in ["", "a b", "a\nNOTICE operator", &"x".repeat(100_000)] {
            let unknown = origin([(REQUEST_ID_ANNOTATION, value), (TRACE_PARENT_ANNOTATION, value)]);
            assert_eq!(unknown, Origin::default(), "{value:.20}");
        }
        assert_eq!(
            Origin::of(&ArxivQuery::new("q", ArxivQuerySpec::default())),
            Origin::default()
        );
    }
}
