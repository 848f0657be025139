//! The rules that Kubernetes itself enforces on an ArxivQuery, in CEL.
//!
//! Their cost is bounded by the lengths in the schema. `self.?x == oldSelf.?x` would be shorter, but costs over 100 times
//! the budget that CEL has.

use kube::core::Rule;

/// The fields that say what to search for; one of them is needed.
const SEARCH_FIELDS: [&str; 9] = [
    "author",
    "title",
    "journal",
    "abstract",
    "category",
    "comment",
    "reportNumber",
    "all",
    "idList",
];
/// What else tells two searches apart, and may be absent.
const OTHER_OPTIONAL_FIELDS: [&str; 4] = ["submittedAfter", "submittedBefore", "sortBy", "sortOrder"];
/// What Kubernetes fills in, so that it is always there.
const DEFAULTED_FIELDS: [&str; 3] = ["maxResults", "start", "cachePolicy"];

/// An arXiv identifier in every usual form: alone, after `arXiv:`, as an address of its abstract or PDF, as a DOI.
const IDENTIFIER: &str = "(?i)^\\\\s*(arxiv: ?|(https?://)?((www|export)[.])?arxiv[.]org/(abs|pdf|html)/|((https?://)?(dx[.])?doi[.]org/|doi: ?)?10[.]48550/arxiv[.])?\
     ([0-9]{2}(0[1-9]|1[0-2])[.][0-9]{4,5}|[a-z]+(-[a-z]+)?([.][a-z]{2})?/[0-9]{2}(0[1-9]|1[0-2])[0-9]{3})\
     (v[1-9][0-9]{0,2})?([.]pdf)?/?([?#][!-~]*)?\\\\s*$";

/// At least one search field is there.
pub(crate) fn has_search_field() -> Rule {
    let fields: Vec<_> = SEARCH_FIELDS
        .iter()
        .map(|field| format!("has(self.{field})"))
        .collect();
    let names = SEARCH_FIELDS.join(", ");
    Rule::new(format!("[{}].exists(x, x)", fields.join(", ")))
        .message(format!("at least one search field is needed: {names}").as_str())
}

/// What is searched for stays as it is.
pub(crate) fn search_is_fixed() -> Rule {
    let optional = SEARCH_FIELDS.iter().chain(&OTHER_OPTIONAL_FIELDS).map(|field| {
        format!("has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})")
    });
    let defaulted = DEFAULTED_FIELDS
        .iter()
        .map(|field| format!("self.{field} == oldSelf.{field}"));
    let clauses: Vec<_> = optional.chain(defaulted).collect();
    Rule::new(clauses.join(" && ")).message("the search cannot be changed; create a new ArxivQuery")
}

/// The dates are in order.
pub(crate) fn dates_are_in_order() -> Rule {
    Rule::new("!has(self.submittedAfter) || !has(self.submittedBefore) || self.submittedAfter < self.submittedBefore")
        .message("submittedAfter must be before submittedBefore")
}

/// A date that arXiv's four digits of the year can tell, and papers can be of.
pub(crate) fn is_date_of_papers() -> Rule {
    Rule::new("self >= timestamp('1900-01-01T00:00:00Z') && self < timestamp('2200-01-01T00:00:00Z')")
        .message("must be a date from 1900 to 2199")
}

/// There is something in a text besides white space and punctuation, which arXiv's index does not have.
pub(crate) fn has_a_word() -> Rule {
    Rule::new(r"self.matches('[^\\p{Z}\\s[:punct:]]')")
        .message("must not be blank, nor have only punctuation in it")
}

/// No line breaks and the like.
pub(crate) fn has_no_controls() -> Rule {
    Rule::new(r"!self.matches('\\p{Cc}')").message("must not have control characters in it")
}

/// All of the list are arXiv identifiers.
pub(crate) fn are_identifiers() -> Rule {
    Rule::new(format!("self.all(id, id.matches('{IDENTIFIER}'))")).message(
        "must be arXiv identifiers, for example 2401.01234v2 or hep-th/9901001, alone, after arXiv: or in an address",
    )
}
