//! `Vary`: which headers of a request an answer depends on (RFC 9110, section 12.5.5). Several layers have a say, each name is
//! told once.

use http::{HeaderMap, HeaderValue, header};

/// Adds a name, in lower case, to those that are told.
pub fn vary(headers: &mut HeaderMap, name: &str) {
    let told = headers.get_all(header::VARY).into_iter();
    let told: Vec<_> = told.filter_map(|value| value.to_str().ok()).collect();
    let told = told.join(", ");
    let mut names = told.split(',').map(str::trim);
    if names.any(|there| there == "*" || there.eq_ignore_ascii_case(name)) {
        return;
    }
    let all = if told.is_empty() {
        name.to_owned()
    } else {
        format!("{told}, {name}")
    };
    if let Ok(all) = HeaderValue::try_from(all) {
        headers.insert(header::VARY, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_told_once() {
        let mut headers = HeaderMap::new();
        headers.append(header::VARY, HeaderValue::from_static("origin, Accept"));
        headers.append(header::VARY, HeaderValue::from_static("authorization"));
        for name in ["accept", "authorization", "accept-encoding", "accept-encoding"] {
            vary(&mut headers, name);
        }
        let told: Vec<_> = headers.get_all(header::VARY).into_iter().collect();
        assert_eq!(told, ["origin, Accept, authorization, accept-encoding"]);
        headers.insert(header::VARY, HeaderValue::from_static("*"));
        vary(&mut headers, "accept");
        assert_eq!(headers[header::VARY], "*");
    }
}
