//! What the API server reads from a request.

use std::sync::OnceLock;

use arxiv_api_server::{ErrorResponse, read};
use bytes::Bytes;
use http::{Request, Uri};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// The longest answer to bad input: a hundred problems, each with what it repeats of the input.
const MAX_REFUSAL: usize = 100 * 32 * 1024;

/// A request: its first line as in HTTP, then lines of headers, an empty one, and the body. It is understood
/// the same each time, or refused with a 4xx and a reason; never anything else.
pub fn request(input: &[u8]) {
    let Some(request) = parse(input) else {
        return;
    };
    let Some(understood) = read_once(request.clone()) else {
        return;
    };
    assert_eq!(Some(&understood), read_once(request.clone()).as_ref());
    match understood {
        Err(refusal) => {
            assert!((400..500).contains(&refusal.status), "{refusal:?}");
            assert!(refusal.body.len() <= MAX_REFUSAL, "{} bytes", refusal.body.len());
            let body: Value = serde_json::from_slice(&refusal.body).unwrap();
            match &body["detail"] {
                Value::String(text) => assert!(!text.is_empty()),
                Value::Array(problems) => assert!((1..=100).contains(&problems.len())),
                other => panic!("{other}"),
            }
        }
        Ok(understood) => {
            assert!(!understood.contains('\0'));
            // As another reader of JSON has it.
            if request.uri().path() == "/write-queries"
                && let Ok(body) = serde_json::from_slice::<Value>(request.body())
            {
                let (query, number) = (
                    body["query"].as_str().unwrap(),
                    body["query_id"].as_i64().unwrap(),
                );
                assert!(
                    understood.contains(&format!("query: {query:?}")),
                    "{understood} is not {query:?}"
                );
                assert!(
                    understood.contains(&format!("query_id: {number},")),
                    "{understood} is not {number}"
                );
            }
        }
    }
}

/// What a handler reads from the request; `None` if there is no such route.
fn read_once(request: Request<Bytes>) -> Option<Result<String, ErrorResponse>> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    // Bodies are read within a time.
    let runtime = RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().unwrap());
    runtime.block_on(read(request))
}

/// The request; `None` if no HTTP server would have let it pass.
fn parse(input: &[u8]) -> Option<Request<Bytes>> {
    let (first, mut rest) = line(input);
    let first = std::str::from_utf8(first).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target.parse::<Uri>().ok()?);
    while !rest.is_empty() {
        let (header, after) = line(rest);
        rest = after;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        let (name, value) = header.split_at(colon);
        request = request.header(name, value.strip_prefix(b": ").unwrap_or(&value[1..]));
    }
    request.body(Bytes::copy_from_slice(rest)).ok()
}

fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}
