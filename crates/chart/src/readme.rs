//! The table of the values, from the comments in `values.yaml`.
//!
//! A comment directly above a key describes it. `## …` begins a section, with the comment lines below it as its text.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Longer defaults are omitted from the table.
const LONGEST_DEFAULT: usize = 70;
const BEGIN: &str = "<!-- values: written by `CHART_UPDATE=1 cargo test -p chart generated` -->\n";
const END: &str = "<!-- end of values -->";

/// The README with the table of these values between its marks.
pub fn with_values(readme: &str, values: &str) -> Result<String> {
    let (before, rest) = readme
        .split_once(BEGIN)
        .context("the README has no mark where the values begin")?;
    let (_, after) = rest
        .split_once(END)
        .context("the README has no mark where the values end")?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(values)?))
}

fn table(text: &str) -> Result<String> {
    let values: Value = serde_saphyr::from_str(text)?;
    let mut out = String::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut path: Vec<(usize, &str, bool)> = Vec::new();
    let mut in_table = false;
    for line in text.lines() {
        let body = line.trim_start();
        if let Some(title) = line.strip_prefix("## ") {
            write!(out, "\n### {title}\n")?;
            (in_table, comment) = (false, vec![]);
        } else if let Some(words) = body.strip_prefix('#') {
            comment.push(words.trim());
        } else if body.is_empty() {
            // A comment that no key follows is the section's text.
            if !comment.is_empty() && !in_table {
                write!(out, "\n{}\n", comment.join(" "))?;
            }
            comment.clear();
        } else if let Some((key, _)) = body.split_once(':').filter(|_| !body.starts_with("- ")) {
            let indent = line.len() - body.len();
            path.retain(|(of, ..)| *of < indent);
            let known = path.iter().any(|(.., described)| *described);
            path.push((indent, key, known || !comment.is_empty()));
            let names: Vec<&str> = path.iter().map(|(_, key, _)| *key).collect();
            let value = names.iter().fold(&values, |value, key| &value[key]);
            if comment.is_empty() {
                if !known && !value.is_object() {
                    bail!("values.yaml: {} has no comment", names.join("."));
                }
                continue;
            }
            if !in_table {
                out.push_str("\n| value | meaning | default |\n|---|---|---|\n");
                in_table = true;
            }
            let meaning = comment.join(" ").replace('|', "\\|");
            writeln!(out, "| `{}` | {meaning} | {} |", names.join("."), default(value))?;
            comment.clear();
        }
    }
    out.push('\n');
    Ok(out)
}

fn default(value: &Value) -> String {
    let text = value.to_string().replace('|', "\\|");
    if text.len() > LONGEST_DEFAULT {
        "see the file".to_owned()
    } else {
        format!("`{text}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_table_has_row_per_comment() {
        let values = "# One.\na: 1\n\n## Section\n# Its text.\n\nb:\n  # Two\n  # lines | here.\n  c: {d: x}\n  # A list.\n  e:\n    - f\n";
        let readme = format!("head\n{BEGIN}old\n{END}\ntail");
        let table = "\n| value | meaning | default |\n|---|---|---|\n| `a` | One. | `1` |\n\n### Section\n\nIts text.\n\n\
            | value | meaning | default |\n|---|---|---|\n| `b.c` | Two lines \\| here. | `{\"d\":\"x\"}` |\n\
            | `b.e` | A list. | `[\"f\"]` |\n\n";
        let written = with_values(&readme, values).unwrap();
        assert_eq!(written, format!("head\n{BEGIN}{table}{END}\ntail"));
        assert_eq!(
            with_values(&written, values).unwrap(),
            written,
            "a second time changes nothing"
        );
    }

    #[test]
    fn values_table_fails_when_value_has_no_comment() {
        let readme = format!("{BEGIN}{END}");
        assert!(
            with_values(&readme, "a:\n  b: 1\n")
                .unwrap_err()
                .to_string()
                .contains("a.b")
        );
        assert!(with_values("", "# One.\na: 1\n").is_err());
    }
}
