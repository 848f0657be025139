//! One page of a search, and its URL.

use url::Url;

use crate::ValidatedSearch;

/// The furthest result of a search that arXiv returns; a request for more is answered with status 400.
pub const MAX_RESULTS: u32 = 30_000;

/// The most entries that arXiv returns in one answer.
pub const MAX_PAGE: u32 = 2_000;

/// A page of a search: `count` entries from the `start`-th on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// The search.
    pub search: ValidatedSearch,
    /// The position of the first entry among all results, from 0.
    pub start: u32,
    /// The number of entries, at most [`MAX_PAGE`].
    pub count: u32,
}

impl PageRequest {
    /// The URL of this page at the search endpoint `base`.
    pub fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        // The query of the endpoint's own URL is replaced: it must not change the search.
        url.set_query(None);
        url.set_fragment(None);
        let mut pairs = url.query_pairs_mut();
        // A search for identifiers alone has no query; arXiv documents that it is left out then.
        for (name, value) in [
            ("search_query", self.search.search_query()),
            ("id_list", self.search.id_list()),
        ] {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        pairs
            .append_pair("start", &self.start.to_string())
            .append_pair("max_results", &self.count.to_string());
        if let Some(by) = self.search.sort_by() {
            pairs.append_pair("sortBy", by.as_str());
        }
        if let Some(order) = self.search.sort_order() {
            pairs.append_pair("sortOrder", order.as_str());
        }
        drop(pairs);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Search, SortBy, SortOrder};

    fn url(title: &str, sort: Option<(SortBy, SortOrder)>) -> String {
        let search = Search {
            title: Some(title.into()),
            sort_by: sort.map(|sort| sort.0),
            sort_order: sort.map(|sort| sort.1),
            ..Search::default()
        };
        let request = PageRequest {
            search: search.validate().unwrap(),
            start: 4000,
            count: 2000,
        };
        request
            .url(&"https://export.arxiv.org/api/query?x=y#z".parse().unwrap())
            .to_string()
    }

    #[test]
    fn typed_text_is_encoded_in_the_url() {
        let cases = [
            ("x", "ti%3Ax"),
            ("deep learning", "ti%3Adeep+AND+ti%3Alearning"),
            ("AT&T", "ti%3AAT%26T"),
            ("100%", "ti%3A100%25"),
            ("C#", "ti%3AC%23"),
            ("C++", "ti%3A%22C%2B%2B%22"),
            ("a OR b", "%28ti%3Aa+OR+ti%3Ab%29"),
            ("Árvíz", "ti%3A%C3%81rv%C3%ADz"),
            ("x&start=9", "ti%3Ax%26start%3D9"),
        ];
        for (typed, sent) in cases {
            assert_eq!(
                url(typed, None),
                format!("https://export.arxiv.org/api/query?search_query={sent}&start=4000&max_results=2000"),
                "{typed}"
            );
        }
    }

    #[test]
    fn search_for_identifiers_has_an_id_list() {
        let search = |title: Option<&str>| Search {
            title: title.map(Into::into),
            ids: vec!["arXiv:2401.01234v2".into(), "hep-th/9901001".into()],
            ..Search::default()
        };
        let ids = "id_list=2401.01234v2%2Chep-th%2F9901001&start=0&max_results=8";
        for (title, query) in [
            (None, ids.to_owned()),
            (Some("x"), format!("search_query=ti%3Ax&{ids}")),
        ] {
            let request = PageRequest {
                search: search(title).validate().unwrap(),
                start: 0,
                count: 8,
            };
            let url = request.url(&"https://export.arxiv.org/api/query".parse().unwrap());
            assert_eq!(url.query(), Some(query.as_str()));
        }
    }

    #[test]
    fn sorting_is_sent_when_it_is_set() {
        assert!(
            url("x", Some((SortBy::LastUpdatedDate, SortOrder::Ascending)))
                .ends_with("&sortBy=lastUpdatedDate&sortOrder=ascending")
        );
    }
}
