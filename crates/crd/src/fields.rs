//! The spec of an `ArxivQuery`: which search to run and how. Each field is declared once, with all that is
//! known about it.
//!
//! The schema and the CEL rules of the definition, the queries that are sent, the members of `POST /arxiv`, the
//! parameters of `GET /arxiv`, their OpenAPI descriptions, the summary in lists, the form on the search page
//! and the input of the fuzz target are derived from that.

use std::{borrow::Cow, ops::RangeInclusive};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use self::{
    Kind::{Boolean, Date, Identifiers, Integer, Name, OneOf, Words},
    Role::{Class, Job, Search, SearchWithDefault},
};
use crate::{
    ArxivQueryStatus, CachePolicy, SortBy, SortOrder,
    schema::{class_is_fixed, dates_are_in_order, has_search_field, search_is_fixed},
};

/// The longest value of a field of words, in characters.
pub const MAX_WORDS_CHARS: usize = 512;
/// The most identifiers in one search: the list is part of the URL, and servers accept some 8,000 characters
/// of it.
pub const MAX_IDS: usize = 500;
/// The longest identifier as typed, in characters.
pub const MAX_ID_CHARS: usize = 128;
/// The longest date, in characters: with nanoseconds and an offset there are 35.
pub const MAX_DATE_CHARS: usize = 64;
/// The most papers of one search, and the furthest start: arXiv answers a request for more with status 400.
pub const MAX_RESULTS: i32 = 30_000;
/// The longest name of a class: that of a DNS label, less than what names of Leases begin with.
pub const MAX_NAME_CHARS: usize = 40;
/// The lowest priority.
pub const MIN_PRIORITY: i32 = -1_000;
/// The highest priority.
pub const MAX_PRIORITY: i32 = 1_000;
/// The longest deadline and time to live, in seconds: one year.
pub const MAX_SECONDS: i32 = 31_536_000;

/// A field of the spec.
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
    /// It says whose operator runs the search, so it cannot change.
    Class,
}

