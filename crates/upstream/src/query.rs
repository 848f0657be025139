//! From the spec of an `ArxivQuery` to a search that can be sent: the conversion that both binaries use.
//!
//! The schema refuses most bad specs already. The rest (an object from before a stricter schema, a value of
//! nothing but separators) ends here, so that no later step can fail on input.

use std::ops::RangeInclusive;

use arxiv::{ValidatedSearch, clause};
use crd::{
    ArxivQuerySpec, ArxivSearch, SEARCH_FIELDS, SortBy, SortOrder,
    fields::{self, Field, Kind, MAX_DATE_CHARS, MAX_ID_CHARS, MAX_IDS, MAX_WORDS_CHARS},
};
use jiff::{Timestamp, tz::TimeZone};
use paper::normalized_id;
use wire::dates::{self, RangeEnd};

/// A search that can be sent, with its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedQuery {
    /// What to search for.
    pub search: ValidatedSearch,
    /// The number of papers to skip.
    pub start: u32,
    /// The most papers to fetch.
    pub max_results: u32,
    /// Only papers that were updated at this time or later are wanted; they are sorted by it, newest first. arXiv itself
    /// cannot filter by it: its filter of that name takes the date of submission.
    pub updated_after: Option<Timestamp>,
    /// Only papers that were submitted at this time or later are found: this is part of the search.
    pub submitted_after: Option<Timestamp>,
    /// Only papers that were submitted at this time or earlier are found: this is part of the search.
    pub submitted_before: Option<Timestamp>,
}

