//! The `Accept` header (RFC 9110, 12.5.1): how much a client wants a media type.

use http::{HeaderMap, header};

use crate::headers::quality::weighted;

/// How much a type is wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// Thousandths, 0 (not at all) to 1000.
    pub quality: u16,
    /// Whether the type itself is named, and not just a range that it is in.
    pub by_name: bool,
}

/// How much the client wants `kind/subtype`. Of the ranges that it is in, the narrowest counts; of several alike, the
/// best. A range that cannot be read is skipped. Without the header, everything is wanted alike.
pub fn wanted(headers: &HeaderMap, kind: &str, subtype: &str) -> Wanted {
    if !headers.contains_key(header::ACCEPT) {
        return Wanted {
            quality: 1000,
            by_name: false,
        };
    }
    let ranges = weighted(headers, &header::ACCEPT);
    let matching = ranges.filter_map(|(range, quality)| Some((narrowness(range, kind, subtype)?, quality)));
    let narrowest = matching.max();
    narrowest.map_or_else(Wanted::default, |(narrowness, quality)| Wanted {
        quality,
        by_name: narrowness == Narrowness::Type,
    })
}

/// How much of all types a range is; the narrowest is the greatest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Narrowness {
    Everything,
    Group,
    Type,
}

/// How narrow a range is that the type is in.
fn narrowness(range: &str, kind: &str, subtype: &str) -> Option<Narrowness> {
    match range.split_once('/')? {
        ("*", "*") => Some(Narrowness::Everything),
        (k, "*") if k.eq_ignore_ascii_case(kind) => Some(Narrowness::Group),
        (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(Narrowness::Type),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_narrowest_range_counts() {
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
                wanted(&headers, "application", "json"),
                Wanted { quality, by_name },
                "{value}"
            );
        }
    }

    #[test]
    fn several_lines_are_one_list_and_none_is_everything() {
        let mut headers = HeaderMap::new();
        assert_eq!(wanted(&headers, "text", "csv").quality, 1000);
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(header::ACCEPT, HeaderValue::from_static("text/csv;q=0.5"));
        assert_eq!(wanted(&headers, "text", "csv").quality, 500);
    }
}
