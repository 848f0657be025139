//! The inputs of the search form, one for each search field.

use crd::fields::{Field, Kind, MAX_RESULTS, MAX_WORDS_CHARS, SEARCH_FIELDS};

/// A page's text with the inputs in their places; those of the fields `first` before the others.
pub(super) fn filled(page: &str, first: &[&Field]) -> String {
    let is_first = |field: &Field| first.iter().any(|first| first.name == field.name);
    let (first, more): (Vec<_>, Vec<_>) = SEARCH_FIELDS.iter().partition(|field| is_first(field));
    let inputs = |fields: Vec<&Field>| fields.into_iter().filter_map(input).collect::<String>();
    page.replace("{{first-fields}}", &inputs(first))
        .replace("{{more-fields}}", &inputs(more))
        .replace("{{max-results}}", &MAX_RESULTS.to_string())
}

/// A labelled input; none for fields that the form has in another way, or not at all.
fn input(field: &Field) -> Option<String> {
    let name = field.member?;
    let (kind, attributes, hint) = match &field.kind {
        Kind::Words(..) => (
            "words",
            format!(" maxlength=\"{MAX_WORDS_CHARS}\" autocomplete=\"off\" spellcheck=\"false\""),
            "",
        ),
        Kind::Identifiers(_) => (
            "identifiers",
            " autocomplete=\"off\" spellcheck=\"false\" aria-describedby=\"id-hint\"".to_owned(),
            "<small id=\"id-hint\">Separated by commas or spaces</small>",
        ),
        Kind::Date(_) => ("date", " type=\"date\"".to_owned(), ""),
        Kind::Integer(_) | Kind::OneOf(_) | Kind::Boolean | Kind::Name => return None,
    };
    let placeholder = match field.example {
        "" => String::new(),
        example => format!(" placeholder=\"{}\"", example.replace('"', "&quot;")),
    };
    Some(format!(
        "<div class=\"field\"><label for=\"{name}\">{}</label><input id=\"{name}\" name=\"{name}\" \
         data-kind=\"{kind}\"{attributes}{placeholder}>{hint}</div>\n",
        field.label
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_page_has_an_input_for_every_search_field() {
        let page = filled(include_str!("static/index.html"), &[]);
        for field in SEARCH_FIELDS {
            let Some(name) = field.member else { continue };
            let inputs = page
                .matches(&format!("<input id=\"{name}\" name=\"{name}\""))
                .count();
            let selects = page
                .matches(&format!("<select id=\"{name}\" name=\"{name}\""))
                .count();
            match &field.kind {
                Kind::Words(..) | Kind::Identifiers(_) | Kind::Date(_) => assert_eq!(inputs, 1, "{name}"),
                Kind::OneOf(words) => {
                    assert_eq!(selects, 1, "{name}");
                    for word in *words {
                        assert!(
                            page.contains(&format!("<option value=\"{word}\">")),
                            "{name}: {word}"
                        );
                    }
                }
                Kind::Integer(_) | Kind::Boolean | Kind::Name => {}
            }
        }
        assert!(page.contains("max=\"30000\"") && !page.contains("{{more") && !page.contains("{{max"));
    }
}
