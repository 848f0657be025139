//! The `Accept` header (RFC 9110, 12.5.1), and the weights of its members, which `Accept-Encoding` has too (12.4.2).

use http::{HeaderMap, HeaderName, header};

/// The narrowness of a range of one type.
const BY_NAME: u8 = 2;

/// The preference of a client for a media type.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Wanted {
    /// Thousandths, 0 (not at all) to 1000.
    pub quality: u16,
    /// Whether the type itself is named, not only a range that it is in.
    pub by_name: bool,
}

/// The client's preference for a media type. Of the ranges that it is in, the narrowest counts; of several alike, the
/// best. A range that cannot be read is skipped. Without the header, everything is wanted alike.
pub fn wanted(headers: &HeaderMap, media_type: &str) -> Wanted {
    if !headers.contains_key(header::ACCEPT) {
        return Wanted {
            quality: 1000,
            by_name: false,
        };
    }
    let ranges = weighted(headers, &header::ACCEPT);
    let matching = ranges.filter_map(|(range, quality)| Some((narrowness(range, media_type)?, quality)));
    let narrowest = matching.max();
    narrowest.map_or_else(Wanted::default, |(narrowness, quality)| Wanted {
        quality,
        by_name: narrowness == BY_NAME,
    })
}

/// How narrow a range is that the type is in; the narrowest is the greatest.
fn narrowness(range: &str, media_type: &str) -> Option<u8> {
    let (kind, _) = media_type.split_once('/')?;
    match range.strip_suffix("/*") {
        Some("*") => Some(0),
        Some(group) => group.eq_ignore_ascii_case(kind).then_some(1),
        None => range.eq_ignore_ascii_case(media_type).then_some(BY_NAME),
    }
}

/// The members of a header, each without its parameters and with its weight in thousandths: 0 (not acceptable) to
/// 1000, also without a `q`. A member with a malformed weight is skipped.
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
    use http::HeaderValue;

    use super::*;

    #[test]
    fn narrowest_range_decides_the_quality() {
        let cases = [
            ("*/*", 1000, false),
            ("application/*;q=0.5", 500, false),
            ("application/json", 1000, true),
            ("Application/JSON ; Q=0.3", 300, true),
            ("application/json;charset=utf-8;q=0.7", 700, true),
            (
                "*/*;q=0.1, application/*;q=0.2, application/json;q=0.3",
                300,
                true,
            ),
            ("application/json;q=0.3, application/*, */*", 300, true),
            ("application/json;q=0, */*", 0, true),
            ("application/json;q=0.2, application/json;q=0.4", 400, true),
            ("text/html", 0, false),
            ("application/jsonx", 0, false),
            ("", 0, false),
            (
                "nonsense, ;;, */json, application/json;q=0.1234, application/json;q=2",
                0,
                false,
            ),
            ("application/json;q=x, */*;q=0.05", 50, false),
            ("application/json;q=1.000", 1000, true),
            ("application/json;q=1.001", 0, false),
        ];
        for (value, quality, by_name) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            assert_eq!(
                wanted(&headers, "application/json"),
                Wanted { quality, by_name },
                "{value}"
            );
        }
    }

    #[test]
    fn several_accept_lines_are_one_list_and_none_accepts_everything() {
        let mut headers = HeaderMap::new();
        assert_eq!(wanted(&headers, "text/csv").quality, 1000);
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(header::ACCEPT, HeaderValue::from_static("text/csv;q=0.5"));
        assert_eq!(wanted(&headers, "text/csv").quality, 500);
    }

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
