//! The syntax of schedules: that of CronJob, which differs from what the cron library reads.

/// The nicknames, each with its fields.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the five fields: its last value, and the words for some of its values, from `first` on.
struct Field {
    last: u8,
    words: &'static [&'static str],
    first: usize,
}

const FIELDS: [Field; 5] = [
    Field::of_numbers(59),
    Field::of_numbers(23),
    Field::of_numbers(31),
    Field {
        last: 12,
        words: &MONTHS,
        first: 1,
    },
    Field {
        last: 6,
        words: &DAYS,
        first: 0,
    },
];

/// The five fields as numbers, as the cron library reads them; `None` if it has another syntax. Which numbers are there is
/// not looked at.
pub(crate) fn read(text: &str) -> Option<String> {
    let nickname = NICKNAMES.iter().find(|(name, _)| *name == text);
    let text = nickname.map_or(text, |(_, fields)| fields);
    let fields: Vec<_> = text.split(' ').filter(|field| !field.is_empty()).collect();
    if fields.len() != FIELDS.len() {
        return None;
    }
    let read = fields.iter().zip(FIELDS).map(|(text, field)| {
        let parts: Option<Vec<_>> = text.split(',').map(|part| field.part(part)).collect();
        parts.map(|parts| parts.join(","))
    });
    read.collect::<Option<Vec<_>>>().map(|fields| fields.join(" "))
}

impl Field {
    const fn of_numbers(last: u8) -> Self {
        Self {
            last,
            words: &[],
            first: 0,
        }
    }

    /// `*`, `VALUE` or `FROM-TO`, each also with `/STEP`.
    fn part(&self, part: &str) -> Option<String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let range = match (range.split_once('-'), step) {
            (Some((from, to)), _) => format!("{}-{}", self.value(from)?, self.value(to)?),
            (None, _) if matches!(range, "*" | "?") => "*".to_owned(),
            // Up to the last value.
            (None, Some(_)) => format!("{}-{}", self.value(range)?, self.last),
            (None, None) => self.value(range)?.to_string(),
        };
        Some(step.map_or(range.clone(), |step| format!("{range}/{step}")))
    }

    fn value(&self, text: &str) -> Option<usize> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        word.map(|index| index + self.first).or_else(|| number(text))
    }
}

fn number(text: &str) -> Option<usize> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}
