//! The endpoints by name, and which of them this process serves.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// The paths of the API. `/queries` is two endpoints, GET and POST, that are served together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Endpoint {
    Arxiv,
    Queries,
    Results,
    ArxivApi,
    GetSequence,
    ReadQueries,
    ReadResults,
    WriteQueries,
    WriteResults,
}

use Endpoint::{
    Arxiv, ArxivApi, GetSequence, Queries, ReadQueries, ReadResults, Results, WriteQueries, WriteResults,
};

/// What people's clients call.
pub(crate) const FRONTEND: [Endpoint; 3] = [Arxiv, Queries, Results];
/// What the frontend of the existing service called in turn.
const BACKEND: [Endpoint; 6] = [
    ArxivApi,
    GetSequence,
    ReadQueries,
    ReadResults,
    WriteQueries,
    WriteResults,
];

impl Endpoint {
    /// Whether this is one of those that the existing service kept to itself.
    pub(crate) fn is_backend(self) -> bool {
        BACKEND.contains(&self)
    }

    /// The endpoint's path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Arxiv => "/arxiv",
            Queries => "/queries",
            Results => "/results",
            ArxivApi => "/arxiv-api",
            GetSequence => "/get-sequence",
            ReadQueries => "/read-queries",
            ReadResults => "/read-results",
            WriteQueries => "/write-queries",
            WriteResults => "/write-results",
        }
    }
}

/// The endpoints that this process serves: `all`, `frontend`, `backend`, or a list of endpoints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Served(BTreeSet<Endpoint>);

impl Served {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Endpoint> {
        self.0.iter().copied()
    }

    pub(crate) fn any(&self, endpoints: &[Endpoint]) -> bool {
        endpoints.iter().any(|endpoint| self.0.contains(endpoint))
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.iter().map(Endpoint::path).collect();
        f.write_str(&paths.join(" "))
    }
}

/// A word of `SERVE` that is no endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{0:?} is no endpoint; there are all, frontend, backend{names}", names = names())]
    Unknown(String),
    #[error("no endpoint is named")]
    Nothing,
}

fn names() -> String {
    FRONTEND
        .iter()
        .chain(&BACKEND)
        .fold(String::new(), |names, endpoint| {
            names + ", " + endpoint.path().trim_start_matches('/')
        })
}

impl FromStr for Endpoint {
    type Err = ServeError;

    /// By its path, with or without the slash.
    fn from_str(text: &str) -> Result<Self, ServeError> {
        let name = text.trim_start_matches('/');
        let mut all = FRONTEND.into_iter().chain(BACKEND);
        all.find(|endpoint| endpoint.path().trim_start_matches('/') == name)
            .ok_or_else(|| ServeError::Unknown(text.to_owned()))
    }
}

impl FromStr for Served {
    type Err = ServeError;

    fn from_str(text: &str) -> Result<Self, ServeError> {
        let mut served = BTreeSet::new();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "all" => served.extend(FRONTEND.into_iter().chain(BACKEND)),
                "frontend" => served.extend(FRONTEND),
                "backend" => served.extend(BACKEND),
                name => {
                    served.insert(name.parse()?);
                }
            }
        }
        if served.is_empty() {
            Err(ServeError::Nothing)
        } else {
            Ok(Self(served))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_read() {
        let cases = [
            ("all", 9, "/arxiv /queries /results /arxiv-api"),
            ("frontend", 3, "/arxiv /queries /results"),
            ("backend", 6, "/arxiv-api /get-sequence"),
            ("results,read-results", 2, "/results /read-results"),
            (" /Results, get-sequence ", 2, "/results /get-sequence"),
            ("frontend,arxiv-api", 4, "/arxiv /queries /results /arxiv-api"),
        ];
        for (text, count, start) in cases {
            let served: Served = text.parse().unwrap();
            assert_eq!(served.iter().count(), count, "{text}");
            assert!(served.to_string().starts_with(start), "{text}: {served}");
        }
        for text in ["", ",", "result", "all,x"] {
            assert!(text.parse::<Served>().is_err(), "{text}");
        }
    }
}
