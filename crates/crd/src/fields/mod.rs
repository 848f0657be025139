//! The fields of an `ArxivQuery`'s spec. Each is declared once, with all that is known about it.
//!
//! The schema and the CEL rules of the definition, the queries that are sent, the members of `POST /arxiv`, the
//! parameters of `GET /arxiv`, their OpenAPI descriptions, the summary in lists, the form on the search page
//! and the input of the fuzz target are derived from that.

use std::{borrow::Cow, ops::RangeInclusive};

use self::Kind::{Boolean, Date, Identifiers, Integer, Name, OneOf, Words};

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

/// A field of the spec, or of the search in it.
#[derive(Debug)]
pub struct Field {
    /// The name in the object: `reportNumber`.
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
    /// It is a member of the search, which cannot change as a whole.
    Search,
    /// It says what is stored of the search's result, and cannot change. It has a default, so it is always there.
    Fixed,
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
    /// A date, or a date and time (RFC 3339), at most [`MAX_DATE_CHARS`] characters.
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

/// Reads and writes an optional field of a search.
#[derive(Debug)]
pub struct Access<T: 'static> {
    /// The field's value in a search.
    pub get: fn(&ArxivSearch) -> &Option<T>,
    /// The same, to be changed.
    pub get_mut: fn(&mut ArxivSearch) -> &mut Option<T>,
}

/// A type, and a table with a [`Field`] for each of its members: its documentation, then the name in the
/// object, the name in the REST API, the name for people, an example, role and kind, then the member itself.
/// Members that are declared as `plain` have no row.
macro_rules! fields {
    (#[doc = $of_table:literal] $table:ident;
    $(#[$of_struct:meta])+ pub struct $struct:ident {
        $(plain $(#[$of_plain:meta])+ $plain:ident: $plain_type:ty;)*
        $($(#[doc = $about:literal])+
        $id:ident($name:literal, $member:expr, $label:literal, $example:literal, $role:expr, $kind:expr),
        $(#[$of_member:meta])+
        $field:ident: $type:ty;)+
    }) => {
        $(#[$of_struct])+
        pub struct $struct {
            $($(#[$of_plain])+ pub $plain: $plain_type,)*
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

        #[doc = $of_table]
        pub const $table: &[Field] = &[$($id),+];
    };
}

mod job;
mod search;

pub use job::*;
pub use search::*;

/// The field of this name, in the spec or in its search. No two have the same name.
pub fn field(name: &str) -> Option<&'static Field> {
    SEARCH_FIELDS
        .iter()
        .chain(JOB_FIELDS)
        .find(|field| field.name == name)
}

impl Field {
    /// Whether it can be the only field of a search.
    pub fn is_search_field(&self) -> bool {
        matches!(self.kind, Words(..) | Identifiers(_))
    }

    /// The value of a field of words, identifiers or dates, in one line.
    pub fn text<'a>(&self, search: &'a ArxivSearch) -> Option<Cow<'a, str>> {
        match &self.kind {
            Words(_, access) | Date(access) => (access.get)(search).as_deref().map(Cow::from),
            Identifiers(access) => (access.get)(search).as_ref().map(|ids| ids.join(",").into()),
            Integer(_) | OneOf(_) | Boolean | Name => None,
        }
    }

    /// Removes the value of a field of words, identifiers or dates. Whether there was one.
    pub fn clear(&self, search: &mut ArxivSearch) -> bool {
        match &self.kind {
            Words(_, access) | Date(access) => (access.get_mut)(search).take().is_some(),
            Identifiers(access) => (access.get_mut)(search).take().is_some(),
            Integer(_) | OneOf(_) | Boolean | Name => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::{Map, Value, json};

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

    /// What is written of a value with these members.
    fn written<T: DeserializeOwned + Serialize>(members: Map<String, Value>) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(members.into()).unwrap()).unwrap()
    }

    fn every(fields: &[Field]) -> Map<String, Value> {
        let fields = fields.iter();
        fields
            .map(|field| (field.name.to_owned(), value(field)))
            .collect()
    }

    #[test]
    fn every_field_of_the_object_has_one_row() {
        let search = every(SEARCH_FIELDS);
        assert_eq!(
            written::<ArxivSearch>(search.clone()),
            Value::from(search.clone())
        );
        let mut spec = every(JOB_FIELDS);
        spec.insert("search".to_owned(), search.into());
        assert_eq!(written::<ArxivQuerySpec>(spec.clone()), Value::from(spec));
        for field in SEARCH_FIELDS {
            let mut search: ArxivSearch =
                serde_json::from_value(json!({ field.name: value(field) })).unwrap();
            let text = field.text(&search).is_some();
            assert_eq!(text, field.clear(&mut search), "{}", field.name);
        }
        let names: std::collections::BTreeSet<_> = SEARCH_FIELDS
            .iter()
            .chain(JOB_FIELDS)
            .map(|field| field.name)
            .collect();
        assert_eq!(names.len(), SEARCH_FIELDS.len() + JOB_FIELDS.len());
    }

    #[test]
    fn every_word_of_an_enum_is_one_of_its_values() {
        for (field, is_job) in SEARCH_FIELDS
            .iter()
            .map(|field| (field, false))
            .chain(JOB_FIELDS.iter().map(|field| (field, true)))
        {
            let OneOf(words) = &field.kind else { continue };
            for word in *words {
                let spec = if is_job {
                    json!({"search": {}, field.name: word})
                } else {
                    json!({"search": {field.name: word}})
                };
                assert!(
                    serde_json::from_value::<ArxivQuerySpec>(spec).is_ok(),
                    "{}: {word}",
                    field.name
                );
                assert!(word.starts_with(|c: char| c.is_ascii_uppercase()), "{word}");
            }
        }
    }
}
