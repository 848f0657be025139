//! Classes: which installation runs a query. As those of Ingress: a query names its class, an installation is of one.

use crate::{FINISHED, UNFINISHED, fields::MAX_NAME_CHARS, is_dns_label};

/// The name of the class of queries without `spec.className`.
pub const DEFAULT_CLASS: &str = "";

/// Reads the setting of a process: empty for the default class, else a DNS label.
pub fn class_name(text: &str) -> Result<String, &'static str> {
    if text == DEFAULT_CLASS || text.len() <= MAX_NAME_CHARS && is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err("must be lower-case letters, digits and inner hyphens, at most 40")
    }
}

/// Field selector for the objects of a class. Empty, it selects those without `spec.className`.
pub fn class_selector(class: &str) -> String {
    format!("spec.className={class}")
}

/// Field selector for the unfinished objects of a class.
pub fn unfinished_selector(class: &str) -> String {
    format!("{UNFINISHED},{}", class_selector(class))
}

/// Field selector for the finished objects of a class.
pub fn finished_selector(class: &str) -> String {
    format!("{FINISHED},{}", class_selector(class))
}

/// The class, for people.
pub fn class_words(class: &str) -> String {
    if class == DEFAULT_CLASS {
        "the default class".to_owned()
    } else {
        format!("the class {class}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Phase;

    #[test]
    fn class_name_is_empty_or_a_dns_label() {
        for name in ["", "a", "team-a", "0", &"a".repeat(40)] {
            assert_eq!(class_name(name).as_deref(), Ok(name));
        }
        for name in ["A", "-a", "a-", "a.b", "a b", "ä", "a,b=c", &"a".repeat(41)] {
            assert!(class_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn every_phase_is_selected_as_finished_or_unfinished() {
        for phase in Phase::WORDS {
            let is_excluded = |selector: &str| {
                selector
                    .split(',')
                    .any(|one| one == format!("status.phase!={phase}"))
            };
            let (unfinished, finished) = (unfinished_selector("a"), finished_selector("a"));
            assert_ne!(is_excluded(&unfinished), is_excluded(&finished), "{phase}");
        }
    }
}
