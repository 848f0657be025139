//! Input that is written to break out of its place.

use testbed::arxiv::Request;

/// Each is a text that any column and any search field accepts.
pub(crate) const TEXTS: [&str; 14] = [
    "'; DROP TABLE queries; --",
    "x' OR '1'='1",
    "x\"; select pg_sleep(60); --",
    "$1 ${jndi:ldap://127.0.0.1/x} %s {{7*7}}",
    "x\\'; truncate results; --",
    "E'\\x27' || chr(39)",
    "x) OR (au:evil",
    "x\" OR au:\"evil",
    "x&start=9&max_results=30000#",
    "x%22%20OR%20au:evil",
    "submittedDate:[20200101 TO 20300101]",
    "<script>alert(1)</script><!-- ]]>",
    "\u{202e}evil\u{202c} \u{feff}x\u{200d} 😀 e\u{301}",
    "../../../etc/passwd x",
];

/// Searches as people type them, with a part of what arXiv is asked for.
pub(crate) const TYPED: [(&str, &str); 5] = [
    ("title=deep+OR+learning", "(ti:deep OR ti:learning)"),
    ("title=%22deep+learning%22", "ti:\"deep learning\""),
    ("title=x+OR+au%3Aevil", "ti:evil"),
    ("author=a&title=b&journal=c", "au:a AND ti:b AND jr:c"),
    ("title=(a+OR+b)+ANDNOT+c", "ANDNOT"),
];

/// Values of parameters, as they are sent.
pub(crate) const VALUES: [&str; 10] = [
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "%0d%0aINJECTED%3A%20x",
    "%",
    "%zz",
    "99999999999999999999",
    "-1",
    "1e9",
    "NaN",
];

/// Checks that a request for two papers asks arXiv for one field only.
pub(crate) fn assert_asks_one_field(request: &Request, prefix: &str, text: &str) {
    let asked = &request.search_query;
    // Outside of quotes there is one field.
    let unquoted: String = asked.split('"').step_by(2).collect();
    assert_eq!(
        unquoted.matches(':').count(),
        unquoted.matches(prefix).count(),
        "{text}: {asked}"
    );
    assert_eq!(
        (request.start, request.max_results),
        (0, 2),
        "{text}: {}",
        request.target
    );
}
