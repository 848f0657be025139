//! CSL-JSON items (<https://docs.citationstyles.org/en/stable/specification.html>, schema csl-data).

use std::io;

use bytes::{BufMut, BytesMut};
use serde::Serialize;

use crate::output::papers::Paper;

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    author: Vec<Name<'a>>,
    #[serde(rename = "container-title", skip_serializing_if = "str::is_empty")]
    container_title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued: Option<Issued>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive_location: Option<&'a str>,
    #[serde(rename = "URL", skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// The whole name: which part is the family name is not known.
#[derive(Serialize)]
struct Name<'a> {
    literal: &'a str,
}

#[derive(Serialize)]
struct Issued {
    #[serde(rename = "date-parts")]
    date_parts: [(u16, u8); 1],
}

/// Writes one item.
pub(super) fn item(buffer: &mut BytesMut, paper: &Paper<'_>) -> io::Result<()> {
    let item = Item {
        id: &paper.key,
        kind: if paper.journal.is_empty() {
            "article"
        } else {
            "article-journal"
        },
        title: paper.title,
        author: paper.authors.iter().map(|literal| Name { literal }).collect(),
        container_title: paper.journal,
        issued: paper.submitted.map(|submitted| Issued {
            date_parts: [submitted],
        }),
        archive: paper.arxiv_id.map(|_| "arXiv"),
        archive_location: paper.arxiv_id,
        url: paper.arxiv_id.map(|id| format!("https://arxiv.org/abs/{id}")),
    };
    Ok(serde_json::to_writer(buffer.writer(), &item)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::papers::tests::result;

    #[test]
    fn item_has_all_known_fields() {
        for (result, expected) in [
            (
                result("Paul Erdős, B", "T", "J", Some("2405.00001v2")),
                r#"{"id":"2405.00001-17","type":"article-journal","title":"T","author":[{"literal":"Paul Erdős"},{"literal":"B"}],"container-title":"J","issued":{"date-parts":[[2024,5]]},"archive":"arXiv","archive_location":"2405.00001","URL":"https://arxiv.org/abs/2405.00001"}"#,
            ),
            (
                result("", "T", "", None),
                r#"{"id":"result-17","type":"article","title":"T"}"#,
            ),
        ] {
            let mut buffer = BytesMut::new();
            item(&mut buffer, &Paper::of(&result)).unwrap();
            assert_eq!(buffer, expected);
        }
    }
}
