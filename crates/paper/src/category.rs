//! arXiv's categories (<https://arxiv.org/category_taxonomy>), in arXiv's own case.

use std::borrow::Cow;

/// The archives whose subject classes are in capitals (`math.CO`); those of others are not (`cond-mat.soft`).
const CAPITALS: [&str; 9] = [
    "astro-ph", "cs", "econ", "eess", "math", "nlin", "q-bio", "q-fin", "stat",
];

/// The category as arXiv writes it: `math.CO` for `MATH.co`. Its search and its feeds distinguish them. What follows the
/// archive may be a pattern (`math.*`), and what is not a category stays as it is.
pub fn canonical_category(typed: &str) -> Cow<'_, str> {
    let is_words = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphabetic() || b"-*".contains(&b))
    };
    let Some((archive, class)) = typed.split_once('.') else {
        return if is_words(typed) {
            Cow::Owned(typed.to_ascii_lowercase())
        } else {
            typed.into()
        };
    };
    // The classes of ACM and of the AMS, which some feeds have too, have digits: `I.2.6`.
    if !is_words(archive) || !is_words(class) {
        return typed.into();
    }
    let archive = archive.to_ascii_lowercase();
    let class = if CAPITALS.contains(&archive.as_str()) {
        class.to_ascii_uppercase()
    } else {
        class.to_ascii_lowercase()
    };
    Cow::Owned(format!("{archive}.{class}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_is_written_in_arxivs_case() {
        for (typed, canonical) in [
            ("math.co", "math.CO"),
            ("MATH.CO", "math.CO"),
            ("Math.Co", "math.CO"),
            ("math.*", "math.*"),
            ("CS.lg", "cs.LG"),
            ("astro-ph.ga", "astro-ph.GA"),
            ("ASTRO-PH", "astro-ph"),
            ("Cond-Mat.Mes-Hall", "cond-mat.mes-hall"),
            ("PHYSICS.ACC-PH", "physics.acc-ph"),
            ("HEP-TH", "hep-th"),
            ("math", "math"),
            ("q-Bio.bm", "q-bio.BM"),
            ("CMP-LG", "cmp-lg"),
            ("Alg-Geom", "alg-geom"),
            ("MATH*", "math*"),
            ("CS.l*", "cs.L*"),
            ("05C; 68R", "05C; 68R"),
            ("I.2.6", "I.2.6"),
            ("68T05", "68T05"),
            ("", ""),
        ] {
            assert_eq!(canonical_category(typed), canonical, "{typed}");
        }
    }
}
