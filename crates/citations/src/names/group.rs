//! Groups among the authors: collaborations, consortia, teams.

/// Words that only names of groups have.
const WORDS: [&str; 37] = [
    "agency",
    "alliance",
    "association",
    "authors",
    "board",
    "center",
    "centre",
    "coalition",
    "collab",
    "collaborators",
    "commission",
    "committee",
    "community",
    "consortia",
    "consortium",
    "contributors",
    "council",
    "department",
    "developers",
    "experiment",
    "facility",
    "foundation",
    "group",
    "groups",
    "initiative",
    "institute",
    "laboratory",
    "network",
    "observatory",
    "organisation",
    "organization",
    "partnership",
    "project",
    "society",
    "survey",
    "team",
    "university",
];
/// Beginnings of the word in several languages: collaboration, Kollaboration, colaboración.
const BEGINNINGS: [&str; 4] = ["collaboration", "collaborazione", "kollaboration", "colabora"];
/// What comes between a person and the group that they speak for.
const FOR: [&str; 6] = [
    "on behalf of the ",
    "on behalf of ",
    "for and on behalf of the ",
    "for the ",
    "representing the ",
    "for ",
];

/// Whether this is the name of a group.
pub(super) fn is_group(name: &str) -> bool {
    let words: Vec<_> = name.split_whitespace().collect();
    words.iter().enumerate().any(|(n, word)| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let is_collaboration = BEGINNINGS.iter().any(|beginning| bare.starts_with(beginning));
        let is_word =
            words.len() > 1 && (WORDS.contains(&bare.as_str()) || bare == "teams" || bare == "projects");
        // Coll is a family name too.
        let is_short = *word == "Coll." && n > 0 && words.iter().take(n).any(|word| is_acronym(word));
        is_collaboration || is_word || is_short
    })
}

fn is_acronym(word: &str) -> bool {
    let capitals = word
        .chars()
        .filter(|c| c.is_uppercase() || c.is_ascii_digit())
        .count();
    capitals > 1 && !word.contains('.')
}

/// A person, and the group that they speak for; either may be all of it.
pub(super) fn split_group(text: &str) -> (Option<&str>, Option<&str>) {
    let lower = text.to_ascii_lowercase();
    for word in FOR {
        let at = if lower.starts_with(word) {
            Some(0)
        } else if word == "for " {
            // It may be a part of the group's name.
            None
        } else {
            lower.find(&format!(" {word}")).map(|at| at + 1)
        };
        let Some(at) = at else { continue };
        let group = text.get(at + word.len()..).unwrap_or_default();
        let before = text.get(..at).unwrap_or_default();
        let group = group.trim();
        let is_named = word.contains("behalf") || is_group(group) || group.split_whitespace().all(is_acronym);
        if is_named && !group.is_empty() && !is_group(before) {
            return (Some(before), Some(group));
        }
    }
    (Some(text), None)
}
