//! The position of a request in a trace (W3C Trace Context, `traceparent`).

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;
/// Later versions may be longer; what they add is not read.
const MAX_LENGTH: usize = 256;
/// The flag that the caller may have recorded the trace.
const SAMPLED: u8 = 1;

/// A trace, and the span in it to which the next one belongs. Neither id is zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

/// The text is no `traceparent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a traceparent of W3C Trace Context")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// None if an id is zero.
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            sampled,
        })
    }

    /// The first span of a new trace, which is not recorded, from random numbers.
    pub fn root((high, low): (u64, u64)) -> Self {
        let span_id = low.max(1);
        Self {
            trace_id: u128::from(high) << 64 | u128::from(span_id),
            span_id,
            sampled: false,
        }
    }

    /// The trace's id.
    pub fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// The id of the span in it.
    pub fn span_id(self) -> u64 {
        self.span_id
    }

    /// Whether the trace may be recorded.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }

    /// The trace's id as people and programs write it.
    pub fn shown_trace_id(self) -> impl Display + Copy {
        ShownTraceId(self.trace_id)
    }
}

#[derive(Clone, Copy)]
struct ShownTraceId(u128);

impl Display for ShownTraceId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Display for TraceParent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { SAMPLED } else { 0 };
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        Self::parse(text).ok_or(InvalidTraceParent)
    }
}

impl TraceParent {
    fn parse(text: &str) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut parts = known.split('-');
        let version = digits(parts.next()?, 2)?;
        let is_complete = more.is_empty() || (version > 0 && more.starts_with('-'));
        if version == 0xff || !is_complete || text.len() > MAX_LENGTH {
            return None;
        }
        let trace_id = digits(parts.next()?, 32)?;
        let span_id = u64::try_from(digits(parts.next()?, 16)?).ok()?;
        let flags = u8::try_from(digits(parts.next()?, 2)?).ok()?;
        Self::new(trace_id, span_id, flags & SAMPLED != 0)
    }
}

/// The value of exactly so many hexadecimal digits, in lower case.
fn digits(text: &str, count: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == count && text.bytes().all(is_digit))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn valid_trace_parent_is_read_and_written() {
        for (flags, sampled) in [("00", false), ("01", true), ("03", true), ("02", false)] {
            let read: TraceParent = format!("00-{TRACE}-{SPAN}-{flags}").parse().unwrap();
            assert_eq!(read.is_sampled(), sampled);
            assert_eq!(read.shown_trace_id().to_string(), TRACE);
            let written = format!("00-{TRACE}-{SPAN}-0{}", u8::from(sampled));
            assert_eq!(read.to_string(), written);
        }
        let later = format!("cc-{TRACE}-{SPAN}-01-what-is-next").parse::<TraceParent>();
        assert!(later.is_ok());
    }

    #[test]
    fn invalid_trace_parent_is_refused() {
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for text in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01\n"),
            format!("cc-{TRACE}-{SPAN}-01more"),
            format!("cc-{TRACE}-{SPAN}-01-{}", "x".repeat(300)),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{no_trace}-{SPAN}-01"),
            format!("00-{TRACE}-{no_span}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-+0f067aa0ba902b7-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{}é-{SPAN}-01", &TRACE[..30]),
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text:?}");
        }
    }
}
