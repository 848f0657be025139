//! What trusted proxies say of a request that came through them: the client's address, and to which host it was sent.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::limits::client::{Client, ClientAddress, SentTo};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The networks of the trusted proxies; none by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

/// The headers in which the proxies write what they know of their client. Only one kind: a proxy that sets one of the two
/// forwards the other as the client sent it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum ForwardedBy {
    #[default]
    /// `X-Forwarded-For: ADDRESS, …`, `X-Forwarded-Host: HOST`, `X-Forwarded-Proto: https`
    XForwardedFor,
    /// `Forwarded: for=ADDRESS;host=HOST;proto=https, …` (RFC 7239)
    Forwarded,
}

/// The clients of requests by their addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientAddresses {
    pub(super) proxies: Arc<Proxies>,
    pub(super) forwarded_by: ForwardedBy,
}

impl ClientAddresses {
    /// The client that sends a request with these headers.
    pub(crate) fn of(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let client = Client::at(self.proxies.client(peer, headers, self.forwarded_by));
        ClientAddress(client, self.proxies.sent_to(peer, headers, self.forwarded_by))
    }

    /// The client of all requests of a peer that is no trusted proxy.
    pub(crate) fn of_peer(&self, peer: IpAddr) -> Option<ClientAddress> {
        let client = self.limited_peer(peer)?;
        Some(ClientAddress(client, SentTo::default()))
    }

    /// The peer as a client, unless it is a trusted proxy, whose connections are those of many clients.
    pub(crate) fn limited_peer(&self, peer: IpAddr) -> Option<Client> {
        (!self.proxies.trust(peer.to_canonical())).then(|| Client::at(peer))
    }
}

impl FromStr for Proxies {
    type Err = String;

    /// A list of networks and addresses, separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let network = |word: &str| {
            let address = || word.parse().map(|address: IpAddr| IpNet::from(address));
            word.parse().or_else(|_| address()).map_err(|_| {
                format!("{word:?} is neither a network like 10.0.0.0/8 or fd00::/8 nor an address")
            })
        };
        words.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl Proxies {
    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client: the peer's, unless that is a trusted proxy. Then it is the last address in the header
    /// that is not a trusted proxy's; entries before that may be forged. An entry that cannot be parsed ends the search at
    /// the proxy that wrote it.
    fn client(&self, peer: IpAddr, headers: &HeaderMap, by: ForwardedBy) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trust(client) {
            return client;
        }
        let (name, parse): (_, fn(&str) -> Option<IpAddr>) = match by {
            ForwardedBy::XForwardedFor => (X_FORWARDED_FOR, address),
            ForwardedBy::Forwarded => (header::FORWARDED, |entry| address(forwarded(entry, "for")?)),
        };
        let lines = headers.get_all(name).into_iter().rev();
        for entry in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
            let Some(address) = parse(entry) else {
                return client;
            };
            client = address;
            if !self.trust(client) {
                return client;
            }
        }
        client
    }

    /// Where the client sent the request, if the peer is a trusted proxy: all hosts that are named, as an entry that a client
    /// has forged is among them.
    fn sent_to(&self, peer: IpAddr, headers: &HeaderMap, by: ForwardedBy) -> SentTo {
        if !self.trust(peer.to_canonical()) {
            return SentTo::default();
        }
        let is_https = |scheme: &str| scheme.eq_ignore_ascii_case("https");
        match by {
            ForwardedBy::XForwardedFor => SentTo {
                hosts: entries(headers, &X_FORWARDED_HOST).map(str::to_owned).collect(),
                over_tls: entries(headers, &X_FORWARDED_PROTO).next().is_some_and(is_https),
            },
            ForwardedBy::Forwarded => {
                let elements = || entries(headers, &header::FORWARDED);
                let hosts = elements().filter_map(|element| forwarded(element, "host"));
                SentTo {
                    hosts: hosts.map(str::to_owned).collect(),
                    over_tls: elements()
                        .find_map(|element| forwarded(element, "proto"))
                        .is_some_and(is_https),
                }
            }
        }
    }
}

/// A value in an element of `Forwarded`.
fn forwarded<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then(|| value.trim().trim_matches('"'))
    })
}

/// The entries of a header that is a list, over all its lines.
fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    // What is no text is an entry that means nothing.
    let entries = lines.flat_map(|line| line.to_str().unwrap_or("?").split(','));
    entries.map(str::trim).filter(|entry| !entry.is_empty())
}

