//! The endpoints by name, and which of them this process serves.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::routes::table::ROUTES;

/// The endpoints that can be served each by itself, in the order of the table. `/queries` is two of the existing
/// service's, GET and POST.
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

impl Endpoint {
    /// All, in the order of their paths in the table.
    pub(crate) fn all() -> BTreeSet<Self> {
        ROUTES.iter().map(|route| route.endpoint).collect()
    }

    /// Whether clients call it; else it is one of those that the frontend of the existing service called in turn.
    pub(crate) fn is_frontend(self) -> bool {
        matches!(self, Self::Arxiv | Self::Queries | Self::Results)
    }

    /// Whether this is one of those that the existing service kept to itself.
    pub(crate) fn is_backend(self) -> bool {
        !self.is_frontend()
    }

    /// The endpoint's path: that of its first row in the table.
    pub(crate) fn path(self) -> &'static str {
        let route = ROUTES.iter().find(|route| route.endpoint == self);
        route.map_or("", |route| route.path)
    }
}

/// The endpoints that this process serves: `all`, `frontend`, `backend`, or a list of endpoints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Served(BTreeSet<Endpoint>);

impl Served {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Endpoint> {
        self.0.iter().copied()
    }

    pub(crate) fn has(&self, endpoint: Endpoint) -> bool {
        self.0.contains(&endpoint)
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

/// A word in `SERVE` that is not an endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{0:?} is no endpoint; there are all, frontend, backend{names}", names = names())]
    Unknown(String),
    #[error("no endpoint is named")]
    Nothing,
}

fn names() -> String {
    Endpoint::all().iter().fold(String::new(), |names, endpoint| {
        names + ", " + endpoint.path().trim_start_matches('/')
    })
}

impl FromStr for Endpoint {
    type Err = ServeError;

    /// By its path, with or without the slash.
    fn from_str(text: &str) -> Result<Self, ServeError> {
        let name = text.trim_start_matches('/');
        let mut all = Endpoint::all().into_iter();
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
                "all" => served.extend(Endpoint::all()),
                "frontend" => served.extend(Endpoint::all().into_iter().filter(|one| one.is_frontend())),
                "backend" => served.extend(Endpoint::all().into_iter().filter(|one| one.is_backend())),
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
    fn served_endpoints_are_parsed() {
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
