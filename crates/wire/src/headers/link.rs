//! Links to the next page (RFC 8288).

use http::HeaderValue;

/// The value of `Link` that leads from a request with this query to the same with one parameter set anew, which replaces those
/// named. It is relative, so that it holds behind any prefix.
pub fn next(query: Option<&str>, replaced: &[&str], name: &str, value: &str) -> Option<HeaderValue> {
    let target = address(query, replaced, name, value);
    HeaderValue::from_str(&format!("<{target}>; rel=\"next\"")).ok()
}

/// The address that [`next`] leads to.
pub fn address(query: Option<&str>, replaced: &[&str], name: &str, value: &str) -> String {
    let mut target = String::from("?");
    for pair in query.unwrap_or_default().split('&') {
        let key = pair.split('=').next().unwrap_or_default();
        if !pair.is_empty() && !replaced.contains(&key) {
            for c in pair.chars() {
                match c {
                    // They would end the target, or the value.
                    '<' => target.push_str("%3C"),
                    '>' => target.push_str("%3E"),
                    '"' => target.push_str("%22"),
                    c => target.push(c),
                }
            }
            target.push('&');
        }
    }
    target.extend([name, "=", value]);
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_link_keeps_the_other_parameters() {
        for (query, expected) in [
            (None, "<?page=1>; rel=\"next\""),
            (
                Some("page=0&items_per_page=5"),
                "<?items_per_page=5&page=1>; rel=\"next\"",
            ),
            (
                Some("author=a%20b&page=0&&page=7"),
                "<?author=a%20b&page=1>; rel=\"next\"",
            ),
            (Some("x=<>\"&y"), "<?x=%3C%3E%22&y&page=1>; rel=\"next\""),
        ] {
            assert_eq!(next(query, &["page"], "page", "1").unwrap(), expected);
        }
    }
}
