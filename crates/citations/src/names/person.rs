//! The name of a person in its parts.

use super::Name;

/// The parts of a name; what it does not have is empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Person {
    /// The names before the family name.
    pub(crate) given: String,
    /// A particle in lower case that belongs to the family name, and that lists do not sort by: `van der`.
    pub(crate) particle: String,
    pub(crate) family: String,
    /// `Jr.`, `III`.
    pub(crate) suffix: String,
}

/// Particles of family names in lower case.
const PARTICLES: [&str; 48] = [
    "'s", "'t", "af", "al", "am", "an", "auf", "aus", "av", "ben", "bin", "bint", "d'", "da", "dal", "dalla",
    "das", "de", "de'", "degli", "dei", "del", "della", "delle", "dello", "den", "der", "des", "di", "do",
    "dos", "du", "el", "ibn", "la", "las", "le", "les", "lo", "los", "ten", "ter", "van", "vom", "von", "zu",
    "zum", "zur",
];
/// The same with a capital letter: parts of the family name. Others, such as Di and La, are given names too.
const CAPITALIZED: [&str; 22] = [
    "Ben", "Da", "Dal", "De", "Del", "Della", "Den", "Der", "Des", "Di", "Dos", "Du", "El", "La", "Le", "Lo",
    "Los", "Mac", "Ten", "Ter", "Van", "Von",
];
/// Words between two family names.
const BETWEEN: [&str; 3] = ["y", "e", "i"];
/// Words after a family name that belong to it.
const AFTER: [&str; 6] = ["Filho", "Junior", "Júnior", "Neto", "Netto", "Sobrinho"];

/// Whether this is what follows a name, without being a name.
pub(super) fn is_suffix(text: &str) -> bool {
    let bare = text.trim_end_matches('.').to_ascii_lowercase();
    ["jr", "jnr", "sr", "snr", "2nd", "3rd", "4th"].contains(&bare.as_str())
        || ["II", "III", "IV"].contains(&text.trim_end_matches('.'))
}

/// Whether this is a degree, which is no part of a name.
pub(super) fn is_degree(text: &str) -> bool {
    let letters = text.replace('.', "").to_ascii_lowercase();
    ["phd", "msc", "dsc", "mphil", "esq"].contains(&letters.as_str()) || text == "M.D."
}

/// The parts of a name, if they are certain.
pub(super) fn parse(name: &str) -> Name {
    let parts: Vec<_> = name
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty() && !is_degree(part))
        .collect();
    let parsed = match *parts.as_slice() {
        [name] => in_order(name),
        [name, suffix] if is_suffix(suffix) => in_order(name).map(|person| Person {
            suffix: suffix.to_owned(),
            ..person
        }),
        [family, given] => inverted(family, given, ""),
        [family, suffix, given] if is_suffix(suffix) => inverted(family, given, suffix),
        _ => None,
    };
    parsed.map_or_else(|| Name::Whole(name.to_owned()), Name::Person)
}

/// `Donald E. Knuth`
fn in_order(name: &str) -> Option<Person> {
    let mut words: Vec<_> = name.split_whitespace().collect();
    words.pop_if(|last| is_degree(last));
    let mut suffix = "";
    if let Some(last) = words.last().copied()
        && words.len() > 1
        && is_suffix(last)
    {
        words.pop();
        suffix = last;
    }
    if words.iter().any(|word| is_no_word(word)) {
        return None;
    }
    let east_asian = |word: &&str| word.chars().all(is_east_asian);
    let begins = match *words.as_slice() {
        [family, given] if words.iter().all(east_asian) => {
            return Some(Person {
                given: given.to_owned(),
                family: family.to_owned(),
                ..Person::default()
            });
        }
        [] | [_] => return None,
        [.., last] if is_initial(last) || words.iter().any(east_asian) => return None,
        _ => family_begins(&words),
    };
    let (given, family) = words.split_at_checked(begins)?;
    let mut person = with_particle(family);
    person.given = given.join(" ");
    suffix.clone_into(&mut person.suffix);
    Some(person)
}

/// `Knuth, Donald E.`
fn inverted(family: &str, given: &str, suffix: &str) -> Option<Person> {
    let words: Vec<_> = family.split_whitespace().collect();
    if [family, given]
        .iter()
        .any(|part| part.split_whitespace().any(is_no_word))
    {
        return None;
    }
    Some(Person {
        given: given.split_whitespace().collect::<Vec<_>>().join(" "),
        suffix: suffix.to_owned(),
        ..with_particle(&words)
    })
}

/// The index of the family name's first word.
fn family_begins(words: &[&str]) -> usize {
    let last = words.len().saturating_sub(1);
    let word = |n: usize| words.get(n).copied().unwrap_or_default();
    if let Some(first) = (0..last).find(|n| PARTICLES.contains(&word(*n))) {
        // "Van den Broeck"
        let is_part = first > 1 && CAPITALIZED.contains(&word(first - 1));
        return if is_part { first - 1 } else { first };
    }
    let mut begins = if last > 1 && AFTER.contains(&word(last)) {
        last - 1
    } else {
        last
    };
    if begins > 2 && BETWEEN.contains(&word(begins - 1)) {
        begins -= 2;
    }
    while begins > 1 && CAPITALIZED.contains(&word(begins - 1)) {
        begins -= 1;
    }
    begins
}

fn with_particle(family: &[&str]) -> Person {
    let particles = family
        .iter()
        .take(family.len().saturating_sub(1))
        .take_while(|word| PARTICLES.contains(word))
        .count();
    let (particle, family) = family.split_at_checked(particles).unwrap_or_default();
    Person {
        particle: particle.join(" "),
        family: family.join(" "),
        ..Person::default()
    }
}

/// Whether a name with this word is no person's, or that of several.
fn is_no_word(word: &str) -> bool {
    ["and", "&", "und", "et"].contains(&word) || word.contains(|c: char| c.is_ascii_digit())
}

/// `V`, `V.`, `J.-P.`
fn is_initial(word: &str) -> bool {
    word.split(['.', '-'])
        .all(|part| part.chars().filter(|c| c.is_alphabetic()).count() < 2)
}

/// Han, kana and Hangul.
fn is_east_asian(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3005}'..='\u{30ff}' | '\u{3130}'..='\u{318f}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
