//! The rules that Kubernetes itself enforces on an ArxivQuery, in CEL.
//!
//! The lengths in the schema bound their cost. `self.?x == oldSelf.?x` would be shorter, but costs over 100
//! times the budget that CEL has.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;
use kube::core::Rule;

use crate::fields::{FIELDS, Role};

/// An arXiv identifier in every usual form: alone, after `arXiv:`, as an address of its abstract or PDF, as a
/// DOI.
const IDENTIFIER: &str = "(?i)^\\\\s*(arxiv: ?|(https?://)?((www|export)[.])?arxiv[.]org/(abs|pdf|html)/|((https?://)?(dx[.])?doi[.]org/|doi: ?)?10[.]48550/arxiv[.])?\
     ([0-9]{2}(0[1-9]|1[0-2])[.][0-9]{4,5}|[a-z]+(-[a-z]+)?([.][a-z]{2})?/[0-9]{2}(0[1-9]|1[0-2])[0-9]{3})\
     (v[1-9][0-9]{0,2})?([.]pdf)?/?([?#][!-~]*)?\\\\s*$";

/// At least one search field has a value.
pub(crate) fn has_search_field() -> Rule {
    let names: Vec<_> = FIELDS
        .iter()
        .filter(|field| field.is_search_field())
        .map(|field| field.name)
        .collect();
    let present: Vec<_> = names.iter().map(|name| format!("has(self.{name})")).collect();
    Rule::new(format!("[{}].exists(x, x)", present.join(", ")))
        .message(format!("at least one search field is needed: {}", names.join(", ")).as_str())
}

/// The search does not change.
pub(crate) fn search_is_fixed() -> Rule {
    let of_role = |role| {
        FIELDS
            .iter()
            .filter(move |field| field.role == role)
            .map(|field| field.name)
    };
    let optional = of_role(Role::Search).map(|field| {
        format!("has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})")
    });
    let defaulted = of_role(Role::SearchWithDefault).map(|field| format!("self.{field} == oldSelf.{field}"));
    let clauses: Vec<_> = optional.chain(defaulted).collect();
    Rule::new(clauses.join(" && ")).message("the search cannot be changed; create a new ArxivQuery")
}

/// The dates are in order.
pub(crate) fn dates_are_in_order() -> Rule {
    Rule::new("!has(self.submittedAfter) || !has(self.submittedBefore) || self.submittedAfter < self.submittedBefore")
        .message("submittedAfter must be before submittedBefore")
}

/// A date that arXiv's index can hold: its years have four digits.
pub(crate) fn is_date_of_papers() -> ValidationRule {
    rule(
        "self >= timestamp('1900-01-01T00:00:00Z') && self < timestamp('2200-01-01T00:00:00Z')",
        "must be a date from 1900 to 2199",
    )
}

/// The text has more than white space and punctuation, which arXiv's index does not hold.
pub(crate) fn has_a_word() -> ValidationRule {
    rule(
        r"self.matches('[^\\p{Z}\\s[:punct:]]')",
        "must not be blank, nor have only punctuation in it",
    )
}

/// The text has no line breaks and other control characters.
pub(crate) fn has_no_controls() -> ValidationRule {
    rule(
        r"!self.matches('\\p{Cc}')",
        "must not have control characters in it",
    )
}

/// Every entry of the list is an arXiv identifier.
pub(crate) fn are_identifiers() -> ValidationRule {
    rule(
        format!("self.all(id, id.matches('{IDENTIFIER}'))"),
        "must be arXiv identifiers, for example 2401.01234v2 or hep-th/9901001, alone, after arXiv: or in an address",
    )
}

fn rule(rule: impl Into<String>, message: &str) -> ValidationRule {
    ValidationRule {
        rule: rule.into(),
        message: Some(message.to_owned()),
        ..ValidationRule::default()
    }
}
