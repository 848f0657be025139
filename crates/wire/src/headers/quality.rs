//! Weights of the members of `Accept` and `Accept-Encoding` (RFC 9110, 12.4.2).

use http::{HeaderMap, HeaderName};

/// The members of a header, each without its parameters and with its weight in thousandths: 0 (not acceptable) to 1000, also
/// without a `q`. A member with a malformed weight is skipped.
pub fn weighted<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h str, u16)> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(member)
}

fn member(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let member = parts.next()?;
    let mut weight = 1000;
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim_end().eq_ignore_ascii_case("q")
        {
            weight = thousandths(value.trim_start())?;
        }
    }
    Some((member, weight))
}

/// `0` to `1` with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let decimals = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn weight_is_1000_without_q_and_malformed_members_are_skipped() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("gzip, br;q=0.5 , zstd ; Q = 0, a;q=2, b;q=0.1234, c;q=x"),
        );
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("d;p=1;q=1.000"));
        let members: Vec<_> = weighted(&headers, &header::ACCEPT_ENCODING).collect();
        assert_eq!(members, [("gzip", 1000), ("br", 500), ("zstd", 0), ("d", 1000)]);
    }
}
