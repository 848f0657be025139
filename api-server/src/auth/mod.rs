//! Access control in front of the endpoints: cross-site requests, authentication, authorization, and the request rate.

mod admission;
pub(crate) mod caller;
pub(crate) mod correlation;
mod hosts;
pub(crate) mod kubernetes;
mod origins;
pub(crate) mod proxies;

use std::{sync::Arc, time::Duration};

use axum::Router;
use service::metrics::Caches;

use crate::{
    auth::admission::AdmissionLayer,
    auth::hosts::AllowedHosts,
    auth::kubernetes::{KubernetesAuth, ProtectedEndpoints},
    auth::origins::Origins,
    auth::proxies::{ClientAddresses, ForwardedBy, Proxies},
    limits::rate::RateLimiter,
    limits::slots::Slots,
};

/// Settings of access control.
#[derive(clap::Args)]
pub(crate) struct AccessArgs {
    /// Which endpoints require a Kubernetes token: off, backend, or all. Callers send `Authorization: Bearer TOKEN`,
    /// and need a role that grants the verb (get, post, delete) on the path as a nonResourceURL.
    #[arg(long = "access", env = "ACCESS", value_enum, default_value = "off")]
    pub(crate) protected_endpoints: ProtectedEndpoints,
    /// The audience that tokens must have: `kubectl create token NAME --audience=…`.
    #[arg(long, env = "ACCESS_AUDIENCE", default_value = "arxiv-api-server",
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) access_audience: String,
    /// How many seconds a token or a right that Kubernetes accepted is cached. A revoked one is accepted for up to this
    /// time.
    #[arg(long, env = "ACCESS_CACHE_SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) access_cache_seconds: u64,
    /// How many searches per minute a client may send to /arxiv on average; 0 for no limit. A search counts once for each
    /// 2000 results that it asks for, as it needs a request to arXiv for these, and a removal counts as one search. A client
    /// is a user if /arxiv requires a token, else an address.
    #[arg(long, env = "CLIENT_SEARCHES_PER_MINUTE", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) client_searches_per_minute: u32,
    /// How many searches a client may send at once after a pause. One that counts more often is still accepted after a
    /// pause, and delays the next one.
    #[arg(long, env = "CLIENT_BURST", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) client_burst: u32,
    /// How many states of queries per minute a client may have read from Kubernetes (/arxiv/NAME and what is below it); 0
    /// for no limit. One that was read within a second, for any client, does not count.
    #[arg(long, env = "CLIENT_LOOKUPS_PER_MINUTE", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) client_lookups_per_minute: u32,
    /// The Secret, in the namespace of the `ArxivQuery` objects, with the key of the hash by which objects name their
    /// clients (`key`, of 32 bytes or more). One without a key is given a random one. Without this setting each process
    /// has a key of its own: then a client can remove only what the same process made, and is not recognized after a
    /// restart.
    #[arg(long, env = "CLIENT_KEY_SECRET", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) client_key_secret: Option<String>,
    /// The proxies in front of this server, as a list of networks or addresses, like `10.0.0.0/8,fd00::/8`. Only their
    /// headers are trusted for the address of the client, and for the host to which it sent a request.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "")]
    pub(crate) trusted_proxies: Proxies,
    /// The headers in which these proxies write that: `X-Forwarded-For`, `-Host` and `-Proto`, or `Forwarded`.
    #[arg(
        long,
        env = "TRUSTED_PROXIES_HEADER",
        value_enum,
        default_value = "x-forwarded-for"
    )]
    pub(crate) trusted_proxies_header: ForwardedBy,
    /// The names by which browsers may call this server, as a list, like `papers.example,*.apps.example`; `*` for any.
    /// Addresses, localhost and names below it are always allowed. Protects against DNS rebinding; clients that are no
    /// browsers may use any name.
    #[arg(long, env = "ALLOWED_HOSTS", default_value = "")]
    pub(crate) allowed_hosts: AllowedHosts,
    /// The origins under which browsers open this server's own pages, as a list, like `http://papers.example`: for proxies that
    /// change the host name and do not say so (`X-Forwarded-Host`). Their host names are allowed.
    #[arg(long, env = "PUBLIC_ORIGINS", default_value = "")]
    pub(crate) public_origins: Origins,
    /// The origins whose pages may call this server from a browser (CORS), as a list, like `https://papers.example`.
    #[arg(long, env = "CORS_ALLOWED_ORIGINS", default_value = "")]
    pub(crate) cors_allowed_origins: Origins,
}

/// The side effects of a request; in its extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// It only reads.
    None,
    /// It writes a record, or takes a number.
    Change,
    /// It may create or remove a query, or send a request to arXiv, which counts towards the rate limit of its client.
    Counted,
}

/// The endpoint that a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The path that a role has to allow.
    pub(crate) path: &'static str,
    /// Whether it needs a token where only the backend does.
    pub(crate) is_backend: bool,
}

/// The access control of this process.
pub(crate) struct AccessControl {
    kubernetes: Option<Arc<KubernetesAuth>>,
    protected: ProtectedEndpoints,
    rate_limiter: Option<Arc<RateLimiter>>,
    pub(crate) addresses: ClientAddresses,
    hosts: AllowedHosts,
    public_origins: Origins,
    pub(crate) origins: Origins,
}

impl AccessControl {
    /// `kubernetes` is required if any endpoint is protected.
    pub(crate) fn new(
        args: &AccessArgs,
        kubernetes: Option<kube::Client>,
        reviews: &Slots,
        caches: &Caches,
    ) -> Self {
        let ttl = Duration::from_secs(args.access_cache_seconds);
        let audience = args.access_audience.clone();
        let auth = |client| {
            Arc::new(KubernetesAuth::new(
                client,
                audience,
                ttl,
                reviews.clone(),
                caches,
            ))
        };
        let per_minute = args.client_searches_per_minute;
        Self {
            kubernetes: kubernetes.map(auth),
            protected: args.protected_endpoints,
            rate_limiter: (per_minute > 0).then(|| Arc::new(RateLimiter::new(per_minute, args.client_burst))),
            addresses: ClientAddresses {
                proxies: Arc::new(args.trusted_proxies.clone()),
                forwarded_by: args.trusted_proxies_header,
            },
            hosts: args.allowed_hosts.clone().with(&args.public_origins),
            public_origins: args.public_origins.clone(),
            origins: args.cors_allowed_origins.clone(),
        }
    }

    /// Adds access control to an endpoint's routes.
    pub(crate) fn protect(self: &Arc<Self>, target: Target, routes: Router) -> Router {
        let control = Arc::clone(self);
        routes.route_layer(AdmissionLayer { control, target })
    }
}
