//! The client of a request: an authenticated user, or an address.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The client of a request as far as it is known from its connection and its headers; in the request's extensions.
#[derive(Clone, Debug)]
pub struct ClientAddress(pub(crate) Client, pub(crate) SentTo);

/// Where the client sent a request, as trusted proxies say who have changed it on the way; empty without them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SentTo {
    /// Host names with their ports, as in `Host`.
    pub(crate) hosts: Vec<String>,
    /// Whether it came over TLS at first.
    pub(crate) over_tls: bool,
}

/// The connection of a request has TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

/// The client of a request, as limits and idempotency keys distinguish clients; in the request's extensions.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Client(Arc<str>);

impl Client {
    /// An authenticated user of Kubernetes.
    pub(crate) fn user(name: &str) -> Self {
        Self(format!("user:{name}").into())
    }

    /// A client known only by its address. Of an IPv6 address the first 64 bits count: every customer has a network of at
    /// least this size.
    pub(crate) fn at(address: IpAddr) -> Self {
        let key = match address.to_canonical() {
            IpAddr::V4(address) => format!("address:{address}"),
            IpAddr::V6(address) => {
                let network = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64));
                format!("address:{network}/64")
            }
        };
        Self(key.into())
    }

    /// The user's name, if this is one.
    pub(crate) fn user_name(&self) -> Option<&str> {
        self.0.strip_prefix("user:")
    }

    /// `user:NAME` or `address:ADDRESS`.
    pub(crate) fn key(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_of_ipv6_is_its_64_bit_network() {
        let cases = [
            ("192.0.2.1", "address:192.0.2.1"),
            ("::ffff:192.0.2.1", "address:192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::1", "address:2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "address:2001:db8:1:3::/64"),
        ];
        for (address, key) in cases {
            assert_eq!(Client::at(address.parse().unwrap()).key(), key);
        }
        assert_eq!(Client::user("192.0.2.1").key(), "user:192.0.2.1");
        assert_eq!(Client::user("a:b").user_name(), Some("a:b"));
        assert_eq!(Client::at([192, 0, 2, 1].into()).user_name(), None);
    }
}
