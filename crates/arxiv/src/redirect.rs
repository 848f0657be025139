//! Which redirects are followed: to the same host, or from http to https there.

use url::Url;

/// Why a redirect is not followed. The text completes "arXiv's answer is a redirect …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It has no target, or an unreadable one.
    #[error("that leads nowhere")]
    NoTarget,
    /// It leads to another host, to another port, to a user, or away from https.
    #[error("that leads elsewhere")]
    Elsewhere,
    /// It leads to itself, or there were too many.
    #[error("too many")]
    TooMany,
}

/// The target of a redirect from `from`.
pub(crate) fn target(from: &Url, location: Option<&str>) -> Result<Url, RedirectError> {
    let location = location
        .filter(|location| !location.is_empty())
        .ok_or(RedirectError::NoTarget)?;
    let mut to = from.join(location).map_err(|_| RedirectError::NoTarget)?;
    to.set_fragment(None);
    let same_origin =
        to.scheme() == from.scheme() && to.port_or_known_default() == from.port_or_known_default();
    let upgrade = from.scheme() == "http" && to.scheme() == "https";
    let same_user = to.username() == from.username() && to.password() == from.password();
    if to.host() != from.host() || !(same_origin || upgrade) || !same_user {
        return Err(RedirectError::Elsewhere);
    }
    if to == *from {
        return Err(RedirectError::TooMany);
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_to_another_host_is_refused() {
        let from: Url = "http://export.arxiv.org/api/query?search_query=x"
            .parse()
            .unwrap();
        let cases = [
            (
                Some("/api/v2?search_query=x"),
                Ok("http://export.arxiv.org/api/v2?search_query=x"),
            ),
            (
                Some("https://export.arxiv.org/api/query?q"),
                Ok("https://export.arxiv.org/api/query?q"),
            ),
            (
                Some("https://export.arxiv.org:8443/"),
                Ok("https://export.arxiv.org:8443/"),
            ),
            (Some("//EXPORT.arxiv.org:80/a#b"), Ok("http://export.arxiv.org/a")),
            (Some("http://arxiv.org/api/query"), Err(RedirectError::Elsewhere)),
            (
                Some("http://export.arxiv.org.evil.org/"),
                Err(RedirectError::Elsewhere),
            ),
            (
                Some("http://export.arxiv.org@evil.org/"),
                Err(RedirectError::Elsewhere),
            ),
            (
                Some("http://user:secret@export.arxiv.org/"),
                Err(RedirectError::Elsewhere),
            ),
            (
                Some("http://export.arxiv.org:6443/"),
                Err(RedirectError::Elsewhere),
            ),
            (Some("file:///etc/passwd"), Err(RedirectError::Elsewhere)),
            (Some("?search_query=x"), Err(RedirectError::TooMany)),
            (Some("http://[/"), Err(RedirectError::NoTarget)),
            (Some(""), Err(RedirectError::NoTarget)),
            (None, Err(RedirectError::NoTarget)),
        ];
        for (location, expected) in cases {
            let expected = expected.map(|url| url.parse::<Url>().unwrap());
            assert_eq!(target(&from, location), expected, "{location:?}");
        }
        let secure: Url = "https://export.arxiv.org/".parse().unwrap();
        assert_eq!(
            target(&secure, Some("http://export.arxiv.org/a")),
            Err(RedirectError::Elsewhere)
        );
    }
}
