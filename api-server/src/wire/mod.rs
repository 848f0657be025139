//! The wire format: queries and bodies are read, and errors told, as the clients of the existing FastAPI service
//! know them from pydantic 2.
//!
//! Outside facts are from pydantic's and `CPython`'s own answers, kept as tables in the tests of each module.

pub(crate) mod body;
pub(crate) mod dates;
pub(crate) mod declared;
pub(crate) mod integer;
pub(crate) mod json;
pub(crate) mod params;
pub(crate) mod problem;
pub(crate) mod query;
