//! What a user searches for, checked once.

use std::fmt;

use crate::grammar;

/// The longest value of a search field, in characters.
pub const MAX_VALUE_CHARS: usize = 512;

/// A search as its user typed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Words of an author's name.
    pub author: Option<String>,
    /// Words of the title.
    pub title: Option<String>,
    /// Words of the journal reference.
    pub journal: Option<String>,
    /// By what to sort; arXiv's own choice when absent.
    pub sort_by: Option<SortBy>,
    /// In which direction to sort; arXiv's own choice when absent.
    pub sort_order: Option<SortOrder>,
}

/// By what arXiv sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortBy {
    /// How well an entry fits the search.
    Relevance,
    /// When its latest version came.
    LastUpdatedDate,
    /// When its first version came.
    SubmittedDate,
}

impl SortBy {
    /// arXiv's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relevance => "relevance",
            Self::LastUpdatedDate => "lastUpdatedDate",
            Self::SubmittedDate => "submittedDate",
        }
    }
}

/// In which direction arXiv sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortOrder {
    /// The smallest or oldest first.
    Ascending,
    /// The largest or newest first.
    Descending,
}

impl SortOrder {
    /// arXiv's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        }
    }
}

/// Why a search cannot be sent. The text is meant for the user who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// There is nothing to search for.
    #[error("At least one search parameter must be provided")]
    NoField,
    /// A value has only white space in it.
    #[error("{field} must not be blank")]
    Blank {
        /// The field's name: author, title or journal.
        field: &'static str,
    },
    /// A value is longer than [`MAX_VALUE_CHARS`].
    #[error("{field} must have at most {MAX_VALUE_CHARS} characters")]
    TooLong {
        /// The field's name.
        field: &'static str,
    },
    /// A value has a character in it that cannot be searched for, a line break for example.
    #[error("{field} must not contain control characters")]
    ControlCharacter {
        /// The field's name.
        field: &'static str,
    },
    /// A value has no word in it, only punctuation.
    #[error("{field} has no word to search for")]
    NothingToSearch {
        /// The field's name.
        field: &'static str,
    },
}

/// A search that can be sent.
///
/// A value's words, `"phrases"`, AND, OR, ANDNOT and parentheses are searched for within the value's field; nothing
/// in a value can name another field. What is not well-formed is taken as plain words.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ValidatedSearch {
    search_query: String,
    sort_by: Option<SortBy>,
    sort_order: Option<SortOrder>,
    key: String,
}

impl Search {
    /// Checks the search and builds what arXiv is asked.
    pub fn validate(&self) -> Result<ValidatedSearch, SearchError> {
        let fields = [
            ("author", "au", &self.author),
            ("title", "ti", &self.title),
            ("journal", "jr", &self.journal),
        ];
        let mut clauses = Vec::new();
        for (field, prefix, value) in fields {
            let Some(value) = value else { continue };
            check(field, value)?;
            clauses.push(grammar::clause(prefix, value).ok_or(SearchError::NothingToSearch { field })?);
        }
        if clauses.is_empty() {
            return Err(SearchError::NoField);
        }
        let search_query = clauses.join(" AND ");
        let key = format!(
            "{search_query} sortBy={} sortOrder={}",
            self.sort_by.map_or("", SortBy::as_str),
            self.sort_order.map_or("", SortOrder::as_str)
        );
        Ok(ValidatedSearch {
            search_query,
            sort_by: self.sort_by,
            sort_order: self.sort_order,
            key,
        })
    }
}

fn check(field: &'static str, value: &str) -> Result<(), SearchError> {
    if value.chars().count() > MAX_VALUE_CHARS {
        return Err(SearchError::TooLong { field });
    }
    if value.trim().is_empty() {
        return Err(SearchError::Blank { field });
    }
    if value.chars().any(char::is_control) {
        return Err(SearchError::ControlCharacter { field });
    }
    Ok(())
}

impl ValidatedSearch {
    /// What is searched for in arXiv's own words, not yet encoded for a URL: `au:knuth AND ti:art`.
    pub fn search_query(&self) -> &str {
        &self.search_query
    }

    /// The search's identity: two searches with the same key get the same answer on the same day.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn sort_by(&self) -> Option<SortBy> {
        self.sort_by
    }

    pub(crate) fn sort_order(&self) -> Option<SortOrder> {
        self.sort_order
    }
}

impl fmt::Debug for ValidatedSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidatedSearch({})", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(value: &str) -> Search {
        Search {
            title: Some(value.into()),
            ..Search::default()
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let field = "title";
        let long = "x".repeat(MAX_VALUE_CHARS + 1);
        let cases = [
            (Search::default(), SearchError::NoField),
            (title(""), SearchError::Blank { field }),
            (title(" \u{3000} "), SearchError::Blank { field }),
            (title("\n"), SearchError::Blank { field }),
            (title(&long), SearchError::TooLong { field }),
            (title("a\nb"), SearchError::ControlCharacter { field }),
            (title("a\0b"), SearchError::ControlCharacter { field }),
            (title("a\u{85}b"), SearchError::ControlCharacter { field }),
            (title("\"\""), SearchError::NothingToSearch { field }),
            (title("(:)"), SearchError::NothingToSearch { field }),
            (title("+ - !"), SearchError::NothingToSearch { field }),
            // A good field does not make up for a bad one.
            (
                Search {
                    author: Some(" ".into()),
                    ..title("x")
                },
                SearchError::Blank { field: "author" },
            ),
        ];
        for (search, error) in cases {
            assert_eq!(search.validate(), Err(error), "{search:?}");
        }
    }

    #[test]
    fn the_longest_value_is_counted_in_characters() {
        assert!(title(&"ű".repeat(MAX_VALUE_CHARS)).validate().is_ok());
    }

    #[test]
    fn fields_are_joined_in_a_fixed_order() {
        let search = Search {
            author: Some("a".into()),
            title: Some("b OR c".into()),
            journal: Some("d e".into()),
            ..Search::default()
        };
        assert_eq!(
            search.validate().unwrap().search_query(),
            "au:a AND (ti:b OR ti:c) AND jr:d AND jr:e"
        );
    }

    #[test]
    fn the_key_tells_apart_what_is_answered_differently() {
        let key = |search: Search| search.validate().unwrap().key().to_owned();
        assert_eq!(key(title("  deep   learning ")), key(title("deep learning")));
        assert_eq!(key(title("deep AND learning")), key(title("deep learning")));
        assert_ne!(key(title("\"deep learning\"")), key(title("deep learning")));
        assert_ne!(
            key(title("x")),
            key(Search {
                author: Some("x".into()),
                ..Search::default()
            })
        );
        assert_ne!(
            key(title("x")),
            key(Search {
                sort_by: Some(SortBy::SubmittedDate),
                ..title("x")
            })
        );
        assert_ne!(
            key(Search {
                sort_order: Some(SortOrder::Ascending),
                ..title("x")
            }),
            key(Search {
                sort_order: Some(SortOrder::Descending),
                ..title("x")
            })
        );
    }
}
