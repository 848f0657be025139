//! The endpoints by name, and which of them this process serves.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// The endpoints that can be served each by itself. `/queries` is two of the existing service's, GET and POST.
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

impl Endpoint {
    pub(crate) const FRONTEND: [Self; 3] = [Arxiv, Queries, Results];
    /// Those that the existing service kept to itself: its frontend called them in turn.
    const BACKEND: [Self; 6] = [
        ArxivApi,
        GetSequence,
        ReadQueries,
        ReadResults,
        WriteQueries,
        WriteResults,
    ];

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::FRONTEND.into_iter().chain(Self::BACKEND)
    }

    pub(crate) fn is_backend(self) -> bool {
        Self::BACKEND.contains(&self)
    }

    pub(crate) const fn path(self) -> &'static str {
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

    fn name(self) -> &'static str {
        self.path().trim_start_matches('/')
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
        endpoints.iter().any(|endpoint| self.has(*endpoint))
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.iter().map(Endpoint::path).collect();
        f.write_str(&paths.join(" "))
    }
}

impl FromStr for Served {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut served = BTreeSet::new();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "all" => served.extend(Endpoint::all()),
                "frontend" => served.extend(Endpoint::FRONTEND),
                "backend" => served.extend(Endpoint::BACKEND),
                // With or without the slash.
                word => {
                    let name = word.trim_start_matches('/');
                    let endpoint = Endpoint::all().find(|endpoint| endpoint.name() == name);
                    served.insert(endpoint.ok_or_else(|| {
                        let known: Vec<_> = Endpoint::all().map(Endpoint::name).collect();
                        let known = known.join(", ");
                        format!("{word:?} is no endpoint; there are all, frontend, backend, {known}")
                    })?);
                }
            }
        }
        if served.is_empty() {
            return Err("no endpoint is named".into());
        }
        Ok(Self(served))
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
