//! How the fake arXiv answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How requests are answered. `POST /_control` accepts it as JSON; every field is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The kind of answer.
    pub mode: Mode,
    /// Milliseconds before the response.
    pub delay_ms: u64,
    /// The value of the `Retry-After` header: seconds or a date.
    pub retry_after: Option<String>,
    /// The value of the `Date` header, instead of the current time.
    pub date: Option<String>,
    /// Which of arXiv's two feed formats.
    pub form: FeedFormat,
    /// The number of papers found, and the most that are returned. Without it the total is 1234, and any number is returned.
    pub total: Option<u32>,
    /// Pages after the first claim a total that is larger by three.
    pub drift: bool,
    /// The number of authors of each paper, instead of one to three.
    pub authors: Option<u32>,
    /// Three papers of four have plain ASCII in their titles and their authors' names. Nearly all of arXiv's have; without it none has.
    pub plain: bool,
    /// Titles end with the number of the connection, so that papers can be attributed to a fetch.
    pub numbered: bool,
    /// Applies only to requests for results from this one on; others get no fault.
    pub from_start: u32,
    /// Applies to this many requests; then the default behaviour applies again.
    pub times: Option<u32>,
}

impl Behaviour {
    /// The same search results without a fault.
    pub(super) fn without_faults(&self) -> Self {
        Self {
            form: self.form,
            total: self.total,
            drift: self.drift,
            authors: self.authors,
            plain: self.plain,
            numbered: self.numbered,
            ..Self::default()
        }
    }

    /// The same for a number of requests only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

impl From<Mode> for Behaviour {
    fn from(mode: Mode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }
}

/// The older form (an offset in `updated`, namespaces declared on inner elements) or the one of 2025 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedFormat {
    /// `ArXiv Query: …`.
    #[default]
    Older,
    /// `arXiv Query: …`.
    Newer,
}

/// The kind of answer. Each has a name (see [`Mode::from_str`]); a number means that status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mode {
    /// A feed.
    #[default]
    Ok,
    /// This status with a line of text.
    Status(u16),
    /// A feed without entries, total 0.
    Zero,
    /// A feed without entries, although its total is not 0.
    EmptyPage,
    /// A feed without its last entry, although its total counts it.
    ShortPage,
    /// XML that is not well-formed.
    Malformed,
    /// XML that ends in the middle.
    Truncated,
    /// An HTTP response that ends in the middle.
    Cut,
    /// A web page with status 200.
    Html,
    /// No body.
    Empty,
    /// The connection is closed without a response.
    Close,
    /// A feed after 12 seconds.
    Slow,
    /// A feed without a `Date` header.
    NoDate,
    /// The `Date` header is "yesterday".
    BadDate,
    /// No total in the feed.
    NoTotal,
    /// The total is "many".
    BadTotal,
    /// Entries without authors.
    NoAuthors,
    /// No title of the feed.
    NoTitle,
    /// 301 to another path of this server, where the feed is.
    Redirect,
    /// 301 to itself.
    RedirectLoop,
    /// 301 to another host.
    RedirectElsewhere,
    /// 301 without a `Location`.
    RedirectNowhere,
    /// A feed with one entry titled "Error" about the request, with this status.
    ErrorFeed(u16),
    /// The same about arXiv itself, with status 200.
    InternalErrorFeed,
    /// A feed whose second entry is not well-formed.
    BrokenEntry,
    /// A feed without entries, as if each result were a paper that does not exist: total 1.
    UnknownId,
    /// A feed that is compressed, whether or not that was asked for.
    Gzip,
    /// "Rate exceeded." as text, with this status.
    RateExceeded(u16),
    /// The web page of a cool-down, with status 503.
    CoolDown,
    /// A feed of 100 MB.
    Huge,
    /// A feed that declares and uses its own entity.
    Doctype,
    /// Elements nested ten thousand deep.
    Deep,
    /// A feed declared as plain text.
    WrongType,
}

/// Names in `POST /_control` and in the setups of the wire cases.
const NAMES: [(&str, Mode); 35] = [
    ("ok", Mode::Ok),
    ("zero", Mode::Zero),
    ("empty-page", Mode::EmptyPage),
    ("short-page", Mode::ShortPage),
    ("malformed", Mode::Malformed),
    ("truncated", Mode::Truncated),
    ("cut", Mode::Cut),
    ("html", Mode::Html),
    ("empty", Mode::Empty),
    ("close", Mode::Close),
    ("slow", Mode::Slow),
    ("nodate", Mode::NoDate),
    ("baddate", Mode::BadDate),
    ("nototal", Mode::NoTotal),
    ("badtotal", Mode::BadTotal),
    ("noauthors", Mode::NoAuthors),
    ("notitle", Mode::NoTitle),
    ("redirect", Mode::Redirect),
    ("redirect-loop", Mode::RedirectLoop),
    ("redirect-elsewhere", Mode::RedirectElsewhere),
    ("redirect-nowhere", Mode::RedirectNowhere),
    ("error-200", Mode::ErrorFeed(200)),
    ("error-400", Mode::ErrorFeed(400)),
    ("internal-error", Mode::InternalErrorFeed),
    ("broken-entry", Mode::BrokenEntry),
    ("unknown-id", Mode::UnknownId),
    ("gzip", Mode::Gzip),
    ("rate-200", Mode::RateExceeded(200)),
    ("rate-429", Mode::RateExceeded(429)),
    ("rate-503", Mode::RateExceeded(503)),
    ("cool-down", Mode::CoolDown),
    ("huge", Mode::Huge),
    ("doctype", Mode::Doctype),
    ("deep", Mode::Deep),
    ("wrong-type", Mode::WrongType),
];

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some((_, mode)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*mode);
        }
        match name.parse() {
            Ok(status) if (200..600).contains(&status) => Ok(Self::Status(status)),
            _ => {
                let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                Err(format!(
                    "no such mode: {name} (there are: a status, {})",
                    known.join(", ")
                ))
            }
        }
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.to_string()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.iter().find(|(_, known)| known == self), self) {
            (Some((name, _)), _) => out.write_str(name),
            (None, Self::Status(status) | Self::ErrorFeed(status) | Self::RateExceeded(status)) => {
                write!(out, "{status}")
            }
            (None, _) => write!(out, "{self:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_names_round_trip() {
        for (name, mode) in NAMES {
            assert_eq!(name.parse(), Ok(mode));
            assert_eq!(mode.to_string(), name);
        }
        assert_eq!("503".parse(), Ok(Mode::Status(503)));
        assert!("99".parse::<Mode>().is_err());
        assert!("nonsense".parse::<Mode>().unwrap_err().contains("badtotal"));
    }
}