/// Which values a field has.
#[derive(Debug)]
pub enum Kind {
    /// Words to search for, at most [`MAX_WORDS_CHARS`] characters. With arXiv's prefix for the field.
    Words(&'static str, Access<String>),
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
    /// A DNS label, at most [`MAX_NAME_CHARS`] characters.
    Name,
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

/// The type of the spec, and a [`Field`] for each of its members: its documentation, then the name in the
/// spec, the name in the REST API, the name for people, an example, role and kind, then the member itself.
macro_rules! spec {
    ($(#[$of_spec:meta])+ pub struct $spec:ident {
        $($(#[doc = $about:literal])+
        $id:ident($name:literal, $member:expr, $label:literal, $example:literal, $role:expr, $kind:expr),
        $(#[$of_member:meta])+
        $field:ident: $type:ty;)+
    }) => {
        $(#[$of_spec])+
        pub struct $spec {
            $($(#[doc = $about])+ $(#[$of_member])+ pub $field: $type,)+
        }

        $($(#[doc = $about])+
        pub const $id: Field = Field {
            name: $name,
            member: $member,
            label: $label,
            example: $example,
            about: concat!($($about),+).trim_ascii_start(),
            role: $role,
            kind: $kind,
        };)+

        /// All fields of the spec.
        pub const FIELDS: &[Field] = &[$($id),+];
    };
}

spec! {
    /// An arXiv search to run. Its result is a number, one row in `queries`, and one row in `results` for each
    /// paper.
    #[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
    #[kube(
        group = "arxiv-operator.dev",
        version = "v1alpha1",
        kind = "ArxivQuery",
        plural = "arxivqueries",
        namespaced,
        status = "ArxivQueryStatus",
        derive = "PartialEq",
        shortname = "aq",
        category = "arxiv",
        doc = "An arXiv search that runs as a job. It ends as Succeeded, with a number, or as Failed, with a reason.",
        selectable = ".status.phase",
        selectable = ".spec.className",
        printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
        printcolumn(name = "Query-ID", type_ = "integer", json_path = ".status.queryId"),
        printcolumn(name = "Results", type_ = "integer", json_path = ".status.numResults"),
        printcolumn(name = "Entries", type_ = "integer", json_path = ".status.numEntries"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
        printcolumn(name = "Query", type_ = "string", json_path = ".status.query", priority = 1),
        printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
        validation = Rule::new(
            "!has(oldSelf.status) || !has(oldSelf.status.phase) \
             || !(oldSelf.status.phase in ['Succeeded', 'Failed']) \
             || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)"
        )
        .message("a finished ArxivQuery stays finished"),
        validation = Rule::new(
            "!has(oldSelf.status) || !has(oldSelf.status.queryId) \
             || (has(self.status) && has(self.status.queryId) && self.status.queryId == oldSelf.status.queryId)"
        )
        .message("status.queryId is given once")
    )]
    #[x_kube(
        validation = has_search_field(),
        validation = search_is_fixed(),
        validation = class_is_fixed(),
        validation = dates_are_in_order()
    )]
    #[serde(rename_all = "camelCase")]
    pub struct ArxivQuerySpec {
        /// Words of an author's name. All words must match; "double quotes" make a phrase; AND, OR, ANDNOT
        /// and parentheses work within the field.
        AUTHOR("author", Some("author"), "Author", "knuth", Search, Words("au", access!(author))),
        #[serde(skip_serializing_if = "Option::is_none")]
        author: Option<String>;

        /// Words of the title, with the syntax of `author`.
        TITLE("title", Some("title"), "Title", "\"literate programming\"", Search,
            Words("ti", access!(title))),
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>;

        /// Words of the journal reference, with the syntax of `author`.
        JOURNAL("journal", Some("journal"), "Journal", "Phys Rev", Search, Words("jr", access!(journal))),
        #[serde(skip_serializing_if = "Option::is_none")]
        journal: Option<String>;

        /// Words of the abstract, with the syntax of `author`.
        ABSTRACT("abstract", Some("abstract"), "Abstract", "", Search, Words("abs", access!(abstract_text))),
        #[serde(rename = "abstract", skip_serializing_if = "Option::is_none")]
        abstract_text: Option<String>;

        /// Categories, for example `cs.LG OR stat.ML`, with the syntax of `author`.
        CATEGORY("category", Some("category"), "Category", "math.CO", Search,
            Words("cat", access!(category))),
        #[serde(skip_serializing_if = "Option::is_none")]
        category: Option<String>;

        /// Words of the authors' comment, with the syntax of `author`.
        COMMENT("comment", Some("comment"), "Comment", "", Search, Words("co", access!(comment))),
        #[serde(skip_serializing_if = "Option::is_none")]
        comment: Option<String>;

        /// Words of the report number, with the syntax of `author`.
        REPORT_NUMBER("reportNumber", Some("report_number"), "Report number", "", Search,
            Words("rn", access!(report_number))),
        #[serde(skip_serializing_if = "Option::is_none")]
        report_number: Option<String>;

        /// Words of any field, with the syntax of `author`.
        ALL("all", Some("all"), "Anywhere", "", Search, Words("all", access!(all))),
        #[serde(skip_serializing_if = "Option::is_none")]
        all: Option<String>;

        /// arXiv identifiers in any usual form: `2401.01234`, `2401.01234v2`, `hep-th/9901001`,
        /// `arXiv:2401.01234`, or the address of an abstract or PDF. Together with other search fields, only
        /// papers of this list that match them are found. `maxResults` applies to the list too.
        ID_LIST("idList", Some("id_list"), "arXiv ids", "2401.00001, hep-th/9901001", Search,
            Identifiers(access!(id_list))),
        #[serde(skip_serializing_if = "Option::is_none")]
        #[x_kube(merge_strategy = ListMerge::Atomic)]
        id_list: Option<Vec<String>>;

        /// Only papers whose first version was submitted at this time (RFC 3339) or later, to the minute.
        SUBMITTED_AFTER("submittedAfter", Some("submitted_after"), "Submitted after", "", Search,
            Date(access!(submitted_after))),
        #[serde(skip_serializing_if = "Option::is_none")]
        submitted_after: Option<String>;

        /// Only papers whose first version was submitted at this time (RFC 3339) or earlier, to the minute.
        SUBMITTED_BEFORE("submittedBefore", Some("submitted_before"), "Submitted before", "", Search,
            Date(access!(submitted_before))),
        #[serde(skip_serializing_if = "Option::is_none")]
        submitted_before: Option<String>;

        /// The maximum number of papers to store. More than 2000 are fetched in slices.
        RESULTS("maxResults", Some("max_results"), "At most", "3", SearchWithDefault,
            Integer(1..=MAX_RESULTS as i64)),
        #[serde(default = "default_max_results")]
        max_results: i32;

        /// The number of papers to skip at the beginning of the result.
        START("start", Some("start"), "Start", "", SearchWithDefault, Integer(0..=MAX_RESULTS as i64)),
        #[serde(default)]
        start: i32;

        /// The sort key. Without it, arXiv sorts by relevance.
        SORT_BY("sortBy", Some("sort_by"), "Sort by", "", Search, OneOf(SortBy::WORDS)),
        #[serde(skip_serializing_if = "Option::is_none")]
        sort_by: Option<SortBy>;

        /// The sort direction. Without it, arXiv sorts in descending order.
        SORT_ORDER("sortOrder", Some("sort_order"), "Order", "", Search, OneOf(SortOrder::WORDS)),
        #[serde(skip_serializing_if = "Option::is_none")]
        sort_order: Option<SortOrder>;

        /// Whether pages that were fetched before this query was created may be used. arXiv's data changes
        /// once a day.
        CACHE_POLICY("cachePolicy", Some("cache_policy"), "Cache policy", "", SearchWithDefault,
            OneOf(CachePolicy::WORDS)),
        #[serde(default)]
        cache_policy: CachePolicy;

        /// While this is true, the query does not run and is not changed, whatever it waits for.
        SUSPEND("suspend", None, "Suspended", "", Job, Boolean),
        #[serde(default)]
        suspend: bool;

        /// Queries with a higher priority get their turn at arXiv first.
        PRIORITY("priority", Some("priority"), "Priority", "", Job,
            Integer(MIN_PRIORITY as i64..=MAX_PRIORITY as i64)),
        #[serde(default)]
        priority: i32;

        /// The number of unusable answers of arXiv that are retried before the query fails (default 6).
        /// Throttling and failures to reach arXiv are not counted.
        BACKOFF_LIMIT("backoffLimit", Some("backoff_limit"), "Retries", "", Job, Integer(0..=1_000)),
        #[serde(skip_serializing_if = "Option::is_none")]
        backoff_limit: Option<i32>;

        /// The query fails this many seconds after its first request to arXiv. The wait for its turn does not
        /// count.
        ACTIVE_DEADLINE("activeDeadlineSeconds", Some("active_deadline_seconds"), "Deadline", "", Job,
            Integer(1..=MAX_SECONDS as i64)),
        #[serde(skip_serializing_if = "Option::is_none")]
        active_deadline_seconds: Option<i64>;

        /// The finished object is deleted after this many seconds; its rows stay. Without it, the object is
        /// kept.
        TTL("ttlSecondsAfterFinished", None, "Time to live", "", Job, Integer(0..=MAX_SECONDS as i64)),
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl_seconds_after_finished: Option<i32>;

        /// The class of the query: it is run by the installation whose operator has this class name. Without it, the
        /// query is of the default class, as are installations without a class name. It cannot be changed.
        CLASS_NAME("className", None, "Class", "", Class, Name),
        #[serde(skip_serializing_if = "Option::is_none")]
        class_name: Option<String>;
    }
}

/// The default of `maxResults`.
fn default_max_results() -> i32 {
    8
}

impl ArxivQuerySpec {
    /// The number of unusable answers that are retried before the query fails. The default is that of a
    /// Kubernetes Job.
    pub fn backoff_limit(&self) -> i32 {
        self.backoff_limit.unwrap_or(6)
    }
}

/// The field of this name in the spec.
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

impl Field {
    /// Whether it can be the only field of a search.
    pub fn is_search_field(&self) -> bool {
        matches!(self.kind, Words(..) | Identifiers(_))
    }

    /// The value of a field of words, identifiers or dates, in one line.
    pub fn text<'a>(&self, spec: &'a ArxivQuerySpec) -> Option<Cow<'a, str>> {
        match &self.kind {
            Words(_, access) | Date(access) => (access.get)(spec).as_deref().map(Cow::from),
            Identifiers(access) => (access.get)(spec).as_ref().map(|ids| ids.join(",").into()),
            Integer(_) | OneOf(_) | Boolean | Name => None,
        }
    }

    /// Whether Kubernetes fills in a default.
    #[cfg(test)]
    pub(crate) fn has_default(&self) -> bool {
        self.role == SearchWithDefault || matches!(self.name, "suspend" | "priority")
    }

    /// Removes the value of a field of words, identifiers or dates. Whether there was one.
    pub fn clear(&self, spec: &mut ArxivQuerySpec) -> bool {
        match &self.kind {
            Words(_, access) | Date(access) => (access.get_mut)(spec).take().is_some(),
            Identifiers(access) => (access.get_mut)(spec).take().is_some(),
            Integer(_) | OneOf(_) | Boolean | Name => false,
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
            Words(..) | Date(_) | Name => json!("x"),
            Identifiers(_) => json!(["x"]),
            Integer(range) => json!(range.end()),
            OneOf(words) => json!(words.last()),
            Boolean => json!(true),
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
            let OneOf(words) = &field.kind else { continue };
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
