//! A search as it is sent: in arXiv's query language, one page of it, and the URL of that page.

use std::fmt;

use url::Url;

/// A search that can be sent, made of [clauses](crate::clause) and [identifiers](paper::normalized_id).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ValidatedSearch {
    search_query: String,
    id_list: String,
    sort_by: &'static str,
    sort_order: &'static str,
    key: String,
}

impl ValidatedSearch {
    /// A search for `search_query` among the papers of `id_list`; at least one of them is not empty. Sort key
    /// and direction are arXiv's words, or empty for arXiv's own defaults.
    pub fn new(
        search_query: String,
        id_list: String,
        sort_by: &'static str,
        sort_order: &'static str,
    ) -> Self {
        Self {
            // No clause and no identifier contains the separators here: each word of a clause has its field's
            // prefix.
            key: format!("{search_query} idList={id_list} sortBy={sort_by} sortOrder={sort_order}"),
            search_query,
            id_list,
            sort_by,
            sort_order,
        }
    }

    /// The search in arXiv's query language, not yet encoded for a URL: `au:knuth AND ti:art`. Empty in a
    /// search for identifiers alone.
    pub fn search_query(&self) -> &str {
        &self.search_query
    }

    /// The papers that are searched, `2401.01234,hep-th/9901001`; empty for all of them.
    pub fn id_list(&self) -> &str {
        &self.id_list
    }

    /// The search's identity: two searches with the same key get the same answer on the same day.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Query and identifiers, for people: see [`display_query`].
    pub fn display_query(&self) -> String {
        display_query(&self.search_query, &self.id_list)
    }
}

impl fmt::Debug for ValidatedSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidatedSearch({})", self.key)
    }
}

/// A query and a list of identifiers in one text: `au:knuth`, `id_list=2401.01234`,
/// `au:knuth&id_list=2401.01234`.
pub fn display_query(search_query: &str, id_list: &str) -> String {
    match (search_query, id_list) {
        (query, "") => query.to_owned(),
        ("", ids) => format!("id_list={ids}"),
        (query, ids) => format!("{query}&id_list={ids}"),
    }
}

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
        url.set_fragment(None);
        let search = &self.search;
        let (start, count) = (self.start.to_string(), self.count.to_string());
        let pairs = [
            // A search for identifiers alone has no query; arXiv documents that it is left out then.
            ("search_query", search.search_query.as_str()),
            ("id_list", &search.id_list),
            ("start", &start),
            ("max_results", &count),
            ("sortBy", search.sort_by),
            ("sortOrder", search.sort_order),
        ];
        // The query of the endpoint's own URL is replaced: it must not change the search.
        let given = pairs.iter().filter(|(_, value)| !value.is_empty());
        url.query_pairs_mut().clear().extend_pairs(given);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clause;

    fn url(title: &str, (sort_by, sort_order): (&'static str, &'static str)) -> String {
        let query = clause("ti", title).unwrap();
        let request = PageRequest {
            search: ValidatedSearch::new(query, String::new(), sort_by, sort_order),
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
                url(typed, ("", "")),
                format!("https://export.arxiv.org/api/query?search_query={sent}&start=4000&max_results=2000"),
                "{typed}"
            );
        }
    }

    #[test]
    fn search_for_identifiers_has_an_id_list() {
        let list = "2401.01234v2,hep-th/9901001";
        let ids = "id_list=2401.01234v2%2Chep-th%2F9901001&start=0&max_results=8";
        for (clause, query) in [
            ("", ids.to_owned()),
            ("ti:x", format!("search_query=ti%3Ax&{ids}")),
        ] {
            let request = PageRequest {
                search: ValidatedSearch::new(clause.into(), list.into(), "", ""),
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
            url("x", ("lastUpdatedDate", "ascending"))
                .ends_with("&sortBy=lastUpdatedDate&sortOrder=ascending")
        );
    }
}
