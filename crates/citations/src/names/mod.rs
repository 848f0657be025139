//! The authors of a paper: people, and groups of them.

mod group;
mod person;

use paper::Author;

use crate::tex::plain_name;
use group::{is_group, split_group};
pub(crate) use person::Person;
use person::{is_degree, is_suffix};

/// An author.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Name {
    /// Somebody whose family name is known.
    Person(Person),
    /// A collaboration, under the name that it has.
    Group(String),
    /// A name whose parts are not certain.
    Whole(String),
}

/// All authors, in the paper's order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Names {
    pub(crate) names: Vec<Name>,
    /// Whether there are more: "et al."
    pub(crate) has_others: bool,
}

impl Names {
    pub(crate) fn of(authors: &[Author]) -> Self {
        let mut names = Self::default();
        for author in authors {
            // A collaboration and its first author may be one text: "LHCb Collaboration: R. Aaij".
            for part in plain_name(&author.name).split(':') {
                names.add(part);
            }
        }
        names
    }

    fn add(&mut self, text: &str) {
        let (text, aside) = without_aside(trimmed(text));
        let (before, group) = split_group(text);
        if let Some(name) = before.map(trimmed).filter(|name| is_name(name)) {
            self.add_one(name);
        }
        if let Some(group) = group {
            self.names.push(Name::Group(group.to_owned()));
        }
        // "T. Gershon (on behalf of the LHCb Collaboration)"
        if let (_, Some(group)) = split_group(aside) {
            self.names.push(Name::Group(group.to_owned()));
        }
    }

    fn add_one(&mut self, name: &str) {
        let lower = name.to_lowercase();
        if is_others(&lower) {
            self.has_others = true;
            return;
        }
        let ends = [" et al.", " et al", " et. al.", " and others"];
        if let Some(shorter) = ends.iter().find_map(|end| lower.strip_suffix(end)) {
            self.has_others = true;
            if let Some(name) = name.get(..shorter.len()) {
                self.names.push(person::parse(trimmed(name)));
            }
            return;
        }
        // A list that was split at each comma has the suffix after its name: "A. A. Alves, Jr."
        if let Some(last) = self.names.last_mut()
            && (is_suffix(name) || is_degree(name))
        {
            match last {
                _ if is_degree(name) => {}
                Name::Person(person) if person.suffix.is_empty() => name.clone_into(&mut person.suffix),
                Name::Whole(whole) => whole.extend([" ", name]),
                Name::Person(_) | Name::Group(_) => {}
            }
            return;
        }
        self.names.push(if is_group(name) {
            Name::Group(name.to_owned())
        } else {
            person::parse(name)
        });
    }
}

