//! Access control in front of the endpoints: cross-site requests, authentication, authorization, and the request rate.

pub(crate) mod kubernetes;
mod origins;
mod proxies;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use tokio::time::Instant;

use crate::{
    auth::kubernetes::{KubernetesAuth, ProtectedEndpoints},
    auth::origins::Origins,
    auth::proxies::{ForwardedBy, Proxies},
    error::{ApiError, Code},
    limits::client::{Client, Peer},
    limits::rate::SearchRateLimiter,
    limits::slots::Slots,
};
use wire::headers::vary::vary;

const CROSS_SITE: &str = "This request was sent by a page of another site, which must not change anything here. Open the \
                          address directly, or ask the operator of this service to allow that site (CORS_ALLOWED_ORIGINS)";
const RATE_LIMITED: &str = "Too many searches from this client, try again later";

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
    /// How many searches per minute a client may send to /arxiv on average; 0 for no limit. A client is a user if /arxiv
    /// requires a token, else an address.
    #[arg(long, env = "CLIENT_SEARCHES_PER_MINUTE", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) client_searches_per_minute: u32,
    /// How many searches a client may send at once after a pause.
    #[arg(long, env = "CLIENT_BURST", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) client_burst: u32,
    /// The proxies in front of this server, as a list of networks or addresses, like `10.0.0.0/8,fd00::/8`. Only their
    /// headers are trusted for the address of the client.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "")]
    pub(crate) trusted_proxies: Proxies,
    /// The header in which these proxies write the client's address.
    #[arg(
        long,
        env = "TRUSTED_PROXIES_HEADER",
        value_enum,
        default_value = "x-forwarded-for"
    )]
    pub(crate) trusted_proxies_header: ForwardedBy,
    /// The origins whose pages may call this server from a browser (CORS), as a list, like `https://papers.example`.
    #[arg(long, env = "CORS_ALLOWED_ORIGINS", default_value = "")]
    pub(crate) cors_allowed_origins: Origins,
}

/// The side effects of a request; in its extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// It only reads.
    None,
    /// It creates or deletes something, takes a number, or sends a request to arXiv.
    Change,
    /// It may create a query, which counts towards the rate limit of its client.
    Search,
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
    kubernetes: Option<KubernetesAuth>,
    protected: ProtectedEndpoints,
    rate_limiter: Option<SearchRateLimiter>,
    proxies: Proxies,
    forwarded_by: ForwardedBy,
    pub(crate) origins: Origins,
}

impl AccessControl {
    /// `kubernetes` is required if any endpoint is protected.
    pub(crate) fn new(args: &AccessArgs, kubernetes: Option<kube::Client>, reviews: &Slots) -> Self {
        let ttl = Duration::from_secs(args.access_cache_seconds);
        let auth = |client| KubernetesAuth::new(client, args.access_audience.clone(), ttl, reviews.clone());
        let per_minute = args.client_searches_per_minute;
        Self {
            kubernetes: kubernetes.map(auth),
            protected: args.protected_endpoints,
            rate_limiter: (per_minute > 0).then(|| SearchRateLimiter::new(per_minute, args.client_burst)),
            proxies: args.trusted_proxies.clone(),
            forwarded_by: args.trusted_proxies_header,
            origins: args.cors_allowed_origins.clone(),
        }
    }

    /// Adds access control to an endpoint's routes.
    pub(crate) fn protect(self: &Arc<Self>, target: Target, routes: Router) -> Router {
        let access_control = Arc::clone(self);
        routes.route_layer(from_fn_with_state((access_control, target), authorize))
    }
}

/// 1. Reject cross-site requests with side effects.
/// 2. Authenticate and authorize the client.
/// 3. Limit the client's rate of searches.
async fn authorize(
    State((access_control, target)): State<(Arc<AccessControl>, Target)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    // A request without an operation is answered 405, and has no effect.
    let effect = head.extensions.get().copied().unwrap_or(Effect::None);
    if effect != Effect::None && access_control.origins.is_cross_site(&head.headers) {
        return ApiError::new(Code::CrossSite, CROSS_SITE).into_response();
    }
    let mut response = match access_control.client(target, &head).await {
        Ok(client) => {
            let limiter = access_control.rate_limiter.as_ref();
            let limiter = limiter.filter(|_| effect == Effect::Search);
            let bucket = limiter.map(|limiter| limiter.take(client.key(), Instant::now()));
            head.extensions.insert(client);
            let mut response = match bucket {
                Some(Err(bucket)) => ApiError::new(Code::ClientRateLimited, RATE_LIMITED)
                    .retry_after(bucket.reset)
                    .into_response(),
                Some(Ok(_)) | None => next.run(Request::from_parts(head, body)).await,
            };
            if let (Some(limiter), Some(Ok(bucket) | Err(bucket))) = (limiter, bucket) {
                limiter.add_headers(bucket, response.headers_mut());
            }
            response
        }
        Err(error) => error.into_response(),
    };
    if access_control.protected.has(target.is_backend) {
        // A response that depends on the caller must not be cached for other callers.
        vary(response.headers_mut(), "authorization");
    }
    response
}

impl AccessControl {
    /// The client that sends a request, if it is authorized.
    async fn client(&self, target: Target, head: &Parts) -> Result<Client, ApiError> {
        // The server sets it on every request.
        let peer = head.extensions.get::<Peer>().ok_or_else(ApiError::internal)?;
        let address = Client::at(self.proxies.client(peer.0.ip(), &head.headers, self.forwarded_by));
        if !self.protected.has(target.is_backend) {
            return Ok(address);
        }
        let kubernetes = self.kubernetes.as_ref().ok_or_else(ApiError::internal)?;
        let user = kubernetes.authorize(&address, &head.headers, &head.method, target.path);
        Ok(Client::user(&user.await?))
    }
}
