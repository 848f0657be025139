//! Parsing of requests in the wire format of the existing FastAPI service, and of standard HTTP headers.
//!
//! A leaf without I/O: text in, values or [`field_error::FieldErrors`] out. Facts about the format come from the
//! answers of pydantic 2 and `CPython`; they are kept as tables in the tests of each module.

pub mod body;
pub mod dates;
pub mod declared;
pub mod field_error;
pub mod headers;
pub mod integer;
pub mod json;
pub mod params;
pub mod query;
pub mod root_path;

use std::fmt::Write;

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