/// Whether this stands for further authors: "et al.", "and 512 more authors".
fn is_others(lower: &str) -> bool {
    let known = ["et al", "et al.", "et. al.", "et alii", "others", "and others"];
    let counted = || {
        let (number, rest) = lower.split_once(' ')?;
        let is_number = number.bytes().all(|b| b.is_ascii_digit());
        Some(
            is_number
                && [
                    "others",
                    "more",
                    "more authors",
                    "other authors",
                    "additional authors",
                ]
                .contains(&rest),
        )
    };
    known.contains(&lower) || counted().unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

fn trimmed(text: &str) -> &str {
    let is_mark = |c: char| c.is_whitespace() || ",;:*†‡§¶&".contains(c);
    let text = text.trim_matches(is_mark);
    text.strip_prefix("and ").unwrap_or(text).trim_start()
}

/// A name, and what is said of it in parentheses: an institution, a footnote, for whom it stands.
fn without_aside(text: &str) -> (&str, &str) {
    let mut name = text;
    let mut aside = "";
    while let Some(inside) = name.strip_suffix(')')
        && let Some((before, inside)) = inside.rsplit_once('(')
        && !inside.contains(')')
    {
        if is_name(before) || is_group(inside) || split_group(inside).1.is_some() {
            (name, aside) = (before.trim_end(), if aside.is_empty() { inside } else { aside });
        } else {
            return (inside, aside);
        }
    }
    (name, aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(authors: &[&str]) -> Vec<String> {
        let authors: Vec<_> = authors
            .iter()
            .map(|name| Author {
                name: (*name).to_owned(),
                affiliations: Vec::new(),
            })
            .collect();
        let names = Names::of(&authors);
        let mut shown: Vec<_> = names
            .names
            .iter()
            .map(|name| match name {
                Name::Person(Person {
                    given,
                    particle,
                    family,
                    suffix,
                }) => format!("{particle}|{family}|{suffix}|{given}"),
                Name::Group(name) => format!("{{{name}}}"),
                Name::Whole(name) => format!("[{name}]"),
            })
            .collect();
        if names.has_others {
            shown.push("others".into());
        }
        shown
    }

    #[test]
    fn collaboration_is_one_name_in_every_spelling() {
        for (authors, expected) in [
            (
                &["LHCb Collaboration", ":", "R. Aaij"][..],
                &["{LHCb Collaboration}", "|Aaij||R."][..],
            ),
            (
                &["LHCb collaboration: R. Aaij"],
                &["{LHCb collaboration}", "|Aaij||R."],
            ),
            (&["The ATLAS Collaboration"], &["{The ATLAS Collaboration}"]),
            (
                &["ATLAS and CMS Collaborations"],
                &["{ATLAS and CMS Collaborations}"],
            ),
            (&["for the ALICE Collaboration"], &["{ALICE Collaboration}"]),
            (&["(for the ALICE Collaboration)"], &["{ALICE Collaboration}"]),
            (&["on behalf of the H1 Collaboration"], &["{H1 Collaboration}"]),
            (
                &["T. Gershon on behalf of the LHCb collaboration"],
                &["|Gershon||T.", "{LHCb collaboration}"],
            ),
            (
                &["T. Gershon (for the LHCb Collaboration)"],
                &["|Gershon||T.", "{LHCb Collaboration}"],
            ),
            (&["the CDF Collab."], &["{the CDF Collab.}"]),
            (&["H1 Coll."], &["{H1 Coll.}"]),
            (&["Particle Data Group"], &["{Particle Data Group}"]),
            (&["Gemini Team", "OpenAI"], &["{Gemini Team}", "[OpenAI]"]),
            (&["XENON CONSORTIUM"], &["{XENON CONSORTIUM}"]),
            (&["Collaboration DELPHI"], &["{Collaboration DELPHI}"]),
            (&["B. Coll."], &["|Coll.||B."]),
            (&["J. Doe on behalf of ATLAS"], &["|Doe||J.", "{ATLAS}"]),
            (
                &["J. Doe (for the NA62)", "for ALICE"],
                &["|Doe||J.", "{NA62}", "{ALICE}"],
            ),
            (
                &["J. Doe on behalf of the HERA-B and H1 groups"],
                &["|Doe||J.", "{HERA-B and H1 groups}"],
            ),
            (&[r"NO$\nu$A Collaboration"], &[r"{NO$\nu$A Collaboration}"]),
            (&["The European Space Agency"], &["{The European Space Agency}"]),
            (&["IPPOG collaborators"], &["{IPPOG collaborators}"]),
        ] {
            assert_eq!(shown(authors), expected, "{authors:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_no_author() {
        for (authors, expected) in [
            (&[":", "*", "", "A. Bee"][..], &["|Bee||A."][..]),
            (&["and A. Bee,"], &["|Bee||A."]),
            (&["A. Bee (1)", "C. Dee (MIT)"], &["|Bee||A.", "|Dee||C."]),
            (&["A. Bee", "et al."], &["|Bee||A.", "others"]),
            (&["A. Bee et al."], &["|Bee||A.", "others"]),
            (&["A. A. Alves", "Jr."], &["|Alves|Jr.|A. A."]),
            (&["J. Smith", "III", "B. Cee"], &["|Smith|III|J.", "|Cee||B."]),
            (&["Plato", "Jr."], &["[Plato Jr.]"]),
            (&["H1 Collaboration", "Jr.", "Sr"], &["{H1 Collaboration}"]),
            (&["A. Bee", "Ph.D.", "C. Dee, PhD"], &["|Bee||A.", "|Dee||C."]),
            (
                &["A. Bee$^{1}$", r"C. Dee$^\dagger$", "E. Eff PhD"],
                &["|Bee||A.", "|Dee||C.", "|Eff||E."],
            ),
            (&["A. Bee", "and 512 more authors"], &["|Bee||A.", "others"]),
            (&["A. Bee and others", "et. al."], &["|Bee||A.", "others"]),
        ] {
            assert_eq!(shown(authors), expected, "{authors:?}");
        }
    }

    #[test]
    fn parts_of_a_name_are_known_where_they_are_certain() {
        for (name, expected) in [
            ("Donald E. Knuth", "|Knuth||Donald E."),
            ("A. A. Alves Jr.", "|Alves|Jr.|A. A."),
            ("A. A. Alves, Jr.", "|Alves|Jr.|A. A."),
            ("Alves, Jr., A. A.", "|Alves|Jr.|A. A."),
            ("Knuth, Donald E.", "|Knuth||Donald E."),
            ("John Smith III", "|Smith|III|John"),
            ("Johannes van der Waals", "van der|Waals||Johannes"),
            ("Guy Van den Broeck", "|Van den Broeck||Guy"),
            ("Charles de la Vallée Poussin", "de la|Vallée Poussin||Charles"),
            ("G. 't Hooft", "'t|Hooft||G."),
            ("van Gogh", "van|Gogh||"),
            ("Jean d'Alembert", "|d'Alembert||Jean"),
            ("José Ortega y Gasset", "|Ortega y Gasset||José"),
            ("Luiz da Silva Filho", "da|Silva Filho||Luiz"),
            ("João Silva Filho", "|Silva Filho||João"),
            ("Di Wang", "|Wang||Di"),
            (r"P. Erd\H{o}s", "|Erdős||P."),
            ("R.~Aaij", "|Aaij||R."),
            ("Plato", "[Plato]"),
            ("Senthilkumar V.", "[Senthilkumar V.]"),
            ("毛泽东", "[毛泽东]"),
            ("毛 泽东", "|毛||泽东"),
            ("Иван Петров", "|Петров||Иван"),
            ("B. Adeva and C. Xu", "[B. Adeva and C. Xu]"),
            ("bell hooks", "|hooks||bell"),
        ] {
            assert_eq!(shown(&[name]), [expected], "{name}");
        }
    }
}
