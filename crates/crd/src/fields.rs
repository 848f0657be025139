//! The fields of `spec`, one row each: name, kind, bounds and documentation.
//!
//! Everything else that knows the fields is derived from these rows: the schema and the CEL rules of the
//! definition, the members of `POST /arxiv` and the parameters of `GET /arxiv` with their OpenAPI
//! descriptions, the summary in lists, the form on the search page, and the input of the fuzz target. A new
//! field needs its row here, its member in [`ArxivQuerySpec`], and for a field of words its prefix in
//! `arxiv::Search`; what is missing does not compile or fails a test.

use std::{borrow::Cow, ops::RangeInclusive};

use crate::{ArxivQuerySpec, CachePolicy, SortBy, SortOrder};

/// The longest value of a field of words, in characters.
pub const MAX_WORDS_CHARS: usize = 512;
/// The most identifiers in one search.
pub const MAX_IDS: usize = 500;
/// The longest identifier as typed, in characters.
pub const MAX_ID_CHARS: usize = 128;
/// The longest date, in characters: with nanoseconds and an offset there are 35.
pub const MAX_DATE_CHARS: usize = 64;
/// The most papers of one search, and the furthest start: as far as arXiv answers.
pub const MAX_RESULTS: i32 = 30_000;
/// The lowest priority.
pub const MIN_PRIORITY: i32 = -1_000;
/// The highest priority.
pub const MAX_PRIORITY: i32 = 1_000;
/// The most retries.
pub const MAX_BACKOFF_LIMIT: i32 = 1_000;
/// The longest deadline and time to live, in seconds: one year.
pub const MAX_SECONDS: i32 = 31_536_000;

/// A field of `spec`.
#[derive(Debug)]
pub struct Field {
    /// The name in the spec: `reportNumber`.
    pub name: &'static str,
    /// The name in the REST API: `report_number`. None where clients have no say.
    pub member: Option<&'static str>,
    /// The name for people.
    pub label: &'static str,
    /// A value as an example; empty for none.
    pub example: &'static str,
    /// The documentation, for `kubectl explain` and OpenAPI.
    pub about: &'static str,
    /// What the field is for.
    pub role: Role,
    /// Which values it has.
    pub kind: Kind,
}

/// What a field is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It says what to search for, so it cannot change.
    Search,
    /// The same, with a default that Kubernetes fills in, so that it is always there.
    SearchWithDefault,
    /// It says how to run the search, and can change.
    Job,
}

/// Which values a field has.
#[derive(Debug)]
pub enum Kind {
    /// Words to search for, at most [`MAX_WORDS_CHARS`] characters.
    Words(Access<String>),
    /// arXiv identifiers: 1 to [`MAX_IDS`], each of at most [`MAX_ID_CHARS`] characters.
    Identifiers(Access<Vec<String>>),
    /// A date and time (RFC 3339), at most [`MAX_DATE_CHARS`] characters.
    Date(Access<String>),
    /// An integer in a range, both ends included.
    Integer(RangeInclusive<i64>),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
}

/// Reads and writes an optional field.
#[derive(Debug)]
pub struct Access<T: 'static> {
    /// The field's value in a spec.
    pub get: fn(&ArxivQuerySpec) -> &Option<T>,
    /// The same, to be changed.
    pub get_mut: fn(&mut ArxivQuerySpec) -> &mut Option<T>,
}

macro_rules! access {
    ($field:ident) => {
        Access {
            get: |spec| &spec.$field,
            get_mut: |spec| &mut spec.$field,
        }
    };
}

