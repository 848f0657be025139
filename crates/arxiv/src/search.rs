//! A user's search, validated once.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    grammar,
    identifier::{self, MAX_IDS},
};

/// The longest value of a search field, in characters.
pub const MAX_VALUE_CHARS: usize = 512;

/// The fields of words: their names for users, and the prefixes that arXiv knows them by.
pub const FIELDS: [(&str, &str); 8] = [
    ("author", "au"),
    ("title", "ti"),
    ("journal", "jr"),
    ("abstract", "abs"),
    ("category", "cat"),
    ("comment", "co"),
    ("reportNumber", "rn"),
    ("all", "all"),
];

/// A search as its user typed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Words of an author's name.
    pub author: Option<String>,
    /// Words of the title.
    pub title: Option<String>,
    /// Words of the journal reference.
    pub journal: Option<String>,
    /// Words of the abstract.
    pub abstract_text: Option<String>,
    /// Categories, as `cs.LG`.
    pub category: Option<String>,
    /// Words of the authors' comment.
    pub comment: Option<String>,
    /// Words of the report number.
    pub report_number: Option<String>,
    /// Words of any field.
    pub all: Option<String>,
    /// Identifiers in any usual form: only these papers are searched. At most [`MAX_IDS`].
    pub ids: Vec<String>,
    /// The first version was submitted then or later; to the minute.
    pub submitted_after: Option<Timestamp>,
    /// The first version was submitted then or earlier; to the minute.
    pub submitted_before: Option<Timestamp>,
    /// The sort key; arXiv's own default when absent.
    pub sort_by: Option<SortBy>,
    /// The sort direction; arXiv's own default when absent.
    pub sort_order: Option<SortOrder>,
}

/// The sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortBy {
    /// How well an entry matches the search.
    Relevance,
    /// When its latest version was submitted.
    LastUpdatedDate,
    /// When its first version was submitted.
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

/// The sort direction.
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
        /// The field's name.
        field: &'static str,
    },
    /// A value is longer than [`MAX_VALUE_CHARS`].
    #[error("{field} must have at most {MAX_VALUE_CHARS} characters")]
    TooLong {
        /// The field's name.
        field: &'static str,
    },
    /// A value has a control character, a line break for example.
    #[error("{field} must not contain control characters")]
    ControlCharacter {
        /// The field's name.
        field: &'static str,
    },
    /// A value has only punctuation.
    #[error("{field} has no word to search for")]
    NothingToSearch {
        /// The field's name.
        field: &'static str,
    },
    /// There are more identifiers than [`MAX_IDS`].
    #[error("idList must have at most {MAX_IDS} identifiers")]
    TooManyIds,
    /// An entry of the list is not an identifier.
    #[error("idList has an entry that is no arXiv identifier, number {place}")]
    NoIdentifier {
        /// Its position in the list, from 1.
        place: usize,
    },
    /// No paper can have this date.
    #[error("{field} must be a date from 1900 to 2199")]
    NoDateOfPapers {
        /// The field's name.
        field: &'static str,
    },
    /// There is no time between the two dates.
    #[error("submittedAfter must be before submittedBefore")]
    DatesOutOfOrder,
}

impl SearchError {
    /// The name of the field that is invalid; none if it is the search as a whole.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Blank { field }
            | Self::TooLong { field }
            | Self::ControlCharacter { field }
            | Self::NothingToSearch { field }
            | Self::NoDateOfPapers { field } => Some(field),
            Self::TooManyIds | Self::NoIdentifier { .. } => Some("idList"),
            Self::NoField | Self::DatesOutOfOrder => None,
        }
    }
}

/// A search that can be sent.
///
/// A value's words, `"phrases"`, AND, OR, ANDNOT and parentheses are searched for within the value's field;
/// nothing in a value can name another field. A value that is not well-formed is searched for as plain words.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ValidatedSearch {
    search_query: String,
    id_list: String,
    sort_by: Option<SortBy>,
    sort_order: Option<SortOrder>,
    key: String,
}

