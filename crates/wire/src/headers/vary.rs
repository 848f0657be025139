//! `Vary`: the request headers that a response depends on (RFC 9110, section 12.5.5). Several layers add names; each
//! name is listed once.

use http::{HeaderMap, HeaderValue, header};

/// Adds a name, in lower case, unless it is listed already.
pub fn vary(headers: &mut HeaderMap, name: &str) {
    let listed = headers.get_all(header::VARY).into_iter();
    let listed: Vec<_> = listed.filter_map(|value| value.to_str().ok()).collect();
    let listed = listed.join(", ");
    let mut names = listed.split(',').map(str::trim);
    if names.any(|there| there == "*" || there.eq_ignore_ascii_case(name)) {
        return;
    }
    let all = if listed.is_empty() {
        name.to_owned()
    } else {
        format!("{listed}, {name}")
    };
    if let Ok(all) = HeaderValue::try_from(all) {
        headers.insert(header::VARY, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vary_lists_each_name_once() {
        let mut headers = HeaderMap::new();
        headers.append(header::VARY, HeaderValue::from_static("origin, Accept"));
        headers.append(header::VARY, HeaderValue::from_static("authorization"));
        for name in ["accept", "authorization", "accept-encoding", "accept-encoding"] {
            vary(&mut headers, name);
        }
        let listed: Vec<_> = headers.get_all(header::VARY).into_iter().collect();
        assert_eq!(listed, ["origin, Accept, authorization, accept-encoding"]);
        headers.insert(header::VARY, HeaderValue::from_static("*"));
        vary(&mut headers, "accept");
        assert_eq!(headers[header::VARY], "*");
    }
}