macro_rules! fields {
    ($($(#[$doc:meta])+ $id:ident: $name:literal, $member:expr, $label:literal, $example:literal, $role:expr, $kind:expr, $about:literal;)+) => {
        $($(#[$doc])+
        pub const $id: Field = Field {
            name: $name,
            member: $member,
            label: $label,
            example: $example,
            about: $about,
            role: $role,
            kind: $kind,
        };)+

        /// All fields of `spec`.
        pub const FIELDS: &[Field] = &[$($id),+];
    };
}

// Name in the spec, name in the REST API, name for people, example, role, kind, documentation.
fields! {
    /// Authors.
    AUTHOR: "author", Some("author"), "Author", "knuth", Role::Search, Kind::Words(access!(author)),
        "Words of an author's name. All words must match; \"double quotes\" make a phrase; AND, OR, ANDNOT and \
         parentheses work within the field.";
    /// Title.
    TITLE: "title", Some("title"), "Title", "\"literate programming\"", Role::Search, Kind::Words(access!(title)),
        "Words of the title, with the syntax of `author`.";
    /// Journal reference.
    JOURNAL: "journal", Some("journal"), "Journal", "Phys Rev", Role::Search, Kind::Words(access!(journal)),
        "Words of the journal reference, with the syntax of `author`.";
    /// Abstract.
    ABSTRACT: "abstract", Some("abstract"), "Abstract", "", Role::Search, Kind::Words(access!(abstract_text)),
        "Words of the abstract, with the syntax of `author`.";
    /// Categories.
    CATEGORY: "category", Some("category"), "Category", "math.CO", Role::Search, Kind::Words(access!(category)),
        "Categories, for example `cs.LG OR stat.ML`, with the syntax of `author`.";
    /// Authors' comment.
    COMMENT: "comment", Some("comment"), "Comment", "", Role::Search, Kind::Words(access!(comment)),
        "Words of the authors' comment, with the syntax of `author`.";
    /// Report number.
    REPORT_NUMBER: "reportNumber", Some("report_number"), "Report number", "", Role::Search,
        Kind::Words(access!(report_number)),
        "Words of the report number, with the syntax of `author`.";
    /// Any field.
    ALL: "all", Some("all"), "Anywhere", "", Role::Search, Kind::Words(access!(all)),
        "Words of any field, with the syntax of `author`.";
    /// Identifiers.
    ID_LIST: "idList", Some("id_list"), "arXiv ids", "2401.00001, hep-th/9901001", Role::Search,
        Kind::Identifiers(access!(id_list)),
        "arXiv identifiers in any usual form: `2401.01234`, `2401.01234v2`, `hep-th/9901001`, `arXiv:2401.01234`, or the \
         address of an abstract or PDF. Together with other search fields, only papers of this list that match them are \
         found. `maxResults` applies to the list too.";
    /// Earliest submission.
    SUBMITTED_AFTER: "submittedAfter", Some("submitted_after"), "Submitted after", "", Role::Search,
        Kind::Date(access!(submitted_after)),
        "Only papers whose first version was submitted at this time (RFC 3339) or later, to the minute.";
    /// Latest submission.
    SUBMITTED_BEFORE: "submittedBefore", Some("submitted_before"), "Submitted before", "", Role::Search,
        Kind::Date(access!(submitted_before)),
        "Only papers whose first version was submitted at this time (RFC 3339) or earlier, to the minute.";
    /// Number of papers.
    RESULTS: "maxResults", Some("max_results"), "At most", "3", Role::SearchWithDefault,
        Kind::Integer(1..=MAX_RESULTS as i64),
        "The maximum number of papers to store. More than 2000 are fetched in slices.";
    /// First paper.
    START: "start", Some("start"), "Start", "", Role::SearchWithDefault, Kind::Integer(0..=MAX_RESULTS as i64),
        "The number of papers to skip at the beginning of the result.";
    /// Sort key.
    SORT_BY: "sortBy", Some("sort_by"), "Sort by", "", Role::Search, Kind::OneOf(SortBy::WORDS),
        "The sort key. Without it, arXiv sorts by relevance.";
    /// Sort direction.
    SORT_ORDER: "sortOrder", Some("sort_order"), "Order", "", Role::Search, Kind::OneOf(SortOrder::WORDS),
        "The sort direction. Without it, arXiv sorts in descending order.";
    /// Use of stored pages.
    CACHE_POLICY: "cachePolicy", Some("cache_policy"), "Cache policy", "", Role::SearchWithDefault,
        Kind::OneOf(CachePolicy::WORDS),
        "Whether pages that were fetched before this query was created may be used. arXiv's data changes once a day.";
    /// Suspension.
    SUSPEND: "suspend", None, "Suspended", "", Role::Job, Kind::Boolean,
        "While this is true, the query does not run and is not changed, whatever it waits for.";
    /// Priority.
    PRIORITY: "priority", Some("priority"), "Priority", "", Role::Job,
        Kind::Integer(MIN_PRIORITY as i64..=MAX_PRIORITY as i64),
        "Queries with a higher priority get their turn at arXiv first.";
    /// Retries.
    BACKOFF_LIMIT: "backoffLimit", Some("backoff_limit"), "Retries", "", Role::Job,
        Kind::Integer(0..=MAX_BACKOFF_LIMIT as i64),
        "The number of unusable answers of arXiv that are retried before the query fails (default 6). Throttling and \
         failures to reach arXiv are not counted.";
    /// Deadline.
    ACTIVE_DEADLINE: "activeDeadlineSeconds", Some("active_deadline_seconds"), "Deadline", "", Role::Job,
        Kind::Integer(1..=MAX_SECONDS as i64),
        "The query fails this many seconds after its first request to arXiv. The wait for its turn does not count.";
    /// Time to live.
    TTL: "ttlSecondsAfterFinished", None, "Time to live", "", Role::Job, Kind::Integer(0..=MAX_SECONDS as i64),
        "The finished object is deleted after this many seconds; its rows stay. Without it, the object is kept.";
}

/// The field of this name in the spec.
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

impl Field {
    /// Whether it can be the only field of a search.
    pub fn is_search_field(&self) -> bool {
        matches!(self.kind, Kind::Words(_) | Kind::Identifiers(_))
    }

    /// The value of a field of words, identifiers or dates, in one line.
    pub fn text<'a>(&self, spec: &'a ArxivQuerySpec) -> Option<Cow<'a, str>> {
        match &self.kind {
            Kind::Words(access) | Kind::Date(access) => (access.get)(spec).as_deref().map(Cow::from),
            Kind::Identifiers(access) => (access.get)(spec).as_ref().map(|ids| ids.join(",").into()),
            Kind::Integer(_) | Kind::OneOf(_) | Kind::Boolean => None,
        }
    }

    /// Whether Kubernetes fills in a default.
    #[cfg(test)]
    pub(crate) fn has_default(&self) -> bool {
        self.role == Role::SearchWithDefault || matches!(self.name, "suspend" | "priority")
    }

    /// Removes the value of a field of words, identifiers or dates. Whether there was one.
    pub fn clear(&self, spec: &mut ArxivQuerySpec) -> bool {
        match &self.kind {
            Kind::Words(access) | Kind::Date(access) => (access.get_mut)(spec).take().is_some(),
            Kind::Identifiers(access) => (access.get_mut)(spec).take().is_some(),
            Kind::Integer(_) | Kind::OneOf(_) | Kind::Boolean => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A value that the field takes.
    fn value(field: &Field) -> Value {
        match &field.kind {
            Kind::Words(_) | Kind::Date(_) => json!("x"),
            Kind::Identifiers(_) => json!(["x"]),
            Kind::Integer(range) => json!(range.end()),
            Kind::OneOf(words) => json!(words.last()),
            Kind::Boolean => json!(true),
        }
    }

    #[test]
    fn every_field_of_the_spec_has_one_row() {
        for field in FIELDS {
            let spec: ArxivQuerySpec = serde_json::from_value(json!({ field.name: value(field) })).unwrap();
            let written = serde_json::to_value(&spec).unwrap();
            assert_eq!(written[field.name], value(field), "{}", field.name);
            assert_eq!(
                field.text(&spec).is_some(),
                field.clear(&mut spec.clone()),
                "{}",
                field.name
            );
        }
        let all: serde_json::Map<_, _> = FIELDS
            .iter()
            .map(|field| (field.name.to_owned(), value(field)))
            .collect();
        let spec: ArxivQuerySpec = serde_json::from_value(all.clone().into()).unwrap();
        assert_eq!(serde_json::to_value(spec).unwrap(), Value::from(all));
    }

    #[test]
    fn every_word_of_an_enum_is_one_of_its_values() {
        for field in FIELDS {
            let Kind::OneOf(words) = &field.kind else { continue };
            for word in *words {
                assert!(
                    serde_json::from_value::<ArxivQuerySpec>(json!({ field.name: word })).is_ok(),
                    "{}: {word}",
                    field.name
                );
            }
        }
    }
}
