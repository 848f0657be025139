//! Access control in front of the endpoints: cross-site requests, authentication, authorization, and the request rate.

pub(crate) mod cors;
pub(crate) mod csrf;
pub(crate) mod kubernetes;
pub(crate) mod proxies;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::{Method, request::Parts};
use kube::Client as Kubernetes;
use tokio::time::Instant;

use crate::{
    auth::cors::Origins,
    auth::csrf::is_cross_site,
    auth::kubernetes::{KubernetesAuth, ProtectedEndpoints},
    auth::proxies::{ForwardedBy, Proxies},
    error::{ApiError, Code},
    limits::client::{Client, Peer},
    limits::rate::SearchRateLimiter,
    limits::slots::Slots,
    routes::arxiv::list,
    routes::endpoints::Endpoint,
};
use wire::{headers::vary::vary, query::QueryString};

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

/// The access control of this process.
pub(crate) struct AccessControl {
    access: Option<(ProtectedEndpoints, KubernetesAuth)>,
    limits: Option<SearchRateLimiter>,
    proxies: Proxies,
    forwarded_by: ForwardedBy,
    pub(crate) origins: Origins,
}

impl AccessControl {
    /// `kubernetes` is required if any endpoint is protected.
    pub(crate) fn new(args: &AccessArgs, kubernetes: Option<Kubernetes>, reviews: &Slots) -> Self {
        let ttl = Duration::from_secs(args.access_cache_seconds);
        let access = kubernetes
            .filter(|_| args.protected_endpoints != ProtectedEndpoints::Off)
            .map(|client| {
                let access = KubernetesAuth::new(client, args.access_audience.clone(), ttl, reviews.clone());
                (args.protected_endpoints, access)
            });
        let per_minute = args.client_searches_per_minute;
        Self {
            access,
            limits: (per_minute > 0).then(|| SearchRateLimiter::new(per_minute, args.client_burst)),
            proxies: args.trusted_proxies.clone(),
            forwarded_by: args.trusted_proxies_header,
            origins: args.cors_allowed_origins.clone(),
        }
    }

    /// Adds access control to an endpoint's routes.
    pub(crate) fn protect(self: &Arc<Self>, endpoint: Endpoint, routes: Router) -> Router {
        let access_control = Arc::clone(self);
        routes.route_layer(from_fn_with_state((access_control, endpoint), authorize))
    }
}

/// 1. Reject cross-site requests with side effects.
/// 2. Authenticate and authorize the client.
/// 3. Limit the client's rate of searches.
async fn authorize(
    State((access_control, endpoint)): State<(Arc<AccessControl>, Endpoint)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    if has_side_effects(endpoint, &head) && is_cross_site(&head.headers, &access_control.origins) {
        return cross_site().into_response();
    }
    let asks = access_control.needs_token(endpoint);
    let client = match access_control.client(endpoint, &head).await {
        Ok(client) => client,
        Err(error) => return vary_by_caller(asks, error.into_response()),
    };
    let limits = access_control
        .limits
        .as_ref()
        .filter(|_| is_search(endpoint, &head));
    let bucket = limits.map(|limits| (limits, limits.take(client.key(), Instant::now())));
    head.extensions.insert(client);
    let request = Request::from_parts(head, body);
    let response = match bucket {
        None => next.run(request).await,
        Some((limits, Ok(bucket))) => {
            let mut response = next.run(request).await;
            limits.add_headers(bucket, response.headers_mut());
            response
        }
        Some((limits, Err(bucket))) => {
            let mut response = rate_limited().retry_after(bucket.reset()).into_response();
            limits.add_headers(bucket, response.headers_mut());
            response
        }
    };
    vary_by_caller(asks, response)
}

/// A response that depends on the caller must not be cached for other callers.
fn vary_by_caller(asks: bool, mut response: Response) -> Response {
    if asks {
        vary(response.headers_mut(), "authorization");
    }
    response
}

impl AccessControl {
    /// Whether callers of this endpoint need a token.
    fn needs_token(&self, endpoint: Endpoint) -> bool {
        let access = self.access.as_ref();
        access.is_some_and(|(protected, _)| *protected == ProtectedEndpoints::All || endpoint.is_backend())
    }

    /// The client that sends a request, if it is authorized.
    async fn client(&self, endpoint: Endpoint, head: &Parts) -> Result<Client, ApiError> {
        // The server sets it on every request.
        let peer = head.extensions.get::<Peer>().ok_or_else(ApiError::internal)?;
        let address = Client::at(self.proxies.client(peer.0.ip(), &head.headers, self.forwarded_by));
        let access = self.access.as_ref().filter(|_| self.needs_token(endpoint));
        if let Some((_, access)) = access {
            let path = endpoint.path();
            let user = access
                .authorize(&address, &head.headers, &head.method, path)
                .await?;
            return Ok(Client::user(&user));
        }
        Ok(address)
    }
}

/// Whether a request has side effects: it creates or deletes something, takes a number, or sends a request to arXiv.
fn has_side_effects(endpoint: Endpoint, head: &Parts) -> bool {
    match endpoint {
        Endpoint::Arxiv => is_search(endpoint, head) || !matches!(head.method, Method::GET | Method::HEAD),
        Endpoint::ArxivApi | Endpoint::GetSequence | Endpoint::WriteQueries | Endpoint::WriteResults => true,
        Endpoint::Queries | Endpoint::Results | Endpoint::ReadQueries | Endpoint::ReadResults => false,
    }
}

/// Whether a request may create a query; a list of queries, at the same path, creates none.
fn is_search(endpoint: Endpoint, head: &Parts) -> bool {
    endpoint == Endpoint::Arxiv
        && head.uri.path() == endpoint.path()
        && match head.method {
            Method::GET => !list::is_wanted(&QueryString::parse(head.uri.query())),
            _ => head.method == Method::POST,
        }
}

fn cross_site() -> ApiError {
    ApiError::new(
        Code::CrossSite,
        "This request was sent by a page of another site, which must not change anything here. Open the address \
         directly, or ask the operator of this service to allow that site (CORS_ALLOWED_ORIGINS)",
    )
}

fn rate_limited() -> ApiError {
    ApiError::new(
        Code::ClientRateLimited,
        "Too many searches from this client, try again later",
    )
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn request_has_side_effects_by_endpoint_method_and_query() {
        let cases = [
            (Endpoint::Arxiv, Method::GET, "/arxiv", true),
            (Endpoint::Arxiv, Method::POST, "/arxiv", true),
            (Endpoint::Arxiv, Method::GET, "/arxiv?title=x&state=all", true),
            (Endpoint::Arxiv, Method::GET, "/arxiv?state=all", false),
            (Endpoint::Arxiv, Method::POST, "/arxiv?state=all", true),
            (Endpoint::Arxiv, Method::GET, "/arxiv/x", false),
            (Endpoint::Arxiv, Method::GET, "/arxiv/x/results", false),
            (Endpoint::Arxiv, Method::DELETE, "/arxiv/x", true),
            (Endpoint::GetSequence, Method::GET, "/get-sequence", true),
            (Endpoint::ArxivApi, Method::GET, "/arxiv-api", true),
            (Endpoint::WriteResults, Method::POST, "/write-results", true),
            (Endpoint::Queries, Method::POST, "/queries", false),
            (Endpoint::Results, Method::GET, "/results", false),
        ];
        for (endpoint, method, path, expected) in cases {
            let request = Request::builder().method(&method).uri(path);
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(has_side_effects(endpoint, &head), expected, "{method} {path}");
        }
    }
}
