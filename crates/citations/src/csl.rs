//! CSL-JSON: <https://docs.citationstyles.org/en/stable/specification.html>, schema csl-data.

use paper::PaperVersion;
use serde_json::{Map, Value, json};

use crate::{
    Options,
    entry::{Entry, text},
    journal::Reference,
    names::{Name, Person},
};

/// A paper as an item.
pub fn csl_json(paper: &PaperVersion, options: Options) -> Value {
    let entry = Entry::of(paper, options);
    let mut item = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(values) => values.is_empty(),
            _ => false,
        };
        if !is_empty {
            item.insert(name.to_owned(), value);
        }
    };
    put("id", json!(entry.key()));
    // The type of preprints is `article`.
    let is_article = entry.is_article();
    put(
        "type",
        json!(if is_article { "article-journal" } else { "article" }),
    );
    put("title", json!(text(&paper.title)));
    put(
        "author",
        json!(entry.authors.names.iter().map(name).collect::<Vec<_>>()),
    );
    match &entry.reference {
        Some(Reference::Article(article)) => {
            put("container-title", json!(text(&article.journal)));
            put("volume", json!(article.volume));
            put("issue", json!(article.issue));
            put("page", json!(article.pages));
            put("note", json!(text(&article.rest)));
        }
        Some(Reference::Text(reference, _)) => put("note", json!(text(reference))),
        None => {}
    }
    put("issued", issued(&entry));
    put("DOI", json!(entry.doi));
    if let Some(id) = &entry.eprint {
        put("archive", json!("arXiv"));
        put("archive_location", json!(id));
        put("number", json!(format!("arXiv:{id}")));
        if !is_article {
            put("publisher", json!("arXiv"));
        }
    }
    put("URL", json!(entry.url()));
    if options.with_version {
        put(
            "version",
            json!(paper.id.version.map(|version| version.to_string())),
        );
    }
    put("keyword", json!(paper.categories.join(", ")));
    put("abstract", json!(text(&paper.abstract_text)));
    Value::Object(item)
}

fn issued(entry: &Entry<'_>) -> Value {
    let Some((year, month, day)) = entry.issued() else {
        return Value::Null;
    };
    let parts = [Some(year), month.map(Into::into), day.map(Into::into)];
    let parts: Vec<i16> = parts.into_iter().flatten().collect();
    json!({"date-parts": [parts]})
}

fn name(name: &Name) -> Value {
    match name {
        Name::Group(name) | Name::Whole(name) => json!({"literal": text(name)}),
        Name::Person(Person {
            given,
            particle,
            family,
            suffix,
        }) => {
            let parts = [
                ("family", family),
                ("given", given),
                ("non-dropping-particle", particle),
                ("suffix", suffix),
            ];
            let known = parts.into_iter().filter(|(_, part)| !part.is_empty());
            Value::Object(known.map(|(name, part)| (name.to_owned(), json!(part))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use paper::{Author, PaperId};

    use super::*;

    #[test]
    fn item_has_all_known_fields() {
        let author = |name: &str| Author {
            name: name.to_owned(),
            affiliations: Vec::new(),
        };
        let mut paper = PaperVersion {
            id: PaperId::of_entry("2405.00001v2"),
            title: r"On $x$ and R\'enyi".into(),
            authors: ["LHCb Collaboration", "Jan van der Berg Jr."].map(author).into(),
            abstract_text: "A.".into(),
            journal: Some("Phys. Rev. D 76 (2025) 1-9".into()),
            doi: Some("10.1103/x".into()),
            categories: vec!["math.CO".into()],
            published: "2024-05-03T00:00:00Z".parse().ok(),
            ..PaperVersion::default()
        };
        let options = Options { with_version: true };
        assert_eq!(
            csl_json(&paper, options),
            json!({
                "id": "berg2024renyi-2405.00001", "type": "article-journal", "title": "On $x$ and Rényi",
                "author": [
                    {"literal": "LHCb Collaboration"},
                    {"family": "Berg", "given": "Jan", "non-dropping-particle": "van der", "suffix": "Jr."},
                ],
                "container-title": "Phys. Rev. D", "volume": "76", "page": "1-9", "issued": {"date-parts": [[2025]]},
                "DOI": "10.1103/x", "archive": "arXiv", "archive_location": "2405.00001v2",
                "number": "arXiv:2405.00001v2", "URL": "https://arxiv.org/abs/2405.00001v2", "version": "2",
                "keyword": "math.CO", "abstract": "A.",
            })
        );
        paper.journal = Some("to appear".into());
        let item = csl_json(&paper, Options::default());
        assert_eq!(item["type"], "article");
        assert_eq!(item["note"], "to appear");
        assert_eq!(item["issued"], json!({"date-parts": [[2024, 5, 3]]}));
        assert_eq!(item["publisher"], "arXiv");
        let unknown = PaperVersion {
            id: PaperId::of_entry("result-17"),
            ..PaperVersion::default()
        };
        let item = json!({"id": "anon-result-17", "type": "article"});
        assert_eq!(csl_json(&unknown, Options::default()), item);
    }
}
