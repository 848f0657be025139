//! What the API server reads from a request.

use arxiv_api_server::intake::{READERS, Request, read};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::Value;

/// The longest answer to bad input: a hundred problems, each with what it repeats of the input.
const MAX_REFUSAL: usize = 100 * 32 * 1024;

/// A request: its first line as in HTTP, then lines of headers, an empty one, and the body. It is understood the same
/// each time, or refused with a 4xx and a reason; never anything else.
pub fn request(input: &[u8]) {
    let Some((reader, request)) = taken_apart(input) else {
        return;
    };
    let understood = read(reader, &request).unwrap();
    assert_eq!(understood, read(reader, &request).unwrap());
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
            if reader == "POST /write-queries"
                && let Ok(body) = serde_json::from_slice::<Value>(&request.body)
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

/// The reader that a request is for, and the request; `None` if no HTTP server would have let it pass.
fn taken_apart(input: &[u8]) -> Option<(&'static str, Request)> {
    let (first, mut rest) = line(input);
    let first = std::str::from_utf8(first).ok()?;
    let (method, target) = first.split_once(' ')?;
    let uri: Uri = target.parse().ok()?;
    let (reader, name) = reader(method, uri.path())?;
    let mut headers = HeaderMap::new();
    while !rest.is_empty() {
        let (header, after) = line(rest);
        rest = after;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        let (name, value) = header.split_at(colon);
        let value = HeaderValue::from_bytes(value.strip_prefix(b": ").unwrap_or(&value[1..])).ok()?;
        headers.append(HeaderName::from_bytes(name).ok()?, value);
    }
    let request = Request {
        name,
        query: uri.query().map(str::to_owned),
        headers,
        body: Bytes::copy_from_slice(rest),
    };
    Some((reader, request))
}

fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

fn reader(method: &str, path: &str) -> Option<(&'static str, String)> {
    let name = path
        .strip_prefix("/arxiv/")
        .and_then(|rest| rest.strip_suffix("/results"));
    let path = if name.is_some() {
        "/arxiv/{name}/results"
    } else {
        path
    };
    let reader = READERS
        .into_iter()
        .find(|reader| *reader == format!("{method} {path}"))?;
    Some((reader, name.unwrap_or_default().to_owned()))
}
