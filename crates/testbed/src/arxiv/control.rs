//! Control over HTTP, for users of `cargo xtask up`:
//!
//! - `POST /_control` with a [`super::Behaviour`] as JSON, such as `{"mode": "503", "retry_after": "5", "times": 3}`;
//! - `POST /_day` with an [`super::ArchiveSpec`] and a day, such as `{"seed": 1, "day": 3}`: from now on there are the papers of
//!   this archive, as they are on the morning of that day;
//! - `GET /_record` gives the requests, the connections and the shortest spacing, `DELETE /_record` forgets them.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{ArchiveSpec, ServerState};

/// The body of `POST /_day`.
#[derive(Deserialize)]
struct Present {
    #[serde(flatten)]
    archive: ArchiveSpec,
    day: u32,
}

/// Whether a path belongs to this module.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/_")
}

/// Answers a request for one of these paths.
pub(super) fn answer(state: &ServerState, method: &Method, path: &str, body: &[u8]) -> Response<Bytes> {
    match (method, path) {
        (&Method::POST, "/_control") => match serde_json::from_slice(body) {
            Ok(behaviour) => {
                state.set(behaviour);
                plain(StatusCode::NO_CONTENT, String::new())
            }
            Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        (&Method::POST, "/_day") => match serde_json::from_slice::<Present>(body) {
            Ok(Present { archive, day }) => {
                state.set_present(archive, day);
                plain(StatusCode::NO_CONTENT, String::new())
            }
            Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        (&Method::GET, "/_record") => {
            let record = state.record();
            let spacing = record.min_spacing().map(|spacing| spacing.as_millis());
            let report = json!({
                "count": record.requests().len(),
                "open": record.open(),
                "max_open": record.max_open(),
                "min_spacing_ms": spacing,
                "requests": record.requests(),
            });
            plain(StatusCode::OK, report.to_string())
        }
        (&Method::DELETE, "/_record") => {
            state.record().clear();
            plain(StatusCode::NO_CONTENT, String::new())
        }
        _ => plain(
            StatusCode::NOT_FOUND,
            "POST /_control, POST /_day, GET /_record, DELETE /_record\n".into(),
        ),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
}