/// An address, with an optional port; IPv6 may be in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: Option<IpAddr> = bare.unwrap_or(text).parse().ok();
    let with_port = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    Some(address.or_else(with_port)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(proxies: &str, peer: &str, by: ForwardedBy, lines: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
            headers.append(header::FORWARDED, HeaderValue::from_static(line));
        }
        let proxies: Proxies = proxies.parse().unwrap();
        proxies.client(peer.parse().unwrap(), &headers, by).to_string()
    }

    #[test]
    fn host_is_the_proxies_where_they_are_trusted() {
        let sent_to = |peer: &str, by, given: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let proxies: Proxies = "10.0.0.0/8".parse().unwrap();
            let SentTo { hosts, over_tls } = proxies.sent_to(peer.parse().unwrap(), &headers, by);
            (hosts.join(" "), over_tls)
        };
        let x = [
            ("x-forwarded-host", "papers.example:8080, gateway"),
            ("x-forwarded-host", "inner"),
            ("x-forwarded-proto", "HTTPS, http"),
            ("forwarded", "host=forged.example;proto=http"),
        ];
        let (found, none) = (
            "papers.example:8080 gateway inner".to_owned(),
            (String::new(), false),
        );
        assert_eq!(
            sent_to("10.0.0.1", ForwardedBy::XForwardedFor, &x),
            (found.clone(), true)
        );
        assert_eq!(
            sent_to("::ffff:10.0.0.1", ForwardedBy::XForwardedFor, &x),
            (found, true)
        );
        assert_eq!(sent_to("192.0.2.1", ForwardedBy::XForwardedFor, &x), none);
        assert_eq!(sent_to("10.0.0.1", ForwardedBy::XForwardedFor, &[]), none);
        let forwarded = [
            (
                "forwarded",
                "for=192.0.2.1;Host=\"papers.example:8080\";proto=https",
            ),
            ("forwarded", "for=10.0.0.2"),
            ("x-forwarded-host", "forged.example"),
        ];
        let found = ("papers.example:8080".to_owned(), true);
        assert_eq!(sent_to("10.0.0.1", ForwardedBy::Forwarded, &forwarded), found);
    }

    #[test]
    fn client_address_is_the_last_one_that_is_not_a_trusted_proxy() {
        let cases: &[(&str, &str, &[&str], &str)] = &[
            ("", "10.0.0.1", &["192.0.2.1"], "10.0.0.1"),
            ("10.0.0.0/8", "192.0.2.9", &["192.0.2.1"], "192.0.2.9"),
            ("10.0.0.0/8", "10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            // The last that is not trusted, over all lines.
            (
                "10.0.0.0/8",
                "10.0.0.1",
                &["6.6.6.6, 192.0.2.1, 10.0.0.2"],
                "192.0.2.1",
            ),
            (
                "10.0.0.0/8",
                "10.0.0.1",
                &["6.6.6.6", "192.0.2.1", "10.0.0.2"],
                "192.0.2.1",
            ),
            ("10.0.0.1", "10.0.0.1", &["192.0.2.1, 10.0.0.2"], "10.0.0.2"),
            (
                "10.0.0.0/8, fd00::/8",
                "fd00::1",
                &["[2001:db8::1]:80, 10.0.0.2:9"],
                "2001:db8::1",
            ),
            ("10.0.0.0/8", "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // An entry that cannot be parsed ends the search.
            (
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1, unknown, 10.0.0.2"],
                "10.0.0.2",
            ),
            ("10.0.0.0/8", "10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1", &[], "10.0.0.1"),
        ];
        for (proxies, peer, lines, expected) in cases {
            let found = client(proxies, peer, ForwardedBy::XForwardedFor, lines);
            assert_eq!(found, *expected, "{proxies} {peer} {lines:?}");
        }
        let forwarded = [
            "for=6.6.6.6, For=\"[2001:db8::1]:47\";proto=http",
            "proto=http; for=10.0.0.2",
        ];
        let found = client("10.0.0.0/8", "10.0.0.1", ForwardedBy::Forwarded, &forwarded);
        assert_eq!(found, "2001:db8::1");
        let hidden = client("10.0.0.0/8", "10.0.0.1", ForwardedBy::Forwarded, &["for=_hidden"]);
        assert_eq!(hidden, "10.0.0.1");
        assert!("10.0.0.0/33".parse::<Proxies>().is_err() && "proxy".parse::<Proxies>().is_err());
    }
}
