//! What to search for: `spec.search` of an `ArxivQuery`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    Access, Field,
    Kind::{Date, Identifiers, OneOf, Words},
    Role::Search,
};
use crate::{
    SortBy, SortOrder,
    schema::{dates_are_in_order, has_search_field, search_is_fixed, updates_are_in_order},
};

macro_rules! access {
    ($field:ident) => {
        Access {
            get: |search| &search.$field,
            get_mut: |search| &mut search.$field,
        }
    };
}

fields! {
    /// The fields of a search.
    SEARCH_FIELDS;

    /// What to search for. A paper is found if it matches all fields that are given; at least one field of words, or
    /// `idList`, is needed. The search cannot be changed: another search is another ArxivQuery.
    #[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
    #[x_kube(
        validation = has_search_field(),
        validation = search_is_fixed(),
        validation = dates_are_in_order(),
        validation = updates_are_in_order()
    )]
    #[serde(rename_all = "camelCase")]
    pub struct ArxivSearch {
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

        /// Only papers whose first version was submitted at this time or later, to the minute. A date and time (RFC
        /// 3339) as `2024-01-31T12:30:00Z`, or a date alone as `2024-01-31`, which means its start in UTC.
        SUBMITTED_AFTER("submittedAfter", Some("submitted_after"), "Submitted after", "", Search,
            Date(access!(submitted_after))),
        #[serde(skip_serializing_if = "Option::is_none")]
        submitted_after: Option<String>;

        /// Only papers whose first version was submitted at this time or earlier, to the minute. A date and time (RFC
        /// 3339) as `2024-01-31T12:30:00Z`, or a date alone as `2024-01-31`, which means its end in UTC.
        SUBMITTED_BEFORE("submittedBefore", Some("submitted_before"), "Submitted before", "", Search,
            Date(access!(submitted_before))),
        #[serde(skip_serializing_if = "Option::is_none")]
        submitted_before: Option<String>;

        /// Only papers whose last version is of this time or later, written as `submittedAfter`. It needs `sortBy:
        /// LastUpdatedDate` in descending order: pages are fetched until all papers of one are older, or `maxResults`
        /// papers were looked at.
        UPDATED_AFTER("updatedAfter", Some("updated_after"), "Updated after", "", Search,
            Date(access!(updated_after))),
        #[serde(skip_serializing_if = "Option::is_none")]
        updated_after: Option<String>;

        /// What papers are sorted by: `Relevance` (how well they match), `LastUpdatedDate` (the date of the last version)
        /// or `SubmittedDate` (the date of the first version).
        SORT_BY("sortBy", Some("sort_by"), "Sort by", "", Search, OneOf(SortBy::WORDS)),
        #[serde(default)]
        sort_by: SortBy;

        /// The direction: `Descending` (the best match or the newest date first) or `Ascending`.
        SORT_ORDER("sortOrder", Some("sort_order"), "Order", "", Search, OneOf(SortOrder::WORDS)),
        #[serde(default)]
        sort_order: SortOrder;
    }
}