impl Search {
    /// Validates the search and builds arXiv's parameters.
    pub fn validate(&self) -> Result<ValidatedSearch, SearchError> {
        let values: [_; FIELDS.len()] = [
            &self.author,
            &self.title,
            &self.journal,
            &self.abstract_text,
            &self.category,
            &self.comment,
            &self.report_number,
            &self.all,
        ];
        let mut clauses = Vec::new();
        for ((field, prefix), value) in FIELDS.into_iter().zip(values) {
            let Some(value) = value else { continue };
            check(field, value)?;
            clauses.push(grammar::clause(prefix, value).ok_or(SearchError::NothingToSearch { field })?);
        }
        let id_list = id_list(&self.ids)?;
        if clauses.is_empty() && id_list.is_empty() {
            return Err(SearchError::NoField);
        }
        clauses.extend(submitted(self.submitted_after, self.submitted_before)?);
        let search_query = clauses.join(" AND ");
        // No clause and no identifier contains the separators here: each word of a clause has its field's
        // prefix.
        let key = format!(
            "{search_query} idList={id_list} sortBy={} sortOrder={}",
            self.sort_by.map_or("", SortBy::as_str),
            self.sort_order.map_or("", SortOrder::as_str)
        );
        Ok(ValidatedSearch {
            search_query,
            id_list,
            sort_by: self.sort_by,
            sort_order: self.sort_order,
            key,
        })
    }
}

/// The identifiers in their short form, each once, in the order in which they were given: arXiv answers in
/// that order.
fn id_list(ids: &[String]) -> Result<String, SearchError> {
    if ids.len() > MAX_IDS {
        return Err(SearchError::TooManyIds);
    }
    let mut list: Vec<String> = Vec::with_capacity(ids.len());
    for (index, typed) in ids.iter().enumerate() {
        let id = identifier::normalized(typed).ok_or(SearchError::NoIdentifier { place: index + 1 })?;
        if !list.contains(&id) {
            list.push(id);
        }
    }
    Ok(list.join(","))
}

/// The clause for the days of submission. arXiv documents it with both ends, in GMT, to the minute:
/// `submittedDate:[202301010600 TO 202401010600]`.
fn submitted(after: Option<Timestamp>, before: Option<Timestamp>) -> Result<Option<String>, SearchError> {
    if after.is_none() && before.is_none() {
        return Ok(None);
    }
    if after.zip(before).is_some_and(|(after, before)| after >= before) {
        return Err(SearchError::DatesOutOfOrder);
    }
    let end = |field, date: Option<Timestamp>, open: &str| match date {
        None => Ok(open.to_owned()),
        Some(date) => {
            let date = date.to_zoned(TimeZone::UTC);
            // Four digits for the year, and no date that an index could treat as missing.
            let fits = (1900..2200).contains(&date.year());
            fits.then(|| date.strftime("%Y%m%d%H%M").to_string())
                .ok_or(SearchError::NoDateOfPapers { field })
        }
    };
    let after = end("submittedAfter", after, "190001010000")?;
    let before = end("submittedBefore", before, "219912312359")?;
    Ok(Some(format!("submittedDate:[{after} TO {before}]")))
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
    /// The search in arXiv's query language, not yet encoded for a URL: `au:knuth AND ti:art`. Empty in a
    /// search for identifiers alone.
    pub fn search_query(&self) -> &str {
        &self.search_query
    }

    /// The papers that are searched, `2401.01234,hep-th/9901001`; empty for all of them.
    pub fn id_list(&self) -> &str {
        &self.id_list
    }

    /// Both, for people: `au:knuth`, `id_list=2401.01234`, `au:knuth&id_list=2401.01234`.
    pub fn display_query(&self) -> String {
        display_query(&self.search_query, &self.id_list)
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

/// A search's two parts in one text, as in [`ValidatedSearch::display_query`].
pub fn display_query(search_query: &str, id_list: &str) -> String {
    match (search_query, id_list) {
        (query, "") => query.to_owned(),
        ("", ids) => format!("id_list={ids}"),
        (query, ids) => format!("{query}&id_list={ids}"),
    }
}

impl fmt::Debug for ValidatedSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidatedSearch({})", self.key)
    }
}

#[cfg(test)]
mod tests;
