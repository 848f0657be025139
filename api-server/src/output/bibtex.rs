//! BibTeX entries. Texts are plain text, not TeX: all characters with a meaning in TeX are escaped, so that no title can run
//! a command; braces, which BibTeX counts even if they are escaped, are written as commands.

use bytes::{BufMut, BytesMut};

use crate::output::papers::Paper;

/// Writes one entry, with its line break.
pub(super) fn entry(buffer: &mut BytesMut, paper: &Paper<'_>) {
    let kind = if paper.journal.is_empty() {
        "misc"
    } else {
        "article"
    };
    buffer.put_slice(format!("@{kind}{{{}", paper.key).as_bytes());
    let authors: Vec<_> = paper.authors.iter().map(|name| name_of(name)).collect();
    field(buffer, "author", &authors.join(" and "));
    // Another pair of braces keeps the title's capitals.
    let title = escaped(paper.title);
    if !title.is_empty() {
        field(buffer, "title", &format!("{{{title}}}"));
    }
    field(buffer, "journal", &escaped(paper.journal));
    if let Some((year, month)) = paper.submitted {
        field(buffer, "year", &year.to_string());
        field(buffer, "month", &month.to_string());
    }
    if let Some(id) = paper.arxiv_id {
        field(buffer, "eprint", &escaped(id));
        field(buffer, "archivePrefix", "arXiv");
        field(
            buffer,
            "primaryClass",
            &escaped(paper.category.unwrap_or_default()),
        );
        field(buffer, "url", &format!("https://arxiv.org/abs/{}", escaped(id)));
    }
    buffer.put_slice(b"\n}\n");
}

fn field(buffer: &mut BytesMut, name: &str, value: &str) {
    if !value.is_empty() {
        buffer.put_slice(format!(",\n  {name} = {{{value}}}").as_bytes());
    }
}

/// A name in braces if BibTeX would read it as several names, or split it at its comma.
fn name_of(name: &str) -> String {
    let escaped = escaped(name);
    let is_several = name
        .split_whitespace()
        .any(|word| word.eq_ignore_ascii_case("and"));
    if is_several || name.contains(',') || name.ends_with("Collaboration") {
        format!("{{{escaped}}}")
    } else {
        escaped
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '{' => escaped.push_str("\\textbraceleft{}"),
            '}' => escaped.push_str("\\textbraceright{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '$' | '&' | '%' | '#' | '_' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::papers::tests::result;

    fn written(author: &str, title: &str, journal: &str, id: Option<&str>) -> String {
        let result = result(author, title, journal, id);
        let mut buffer = BytesMut::new();
        entry(&mut buffer, &Paper::of(&result));
        String::from_utf8(buffer.to_vec()).unwrap()
    }

    #[test]
    fn entry_has_all_known_fields() {
        assert_eq!(
            written(
                "Paul Erdős, H1 Collaboration",
                "On $x_1$ & more",
                "Phys. Rev. D 1",
                Some("hep-ex/0307015v1")
            ),
            "@article{hep-ex-0307015-17,\n  author = {Paul Erdős and {H1 Collaboration}},\n  \
             title = {{On \\$x\\_1\\$ \\& more}},\n  journal = {Phys. Rev. D 1},\n  year = {2003},\n  month = {7},\n  \
             eprint = {hep-ex/0307015},\n  archivePrefix = {arXiv},\n  primaryClass = {math.CO},\n  \
             url = {https://arxiv.org/abs/hep-ex/0307015}\n}\n"
        );
        assert_eq!(
            written("No authors available", "", "", None),
            "@misc{result-17\n}\n"
        );
    }

    #[test]
    fn text_cannot_end_its_field_or_contain_a_command() {
        for text in [
            "}",
            "{{",
            "\\input{/etc/passwd}",
            "a}\n@misc{x",
            "%",
            "\\",
            "100% ~ ^ #",
        ] {
            let entry = written(text, text, text, None);
            let depth = entry.bytes().try_fold(0_i32, |depth, b| match b {
                b'{' => Some(depth + 1),
                b'}' => Some(depth - 1),
                _ => Some(depth),
            });
            assert_eq!(depth, Some(0), "{entry}");
            assert!(!entry.contains("\\input"), "{entry}");
            assert_eq!(entry.matches("\n@").count(), 0, "{entry}");
            assert_eq!(entry.lines().count(), 5, "{entry}");
        }
    }
}
