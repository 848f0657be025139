//! Several identifiers in one text.

use crate::identifier::{is_space, normalized_id};

/// The identifiers in a text, as they were typed: between them are commas, semicolons or white space. Of what is no
/// identifier, each word is there too.
pub fn typed_ids(text: &str) -> Vec<&str> {
    /// No identifier with what follows it is longer, in bytes.
    const LONGEST: usize = 128;
    let is_id = |text: &str| text.len() <= LONGEST && normalized_id(text).is_some();
    let mut ids = Vec::new();
    for part in text.split([',', ';']) {
        let mut rest = part.trim_matches(is_space);
        while !rest.is_empty() {
            let spaces = rest.char_indices().filter(|(_, c)| is_space(*c));
            let ends: Vec<_> = spaces
                .map(|(at, _)| at)
                .take_while(|at| *at <= LONGEST)
                .chain([rest.len()])
                .collect();
            // The longest, as "Cite as" has a space in it.
            let mut longest = ends.iter().rev();
            let end = longest.find(|end| rest.get(..**end).is_some_and(is_id));
            let (id, after) = rest.split_at(*end.or(ends.first()).unwrap_or(&rest.len()));
            ids.push(id);
            rest = after.trim_start_matches(is_space);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_of_a_text_are_separated_also_where_they_have_spaces() {
        for (text, ids) in [
            (
                "2401.01234, hep-th/9901001v2",
                &["2401.01234", "hep-th/9901001v2"][..],
            ),
            (
                "2401.01234 2401.01235\n2401.01236;2401.01237,",
                &["2401.01234", "2401.01235", "2401.01236", "2401.01237"],
            ),
            (
                "arXiv:2401.01234v2 [cs.LG] arXiv: 2401.01235 [cs.AI] 5 Jan 2024 arXiv 2401.01236",
                &[
                    "arXiv:2401.01234v2 [cs.LG]",
                    "arXiv: 2401.01235 [cs.AI] 5 Jan 2024",
                    "arXiv 2401.01236",
                ],
            ),
            (
                "arXiv preprint arXiv:2401.01234, doi: 10.48550/arXiv.2401.01235",
                &[
                    "arXiv preprint arXiv:2401.01234",
                    "doi: 10.48550/arXiv.2401.01235",
                ],
            ),
            ("2401.01234 two words", &["2401.01234", "two", "words"]),
            (" , ;", &[]),
        ] {
            assert_eq!(typed_ids(text), ids, "{text}");
        }
    }
}