/// Why a spec is not a search that can be sent, with the name of the field in the spec. The text is meant for
/// the user who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is nothing to search for.
    #[error("At least one search parameter must be provided")]
    NoField,
    /// A value has only white space in it.
    #[error("{0} must not be blank")]
    Blank(&'static str),
    /// A value is longer than [`MAX_WORDS_CHARS`].
    #[error("{0} must have at most {MAX_WORDS_CHARS} characters")]
    TooLong(&'static str),
    /// A value has a control character, a line break for example.
    #[error("{0} must not contain control characters")]
    ControlCharacter(&'static str),
    /// A value has only punctuation.
    #[error("{0} has no word to search for")]
    NothingToSearch(&'static str),
    /// There are more identifiers than [`MAX_IDS`].
    #[error("idList must have at most {MAX_IDS} identifiers")]
    TooManyIds,
    /// The entry of the list with this position, from 0, is not an identifier.
    #[error("idList has an entry that is no arXiv identifier, number {}", .0 + 1)]
    NoIdentifier(usize),
    /// A date cannot be parsed.
    #[error("{0} must be a date, as 2024-01-31, or a date and time of RFC 3339, as 2024-01-31T12:30:00Z")]
    NotADate(&'static str),
    /// No paper can have this date.
    #[error("{0} must be a date from 1900 to 2199")]
    NoDateOfPapers(&'static str),
    /// There is no time between the two dates.
    #[error("submittedAfter must be before submittedBefore")]
    DatesOutOfOrder,
    /// The papers do not come in the order of their updates.
    #[error("updatedAfter needs sortBy: LastUpdatedDate and sortOrder: Descending")]
    NotSortedByUpdate,
    /// A number is outside this range.
    #[error("{} must be {} to {}", .0, .1.start(), .1.end())]
    OutOfRange(&'static str, RangeInclusive<i64>),
}

impl SpecError {
    /// The field's name in the spec; none if the error is about the search as a whole.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Blank(field)
            | Self::TooLong(field)
            | Self::ControlCharacter(field)
            | Self::NothingToSearch(field)
            | Self::NotADate(field)
            | Self::NoDateOfPapers(field)
            | Self::OutOfRange(field, _) => Some(field),
            Self::TooManyIds | Self::NoIdentifier(_) => Some(fields::ID_LIST.name),
            Self::NotSortedByUpdate => Some(fields::UPDATED_AFTER.name),
            Self::NoField | Self::DatesOutOfOrder => None,
        }
    }
}

impl TryFrom<&ArxivQuerySpec> for ValidatedQuery {
    type Error = SpecError;

    fn try_from(spec: &ArxivQuerySpec) -> Result<Self, SpecError> {
        Ok(Self {
            max_results: in_range(&fields::RESULTS, spec.max_results)?,
            start: in_range(&fields::START, spec.start)?,
            updated_after: updated_after(&spec.search)?,
            search: search(&spec.search)?,
            submitted_after: submitted_after(&spec.search)?,
            submitted_before: submitted_before(&spec.search)?,
        })
    }
}

/// Everything that is wrong with a spec, one error for each field. An error of the search as a whole is the
/// last one, and is left out where an invalid field may be its cause.
pub fn problems(spec: &ArxivQuerySpec) -> Vec<SpecError> {
    let mut rest = spec.clone();
    let mut problems = Vec::new();
    while let Err(error) = ValidatedQuery::try_from(&rest) {
        let field = error.field().and_then(fields::field);
        if field.is_some() || problems.is_empty() {
            problems.push(error);
        }
        // The next round finds what is wrong with the other fields.
        if !field.is_some_and(|field| field.clear(&mut rest.search)) {
            break;
        }
    }
    problems
}

fn in_range(field: &Field, value: i32) -> Result<u32, SpecError> {
    let range = match &field.kind {
        Kind::Integer(range) => range.clone(),
        _ => 0..=0,
    };
    let fitting = u32::try_from(value)
        .ok()
        .filter(|_| range.contains(&value.into()));
    fitting.ok_or(SpecError::OutOfRange(field.name, range))
}

fn search(search: &ArxivSearch) -> Result<ValidatedSearch, SpecError> {
    let after = submitted_after(search)?;
    let before = submitted_before(search)?;
    let mut clauses = Vec::new();
    for field in SEARCH_FIELDS {
        if let Kind::Words(prefix, access) = &field.kind
            && let Some(value) = (access.get)(search)
        {
            check(field.name, value)?;
            clauses.push(clause(prefix, value).ok_or(SpecError::NothingToSearch(field.name))?);
        }
    }
    let id_list = id_list(search.id_list.as_deref().unwrap_or_default())?;
    if clauses.is_empty() && id_list.is_empty() {
        return Err(SpecError::NoField);
    }
    clauses.extend(submitted(after, before)?);
    let (sort_by, sort_order) = order(search.sort_by, search.sort_order);
    Ok(ValidatedSearch::new(
        clauses.join(" AND "),
        id_list,
        sort_by,
        sort_order,
    ))
}

fn submitted_after(search: &ArxivSearch) -> Result<Option<Timestamp>, SpecError> {
    let after = search.submitted_after.as_deref();
    date(&fields::SUBMITTED_AFTER, after, RangeEnd::Start)
}

fn submitted_before(search: &ArxivSearch) -> Result<Option<Timestamp>, SpecError> {
    let before = search.submitted_before.as_deref();
    date(&fields::SUBMITTED_BEFORE, before, RangeEnd::End)
}

fn updated_after(search: &ArxivSearch) -> Result<Option<Timestamp>, SpecError> {
    let after = date(
        &fields::UPDATED_AFTER,
        search.updated_after.as_deref(),
        RangeEnd::Start,
    )?;
    let is_sorted = (search.sort_by, search.sort_order) == (SortBy::LastUpdatedDate, SortOrder::Descending);
    if after.is_some() && !is_sorted {
        return Err(SpecError::NotSortedByUpdate);
    }
    Ok(after)
}

/// The order in arXiv's words. Its own order is not sent, as it is not in the queries of the existing service; so a search
/// that asks for it is the same one as a search that does not.
fn order(by: SortBy, order: SortOrder) -> (&'static str, &'static str) {
    if (by, order) == (SortBy::default(), SortOrder::default()) {
        return ("", "");
    }
    let by = match by {
        SortBy::Relevance => "relevance",
        SortBy::LastUpdatedDate => "lastUpdatedDate",
        SortBy::SubmittedDate => "submittedDate",
    };
    let order = match order {
        SortOrder::Descending => "descending",
        SortOrder::Ascending => "ascending",
    };
    (by, order)
}

fn check(field: &'static str, value: &str) -> Result<(), SpecError> {
    if value.chars().count() > MAX_WORDS_CHARS {
        Err(SpecError::TooLong(field))
    } else if value.trim().is_empty() {
        Err(SpecError::Blank(field))
    } else if value.chars().any(char::is_control) {
        Err(SpecError::ControlCharacter(field))
    } else {
        Ok(())
    }
}

/// The identifiers in their short form, each once, in the order in which they were given: arXiv answers in
/// that order.
fn id_list(ids: &[String]) -> Result<String, SpecError> {
    if ids.len() > MAX_IDS {
        return Err(SpecError::TooManyIds);
    }
    let mut list: Vec<String> = Vec::with_capacity(ids.len());
    for (index, typed) in ids.iter().enumerate() {
        let id = normalized_id(typed).filter(|_| typed.len() <= MAX_ID_CHARS);
        let id = id.ok_or(SpecError::NoIdentifier(index))?;
        if !list.contains(&id) {
            list.push(id);
        }
    }
    Ok(list.join(","))
}

fn date(field: &Field, text: Option<&str>, bound: RangeEnd) -> Result<Option<Timestamp>, SpecError> {
    let parse = |text: &str| {
        let seconds = dates::of_search(text, bound).filter(|_| text.len() <= MAX_DATE_CHARS);
        let date = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        date.ok_or(SpecError::NotADate(field.name))
    };
    text.map(parse).transpose()
}

/// The clause for the days of submission. arXiv documents it with both ends, in GMT, to the minute:
/// `submittedDate:[202301010600 TO 202401010600]`.
fn submitted(after: Option<Timestamp>, before: Option<Timestamp>) -> Result<Option<String>, SpecError> {
    if after.is_none() && before.is_none() {
        return Ok(None);
    }
    if after.zip(before).is_some_and(|(after, before)| after >= before) {
        return Err(SpecError::DatesOutOfOrder);
    }
    let end = |field: &Field, date: Option<Timestamp>, open: &str| {
        let Some(date) = date else {
            return Ok(open.to_owned());
        };
        let date = date.to_zoned(TimeZone::UTC);
        // Four digits for the year, and no date that an index could treat as missing.
        let fits = (1900..2200).contains(&date.year());
        fits.then(|| date.strftime("%Y%m%d%H%M").to_string())
            .ok_or(SpecError::NoDateOfPapers(field.name))
    };
    let after = end(&fields::SUBMITTED_AFTER, after, "190001010000")?;
    let before = end(&fields::SUBMITTED_BEFORE, before, "219912312359")?;
    Ok(Some(format!("submittedDate:[{after} TO {before}]")))
}

#[cfg(test)]
mod tests;
